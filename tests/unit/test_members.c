/* SPDX-License-Identifier: Apache-2.0 */
/* The table of pids, the sets of groups and the order of members. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "collect/members.h"

/* Against a plain array that says the same, slowly. */
static void the_table_agrees_with_an_array(void **state)
{
	enum { PIDS = 700 };
	struct pid_table table = {0};
	bool there[PIDS + 1] = {false};
	unsigned seed = 7;

	for (int step = 0; step < 40000; step++) {
		/* Runs of pids and far ones that fall on the same slots. */
		int number = 1 + (int)(((unsigned)rand_r(&seed) >> 3) % PIDS);
		pid_t pid = number <= PIDS / 2 ? number : number * 4096;
		struct pid_entry *entry = pid_table_find(&table, pid);

		assert_int_equal(entry != NULL, there[number]);
		if (entry) {
			assert_int_equal(entry->pid, pid);
			assert_int_equal(entry->start_ticks, pid * 3);
			pid_table_remove(&table, entry);
		} else {
			assert_int_equal(pid_table_reserve(&table, 1), 0);
			pid_table_add(&table, pid)->start_ticks = pid * 3;
		}
		there[number] = !there[number];
	}
	size_t visited = 0, expected = 0;
	for (struct pid_entry *e = NULL; (e = pid_table_next(&table, e));)
		visited++;
	for (int i = 1; i <= PIDS; i++)
		expected += there[i];
	assert_int_equal(visited, expected);
	assert_int_equal(table.count, expected);
	pid_table_done(&table);
}

static void a_sweep_removes_who_was_not_seen(void **state)
{
	struct pid_table table = {0};

	assert_int_equal(pid_table_reserve(&table, 5000), 0);
	for (pid_t pid = 1; pid <= 5000; pid++)
		pid_table_add(&table, pid)->seen = pid % 3 ? 8 : 7;
	pid_table_sweep(&table, 8);
	for (pid_t pid = 1; pid <= 5000; pid++)
		assert_int_equal(pid_table_find(&table, pid) != NULL, pid % 3 != 0);
	assert_null(pid_table_find(&table, 0));
	assert_null(pid_table_find(&table, -1));
	pid_table_done(&table);
}

static void the_table_shrinks_after_a_flood(void **state)
{
	struct pid_table table = {0};

	assert_int_equal(pid_table_reserve(&table, 20000), 0);
	size_t flood = table.capacity;
	for (pid_t pid = 1; pid <= 20000; pid++)
		pid_table_add(&table, pid)->seen = pid <= 10 ? 2 : 1;
	pid_table_sweep(&table, 2);
	assert_int_equal(pid_table_reserve(&table, 10), 0);
	assert_true(table.capacity < flood / 16);
	for (pid_t pid = 1; pid <= 10; pid++)
		assert_non_null(pid_table_find(&table, pid));
	pid_table_done(&table);
}

static struct member *add(struct members *members, pid_t pid, pid_t parent)
{
	assert_int_equal(pid_table_reserve(&members->table, 1), 0);
	struct pid_entry *entry = pid_table_add(&members->table, pid);
	entry->parent = parent;
	struct member *member = member_new(members, entry);
	assert_non_null(member);
	return member;
}

static void a_member_is_in_a_set_of_groups(void **state)
{
	struct members members = {0};
	struct member *member = add(&members, 10, 1);

	assert_null(member_in(member, 3));
	assert_non_null(member_join(&members, member, 3, WHY_ROOT));
	assert_non_null(member_join(&members, member, 5, WHY_CHILD));
	assert_int_equal(member_in(member, 3)->why, WHY_ROOT);
	assert_int_equal(member_in(member, 5)->why, WHY_CHILD);
	assert_ptr_equal(member_in(member, 5)->member, member);
	member_leave(&members, member, 3);
	assert_null(member_in(member, 3));
	assert_non_null(member_in(member, 5));
	member_leave(&members, member, 4);
	members_done(&members);
}

static void compaction_keeps_the_order_and_forgets_the_entries(void **state)
{
	struct members members = {0};

	for (pid_t pid = 1; pid <= 100; pid++)
		member_join(&members, add(&members, pid, pid - 1), 0, WHY_CHILD);
	for (size_t i = 0; i < 100; i++) {
		member_link(&members, members.order[i], false);
		members.order[i]->gone = i % 4 == 0;
	}
	members_compact(&members);
	assert_int_equal(members.count, 75);
	for (size_t i = 1; i < members.count; i++)
		assert_true(members.order[i - 1]->pid < members.order[i]->pid);
	for (pid_t pid = 1; pid <= 100; pid++)
		assert_int_equal(pid_table_find(&members.table, pid) != NULL, pid % 4 != 1);
	/* 2 was a child of 1, which is gone. */
	assert_null(members.order[0]->parent);
	assert_false(members.order[0]->linked);
	members_done(&members);
}

static void parents_come_first_whatever_the_order_of_joining(void **state)
{
	struct members members = {0};
	unsigned seed = 3;
	pid_t pids[200];

	/* A random tree, added in a random order. */
	for (int i = 0; i < 200; i++)
		pids[i] = i + 1;
	for (int i = 199; i > 0; i--) {
		int other = (int)((unsigned)rand_r(&seed) % (unsigned)(i + 1));
		pid_t swapped = pids[i];

		pids[i] = pids[other];
		pids[other] = swapped;
	}
	for (int i = 0; i < 200; i++)
		add(&members, pids[i], pids[i] / 2);
	assert_int_equal(members_reorder(&members, 9), 0);
	assert_int_equal(members.count, 200);
	bool before[201] = {false};
	for (size_t i = 0; i < 200; i++) {
		pid_t pid = members.order[i]->pid;

		assert_true(pid == 1 || before[pid / 2]);
		assert_false(before[pid]);
		before[pid] = true;
	}
	members_done(&members);
}

static void a_circle_of_parents_loses_nobody(void **state)
{
	struct members members = {0};

	add(&members, 1, 3);
	add(&members, 2, 1);
	add(&members, 3, 2);
	add(&members, 4, 4);
	assert_int_equal(members_reorder(&members, 9), 0);
	assert_int_equal(members.count, 4);
	members_done(&members);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_agrees_with_an_array),
		cmocka_unit_test(a_sweep_removes_who_was_not_seen),
		cmocka_unit_test(the_table_shrinks_after_a_flood),
		cmocka_unit_test(a_member_is_in_a_set_of_groups),
		cmocka_unit_test(compaction_keeps_the_order_and_forgets_the_entries),
		cmocka_unit_test(parents_come_first_whatever_the_order_of_joining),
		cmocka_unit_test(a_circle_of_parents_loses_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
