/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/cgroup_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/fail.h"
#include "base/file.h"
#include "collect/proc_parse.h"

/* Deeper trees than this are not followed: systemd in a container in a pod makes about ten. */
#define DEPTH_MOST 32

struct cgroup_tree {
	int dir, procs; /* Descriptors of the directory and of cgroup.procs. */
	nlink_t links;	/* Of the directory when it was listed; 0: it has to be listed. */
	ino_t inode;
	bool listed; /* For the listing of the parent: it is still there. */
	struct cgroup_tree *children, *next;
};

static struct cgroup_tree *close_all(struct cgroup_tree *tree)
{
	while (tree) {
		struct cgroup_tree *next = tree->next;

		close_all(tree->children);
		close(tree->dir);
		close(tree->procs);
		free(tree);
		tree = next;
	}
	return NULL;
}

struct cgroup_tree *cgroup_tree_close(struct cgroup_tree *tree)
{
	return close_all(tree);
}

struct cgroup_tree *cgroup_tree_join(struct cgroup_tree *tree, struct cgroup_tree *other)
{
	other->next = tree;
	return other;
}

/* A kept descriptor of a removed cgroup answers ENODEV. */
static bool is_removed(const struct cgroup_tree *tree)
{
	char byte;

	return pread(tree->procs, &byte, 1, 0) < 0 && errno == ENODEV;
}

struct cgroup_tree *cgroup_tree_prune(struct cgroup_tree *tree)
{
	struct cgroup_tree *first = tree;

	for (struct cgroup_tree **at = &first; *at;) {
		struct cgroup_tree *one = *at;

		if (!is_removed(one)) {
			at = &one->next;
			continue;
		}
		*at = one->next;
		one->next = NULL;
		close_all(one);
	}
	return first;
}

size_t cgroup_tree_fds(const struct cgroup_tree *tree)
{
	size_t count = 0;

	for (; tree; tree = tree->next)
		count += 2 + cgroup_tree_fds(tree->children);
	return count;
}

/* One cgroup, its children not yet. */
static int open_one(int parent, const char *name, struct cgroup_tree **ret)
{
	CLEANUP_CLOSE int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	CLEANUP_CLOSE int procs = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	if (procs < 0)
		return errno == ENOENT ? -ENOTSUP : -errno;
	struct stat st;
	if (fstat(dir, &st) < 0)
		return -errno;
	struct cgroup_tree *tree = calloc(1, sizeof(*tree));
	if (!tree)
		return -ENOMEM;
	tree->inode = st.st_ino;
	tree->dir = take_fd(&dir);
	tree->procs = take_fd(&procs);
	*ret = tree;
	return 0;
}

int cgroup_tree_open(
	const char *path, uint64_t id, struct cgroup_tree **ret, struct tally_error *err)
{
	struct cgroup_tree *tree;
	int r = open_one(AT_FDCWD, path, &tree);

	if (r == -ENOENT || r == -ENOTDIR)
		return tally_refuse(err, -ESRCH, "there is no cgroup %.300s", path);
	if (r == -ENOTSUP)
		return tally_refuse(
			err, r, "%.300s is no cgroup: it holds no file cgroup.procs", path);
	if (r < 0)
		return tally_fail(err, r, "cannot open cgroup %.300s", path);
	if (id && id != tree->inode) {
		close_all(tree);
		return tally_refuse(err, -ESRCH,
			"cgroup %.300s is another by now: it was removed and made anew", path);
	}
	*ret = tree;
	return 0;
}

static struct cgroup_tree *child_with_inode(struct cgroup_tree *tree, ino_t inode)
{
	struct cgroup_tree *child = tree->children;

	while (child && child->inode != inode)
		child = child->next;
	return child;
}

/* A child that cannot be opened vanished meanwhile; or we are short of something: again later. */
static int add_child(struct cgroup_tree *tree, const char *name, ino_t inode)
{
	struct cgroup_tree *child = child_with_inode(tree, inode);

	if (!child) {
		int r = open_one(tree->dir, name, &child);

		if (r == -ENOENT || r == -ENOTDIR || r == -ENODEV || r == -ENOTSUP)
			return 0;
		if (r < 0)
			return r;
		child->next = tree->children;
		tree->children = child;
	}
	child->listed = true;
	return 0;
}

static void drop_unlisted(struct cgroup_tree *tree)
{
	for (struct cgroup_tree **at = &tree->children; *at;) {
		struct cgroup_tree *child = *at;

		if (child->listed) {
			child->listed = false;
			at = &child->next;
			continue;
		}
		*at = child->next;
		child->next = NULL;
		close_all(child);
	}
}

static bool is_child(const struct dirent *entry)
{
	return entry->d_type == DT_DIR && entry->d_name[0] != '.';
}

static int list_children(struct cgroup_tree *tree)
{
	int fd = openat(tree->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	CLEANUP_DIR DIR *dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	int r = 0;
	for (struct dirent *entry; r == 0 && (entry = readdir(dir));)
		if (is_child(entry))
			r = add_child(tree, entry->d_name, entry->d_ino);
	if (r == 0)
		drop_unlisted(tree);
	return r;
}

/*
 * A directory has two links and one for each child, where the file system counts them at all. One
 * child made and another removed leave the number as it was: the removed one tells by ENODEV.
 */
static int list_when_changed(struct cgroup_tree *tree)
{
	struct stat st;

	if (fstat(tree->dir, &st) < 0)
		return -errno;
	if (tree->links >= 2 && st.st_nlink == tree->links)
		return 0;
	int r = list_children(tree);
	tree->links = r == 0 ? st.st_nlink : 0;
	/* A removed cgroup has no links left and cannot be listed. */
	return r == -ENOENT || r == -ENODEV ? 0 : r;
}

/* The pids of a piece of cgroup.procs. @return how much of it was complete lines. */
static size_t visit_lines(const char *text, size_t length, cgroup_pid_fn *visit, void *context)
{
	size_t done = 0;

	for (const char *newline; (newline = memchr(text + done, '\n', length - done));) {
		pid_t pid = proc_parse_pid(text + done, (size_t)(newline - text) - done);

		/* 0: a process of another pid namespace, which our procfs does not show. */
		if (pid > 0)
			visit(context, pid);
		done = (size_t)(newline - text) + 1;
	}
	return done;
}

static int read_procs(const struct cgroup_tree *tree, cgroup_pid_fn *visit, void *context)
{
	char text[8192];
	size_t kept = 0;
	off_t at = 0;

	for (;;) {
		ssize_t got = pread(tree->procs, text + kept, sizeof(text) - kept, at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return 0;
		at += got;
		size_t length = kept + (size_t)got;
		size_t done = visit_lines(text, length, visit, context);
		kept = length - done;
		if (kept == sizeof(text))
			return -EBADMSG; /* A line of 8 KiB is no pid. */
		memmove(text, text + done, kept);
	}
}

static int visit_tree(
	struct cgroup_tree *tree, int depth, cgroup_pid_fn *visit, void *context, bool *ret_removed)
{
	bool removed = false;
	int r = list_when_changed(tree);
	int own = read_procs(tree, visit, context);

	*ret_removed = own == -ENODEV;
	/* A threaded cgroup has no processes of its own: they are listed by the one above. */
	if (own < 0 && own != -ENODEV && own != -EOPNOTSUPP)
		r = own;
	for (struct cgroup_tree *child = tree->children; child && depth < DEPTH_MOST;
		child = child->next) {
		bool child_removed = false;
		int below = visit_tree(child, depth + 1, visit, context, &child_removed);

		removed |= child_removed;
		if (below < 0)
			r = below;
	}
	if (removed)
		tree->links = 0;
	return r;
}

int cgroup_tree_pids(struct cgroup_tree *tree, cgroup_pid_fn *visit, void *context)
{
	bool removed;
	int r = 0;

	for (; tree; tree = tree->next) {
		int one = visit_tree(tree, 0, visit, context, &removed);

		r = one < 0 ? one : r;
	}
	return r;
}
