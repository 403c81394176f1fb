/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The heaviest directories, added up from what the tracker remembers: nothing is read. A file with
 * several names counts in the directory where it is met first, as du has it.
 */
#include "disk/track.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"

struct weight {
	int64_t blocks, files;
	uint32_t next; /* In the order in which they were met: those above come first. */
	unsigned depth;
};

/* Names beyond the first weigh nothing. */
static int64_t weigh_link(const struct tree *tree, uint64_t key)
{
	struct link *link = links_find(&tree->links, key);

	if (!link || link->counted)
		return 0;
	link->counted = true;
	return link->blocks;
}

static void forget_counted(const struct tree *tree)
{
	for (uint32_t i = 0; i < tree->links.capacity; i++)
		tree->links.slots[i].counted = false;
}

/* What a directory holds without those below, which are put behind `last`. */
static uint32_t weigh_dir(
	const struct tree *tree, struct weight *weights, uint32_t id, uint32_t last)
{
	const struct node *node = &tree->nodes[id];
	struct weight *weight = &weights[id];

	weight->blocks = node->blocks;
	weight->files = 1;
	for (uint32_t i = 0; i < node->table.capacity; i++) {
		const struct entry *entry = &node->table.entries[i];

		if (entry->kind == ENTRY_DIR) {
			uint32_t below = (uint32_t)entry->value;

			weights[below].depth = weight->depth + 1;
			weights[below].next = NODE_NONE;
			weights[last].next = below;
			last = below;
			continue;
		}
		weight->files += entry->kind != ENTRY_NONE;
		if (entry->kind == ENTRY_FILE)
			weight->blocks += (int64_t)entry->value;
		else if (entry->kind == ENTRY_LINK)
			weight->blocks += weigh_link(tree, entry->value);
	}
	return last;
}

/* Each is added to the one above it after all below it were: in the reverse of the order met. */
static void add_up(
	const struct tree *tree, struct weight *weights, const uint32_t *order, uint32_t count)
{
	while (count-- > 1) {
		const struct weight *weight = &weights[order[count]];
		struct weight *above = &weights[tree->nodes[order[count]].parent];

		above->blocks += weight->blocks;
		above->files += weight->files;
	}
}

/* Path from the sandbox, written from its end. NULL: too long. */
static const char *path_of(const struct tree *tree, uint32_t id, char path[OUTLINE_PATH_SIZE])
{
	size_t at = OUTLINE_PATH_SIZE - 1;

	path[at] = '\0';
	for (; id != NODE_ROOT; id = tree->nodes[id].parent) {
		size_t length = strlen(tree->nodes[id].name);

		if (length + 1 > at)
			return NULL;
		if (path[at])
			path[--at] = '/';
		at -= length;
		memcpy(path + at, tree->nodes[id].name, length);
	}
	return path + at;
}

static int offer(
	const struct tree *tree, uint32_t id, const struct weight *weight, struct outline *ret)
{
	struct outline_dir dir = {
		.depth = weight->depth, .bytes = weight->blocks * 512, .files = weight->files};
	char path[OUTLINE_PATH_SIZE];

	if (!outline_wants(ret, dir.bytes, dir.depth))
		return 0;
	const char *text = path_of(tree, id, path);
	return text ? outline_add(ret, text, &dir) : 0;
}

int tree_outline(const struct tree *tree, struct outline *ret)
{
	CLEANUP_FREE struct weight *weights = calloc(tree->node_capacity, sizeof(*weights));
	CLEANUP_FREE uint32_t *order = calloc(tree->node_capacity, sizeof(*order));
	uint32_t count = 0, last = NODE_ROOT;
	int r = 0;

	if (!weights || !order)
		return -ENOMEM;
	weights[NODE_ROOT].next = NODE_NONE;
	for (uint32_t id = NODE_ROOT; id != NODE_NONE; id = weights[id].next) {
		last = weigh_dir(tree, weights, id, last);
		order[count++] = id;
	}
	forget_counted(tree);
	add_up(tree, weights, order, count);
	for (uint32_t i = 0; i < count && r == 0; i++)
		r = offer(tree, order[i], &weights[order[i]], ret);
	return r;
}

int track_outline(struct disk_job *job, struct outline *ret)
{
	const struct track *track = (const struct track *)job;

	return track->built && track->phase == TRACK_REST ? tree_outline(&track->tree, ret)
							  : -EAGAIN;
}
