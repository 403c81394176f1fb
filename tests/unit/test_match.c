/* SPDX-License-Identifier: Apache-2.0 */
/* The source of rules on a /proc of plain files: who is looked at when, and who is told as a root. */
#include "check.h"
#include <unistd.h>
#include "proc_tree.h"
#include "source/match.h"

#define PATTERNS(...)                                                                              \
	{                                                                                          \
		(const char *const[]){__VA_ARGS__},                                                \
			sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)                \
	}

static struct proc_tree tree;
static struct source *source;
static char told[1024];

static int set_up(void **state)
{
	tree_open(&tree);
	source = NULL;
	return 0;
}

static int tear_down(void **state)
{
	source_close(source);
	tree_close(&tree);
	return 0;
}

static void open_with(const struct match_rule *rules, size_t count)
{
	const struct match_options options = {.procfs = tree.path};
	struct tally_error err;

	if (match_open(rules, count, &options, &source, &err) < 0)
		fail_msg("%s", err.message);
}

static void tell(void *context, const struct source_task *task)
{
	size_t used = strlen(told);

	used += (size_t)snprintf(told + used, sizeof(told) - used, "%s%s%s:", used ? "; " : "",
		task->id, task->life == TALLY_LIFE_ACTIVE ? "" : " (waiting)");
	for (size_t i = 0; i < task->process_count; i++)
		if (task->processes[i].pid)
			used += (size_t)snprintf(told + used, sizeof(told) - used, " %s=%d",
				task->processes[i].name, (int)task->processes[i].pid);
}

/* "task: process=pid …; …", roots only, after so many looks. */
static const char *after(int looks)
{
	struct tally_error err;

	while (looks-- > 0)
		if (source_refresh(source, &err) < 0)
			fail_msg("%s", err.message);
	told[0] = '\0';
	source_list(source, tell, NULL);
	return told;
}

static void put(int pid, int parent, const char *comm, const char *cmdline)
{
	char name[64];

	tree_put(&tree, (struct fixture){.pid = pid, .parent = parent, .comm = comm});
	snprintf(name, sizeof(name), "%d/cmdline", pid);
	tree_write(&tree, name, "%s", cmdline);
}

static void a_process_is_judged_once(void **state)
{
	const struct match_rule rules[] = {
		{.task = "t", .keys = {[MATCH_CMDLINE] = PATTERNS("mark")}},
		{.task = "u", .keys = {[MATCH_CMDLINE] = PATTERNS("title")}},
	};

	put(10, 1, "a", "mark");
	open_with(rules, 2);
	assert_string_equal(after(1), "t: a=10");
	/* It writes over its arguments: that makes no other program of it. */
	put(10, 1, "a", "title");
	assert_string_equal(after(300), "t: a=10");
	assert_int_equal(source_refresh(source, NULL), 0);
}

static void another_program_is_judged_again_soon_after_the_start(void **state)
{
	const struct match_rule rules[] = {
		{.task = "t", .keys = {[MATCH_COMM] = PATTERNS("a", "sh")}},
		{.task = "u", .keys = {[MATCH_COMM] = PATTERNS("b")}},
	};

	put(10, 1, "sh", "");
	open_with(rules, 2);
	assert_string_equal(after(1), "t: sh=10");
	put(10, 1, "b", "");
	assert_string_equal(after(1), "t (waiting):; u: b=10");
	put(10, 1, "a", "");
	assert_string_equal(after(2), "t: a=10; u (waiting):");
	/* A program that no rule names stays where it was. */
	put(10, 1, "stranger", "");
	assert_string_equal(after(8), "t: a=10; u (waiting):");
}

static void a_late_change_is_noticed_within_64_looks(void **state)
{
	const struct match_rule rule = {
		.task = "{{comm}}", .process = "p", .keys = {[MATCH_COMM] = PATTERNS("[ab]")}};

	put(10, 1, "a", "");
	open_with(&rule, 1);
	assert_string_equal(after(1000), "a: p=10");
	put(10, 1, "b", "");
	assert_string_equal(after(64), "a (waiting):; b: p=10");
}

static void descendants_are_no_roots_unless_named_otherwise(void **state)
{
	const struct match_rule rules[] = {
		{.task = "t", .process = "p", .keys = {[MATCH_COMM] = PATTERNS("a")}},
		{.task = "u", .process = "p", .keys = {[MATCH_COMM] = PATTERNS("b")}},
	};

	put(10, 1, "a", "");
	put(11, 10, "stranger", "");
	put(12, 11, "a", "");
	put(13, 11, "b", "");
	put(14, 13, "a", "");
	put(15, 13, "stranger", "");
	open_with(rules, 2);
	assert_string_equal(after(1), "t: p=10 p=14; u: p=13");
}

static void what_a_process_started_moves_with_it(void **state)
{
	const struct match_rule rules[] = {
		{.task = "t", .process = "p", .keys = {[MATCH_COMM] = PATTERNS("a")}},
		{.task = "u", .process = "p", .keys = {[MATCH_COMM] = PATTERNS("b")}},
	};

	put(10, 1, "a", "");
	put(11, 10, "stranger", "");
	put(12, 11, "stranger", "");
	put(13, 10, "a", "");
	open_with(rules, 2);
	assert_string_equal(after(1), "t: p=10");
	put(10, 1, "b", "");
	/* 13 is named by itself, and stays. */
	assert_string_equal(after(1), "t:; u: p=10 p=11 p=12");
}

static void the_dead_leave_and_a_recycled_pid_is_another(void **state)
{
	const struct match_rule rule = {
		.task = "t", .process = "p", .keys = {[MATCH_COMM] = PATTERNS("a")}};

	put(10, 1, "a", "");
	put(11, 1, "a", "");
	open_with(&rule, 1);
	assert_string_equal(after(1), "t: p=10 p=11");
	tree_drop(&tree, 11);
	assert_string_equal(after(1), "t: p=10");
	tree_recycle(&tree, (struct fixture){.pid = 10, .parent = 1, .comm = "c", .start = 500});
	assert_string_equal(after(1), "t (waiting):");
}

static void the_parent_and_the_cgroup_are_read_when_asked_for(void **state)
{
	const struct match_rule rules[] = {
		{.task = "parent", .process = "p", .keys = {[MATCH_PARENT] = PATTERNS("boss")}},
		{.task = "{{cgroup}}", .process = "p", .keys = {[MATCH_CGROUP] = PATTERNS("/s/*")}},
	};

	put(10, 1, "boss", "");
	put(11, 10, "x", "");
	put(12, 1, "y", "");
	tree_write(&tree, "12/cgroup", "5:memory:/long/path/of/v1\n0::/s/y.service\n");
	put(13, 1, "z", "");
	tree_write(&tree, "13/cgroup", "5:memory:/s/z\n1:cpu:/\n0::/\n");
	open_with(rules, 2);
	assert_string_equal(after(1), "parent: p=11; /s/y.service: p=12; /s/z: p=13");
}

static void garbage_is_nobody(void **state)
{
	const struct match_rule rule = {
		.task = "t", .process = "p", .keys = {[MATCH_COMM] = PATTERNS("*")}};
	static const char *const stats[] = {
		"", "10", "10 (a", "10 (a) S", ")10(", "10 (a) S 1 2 3 4 5"};

	open_with(&rule, 1);
	for (size_t i = 0; i < sizeof(stats) / sizeof(stats[0]); i++) {
		tree_dir(&tree, "10");
		tree_write(&tree, "10/stat", "%s", stats[i]);
		assert_string_equal(after(1), "");
		tree_drop(&tree, 10);
	}
}

#define match_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		match_test(a_process_is_judged_once),
		match_test(another_program_is_judged_again_soon_after_the_start),
		match_test(a_late_change_is_noticed_within_64_looks),
		match_test(descendants_are_no_roots_unless_named_otherwise),
		match_test(what_a_process_started_moves_with_it),
		match_test(the_dead_leave_and_a_recycled_pid_is_another),
		match_test(the_parent_and_the_cgroup_are_read_when_asked_for),
		match_test(garbage_is_nobody),
	};

	return cmocka_run_group_tests_name("match", tests, NULL, NULL);
}
