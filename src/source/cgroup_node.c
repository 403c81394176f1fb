/* SPDX-License-Identifier: Apache-2.0 */
#include "source/cgroup_node.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/fail.h"
#include "base/file.h"
#include "source/cgroup.h"
#include "source/cgroup_name.h"

/* Deeper ones are not looked at. */
#define DEPTH_MAX 32

/* One look. */
struct look {
	struct cgroup_field *field;
	bool all;
	struct watch *watch;
	size_t *nodes;
	const struct cgroup_field_ops *ops;
	void *context;
};

static int add_part(struct cgroup_field *field, const char *at, size_t length)
{
	char **grown = reallocarray(field->parts, field->part_count + 1, sizeof(char *));
	char *part = strndup(at, length);

	if (grown)
		field->parts = grown;
	if (!grown || !part) {
		free(part);
		return -ENOMEM;
	}
	field->parts[field->part_count++] = part;
	return 0;
}

static int split(struct cgroup_field *field, struct tally_error *err)
{
	const char *at = field->pattern;

	for (;;) {
		at += strspn(at, "/");
		size_t length = strcspn(at, "/");

		if (length == 0)
			return 0;
		if (length == 2 && memcmp(at, "**", 2) == 0) {
			field->natural = true;
			return at[2 + strspn(at + 2, "/")]
				       ? tally_refuse(err, -EINVAL,
						 "'%.200s': ** may only be its end", field->pattern)
				       : 0;
		}
		if (length == 2 && memcmp(at, "..", 2) == 0)
			return tally_refuse(err, -EINVAL,
				"'%.200s' has '..' in it; name the cgroup itself", field->pattern);
		if (field->part_count == DEPTH_MAX)
			return tally_refuse(err, -EINVAL, "'%.200s' is deeper than %d cgroups",
				field->pattern, DEPTH_MAX);
		if (add_part(field, at, length) < 0)
			return tally_fail(err, -ENOMEM, "cannot look for cgroups");
		at += length;
	}
}

int cgroup_field_init(struct cgroup_field *field, const char *mount, bool unified,
	const char *pattern, struct tally_error *err)
{
	size_t length = strlen(pattern);

	*field = (struct cgroup_field){.unified = unified,
		.mount = strdup(mount),
		.pattern = strdup(pattern),
		.natural = length == 0 || pattern[length - 1] == '/',
		.root = calloc(1, sizeof(*field->root))};
	if (field->root) {
		field->root->path = strdup("");
		field->root->watch = -1;
	}
	int r = field->mount && field->pattern && field->root && field->root->path
			? split(field, err)
			: tally_fail(err, -ENOMEM, "cannot look for cgroups");
	if (r < 0)
		cgroup_field_done(field, NULL);
	return r;
}

static void free_node(struct cgroup_node *node, struct watch *watch)
{
	while (node->children) {
		struct cgroup_node *child = node->children;

		node->children = child->next;
		free_node(child, watch);
	}
	if (watch)
		watch_remove(watch, node->watch, &node->dirty);
	free(node->path);
	free(node);
}

void cgroup_field_done(struct cgroup_field *field, struct watch *watch)
{
	if (field->root)
		free_node(field->root, watch);
	for (size_t i = 0; i < field->part_count; i++)
		free(field->parts[i]);
	free(field->parts);
	free(field->pattern);
	free(field->mount);
	*field = (struct cgroup_field){0};
}

/* Tell the owner of all tasks in it that they are over, and forget it. */
static void drop(const struct look *l, struct cgroup_node *node)
{
	while (node->children) {
		struct cgroup_node *child = node->children;

		node->children = child->next;
		drop(l, child);
	}
	if (node->task)
		l->ops->end(l->context, node);
	--*l->nodes;
	free_node(node, l->watch);
}

static bool wanted(
	const struct cgroup_field *field, const struct cgroup_node *parent, const char *name)
{
	if (parent->depth >= field->part_count)
		return field->natural;
	return fnmatch(field->parts[parent->depth], name, 0) == 0;
}

static bool is_task(const struct cgroup_field *field, const struct cgroup_node *node)
{
	struct cgroup_name name;

	if (!field->natural)
		return node->depth == field->part_count;
	if (node->depth <= field->part_count)
		return false;
	cgroup_name_of(node->path, &name);
	return name.kind != CGROUP_OTHER;
}

static int open_node(const struct cgroup_field *field, const struct cgroup_node *node)
{
	CLEANUP_FREE char *path = NULL;

	if (asprintf(&path, "%s%s", field->mount, node->path) < 0)
		return -ENOMEM;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static struct cgroup_node *new_node(
	const struct look *l, struct cgroup_node *parent, const char *name, ino_t inode)
{
	struct cgroup_node *node = NULL;

	if (*l->nodes < CGROUP_NODES_MAX && parent->depth < DEPTH_MAX)
		node = calloc(1, sizeof(*node));
	if (!node)
		return NULL;
	if (asprintf(&node->path, "%s/%s", parent->path, name) < 0) {
		free(node);
		return NULL;
	}
	node->inode = inode;
	node->depth = parent->depth + 1;
	node->watch = -1;
	node->dirty = true;
	node->next = parent->children;
	parent->children = node;
	++*l->nodes;
	return node;
}

static struct cgroup_node *find_child(struct cgroup_node *parent, const char *name, ino_t inode)
{
	size_t length = strlen(parent->path) + 1;

	for (struct cgroup_node *child = parent->children; child; child = child->next)
		if (child->inode == inode && strcmp(child->path + length, name) == 0)
			return child;
	return NULL;
}

static void drop_unlisted(const struct look *l, struct cgroup_node *node)
{
	for (struct cgroup_node **at = &node->children; *at;) {
		struct cgroup_node *child = *at;

		if (child->listed) {
			child->listed = false;
			at = &child->next;
			continue;
		}
		*at = child->next;
		drop(l, child);
	}
}

/* What goes is told before what comes: a service that starts anew has the same name. */
static void list(const struct look *l, struct cgroup_node *node, int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_DIR DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;

	if (!entries) {
		cleanup_close(&fd);
		return;
	}
	for (struct dirent *entry; (entry = readdir(entries));) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.' ||
			!wanted(l->field, node, entry->d_name))
			continue;
		struct cgroup_node *child = find_child(node, entry->d_name, entry->d_ino);
		if (!child)
			child = new_node(l, node, entry->d_name, entry->d_ino);
		if (child)
			child->listed = true;
	}
	drop_unlisted(l, node);
}

/* Processes right in it. A cgroup of threads has none of its own. */
static bool has_processes(int dir)
{
	char byte;

	return file_read_at(dir, "cgroup.procs", &byte, 1) > 0;
}

/* What is nobody's by name is a task all the same when processes lie in it and nothing below. */
static bool is_nameless_task(
	const struct cgroup_field *field, const struct cgroup_node *node, int dir)
{
	return field->natural && node->depth > field->part_count && !node->children &&
	       has_processes(dir);
}

static void look_at(const struct look *l, struct cgroup_node *node, int dir, nlink_t links)
{
	bool heard = node->dirty;

	node->dirty = false;
	if (l->watch && (node->watch < 0 || !watch_lives(l->watch, node->watch)))
		node->watch = watch_add(l->watch, dir, &node->dirty);
	if (node->task) {
		l->ops->look(l->context, l->field, node, dir);
		return;
	}
	if (is_task(l->field, node)) {
		l->ops->begin(l->context, l->field, node, dir);
		return;
	}
	/* A directory has two links, and one for each below it, where they are counted at all. */
	if (heard || links < 2 || links != node->links)
		list(l, node, dir);
	node->links = links;
	if (is_nameless_task(l->field, node, dir))
		l->ops->begin(l->context, l->field, node, dir);
}

static void visit_self(const struct look *l, struct cgroup_node *node)
{
	struct stat st;
	CLEANUP_CLOSE int dir = open_node(l->field, node);

	if (dir == -ENOENT || dir == -ENODEV || dir == -ENOTDIR) {
		node->gone = true;
		return;
	}
	if (dir < 0 || fstat(dir, &st) < 0)
		return;
	if (node->depth > 0 && st.st_ino != node->inode)
		node->gone = true;
	else
		look_at(l, node, dir, st.st_nlink);
}

static bool drop_gone(const struct look *l, struct cgroup_node *node)
{
	bool any = false;

	for (struct cgroup_node **at = &node->children; *at;) {
		struct cgroup_node *child = *at;

		if (!child->gone) {
			at = &child->next;
			continue;
		}
		any = true;
		*at = child->next;
		drop(l, child);
	}
	return any;
}

static void visit(const struct look *l, struct cgroup_node *node)
{
	if (l->all || node->dirty)
		visit_self(l, node);
	if (node->gone)
		return;
	for (struct cgroup_node *child = node->children; child; child = child->next)
		visit(l, child);
	/* One gone and another come leave the number of links as it was. */
	if (drop_gone(l, node)) {
		node->links = 0;
		node->dirty = true;
		if (l->watch)
			watch_call_again(l->watch, WATCH_QUIET_NS);
	}
}

void cgroup_field_look(struct cgroup_field *field, bool all, struct watch *watch, size_t *nodes,
	const struct cgroup_field_ops *ops, void *context)
{
	const struct look l = {field, all, watch, nodes, ops, context};

	visit(&l, field->root);
	if (field->root->gone)
		drop_unlisted(&l, field->root);
	field->root->gone = false; /* A hierarchy may be mounted again. */
}
