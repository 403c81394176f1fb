/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/track.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/fail.h"
#include "disk/site.h"

/* -- opening ---------------------------------------------------------------------------------- */

static int opened(const struct track *track, uint32_t node)
{
	if (node == NODE_ROOT)
		return track->root_fd;
	for (int i = 0; i < TRACK_FDS; i++)
		if (track->fds[i].fd >= 0 && track->fds[i].node == node)
			return track->fds[i].fd;
	return -1;
}

static void keep_open(struct track *track, uint32_t node, int fd)
{
	struct track_fd *place = &track->fds[track->fd_turn++ % TRACK_FDS];

	/* The scan goes on in the directory that is being read. */
	if (place->fd >= 0 && place->node == track->reading)
		place = &track->fds[track->fd_turn++ % TRACK_FDS];
	if (place->fd >= 0)
		close(place->fd);
	*place = (struct track_fd){.node = node, .fd = fd};
}

void track_close_dirs(struct track *track)
{
	for (int i = 0; i < TRACK_FDS; i++) {
		if (track->fds[i].fd >= 0)
			close(track->fds[i].fd);
		track->fds[i].fd = -1;
	}
	if (track->root_fd >= 0)
		close(track->root_fd);
	track->root_fd = -1;
}

/* The directories from an open one down to this, this last; how many, and the open one. */
static int find_chain(struct track *track, uint32_t node, int *ret_fd)
{
	int depth = 0;

	while ((*ret_fd = opened(track, node)) < 0) {
		if (depth == TRACK_DEPTH_MOST)
			return -EOPNOTSUPP;
		track->chain[TRACK_DEPTH_MOST - ++depth] = node;
		node = track->tree.nodes[node].parent;
		if (node == NODE_NONE)
			return -ENOENT;
	}
	return depth;
}

/* As many names as one path may hold, from the chain. */
static int join_names(const struct track *track, int depth, char path[PATH_MAX])
{
	size_t used = 0;
	int left = depth;

	for (; left; left--) {
		const char *name = track->tree.nodes[track->chain[TRACK_DEPTH_MOST - left]].name;
		size_t length = strlen(name);

		if (used + length + 2 > PATH_MAX)
			break;
		if (used)
			path[used++] = '/';
		memcpy(path + used, name, length);
		used += length;
	}
	path[used] = '\0';
	return left;
}

static int open_chain(const struct track *track, int depth, int from)
{
	char path[PATH_MAX];
	int fd = from;

	while (depth) {
		depth = join_names(track, depth, path);
		int below = site_open_below(fd, path);

		if (fd != from)
			close(fd);
		if (below < 0)
			return below;
		fd = below;
	}
	return fd;
}

/* Is what was found under these names the directory that was known there? Now it is known. */
static int identify(struct track *track, uint32_t node, int fd)
{
	struct tree *tree = &track->tree;
	uint64_t handle;
	int r = fan_handle(&track->fan, fd, "", &handle);

	if (r < 0)
		return r;
	if (tree->nodes[node].handle)
		return tree->nodes[node].handle == handle ? 0 : -ENOENT;
	if (tree_by_handle(tree, handle) != NODE_NONE)
		return -EEXIST;
	return tree_set_handle(tree, node, handle);
}

int track_open_dir(struct track *track, uint32_t node)
{
	int from;
	int depth = find_chain(track, node, &from);

	if (depth <= 0)
		return depth < 0 ? depth : from;

	CLEANUP_CLOSE int fd = open_chain(track, depth, from);
	if (fd == -ENOTDIR || fd == -ELOOP)
		return -ENOENT;
	if (fd < 0)
		return fd;
	int r = identify(track, node, fd);
	if (r < 0)
		return r;
	int kept = take_fd(&fd);
	keep_open(track, node, kept);
	return kept;
}

/* -- reading ---------------------------------------------------------------------------------- */

int track_queue(struct track *track, uint32_t node)
{
	if (track->tree.nodes[node].flags & NODE_QUEUED)
		return 0;
	if (track->todo_count == track->todo_capacity) {
		uint32_t capacity = track->todo_capacity ? track->todo_capacity * 2 : 64;
		uint32_t *todo = reallocarray(track->todo, capacity, sizeof(*todo));

		if (!todo)
			return -ENOMEM;
		track->todo = todo;
		track->todo_capacity = capacity;
	}
	track->todo[track->todo_count++] = node;
	track->tree.nodes[node].flags |= NODE_QUEUED;
	return 0;
}

/* Of that there will be an event too, but the sooner the better. */
void track_look_again(struct track *track, uint32_t node)
{
	const struct node *known = &track->tree.nodes[node];

	if (known->parent != NODE_NONE)
		track_remember(
			track, known->parent, tree_name(&track->tree, known->name), known->name, 0);
}

/* By its name, since it cannot be opened: to hear when that changes. */
static int identify_unread(struct track *track, uint32_t node)
{
	struct node *known = &track->tree.nodes[node];
	uint64_t handle;
	int parent = track_open_dir(track, known->parent);

	if (parent < 0 || fan_handle(&track->fan, parent, known->name, &handle) < 0)
		return 0;
	if (tree_by_handle(&track->tree, handle) == NODE_NONE)
		return tree_set_handle(&track->tree, node, handle);
	track_look_again(track, node);
	return 0;
}

/* Nothing is known of what is in it; its own blocks stay, as du has it. */
static int give_up_content(struct track *track, uint32_t node)
{
	struct tree *tree = &track->tree;
	struct node *known = &tree->nodes[node];
	int r = 0;

	tree_renew_begin(tree, node);
	tree_renew_end(tree);
	tree_set_partial(tree, node, true);
	known->flags |= NODE_UNREAD;
	if (!known->handle && known->parent != NODE_NONE)
		r = identify_unread(track, node);
	return r < 0 ? r : 1;
}

static int cannot_open(struct track *track, uint32_t node, int r, struct tally_error *err)
{
	struct node *known = &track->tree.nodes[node];

	switch (r) {
	case -ENOENT:
	case -EEXIST:
		known->flags |= NODE_OWED;
		track_look_again(track, node);
		return 1;
	case -EXDEV:
		tree_drop(&track->tree, known->parent, tree_name(&track->tree, known->name));
		return 1;
	case -EOPNOTSUPP:
		return tally_refuse(
			err, r, "deeper than %d directories: not tracked", TRACK_DEPTH_MOST);
	case -ENOMEM:
	case -E2BIG:
		return r;
	default:
		return give_up_content(track, node);
	}
}

static int cannot_mark(int r, struct tally_error *err)
{
	if (r == -ENOSPC)
		return tally_refuse(err, -EOPNOTSUPP,
			"more directories than fs.fanotify.max_user_marks: not tracked");
	tally_fail(err, r, "fanotify cannot watch this file system");
	return -EOPNOTSUPP;
}

static int begin_reading(struct track *track, uint32_t node, struct tally_error *err)
{
	struct statx stat;
	int fd = track_open_dir(track, node);

	if (fd < 0)
		return cannot_open(track, node, fd, err);
	/* First listen, then look: what changes while it is read is heard of. */
	int r = fan_mark(&track->fan, fd);
	if (r == -EACCES)
		return give_up_content(track, node);
	if (r < 0)
		return cannot_mark(r, err);
	if (scan_stat(fd, "", &stat) == 0)
		tree_set_blocks(&track->tree, node, (int64_t)stat.stx_blocks);
	track->reading = node;
	track->tree.nodes[node].flags &= ~(uint32_t)NODE_OWED;
	track->reading_partial = false;
	track->blocks_before = track->tree.blocks;
	tree_renew_begin(&track->tree, node);
	scan_begin(&track->scan, fd);
	return 1;
}

static int take_read(void *context, const struct scan_entry *entry)
{
	struct track *track = context;

	track->reading_partial |= entry->code < 0;
	return track_take_entry(track, track->reading, track->scan.dir, entry);
}

/* Is there an event for it that explains why it is not as it was known? */
static bool is_explained(const struct track *track, uint32_t node)
{
	const struct pending *heard = &track->heard;

	for (uint32_t i = 0; i < heard->count; i++)
		if (heard->items[i].node == node)
			return true;
	return track->overflowed;
}

static int end_reading(struct track *track, struct disk_tools *tools)
{
	struct tree *tree = &track->tree;
	uint32_t node = track->reading;
	bool was_known = !(tree->nodes[node].flags & NODE_UNREAD);
	int r = 0;

	tree_renew_end(tree);
	tree_set_partial(tree, node, track->reading_partial);
	tree->nodes[node].flags &= ~(uint32_t)NODE_UNREAD;
	track->reading = NODE_NONE;
	int64_t drift = llabs(tree->blocks - track->blocks_before) * 512;
	if (!track->checking || !was_known || !drift)
		return 1;
	r = track_hear(track, tools);
	if (!is_explained(track, node)) {
		track->drift_bytes += drift;
		track->drifts++;
	}
	return r < 0 ? r : 1;
}

int track_read_step(struct track *track, struct disk_tools *tools, struct tally_error *err)
{
	if (track->reading == NODE_NONE) {
		if (!track->todo_count)
			return 0;
		uint32_t node = track->todo[--track->todo_count];
		uint32_t flags = track->tree.nodes[node].flags;

		track->tree.nodes[node].flags &= ~(uint32_t)NODE_QUEUED;
		return flags & (NODE_FREE | NODE_ORPHAN) ? 1 : begin_reading(track, node, err);
	}
	int r = scan_step(&track->scan, &tools->batch, take_read, track);
	if (r == -ENOMEM || r == -E2BIG || r == -ELOOP)
		return r;
	if (r < 0)
		track->reading_partial = true;
	return r > 0 ? 1 : end_reading(track, tools);
}
