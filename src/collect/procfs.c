/* SPDX-License-Identifier: Apache-2.0 */
/* The procfs collector: the operations of the interface. */
#include "collect/procfs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include "base/clock.h"
#include "base/fail.h"
#include "collect/registry.h"

static struct procfs *of(struct collector *collector)
{
	return (struct procfs *)collector;
}

static const char *path_of(const struct collect_options *options)
{
	return options->procfs ? options->procfs : "/proc";
}

static int probe(const struct collect_options *options, struct tally_error *err)
{
	struct proc_root root;
	int r = proc_root_open(path_of(options), &root, err);

	if (r < 0)
		return r;
	proc_root_close(&root);
	return 0;
}

static size_t fd_limit(const struct collect_options *options)
{
	struct rlimit limit;

	if (options->fd_limit)
		return options->fd_limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	return limit.rlim_cur == RLIM_INFINITY ? SIZE_MAX : limit.rlim_cur / 4 * 3;
}

static int procfs_open(
	const struct collect_options *options, struct collector **ret, struct tally_error *err)
{
	struct procfs *procfs = calloc(1, sizeof(*procfs));

	if (!procfs)
		return tally_fail(err, -ENOMEM, "cannot open a collector");
	int r = proc_root_open(path_of(options), &procfs->root, err);
	if (r < 0) {
		free(procfs);
		return r;
	}
	procfs->log = options->log;
	procfs->pss = options->pss;
	procfs->fd_limit = fd_limit(options);
	procfs->pass = 1;
	procfs->all_listed = 1;
	*ret = &procfs->collector;
	return 0;
}

static void group_done(struct group *group)
{
	cgroup_tree_close(group->cgroups);
	free(group->sign);
}

static void procfs_close(struct collector *collector)
{
	struct procfs *procfs = of(collector);

	members_done(&procfs->members);
	proc_root_close(&procfs->root);
	for (size_t i = 0; i < procfs->group_capacity; i++)
		group_done(&procfs->groups[i]);
	free(procfs->groups);
	free(procfs->newcomers);
	free(procfs->walk);
	free(procfs->tids);
	free(procfs);
}

static int group_add(struct collector *collector, uint32_t group, struct tally_error *err)
{
	struct procfs *procfs = of(collector);

	if (group >= procfs->group_capacity) {
		size_t capacity = collector->group_count;
		void *groups = reallocarray(procfs->groups, capacity, sizeof(*procfs->groups));

		if (!groups)
			return tally_fail(err, -ENOMEM, "cannot follow one more process");
		procfs->groups = groups;
		memset(procfs->groups + procfs->group_capacity, 0,
			(capacity - procfs->group_capacity) * sizeof(*procfs->groups));
		procfs->group_capacity = capacity;
	}
	procfs->groups[group] = (struct group){.dirty = true};
	memset(procfs->groups[group].reason, REASON_NONE, FIGURE_COUNT);
	return 0;
}

static void group_remove(struct collector *collector, uint32_t number)
{
	struct procfs *procfs = of(collector);
	struct group *group = &procfs->groups[number];

	for (struct membership *m = group->first, *next; m; m = next) {
		struct member *member = m->member;

		next = m->next_in_group;
		member_leave(&procfs->members, member, number);
		if (!member->groups) {
			member_retire(&procfs->members, member);
			procfs->any_gone = true;
		}
	}
	for (int i = 0; i < GHOST_COUNT; i++)
		if (procfs->ghosts[i].group == number)
			procfs->ghosts[i].pid = 0;
	procfs->subreapers -= group->subreaper != 0;
	procfs->cgroups -= group->cgroups != NULL;
	group_done(group);
	*group = (struct group){0};
}

/* A root that was in another group of the family leaves that: from now on it counts here. */
static void leave_family(struct procfs *procfs, struct membership *to)
{
	uint32_t family = procfs->groups[to->group].family;
	struct member *member = to->member;
	struct membership *from = procfs_in_family(procfs, member, family, to->group);

	if (!from)
		return;
	account_leave(&from->account, &member->usage, procfs->groups[from->group].lost);
	from->left = true;
	procfs->groups[from->group].dirty = true;
	to->moved = true;
	to->left = false;
	to->unset = member->unset = true;
	if (member->known)
		procfs_set_bases(member);
}

static int root_add_pid(struct procfs *procfs, uint32_t group, const struct collect_root *root,
	struct tally_error *err)
{
	int64_t now_ticks = clock_boot_ns() / procfs->root.tick_ns;
	int r = pid_table_reserve(&procfs->members.table, 1);

	if (r < 0)
		return tally_fail(err, r, "cannot follow pid %d", (int)root->pid);
	struct pid_entry *entry = procfs_look_at(procfs, root->pid, 0);
	if (!entry)
		return tally_refuse(err, -ESRCH, "there is no process with pid %d", (int)root->pid);
	if (root->start_ns && root->start_ns / procfs->root.tick_ns != entry->start_ticks)
		return tally_refuse(err, -ESRCH,
			"pid %d is another process by now: it was started at another time",
			(int)root->pid);

	struct membership *membership = entry->member ? member_in(entry->member, group) : NULL;
	if (!membership)
		membership = procfs_join(procfs, entry, group, WHY_ROOT, now_ticks);
	if (!membership)
		return tally_fail(err, -ENOMEM, "cannot follow pid %d", (int)root->pid);
	membership->why = WHY_ROOT;
	leave_family(procfs, membership);
	procfs->groups[group].adopting = procfs->adopting = procfs->disordered = true;
	return 0;
}

static int root_add_cgroup(struct procfs *procfs, uint32_t number, const struct collect_root *root,
	struct tally_error *err)
{
	struct group *group = &procfs->groups[number];

	if (!root->cgroup)
		return tally_refuse(err, -ENOTSUP,
			"the procfs collector finds a cgroup by its path, and none was given");
	struct cgroup_tree *cgroup;
	int r = cgroup_tree_open(root->cgroup, root->cgroup_id, &cgroup, err);
	if (r < 0)
		return r;
	/* A service that starts anew has a new cgroup, and the old one is gone by then. */
	procfs->cgroups += group->cgroups == NULL;
	group->cgroups = cgroup_tree_join(cgroup_tree_prune(group->cgroups), cgroup);
	group->cgroup_since_ticks = clock_boot_ns() / procfs->root.tick_ns;
	group->adopting = procfs->adopting = true;
	return 0;
}

static void set_subreaper(struct procfs *procfs, struct group *group, pid_t subreaper)
{
	procfs->subreapers += (subreaper != 0) - (group->subreaper != 0);
	group->subreaper = subreaper;
}

static void set_sign(struct group *group, const char *sign)
{
	char *copy = sign ? strdup(sign) : NULL;

	if (!copy)
		return;
	free(group->sign);
	group->sign = copy;
}

static int root_add(struct collector *collector, uint32_t group, const struct collect_root *root,
	struct tally_error *err)
{
	struct procfs *procfs = of(collector);
	procfs->groups[group].family = root->family;
	int r = root->pid ? root_add_pid(procfs, group, root, err)
			  : root_add_cgroup(procfs, group, root, err);

	if (r == 0 && root->subreaper)
		set_subreaper(procfs, &procfs->groups[group], root->subreaper);
	if (r == 0)
		set_sign(&procfs->groups[group], root->sign);
	return r;
}

/* Forget who has ended, and after a listing of all the strangers that it did not have. */
static void clean_up(struct procfs *procfs)
{
	if (procfs->any_gone)
		members_compact(&procfs->members);
	procfs->any_gone = false;
	if (procfs->all_listed == procfs->pass)
		pid_table_sweep(&procfs->members.table, procfs->pass);
}

static int pass(struct collector *collector, struct tally_error *err)
{
	struct procfs *procfs = of(collector);

	procfs->out_of_memory = false;
	procfs->pass++;
	int r = procfs_look(procfs);
	if (r < 0)
		return tally_fail(err, r, "cannot list the processes of this machine");
	procfs_read(procfs);
	procfs_sum(procfs);
	clean_up(procfs);
	if (procfs->out_of_memory)
		return tally_fail(err, -ENOMEM, "cannot follow new processes");
	return 0;
}

static const char *why_word(enum why why)
{
	static const char *const words[] = {
		[WHY_ROOT] = "root",
		[WHY_CHILD] = "child",
		[WHY_REPARENTED] = "reparented",
		[WHY_CGROUP] = "cgroup",
	};

	return words[why];
}

static void show(struct procfs *procfs, const struct membership *membership,
	collect_member_fn *visit, void *context)
{
	const struct member *member = membership->member;
	struct collect_member shown = {
		.pid = member->pid,
		.parent = member->parent_pid,
		.start_ns = procfs_times(member->start_ticks, procfs->root.tick_ns),
		.comm = member->comm,
		.why = why_word(membership->why),
		.cpu_ns = member->known ? member->cpu_ns[0] + member->cpu_ns[1] : -1,
		.rss_bytes = member->known ? member->rss_bytes : -1,
	};

	visit(context, &shown);
}

static void members(
	struct collector *collector, uint32_t group, collect_member_fn *visit, void *context)
{
	struct procfs *procfs = of(collector);

	for (const struct membership *m = procfs->groups[group].first; m; m = m->next_in_group)
		if (!m->left && !m->member->gone)
			show(procfs, m, visit, context);
}

static void status(struct collector *collector, struct collect_status *ret)
{
	struct procfs *procfs = of(collector);

	ret->pids = procfs->members.count;
	ret->strangers = procfs->members.table.count - procfs->members.count;
	ret->limited = procfs->limited;
}

const struct collector_ops collector_procfs = {
	.name = "procfs",
	.summary = "reads /proc; works everywhere, for any user",
	.probe = probe,
	.open = procfs_open,
	.close = procfs_close,
	.group_add = group_add,
	.group_remove = group_remove,
	.root_add = root_add,
	.pass = pass,
	.members = members,
	.reaped = procfs_reaped,
	.status = status,
};
