/* SPDX-License-Identifier: Apache-2.0 */
/**
 * When a file gets a second name, the event tells of that name; the first is in the tree as a file
 * of its own, and the kernel says nothing of it. And when a name goes away, what was heard of under
 * it is not to be seen there any more, but by another. The others are found by their inode: of
 * files, entries remember some bits of it, of those with several names all; and directories of
 * entries that fit are read for names, without asking for more.
 */
#include "disk/track.h"

#include <errno.h>
#include <stdlib.h>

enum { NODES_PER_STEP = 64 };

static int by_known_bits(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a & ENTRY_INO_MASK;
	uint64_t y = *(const uint64_t *)b & ENTRY_INO_MASK;

	return x < y ? -1 : x > y;
}

static void want_uncertain(struct track *track)
{
	struct links *links = &track->tree.links;

	if (!track->tree.unsearched)
		return;
	for (uint32_t i = 0; i < links->capacity; i++) {
		struct link *link = &links->slots[i];

		if (!link->names || (link->searched && !link->stale))
			continue;
		tree_link_is_searched(&track->tree, link);
		track->wanted[track->wanted_count++] = link->ino;
	}
}

int track_search_begin(struct track *track)
{
	track->search_at = 0;
	track->searching = NODE_NONE;
	track->wanted_count = 0;
	if (!track->tree.unsearched && !track->gone_count)
		return 0;
	for (uint32_t i = 0; i < track->gone_count; i++)
		tree_link_is_stale(&track->tree, track->gone[i]);
	track->wanted = reallocarray(
		NULL, track->tree.unsearched + track->gone_count, sizeof(*track->wanted));
	if (!track->wanted)
		return -ENOMEM;
	want_uncertain(track);
	for (uint32_t i = 0; i < track->gone_count; i++)
		track->wanted[track->wanted_count++] = track->gone[i];
	track->gone_count = 0;
	qsort(track->wanted, track->wanted_count, sizeof(*track->wanted), by_known_bits);
	pending_clear(&track->work);
	track->at = 0;
	track->is_late = false;
	return 0;
}

void track_search_end(struct track *track)
{
	for (uint32_t i = 0; i < track->wanted_count; i++)
		tree_link_is_fresh(&track->tree, track->wanted[i]);
	free(track->wanted);
	track->wanted = NULL;
	track->wanted_count = 0;
	track->searching = NODE_NONE;
}

/* The first wanted inode with these bits, or the place where it would be. */
static uint32_t first_wanted(const struct track *track, uint64_t bits)
{
	uint32_t low = 0, high = track->wanted_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if ((track->wanted[middle] & ENTRY_INO_MASK) < bits)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool may_be_wanted(const struct track *track, uint64_t bits)
{
	uint32_t at = first_wanted(track, bits);

	return at < track->wanted_count && (track->wanted[at] & ENTRY_INO_MASK) == bits;
}

static bool is_wanted(const struct track *track, uint64_t key)
{
	uint64_t bits = key & ENTRY_INO_MASK;

	for (uint32_t i = first_wanted(track, bits);
		i < track->wanted_count && (track->wanted[i] & ENTRY_INO_MASK) == bits; i++)
		if (track->wanted[i] == key)
			return true;
	return false;
}

/* A name that is known to be of a link is looked at only to see what that weighs now. */
static bool is_stale(const struct track *track, uint64_t key)
{
	const struct link *link = links_find(&track->tree.links, key);

	return link && link->stale;
}

static bool may_be_it(const struct track *track, const struct entry *entry)
{
	if (entry->kind == ENTRY_FILE)
		return may_be_wanted(track, entry_ino(entry));
	return entry->kind == ENTRY_LINK && is_stale(track, entry->value);
}

static bool may_have_wanted(const struct track *track, const struct node *node)
{
	for (uint32_t i = 0; i < node->table.capacity; i++)
		if (may_be_it(track, &node->table.entries[i]))
			return true;
	return false;
}

static int take_name(void *context, const char *text, uint64_t ino)
{
	struct track *track = context;
	uint64_t name = tree_name(&track->tree, text);
	const struct entry *entry = tree_find(&track->tree, track->searching, name);

	if (!entry || !may_be_it(track, entry) || !is_wanted(track, tree_fold(ino)))
		return 0;
	if (track_add(track, &track->work, track->searching, name, text, 0) < 0)
		return track_queue(track, track->searching);
	return 0;
}

static void read_names(struct track *track)
{
	int r = scan_names_step(&track->scan, take_name, track);

	if (r <= 0)
		track->searching = NODE_NONE;
}

int track_search_step(struct track *track)
{
	const struct tree *tree = &track->tree;

	if (!track->wanted_count)
		return 0;
	if (track->searching != NODE_NONE) {
		read_names(track);
		return 1;
	}
	for (int i = 0; i < NODES_PER_STEP && track->search_at < tree->node_capacity; i++) {
		uint32_t id = track->search_at++;

		if (tree->nodes[id].flags & (NODE_FREE | NODE_ORPHAN) ||
			!may_have_wanted(track, &tree->nodes[id]))
			continue;
		int dir = track_open_dir(track, id);
		if (dir < 0 || lseek(dir, 0, SEEK_SET) < 0)
			continue;
		track->searching = id;
		scan_begin(&track->scan, dir);
		return 1;
	}
	return track->search_at < tree->node_capacity;
}
