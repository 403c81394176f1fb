/* SPDX-License-Identifier: Apache-2.0 */
/** What a tracker remembers adds up, whatever happens to the tree. */
#include "check.h"
#include "disk/tree.h"

enum { SLOTS = 400, DIRS = 60, INODES = 40 };

/* A tree as plain as can be: slots with a name in a directory. */
struct slot {
	bool used;
	enum entry_kind kind;
	uint32_t parent; /* Slot of the directory, or SLOTS: the root. */
	char name[16];
	uint64_t ino;
	int64_t blocks;
};

static struct slot slots[SLOTS];
static uint32_t nodes[SLOTS + 1];
static struct tree tree;
static unsigned random_state = 1;

static unsigned pick(unsigned below)
{
	random_state = random_state * 1103515245 + 12345;
	return (random_state >> 8) % below;
}

static bool is_in(uint32_t slot, uint32_t above)
{
	while (slot != above && slot != SLOTS)
		slot = slots[slot].parent;
	return slot == above;
}

static void check_totals(void)
{
	int64_t blocks = 7, files = 1;
	bool counted[INODES] = {false};

	for (int i = 0; i < SLOTS; i++) {
		const struct slot *s = &slots[i];

		if (!s->used)
			continue;
		files++;
		if (s->kind != ENTRY_LINK)
			blocks += s->blocks;
		else if (!counted[s->ino - 1000])
			blocks += s->blocks;
		if (s->kind == ENTRY_LINK)
			counted[s->ino - 1000] = true;
	}
	assert_int_equal(tree.files, files);
	assert_int_equal(tree.blocks, blocks);
}

static uint32_t some_dir(void)
{
	for (int i = 0; i < 20; i++) {
		uint32_t slot = pick(DIRS);

		if (slots[slot].used)
			return slot;
	}
	return SLOTS;
}

/* Directories live in the first slots. */
static void put(uint32_t i)
{
	struct slot *s = &slots[i];
	uint64_t name = tree_name(&tree, s->name);
	struct tree_seen seen = {
		.kind = s->kind, .ino = s->ino, .blocks = s->blocks, .nlink = 9, .node = nodes[i]};

	assert_int_equal(tree_put(&tree, nodes[s->parent], name, &seen), 0);
}

static void create(uint32_t i)
{
	struct slot *s = &slots[i];

	*s = (struct slot){.used = true, .parent = some_dir(), .blocks = pick(100), .ino = i + 1};
	snprintf(s->name, sizeof(s->name), "name-%u", i);
	s->kind = i < DIRS ? ENTRY_DIR : i % 3 ? ENTRY_FILE : ENTRY_LINK;
	if (s->kind == ENTRY_LINK) {
		s->ino = 1000 + pick(INODES);
		s->blocks = (int64_t)s->ino;
	}
	if (s->kind == ENTRY_DIR) {
		assert_int_equal(tree_add(&tree, nodes[s->parent], s->name, &nodes[i]), 0);
		assert_int_equal(
			tree_set_handle(&tree, nodes[i], (random_state | 1ull << 40) + i), 0);
		tree_set_blocks(&tree, nodes[i], s->blocks);
	}
	put(i);
}

static void forget_below(uint32_t dir)
{
	for (uint32_t i = 0; i < SLOTS; i++)
		if (slots[i].used && i != dir && is_in(i, dir))
			slots[i].used = false;
}

static void remove_slot(uint32_t i)
{
	struct slot *s = &slots[i];

	tree_drop(&tree, nodes[s->parent], tree_name(&tree, s->name));
	tree_reap(&tree);
	if (s->kind == ENTRY_DIR)
		forget_below(i);
	s->used = false;
}

static void rename_dir(uint32_t i)
{
	struct slot *s = &slots[i];
	uint32_t to = some_dir();
	int r;

	snprintf(s->name, sizeof(s->name), "moved-%u", pick(1000000));
	assert_int_equal(tree_by_handle(&tree, tree.nodes[nodes[i]].handle), nodes[i]);
	if (!is_in(to, i) && pick(2)) /* The old name is seen to be gone before the new one. */
		tree_drop(&tree, nodes[s->parent], tree_name(&tree, tree.nodes[nodes[i]].name));
	r = tree_move(&tree, nodes[i], nodes[to], s->name);
	if (to != SLOTS && is_in(to, i)) {
		assert_int_equal(r, -ELOOP);
		snprintf(s->name, sizeof(s->name), "%s", tree.nodes[nodes[i]].name);
		return;
	}
	assert_int_equal(r, 0);
	s->parent = to;
	put(i);
}

static void renew(uint32_t dir)
{
	tree_renew_begin(&tree, nodes[dir]);
	for (uint32_t i = 0; i < SLOTS; i++)
		if (slots[i].used && slots[i].parent == dir && pick(10))
			put(i);
		else if (slots[i].used && slots[i].parent == dir) {
			if (slots[i].kind == ENTRY_DIR)
				forget_below(i);
			slots[i].used = false;
		}
	tree_renew_end(&tree);
	tree_reap(&tree);
}

static void mutate(void)
{
	uint32_t i = pick(SLOTS);

	if (!slots[i].used)
		create(i);
	else if (i < DIRS && pick(2))
		rename_dir(i);
	else if (i < DIRS && pick(2))
		renew(i);
	else if (pick(3) == 0)
		remove_slot(i);
	else if (slots[i].kind == ENTRY_FILE) {
		slots[i].blocks = pick(1000);
		put(i);
	}
}

static void totals_follow_every_change(void **state)
{
	assert_int_equal(tree_init(&tree, 12345, 0), 0);
	nodes[SLOTS] = NODE_ROOT;
	tree_set_blocks(&tree, NODE_ROOT, 7);
	for (int i = 0; i < 100000; i++) {
		mutate();
		if (i % 10 == 0)
			check_totals();
	}
	check_totals();
	for (uint32_t i = 0; i < SLOTS; i++)
		if (slots[i].used)
			remove_slot(i);
	assert_int_equal(tree.files, 1);
	assert_int_equal(tree.blocks, 7);
	assert_int_equal(tree.node_count, 1);
	assert_int_equal(tree.links.count, 0);
	assert_int_equal(tree.unsearched, 0);
	tree_done(&tree);
}

static void memory_is_counted_and_limited(void **state)
{
	struct tree_seen file = {.kind = ENTRY_FILE, .ino = 1, .blocks = 8};
	char name[32];
	int r = 0, count;

	assert_int_equal(tree_init(&tree, 1, 1 << 20), 0);
	for (count = 0; r == 0; count++) {
		snprintf(name, sizeof(name), "file-%d", count);
		r = tree_put(&tree, NODE_ROOT, tree_name(&tree, name), &file);
	}
	assert_int_equal(r, -E2BIG);
	/* 16 bytes each, in a table that is never less than 7/12 full: what 1 MiB holds. */
	assert_between(count, (1 << 20) / 16 * 7 / 12 / 3 * 2, (1 << 20) / 16);
	tree_done(&tree);
}

static void directory_costs_little(void **state)
{
	char name[32];
	uint32_t id;

	assert_int_equal(tree_init(&tree, 1, 0), 0);
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "directory-%d", i);
		assert_int_equal(tree_add(&tree, NODE_ROOT, name, &id), 0);
		assert_int_equal(tree_set_handle(&tree, id, (uint64_t)i * 7919 + 1), 0);
	}
	assert_between(tree.bytes / 10000, 50, 120);
	tree_done(&tree);
}

static void directory_never_goes_below_itself(void **state)
{
	uint32_t a, b;

	assert_int_equal(tree_init(&tree, 1, 0), 0);
	assert_int_equal(tree_add(&tree, NODE_ROOT, "a", &a), 0);
	assert_int_equal(tree_add(&tree, a, "b", &b), 0);
	assert_int_equal(tree_move(&tree, a, b, "a"), -ELOOP);
	assert_int_equal(tree_move(&tree, a, a, "a"), -ELOOP);
	assert_int_equal(tree_move(&tree, NODE_ROOT, a, "a"), -ELOOP);
	assert_int_equal(tree_move(&tree, b, NODE_ROOT, "b"), 0);
	assert_int_equal(tree_move(&tree, a, b, "a"), 0);
	tree_done(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(totals_follow_every_change),
		cmocka_unit_test(memory_is_counted_and_limited),
		cmocka_unit_test(directory_costs_little),
		cmocka_unit_test(directory_never_goes_below_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
