/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/bpf/inside.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <linux/magic.h>
#include "base/fail.h"

/* Cgroups lie in one another at most so deep that the kernel program still walks to them. */
#define DEPTH 32

static bool is_cgroup(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

/*
 * Ids of a cgroup and of those around it: the inode numbers of its directory and of the ones above,
 * as far as they are of the same file system.
 */
static int read_above(const char *path, uint64_t above[DEPTH], uint32_t *ret_count)
{
	CLEANUP_FREE char *at = NULL;
	struct stat status;
	uint32_t count = 0;

	if (asprintf(&at, "%s", path) < 0)
		return -ENOMEM;
	while (count < DEPTH && is_cgroup(at)) {
		if (stat(at, &status) < 0)
			return -errno;
		above[count++] = status.st_ino;
		char *slash = strrchr(at, '/');
		if (!slash || slash == at)
			break;
		*slash = '\0';
	}
	*ret_count = count;
	return count ? 0 : -ENOTSUP;
}

static int add(struct cgroup_table *table, const struct cgroup_root *root)
{
	if (table->count == table->room) {
		uint32_t room = table->room ? table->room * 2 : 16;
		struct cgroup_root *roots = reallocarray(table->roots, room, sizeof(*roots));

		if (!roots)
			return -ENOMEM;
		table->roots = roots;
		table->room = room;
	}
	table->roots[table->count++] = *root;
	return 0;
}

static bool lies_in(const struct cgroup_root *root, uint64_t id)
{
	for (uint32_t i = 0; i < root->above_count; i++)
		if (root->above[i] == id)
			return true;
	return false;
}

static int compare(const void *a, const void *b)
{
	uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;

	return one < other ? -1 : one > other;
}

/* Groups of all registered cgroups that a cgroup lies in; with `fresh`, of those that adopt. */
static int groups_around(
	struct bpf_collector *c, const struct cgroup_root *root, bool fresh, uint32_t *ret_set)
{
	CLEANUP_FREE uint32_t *groups = calloc(c->cgroups.count, sizeof(*groups));
	uint32_t found = 0, count = 0;

	if (!groups)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->cgroups.count; i++)
		if (lies_in(root, c->cgroups.roots[i].id) && (!fresh || c->cgroups.roots[i].fresh))
			groups[found++] = c->cgroups.roots[i].group;
	qsort(groups, found, sizeof(*groups), compare);
	for (uint32_t i = 0; i < found; i++)
		if (!count || groups[count - 1] != groups[i])
			groups[count++] = groups[i];
	return adopt_set(c, groups, count, false, ret_set);
}

static int tell(struct bpf_collector *c, struct cgroup_root *root)
{
	struct tally_cgroup value;
	int r = groups_around(c, root, false, &value.set);

	if (r == 0)
		r = groups_around(c, root, true, &value.fresh);
	if (r < 0)
		return r;
	c->sets.items[value.set].pinned = true;
	root->set = value.set;
	return bpf_map_update_elem(c->cgroup_map, &root->id, &value, BPF_ANY) < 0 ? -errno : 0;
}

/* A set that no cgroup stands for any more is held by marks alone, unless it is a group's own. */
static void unpin(struct bpf_collector *c)
{
	for (uint32_t i = 0; i < c->cgroups.count; i++) {
		struct set *set = &c->sets.items[c->cgroups.roots[i].set];

		set->pinned =
			set->count == 1 && c->groups[set->groups[0]].set == c->cgroups.roots[i].set;
	}
}

/* Answers that the kernel program remembers are void, and every thread is to be looked at. */
static void renew(struct bpf_collector *c)
{
	c->config->generation++;
	c->config->cgroups = c->cgroups.count > 0;
	c->check = true;
}

static void tell_all(struct bpf_collector *c)
{
	unpin(c);
	for (uint32_t i = 0; i < c->cgroups.count; i++)
		if (tell(c, &c->cgroups.roots[i]) < 0) {
			c->groups[c->cgroups.roots[i].group].limited = true;
			c->limited++;
		}
	renew(c);
}

void cgroups_settle(struct bpf_collector *c)
{
	if (c->cgroups.changed)
		tell_all(c);
	c->cgroups.changed = false;
}

static void take_out(struct bpf_collector *c, uint32_t index)
{
	struct cgroup_root *root = &c->cgroups.roots[index];

	bpf_map_delete_elem(c->cgroup_map, &root->id);
	free(root->path);
	free(root->above);
	*root = c->cgroups.roots[--c->cgroups.count];
}

static bool is_removed(const struct cgroup_root *root)
{
	struct stat status;

	return stat(root->path, &status) < 0 ? errno == ENOENT : status.st_ino != root->id;
}

/* A service that starts anew has a new cgroup: those it had before are not kept for ever. */
static void prune(struct bpf_collector *c, uint32_t group)
{
	for (uint32_t i = c->cgroups.count; i-- > 0;)
		if (c->cgroups.roots[i].group == group && is_removed(&c->cgroups.roots[i]))
			take_out(c, i);
}

int cgroups_add(struct bpf_collector *c, uint32_t group, const struct collect_root *root,
	struct tally_error *err)
{
	uint64_t above[DEPTH];
	struct cgroup_root new = {.id = root->cgroup_id, .group = group, .fresh = true};

	if (!root->cgroup)
		return tally_refuse(err, -EINVAL, "a cgroup has to be given with its directory");
	int r = read_above(root->cgroup, above, &new.above_count);
	if (r == -ENOTSUP)
		return tally_refuse(err, r, "%s is no cgroup of the v2 hierarchy", root->cgroup);
	if (r < 0)
		return tally_fail(err, r, "cannot look at cgroup %s", root->cgroup);
	if (above[0] != new.id)
		return tally_refuse(err, -ESRCH, "%s is another cgroup now", root->cgroup);
	prune(c, group);
	new.above = malloc(new.above_count * sizeof(*above));
	new.path = strdup(root->cgroup);
	r = new.above &&new.path ? add(&c->cgroups, &new) : -ENOMEM;
	if (r < 0) {
		free(new.above);
		free(new.path);
		return tally_fail(err, r, "cgroup %s", root->cgroup);
	}
	memcpy(new.above, above, new.above_count * sizeof(*above));
	r = tell(c, &c->cgroups.roots[c->cgroups.count - 1]);
	if (r < 0) {
		take_out(c, c->cgroups.count - 1);
		return tally_fail(err, r, "cannot follow cgroup %s", root->cgroup);
	}
	renew(c);
	c->cgroups.changed = true;
	return 0;
}

void cgroups_drop(struct bpf_collector *c, uint32_t group)
{
	for (uint32_t i = c->cgroups.count; i-- > 0;)
		if (c->cgroups.roots[i].group == group) {
			take_out(c, i);
			c->cgroups.changed = true;
		}
}

void cgroups_adopted(struct bpf_collector *c)
{
	bool any = false;

	for (uint32_t i = 0; i < c->cgroups.count; i++) {
		any |= c->cgroups.roots[i].fresh;
		c->cgroups.roots[i].fresh = false;
	}
	if (any)
		tell_all(c);
	c->check = false;
}

void cgroups_done(struct cgroup_table *table)
{
	for (uint32_t i = 0; i < table->count; i++) {
		free(table->roots[i].path);
		free(table->roots[i].above);
	}
	free(table->roots);
}
