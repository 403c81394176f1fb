/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/track.h"

#include <errno.h>

/* How many names of one directory come next. */
static uint32_t group_size(const struct pending *work, uint32_t at)
{
	uint32_t end = at;

	while (end < work->count && work->items[end].node == work->items[at].node)
		end++;
	return end - at;
}

/* With so many names of a directory it is cheaper to read it whole. */
static bool is_most_of_it(const struct track *track, uint32_t node, uint32_t count)
{
	return count > 32 + track->tree.nodes[node].table.count / 2;
}

/*
 * Its way there may have changed by something else of this work: it is tried again when that is
 * done, and then with the next look.
 */
static int put_off(struct track *track, uint32_t node, uint32_t count)
{
	for (uint32_t i = track->at; i < track->at + count; i++) {
		const struct pending_item *item = &track->work.items[i];
		const char *text = pending_text(&track->work, item);

		if (track->is_late)
			track_remember(track, node, item->name, text, item->ino);
		else if (track_add(track, &track->late, node, item->name, text, item->ino) < 0)
			return track_queue(track, node);
	}
	if (track->is_late)
		track_look_again(track, node);
	return 0;
}

/* Does the name still stand for what changed under it? */
static void follow_ino(
	struct track *track, const struct pending_item *item, const struct scan_entry *entry)
{
	if (item->ino && (entry->code < 0 || entry->stat.stx_ino != item->ino))
		track_search_for(track, item->ino);
}

static int look_at(
	struct track *track, struct disk_tools *tools, uint32_t node, int dir, uint32_t count)
{
	struct scan_batch *batch = &tools->batch;
	struct statx stat;
	int r = 0;

	/* Entries that come and go may change the blocks of the directory. */
	if (scan_stat(dir, "", &stat) == 0)
		tree_set_blocks(&track->tree, node, (int64_t)stat.stx_blocks);
	for (uint32_t i = 0; i < count; i++)
		batch->entries[i].name =
			pending_text(&track->work, &track->work.items[track->at + i]);
	batch->count = count;
	scan_stat_batch(dir, batch);
	for (uint32_t i = 0; i < count && r == 0; i++) {
		follow_ino(track, &track->work.items[track->at + i], &batch->entries[i]);
		r = track_take_entry(track, node, dir, &batch->entries[i]);
	}
	return r;
}

/* Its names are not looked at: it is read whole, or it is gone. */
static int skip_group(struct track *track, uint32_t node, uint32_t count)
{
	for (uint32_t i = track->at; i < track->at + count; i++)
		track_search_for(track, track->work.items[i].ino);
	return track->tree.nodes[node].flags & NODE_FREE ? 0 : track_queue(track, node);
}

static int look_at_group(
	struct track *track, struct disk_tools *tools, uint32_t node, uint32_t count)
{
	int dir = track_open_dir(track, node);

	if (dir == -ENOENT || dir == -EEXIST)
		return put_off(track, node, count);
	if (dir == -ENOMEM)
		return dir;
	/* Why it cannot be opened is found out when it is to be read. */
	if (dir < 0)
		return skip_group(track, node, count);
	return look_at(track, tools, node, dir, count);
}

static bool begin_late(struct track *track)
{
	struct pending work = track->work;

	if (track->is_late || !track->late.count)
		return false;
	track->is_late = true;
	track->work = track->late;
	track->late = work;
	pending_clear(&track->late);
	pending_sort(&track->work);
	track->at = 0;
	return true;
}

int track_names_step(struct track *track, struct disk_tools *tools)
{
	if (track->at == track->work.count && !begin_late(track))
		return 0;

	uint32_t node = track->work.items[track->at].node;
	uint32_t count = group_size(&track->work, track->at);
	uint32_t flags = track->tree.nodes[node].flags;
	int r = 0;
	if (flags & (NODE_FREE | NODE_QUEUED) || is_most_of_it(track, node, count)) {
		r = skip_group(track, node, count);
	} else {
		count = count < SCAN_BATCH ? count : SCAN_BATCH;
		r = look_at_group(track, tools, node, count);
	}
	track->at += count;
	return r < 0 ? r : 1;
}
