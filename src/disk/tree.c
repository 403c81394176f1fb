/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_INDEX = 64 };

/* Marks an entry of tree.before that was met again, in a place that must not become empty. */
#define MET ENTRY_VALUE_MOST

/* -- hashes ----------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	return x ^ x >> 32;
}

uint64_t tree_name(const struct tree *tree, const char *name)
{
	uint64_t hash = tree->seed;
	uint64_t word;
	size_t length = strlen(name);

	for (; length >= sizeof(word); name += sizeof(word), length -= sizeof(word)) {
		memcpy(&word, name, sizeof(word));
		hash = mix(hash ^ word) + length;
	}
	word = 0;
	memcpy(&word, name, length);
	return mix(hash ^ word ^ (uint64_t)length << 56) >> (64 - ENTRY_NAME_BITS);
}

uint64_t tree_fold(uint64_t ino)
{
	return ino < ENTRY_VALUE_MOST - 1 ? ino : mix(ino) >> (64 - ENTRY_VALUE_BITS + 1);
}

/* -- memory ----------------------------------------------------------------------------------- */

static int use(struct tree *tree, size_t bytes)
{
	tree->bytes += bytes;
	return tree->bytes_limit && tree->bytes > tree->bytes_limit ? -E2BIG : 0;
}

static int grow_nodes(struct tree *tree)
{
	uint32_t capacity = tree->node_capacity ? tree->node_capacity / 2 * 3 : 16;
	struct node *nodes = reallocarray(tree->nodes, capacity, sizeof(*nodes));

	if (!nodes)
		return -ENOMEM;
	tree->nodes = nodes;
	for (uint32_t i = capacity; i-- > tree->node_capacity;) {
		nodes[i] = (struct node){.flags = NODE_FREE, .parent = tree->node_free};
		tree->node_free = i;
	}
	int r = use(tree, (capacity - tree->node_capacity) * sizeof(*nodes));
	tree->node_capacity = capacity;
	return r;
}

/* -- handles ---------------------------------------------------------------------------------- */

static uint32_t index_home(const struct tree *tree, uint64_t handle)
{
	return (uint32_t)handle & (tree->index_capacity - 1);
}

static uint32_t index_next(const struct tree *tree, uint32_t at)
{
	return (at + 1) & (tree->index_capacity - 1);
}

static uint32_t *index_place(const struct tree *tree, uint64_t handle)
{
	uint32_t at = index_home(tree, handle);

	while (tree->index[at] != NODE_NONE && tree->nodes[tree->index[at]].handle != handle)
		at = index_next(tree, at);
	return &tree->index[at];
}

uint32_t tree_by_handle(const struct tree *tree, uint64_t handle)
{
	return tree->index_capacity && handle ? *index_place(tree, handle) : NODE_NONE;
}

static int grow_index(struct tree *tree)
{
	struct tree larger = *tree;

	larger.index_capacity = tree->index_capacity ? tree->index_capacity * 2 : LEAST_INDEX;
	larger.index = malloc(larger.index_capacity * sizeof(*larger.index));
	if (!larger.index)
		return -ENOMEM;
	memset(larger.index, 0xff, larger.index_capacity * sizeof(*larger.index));
	for (uint32_t i = 0; i < tree->index_capacity; i++)
		if (tree->index[i] != NODE_NONE)
			*index_place(&larger, tree->nodes[tree->index[i]].handle) = tree->index[i];
	free(tree->index);
	size_t more = (larger.index_capacity - tree->index_capacity) * sizeof(*tree->index);
	*tree = larger;
	return use(tree, more);
}

int tree_set_handle(struct tree *tree, uint32_t node, uint64_t handle)
{
	if (tree->index_count + 1 > tree->index_capacity / 4 * 3) {
		int r = grow_index(tree);

		if (r < 0)
			return r;
	}
	tree->nodes[node].handle = handle;
	*index_place(tree, handle) = node;
	tree->index_count++;
	return 0;
}

static void index_remove(struct tree *tree, uint64_t handle)
{
	uint32_t mask = tree->index_capacity - 1;
	uint32_t hole = (uint32_t)(index_place(tree, handle) - tree->index);

	for (uint32_t at = index_next(tree, hole); tree->index[at] != NODE_NONE;
		at = index_next(tree, at)) {
		uint32_t from = index_home(tree, tree->nodes[tree->index[at]].handle);

		if (((at - from) & mask) >= ((at - hole) & mask)) {
			tree->index[hole] = tree->index[at];
			hole = at;
		}
	}
	tree->index[hole] = NODE_NONE;
	tree->index_count--;
}

/* -- nodes ------------------------------------------------------------------------------------ */

int tree_add(struct tree *tree, uint32_t parent, const char *name, uint32_t *ret)
{
	char *copy = name ? strdup(name) : NULL;
	int r = name && !copy ? -ENOMEM : 0;

	if (r == 0 && tree->node_free == NODE_NONE)
		r = grow_nodes(tree);
	if (r == 0 && copy)
		r = use(tree, strlen(copy) + 1 + sizeof(void *));
	if (r < 0) {
		free(copy);
		return r;
	}

	uint32_t id = tree->node_free;
	struct node *node = &tree->nodes[id];
	tree->node_free = node->parent;
	*node = (struct node){.name = copy, .parent = parent, .flags = NODE_UNREAD};
	tree->node_count++;
	*ret = id;
	return 0;
}

static void free_name(struct tree *tree, struct node *node)
{
	if (node->name)
		tree->bytes -= strlen(node->name) + 1 + sizeof(void *);
	free(node->name);
	node->name = NULL;
}

static void free_node(struct tree *tree, uint32_t id)
{
	struct node *node = &tree->nodes[id];

	tree_set_blocks(tree, id, 0);
	tree_set_partial(tree, id, false);
	if (node->handle)
		index_remove(tree, node->handle);
	free_name(tree, node);
	tree->bytes -= entries_bytes(&node->table);
	entries_done(&node->table);
	*node = (struct node){.flags = NODE_FREE, .parent = tree->node_free};
	tree->node_free = id;
	tree->node_count--;
}

void tree_set_blocks(struct tree *tree, uint32_t node, int64_t blocks)
{
	tree->blocks += blocks - tree->nodes[node].blocks;
	tree->nodes[node].blocks = blocks;
}

void tree_set_partial(struct tree *tree, uint32_t node, bool partial)
{
	uint32_t *flags = &tree->nodes[node].flags;

	tree->partial += partial - !!(*flags & NODE_PARTIAL);
	*flags = partial ? *flags | NODE_PARTIAL : *flags & ~(uint32_t)NODE_PARTIAL;
}

/* -- contributions ---------------------------------------------------------------------------- */

/* Its subtree keeps counting until it is reaped, or taken in elsewhere. */
static void orphan(struct tree *tree, uint32_t id)
{
	if (tree->orphan_count == tree->orphan_capacity) {
		uint32_t capacity = tree->orphan_capacity ? tree->orphan_capacity * 2 : 16;
		uint32_t *orphans = reallocarray(tree->orphans, capacity, sizeof(*orphans));

		/* Without a place it stays as it is, and is removed with its parent. */
		if (!orphans)
			return;
		tree->orphans = orphans;
		tree->orphan_capacity = capacity;
	}
	tree->nodes[id].flags |= NODE_ORPHAN;
	tree->nodes[id].parent = NODE_NONE;
	tree->orphans[tree->orphan_count++] = id;
}

/* See tree.unsearched. */
static void judge_link(struct tree *tree, struct link *link, bool searched, bool stale)
{
	tree->unsearched -= !link->searched || link->stale;
	tree->unsearched += !searched || stale;
	link->searched = searched;
	link->stale = stale;
}

void tree_link_is_searched(struct tree *tree, struct link *link)
{
	judge_link(tree, link, true, link->stale);
}

void tree_link_is_stale(struct tree *tree, uint64_t ino)
{
	struct link *link = links_find(&tree->links, ino);

	if (link)
		judge_link(tree, link, link->searched, true);
}

void tree_link_is_fresh(struct tree *tree, uint64_t ino)
{
	struct link *link = links_find(&tree->links, ino);

	if (link)
		judge_link(tree, link, link->searched, false);
}

static void weigh_link_less(struct tree *tree, uint64_t key)
{
	struct link *link = links_find(&tree->links, key);

	if (!link)
		return;
	if (link->names > 1) {
		link->names--;
		judge_link(tree, link, link->searched, true);
		return;
	}
	tree->blocks -= link->blocks;
	judge_link(tree, link, true, false);
	links_remove(&tree->links, link);
}

/* What an entry adds to the totals goes. */
static void weigh_less(struct tree *tree, const struct entry *entry)
{
	tree->files--;
	if (entry->kind == ENTRY_FILE)
		tree->blocks -= (int64_t)entry->value;
	else if (entry->kind == ENTRY_LINK)
		weigh_link_less(tree, entry->value);
	else
		orphan(tree, (uint32_t)entry->value);
}

static int weigh_link_more(struct tree *tree, const struct tree_seen *seen)
{
	size_t before = links_bytes(&tree->links);
	struct link *link = links_add(&tree->links, tree_fold(seen->ino));

	if (!link)
		return -ENOMEM;
	tree->blocks += seen->blocks - link->blocks;
	link->searched |= link->names == 0;
	link->blocks = seen->blocks;
	link->nlink = seen->nlink;
	link->names++;
	return use(tree, links_bytes(&tree->links) - before);
}

static int weigh_more(struct tree *tree, const struct tree_seen *seen)
{
	int r = seen->kind == ENTRY_LINK ? weigh_link_more(tree, seen) : 0;

	tree->files++;
	if (seen->kind == ENTRY_FILE)
		tree->blocks += seen->blocks;
	return r;
}

static struct entry entry_of(uint64_t name, const struct tree_seen *seen)
{
	uint64_t value = seen->kind == ENTRY_FILE   ? (uint64_t)seen->blocks
			 : seen->kind == ENTRY_LINK ? tree_fold(seen->ino)
						    : seen->node;

	return entry_make(name, seen->ino, seen->kind, value);
}

/* -- entries ---------------------------------------------------------------------------------- */

static bool is_renewing(const struct tree *tree, uint32_t node)
{
	return tree->renewed == node;
}

static bool is_met(const struct entry *entry)
{
	return entry->kind == ENTRY_FILE && entry->value == MET;
}

/* What was under the name before, wherever it is kept. */
static struct entry *find(const struct tree *tree, uint32_t node, uint64_t name)
{
	struct entry *entry = entries_find(&tree->nodes[node].table, name);

	if (entry || !is_renewing(tree, node))
		return entry;
	entry = entries_find(&tree->before, name);
	return entry && !is_met(entry) ? entry : NULL;
}

const struct entry *tree_find(const struct tree *tree, uint32_t node, uint64_t name)
{
	return find(tree, node, name);
}

static int insert(struct tree *tree, uint32_t node, struct entry entry)
{
	struct entries *table = &tree->nodes[node].table;
	size_t before = entries_bytes(table);
	int r = entries_insert(table, entry);

	return r < 0 ? r : use(tree, entries_bytes(table) - before);
}

static void mark_met(struct entry *entry)
{
	entry->kind = ENTRY_FILE;
	entry->value = MET;
}

static int place(struct tree *tree, uint32_t node, struct entry entry, struct entry *there)
{
	bool before = there && !entries_find(&tree->nodes[node].table, entry.name);

	if (there && !before) {
		*there = entry;
		return 0;
	}
	int r = insert(tree, node, entry);
	if (before && r != -ENOMEM)
		mark_met(there);
	return r;
}

static void judge_seen(struct tree *tree, const struct tree_seen *seen)
{
	struct link *link = links_find(&tree->links, tree_fold(seen->ino));

	if (link)
		judge_link(tree, link, link->names >= link->nlink, false);
}

/* The new is added before the old goes: what both are must not be let go in between. */
int tree_put(struct tree *tree, uint32_t node, uint64_t name, const struct tree_seen *seen)
{
	struct entry *there = find(tree, node, name);
	struct entry old = there ? *there : (struct entry){0};
	int r = place(tree, node, entry_of(name, seen), there);

	if (r == -ENOMEM)
		return r;

	int weighed = weigh_more(tree, seen);
	if (old.kind == ENTRY_DIR && seen->kind == ENTRY_DIR && old.value == seen->node)
		tree->files--;
	else if (old.kind)
		weigh_less(tree, &old);
	if (seen->kind == ENTRY_LINK)
		judge_seen(tree, seen);
	return r < 0 ? r : weighed;
}

void tree_drop(struct tree *tree, uint32_t node, uint64_t name)
{
	struct entry *there = find(tree, node, name);

	if (!there)
		return;

	struct entry old = *there;
	if (entries_find(&tree->nodes[node].table, name))
		entries_remove(&tree->nodes[node].table, there);
	else
		mark_met(there);
	weigh_less(tree, &old);
}

/* -- renewal ---------------------------------------------------------------------------------- */

void tree_renew_begin(struct tree *tree, uint32_t node)
{
	tree->renewed = node;
	tree->before = tree->nodes[node].table;
	tree->nodes[node].table = (struct entries){0};
}

void tree_renew_end(struct tree *tree)
{
	for (uint32_t i = 0; i < tree->before.capacity; i++)
		if (tree->before.entries[i].kind && !is_met(&tree->before.entries[i]))
			weigh_less(tree, &tree->before.entries[i]);
	tree->bytes -= entries_bytes(&tree->before);
	entries_done(&tree->before);
	tree->renewed = NODE_NONE;
}

/* -- moving and removing ---------------------------------------------------------------------- */

static bool is_below(const struct tree *tree, uint32_t node, uint32_t above)
{
	while (node != above && node != NODE_NONE)
		node = tree->nodes[node].parent;
	return node == above;
}

/* Its entry under the old name, if that one is still it, goes without orphaning it. */
static void forget_name(struct tree *tree, uint32_t id)
{
	struct node *node = &tree->nodes[id];
	uint64_t name = tree_name(tree, node->name);
	struct entry *entry = find(tree, node->parent, name);

	if (!entry || entry->kind != ENTRY_DIR || entry->value != id)
		return;
	entry->kind = ENTRY_FILE;
	entry->value = 0;
	tree_drop(tree, node->parent, name);
}

int tree_move(struct tree *tree, uint32_t id, uint32_t parent, const char *name)
{
	struct node *node = &tree->nodes[id];

	if (id == NODE_ROOT || is_below(tree, parent, id))
		return -ELOOP;

	char *copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	if (!(node->flags & NODE_ORPHAN))
		forget_name(tree, id);
	node->flags &= ~(uint32_t)NODE_ORPHAN;
	free_name(tree, node);
	node->name = copy;
	node->parent = parent;
	return use(tree, strlen(copy) + 1 + sizeof(void *));
}

/* The directories still to be removed are a list through their parents: it needs no memory. */
static void remove_subtree(struct tree *tree, uint32_t top)
{
	tree->nodes[top].parent = NODE_NONE;
	while (top != NODE_NONE) {
		uint32_t id = top;
		struct entries *table = &tree->nodes[id].table;

		top = tree->nodes[id].parent;
		for (uint32_t i = 0; i < table->capacity; i++) {
			struct entry *entry = &table->entries[i];

			if (entry->kind == ENTRY_DIR) {
				tree->files--;
				tree->nodes[entry->value].parent = top;
				top = (uint32_t)entry->value;
			} else if (entry->kind) {
				weigh_less(tree, entry);
			}
		}
		free_node(tree, id);
	}
}

void tree_reap(struct tree *tree)
{
	for (uint32_t i = 0; i < tree->orphan_count; i++) {
		uint32_t id = tree->orphans[i];

		if (tree->nodes[id].flags & NODE_ORPHAN)
			remove_subtree(tree, id);
	}
	tree->orphan_count = 0;
}

/* -- whole ------------------------------------------------------------------------------------ */

int tree_init(struct tree *tree, uint64_t seed, size_t bytes_limit)
{
	uint32_t root;

	*tree = (struct tree){.node_free = NODE_NONE,
		.seed = seed,
		.bytes_limit = bytes_limit,
		.renewed = NODE_NONE,
		.files = 1};
	return tree_add(tree, NODE_NONE, NULL, &root);
}

void tree_done(struct tree *tree)
{
	for (uint32_t i = 0; i < tree->node_capacity; i++) {
		free(tree->nodes[i].name);
		entries_done(&tree->nodes[i].table);
	}
	entries_done(&tree->before);
	links_done(&tree->links);
	free(tree->nodes);
	free(tree->index);
	free(tree->orphans);
	*tree = (struct tree){.renewed = NODE_NONE};
}
