/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/track.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "base/clock.h"

/*
 * How long after a change blocks may still move: dirty pages are written, and their blocks decided
 * on, when they are 30 s old (vm.dirty_expire_centisecs), by a thread that wakes each 5 s.
 */
#define SETTLE_NS (40 * NS_PER_S)

static bool is_fresh(const struct track *track, const struct statx *stat)
{
	int64_t changed_ns = stat->stx_ctime.tv_sec * NS_PER_S + stat->stx_ctime.tv_nsec;

	return track->delays && S_ISREG(stat->stx_mode) &&
	       track->looked_wall_ns - changed_ns < SETTLE_NS;
}

/* Looked at again with the next look. */
static void let_settle(struct track *track, uint32_t node, uint64_t name, const char *text,
	const struct statx *stat)
{
	if (!is_fresh(track, stat))
		return;
	/* Too many: then everything is read again, once they have settled. */
	if (track_add(track, &track->settling, node, name, text, 0) < 0 &&
		track->check_ns > track->looked_ns + 2 * SETTLE_NS)
		track->check_ns = track->looked_ns + 2 * SETTLE_NS;
}

/* May it still be read, and was it read? Of what cannot be read du counts only its own blocks. */
static bool must_be_read(const struct track *track, uint32_t node, int dir, const char *name)
{
	if (track->sweeping ||
		(track->tree.nodes[node].flags & (NODE_UNREAD | NODE_PARTIAL | NODE_OWED)))
		return true;
	return !track->all_seeing && faccessat(dir, name, R_OK | X_OK, AT_EACCESS) < 0;
}

static int put_dir(struct track *track, uint32_t node, uint64_t name, uint32_t child,
	const struct scan_entry *entry)
{
	struct tree_seen seen = {.kind = ENTRY_DIR, .ino = entry->stat.stx_ino, .node = child};
	int r = tree_put(&track->tree, node, name, &seen);

	tree_set_blocks(&track->tree, child, (int64_t)entry->stat.stx_blocks);
	return r;
}

static int take_new_dir(struct track *track, uint32_t node, uint64_t name, uint64_t handle,
	const struct scan_entry *entry)
{
	uint32_t child;
	int r = tree_add(&track->tree, node, entry->name, &child);

	if (r == 0 && handle)
		r = tree_set_handle(&track->tree, child, handle);
	if (r == 0)
		r = put_dir(track, node, name, child, entry);
	return r < 0 ? r : track_queue(track, child);
}

/* A directory that is known by its handle, wherever it was: it may have been moved here. */
static int take_known_dir(struct track *track, uint32_t node, int dir, uint64_t name,
	uint32_t child, const struct scan_entry *entry)
{
	const struct entry *old = tree_find(&track->tree, node, name);
	bool same = old && old->kind == ENTRY_DIR && old->value == child;
	int r = same ? 0 : tree_move(&track->tree, child, node, entry->name);

	if (r == 0)
		r = put_dir(track, node, name, child, entry);
	if (r == 0 && must_be_read(track, child, dir, entry->name))
		r = track_queue(track, child);
	return r;
}

/*
 * When its parent is read for the first time, it is identified once it is opened. An event may have
 * told of it before.
 */
static int take_first(
	struct track *track, uint32_t node, uint64_t name, const struct scan_entry *entry)
{
	const struct entry *old = tree_find(&track->tree, node, name);

	if (!old || old->kind != ENTRY_DIR)
		return take_new_dir(track, node, name, 0, entry);

	uint32_t child = (uint32_t)old->value;
	int r = put_dir(track, node, name, child, entry);
	if (r == 0 && track->tree.nodes[child].flags & (NODE_UNREAD | NODE_OWED))
		r = track_queue(track, child);
	return r;
}

static int take_dir(
	struct track *track, uint32_t node, int dir, uint64_t name, const struct scan_entry *entry)
{
	struct tree *tree = &track->tree;
	uint64_t handle;

	if (tree->nodes[node].flags & NODE_UNREAD)
		return take_first(track, node, name, entry);
	int r = fan_handle(&track->fan, dir, entry->name, &handle);
	if (r == -ENOENT) {
		tree_drop(tree, node, name);
		return 0;
	}
	/* Without one it is told apart by its name alone, until it can be opened. */
	uint32_t child = r == 0 ? tree_by_handle(tree, handle) : NODE_NONE;
	if (child != NODE_NONE)
		return take_known_dir(track, node, dir, name, child, entry);
	return take_new_dir(track, node, name, r == 0 ? handle : 0, entry);
}

/* What it weighs is not known; that it is there, is. */
static int take_unknown(struct track *track, uint32_t node, uint64_t name)
{
	struct tree_seen seen = {.kind = ENTRY_FILE};

	tree_set_partial(&track->tree, node, true);
	return tree_put(&track->tree, node, name, &seen);
}

static int put_file(struct track *track, uint32_t node, uint64_t name, const struct statx *stat)
{
	struct tree_seen seen = {
		.kind = stat->stx_nlink > 1 ? ENTRY_LINK : ENTRY_FILE,
		.ino = stat->stx_ino,
		.blocks = (int64_t)stat->stx_blocks,
		.nlink = stat->stx_nlink,
	};

	return tree_put(&track->tree, node, name, &seen);
}

/*
 * A file that may be changed by a name outside the sandbox is heard of by a mark of its own. First
 * listen, then look again.
 */
static int listen_to_link(
	struct track *track, uint32_t node, int dir, uint64_t name, const struct scan_entry *entry)
{
	struct link *link = links_find(&track->tree.links, tree_fold(entry->stat.stx_ino));
	struct statx stat;

	if (!link || link->marked || link->names >= link->nlink ||
		track->file_marks >= TRACK_FILES_MOST)
		return 0;
	if (fan_mark_file(&track->fan, dir, entry->name) < 0)
		return 0;
	link->marked = true;
	track->file_marks++;
	if (scan_stat(dir, entry->name, &stat) < 0 || stat.stx_ino != entry->stat.stx_ino)
		return 0;
	return put_file(track, node, name, &stat);
}

int track_take_entry(struct track *track, uint32_t node, int dir, const struct scan_entry *entry)
{
	const struct statx *stat = &entry->stat;
	uint64_t name = tree_name(&track->tree, entry->name);

	if (entry->code < 0 && entry->code != -ENOENT)
		return take_unknown(track, node, name);
	if (entry->code == -ENOENT || scan_is_elsewhere(stat, &track->root)) {
		tree_drop(&track->tree, node, name);
		return 0;
	}
	if (S_ISDIR(stat->stx_mode))
		return take_dir(track, node, dir, name, entry);
	let_settle(track, node, name, entry->name, stat);
	int r = put_file(track, node, name, stat);
	if (r == 0 && stat->stx_nlink > 1)
		r = listen_to_link(track, node, dir, name, entry);
	return r;
}
