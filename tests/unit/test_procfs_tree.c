/* SPDX-License-Identifier: Apache-2.0 */
/* The procfs collector on trees of plain files: what a live kernel does too rarely. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include "base/clock.h"
#include "collect/collector.h"
#include "proc_tree.h"

#define TICK (10 * NS_PER_MS)

/* Later than any root is added: such a process was born into its group. */
#define LATER INT64_C(100000000000)

static struct proc_tree tree;
static struct collector *collector;

static int set_up(void **state)
{
	struct collect_options options = {.procfs = tree.path};

	tree_open(&tree);
	return collector_open("procfs", &options, &collector, NULL, NULL);
}

static int tear_down(void **state)
{
	collector = collector_close(collector);
	tree_close(&tree);
	return 0;
}

static uint32_t group_with(pid_t pid)
{
	struct collect_root root = {.pid = pid};
	uint32_t group;

	assert_int_equal(collector_group_add(collector, &group, NULL), 0);
	assert_int_equal(collector_root_add(collector, group, &root, NULL), 0);
	return group;
}

static const struct tally_sample *after_pass(uint32_t group)
{
	struct tally_error err = {0};

	if (collector_pass(collector, &err) < 0)
		fail_msg("%s", err.message);
	return collector_group(collector, group);
}

static int64_t value(uint32_t group, enum tally_metric metric)
{
	const struct tally_sample *sample = collector_group(collector, group);

	assert_true(tally_sample_has(sample, metric));
	return sample->value[metric];
}

static int64_t cpu_ticks(uint32_t group)
{
	return (value(group, TALLY_CPU_USER) + value(group, TALLY_CPU_SYSTEM)) / TICK;
}

/* Members as text: "12 root, 13 child". */
static void append_member(void *context, const struct collect_member *member)
{
	char *text = context;
	size_t used = strlen(text);

	snprintf(text + used, 512 - used, "%s%d %s", used ? ", " : "", member->pid, member->why);
}

static const char *members_of(uint32_t group)
{
	static char text[512];

	text[0] = '\0';
	collector_members(collector, group, append_member, text);
	return text;
}

static void sums_a_tree(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10,
				.parent = 1,
				.user = 5,
				.rss_pages = 3,
				.virtual_bytes = 1 << 20,
				.nice = 5,
				.minor = 7});
	tree_put(&tree, (struct fixture){.pid = 11,
				.parent = 10,
				.system = 6,
				.rss_pages = 4,
				.threads = 1,
				.major = 2});
	tree_put(&tree, (struct fixture){.pid = 12, .parent = 1, .user = 1000});
	tree_details(&tree, 10, 8, 4, 10, 4096);
	tree_details(&tree, 11, 16, 0, 20, 8192);
	uint32_t group = group_with(10);

	after_pass(group);
	assert_int_equal(value(group, TALLY_CPU_USER), 5 * TICK);
	assert_int_equal(value(group, TALLY_CPU_SYSTEM), 6 * TICK);
	assert_int_equal(value(group, TALLY_RSS), 7 * sysconf(_SC_PAGESIZE));
	assert_int_equal(value(group, TALLY_VIRTUAL), 1 << 20);
	assert_int_equal(value(group, TALLY_SHARED), 24 * 1024);
	assert_int_equal(value(group, TALLY_SWAP), 4 * 1024);
	assert_int_equal(value(group, TALLY_IO_READ), 12288);
	assert_int_equal(value(group, TALLY_IO_WRITE), 24576);
	assert_int_equal(value(group, TALLY_MINOR_FAULTS), 7);
	assert_int_equal(value(group, TALLY_MAJOR_FAULTS), 2);
	assert_int_equal(value(group, TALLY_VOLUNTARY_SWITCHES), 30);
	assert_int_equal(value(group, TALLY_INVOLUNTARY_SWITCHES), 60);
	assert_int_equal(value(group, TALLY_RUN_QUEUE_WAIT), 30000);
	assert_int_equal(value(group, TALLY_PIDS), 2);
	assert_int_equal(value(group, TALLY_THREADS), 2);
	assert_int_equal(value(group, TALLY_FDS), 6);
	assert_int_equal(value(group, TALLY_PIDS_STARTED), 2);
	assert_int_equal(value(group, TALLY_NICE), 5);
	assert_int_equal(value(group, TALLY_STATE), 'S');
	assert_string_equal(members_of(group), "10 root, 11 child");
}

static void a_missing_file_is_absent_with_its_reason(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1});
	uint32_t group = group_with(10);
	const struct tally_sample *sample = after_pass(group);
	static const enum tally_metric missing[] = {TALLY_IO_READ, TALLY_IO_WRITE, TALLY_SHARED,
		TALLY_SWAP, TALLY_VOLUNTARY_SWITCHES, TALLY_RUN_QUEUE_WAIT, TALLY_FDS};

	for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
		assert_false(tally_sample_has(sample, missing[i]));
		assert_int_equal(sample->reason[missing[i]], TALLY_REASON_KERNEL);
	}
	assert_true(tally_sample_has(sample, TALLY_CPU_USER));
	assert_int_equal(sample->reason[TALLY_PSS], TALLY_REASON_NOT_ASKED);
	assert_int_equal(sample->reason[TALLY_DISK], TALLY_REASON_TASK_ONLY);
	/* What it had consumed will never be known. */
	tree_drop(&tree, 10);
	sample = after_pass(group);
	assert_false(tally_sample_has(sample, TALLY_IO_READ));
	assert_int_equal(value(group, TALLY_FDS), 0);
}

static void copy_comm(void *context, const struct collect_member *member)
{
	strcpy(context, member->comm);
}

static void a_name_may_hold_anything(void **state)
{
	static const char *const names[] = {"a b c", ") R 1 1", "(((", "x) S 7 (y", "two\nlines",
		"h\xc3\xa9llo \xe2\x9c\x93", "\xff\xfe", "", "123456789012345"};
	char shown[32];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		tree_put(&tree, (struct fixture){.pid = 10 + (int)i,
					.parent = 1,
					.comm = names[i],
					.user = 3,
					.start = 77});
		uint32_t group = group_with(10 + (int)i);

		after_pass(group);
		assert_int_equal(cpu_ticks(group), 3);
		collector_members(collector, group, copy_comm, shown);
		assert_string_equal(shown, names[i]);
	}
}

static void roots_are_told_by_pid_and_start(void **state)
{
	struct collect_root root = {.pid = 99};
	struct tally_error err;
	uint32_t group;

	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .start = 500});
	assert_int_equal(collector_group_add(collector, &group, NULL), 0);
	assert_int_equal(collector_root_add(collector, group, &root, &err), -ESRCH);
	assert_non_null(strstr(err.message, "99"));
	root = (struct collect_root){.pid = 10, .start_ns = 499 * TICK};
	assert_int_equal(collector_root_add(collector, group, &root, &err), -ESRCH);
	root.start_ns = 500 * TICK + 5;
	assert_int_equal(collector_root_add(collector, group, &root, &err), 0);
	after_pass(group);
	assert_int_equal(value(group, TALLY_PIDS), 1);
}

static void a_child_may_have_a_lower_pid(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 30000, .parent = 1});
	uint32_t group = group_with(30000);

	after_pass(group);
	tree_put(&tree, (struct fixture){.pid = 2, .parent = 3, .start = LATER});
	tree_put(&tree, (struct fixture){.pid = 3, .parent = 20000, .start = LATER});
	tree_put(&tree, (struct fixture){.pid = 20000, .parent = 30000, .start = LATER});
	after_pass(group);
	assert_string_equal(members_of(group), "30000 root, 20000 child, 3 child, 2 child");
}

static void a_truncated_stat_is_not_believed(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 5});
	uint32_t group = group_with(10);

	after_pass(group);
	tree_write(&tree, "10/stat", "10 (test) S 1 10 0 0 -1 4194304 7 0 0 0 99");
	tree_dir(&tree, "11");
	tree_write(&tree, "11/stat", "11 (half) S 10");
	tree_dir(&tree, "12");
	tree_write(&tree, "12/stat", "%s", "");
	tree_dir(&tree, "13");
	tree_write(
		&tree, "13/stat", "14 (other) S 10 1 1 0 -1 0 0 0 0 0 0 0 0 0 0 0 1 0 1 1 1 1\n");
	after_pass(group);
	assert_int_equal(cpu_ticks(group), 5);
	assert_string_equal(members_of(group), "10 root");
}

static void who_vanishes_while_it_is_looked_at_is_no_error(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 5});
	tree_put(&tree, (struct fixture){.pid = 11, .parent = 10, .user = 7, .start = LATER});
	uint32_t group = group_with(10);

	after_pass(group);
	assert_int_equal(cpu_ticks(group), 12);
	/* The directory is listed, and its files are gone; a new one has none at all. */
	tree_drop(&tree, 11);
	tree_dir(&tree, "11");
	tree_dir(&tree, "12");
	after_pass(group);
	assert_int_equal(cpu_ticks(group), 12);
	assert_int_equal(value(group, TALLY_PIDS), 1);
}

static void a_recycled_pid_is_another_process(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 5, .start = 200});
	tree_put(&tree, (struct fixture){.pid = 11, .parent = 10, .user = 7, .start = 300});
	tree_put(&tree, (struct fixture){.pid = 12, .parent = 1, .user = 9, .start = 400});
	uint32_t group = group_with(10);

	after_pass(group);
	assert_int_equal(cpu_ticks(group), 12);
	/* A member's pid goes to a stranger, and a stranger's to a member's child. */
	tree_recycle(&tree, (struct fixture){.pid = 11, .parent = 1, .user = 100, .start = 900});
	tree_recycle(&tree, (struct fixture){.pid = 12, .parent = 10, .user = 3, .start = LATER});
	after_pass(group);
	assert_string_equal(members_of(group), "10 root, 12 child");
	after_pass(group);
	assert_int_equal(cpu_ticks(group), 5 + 7 + 3);
	assert_int_equal(value(group, TALLY_PIDS_STARTED), 3);
	/* And the root's. */
	tree_recycle(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 50, .start = 950});
	const struct tally_sample *sample = after_pass(group);
	assert_string_equal(members_of(group), "12 child");
	assert_false(tally_sample_has(sample, TALLY_STATE));
	assert_int_equal(sample->reason[TALLY_STATE], TALLY_REASON_ENDED);
	after_pass(group);
	assert_int_equal(cpu_ticks(group), 5 + 7 + 3);
}

static void a_recycled_pid_in_the_same_directory_is_told_by_its_start(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 5, .start = 200});
	uint32_t group = group_with(10);

	after_pass(group);
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 70, .start = 201});
	after_pass(group);
	assert_int_equal(value(group, TALLY_PIDS), 0);
	after_pass(group);
	after_pass(group);
	assert_int_equal(value(group, TALLY_PIDS), 0);
	assert_int_equal(cpu_ticks(group), 5);
}

static void a_directory_with_another_inode_may_be_the_same_process(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 5, .start = 200});
	uint32_t group = group_with(10);

	after_pass(group);
	tree_recycle(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 6, .start = 200});
	after_pass(group);
	assert_string_equal(members_of(group), "10 root");
	assert_int_equal(cpu_ticks(group), 6);
	assert_int_equal(value(group, TALLY_PIDS_STARTED), 1);
}

static void a_reaped_child_counts_once(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 5, .minor = 10});
	tree_put(&tree,
		(struct fixture){.pid = 11, .parent = 10, .user = 7, .minor = 20, .start = LATER});
	uint32_t group = group_with(10);

	after_pass(group);
	assert_int_equal(cpu_ticks(group), 12);
	tree_drop(&tree, 11);
	tree_put(&tree, (struct fixture){.pid = 10,
				.parent = 1,
				.user = 5,
				.minor = 10,
				.children_user = 8,
				.children_minor = 21});
	after_pass(group);
	assert_int_equal(cpu_ticks(group), 13);
	assert_int_equal(value(group, TALLY_MINOR_FAULTS), 31);
	after_pass(group);
	assert_int_equal(cpu_ticks(group), 13);
}

static void an_unreaped_child_is_kept(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 5, .minor = 10});
	tree_put(&tree,
		(struct fixture){.pid = 11, .parent = 10, .user = 7, .minor = 20, .start = LATER});
	tree_details(&tree, 10, 0, 0, 1, 0);
	tree_details(&tree, 11, 0, 0, 2, 4096);
	uint32_t group = group_with(10);

	after_pass(group);
	tree_drop(&tree, 11);
	for (int i = 0; i < 3; i++) {
		after_pass(group);
		assert_int_equal(cpu_ticks(group), 12);
		assert_int_equal(value(group, TALLY_MINOR_FAULTS), 30);
		assert_int_equal(value(group, TALLY_IO_READ), 4096);
		assert_int_equal(value(group, TALLY_VOLUNTARY_SWITCHES), 3);
	}
}

static void a_child_that_arrives_a_pass_late_counts_once(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 5, .minor = 10});
	tree_put(&tree,
		(struct fixture){.pid = 11, .parent = 10, .user = 7, .minor = 20, .start = LATER});
	uint32_t group = group_with(10);

	after_pass(group);
	tree_drop(&tree, 11);
	after_pass(group);
	assert_int_equal(cpu_ticks(group), 12);
	tree_put(&tree, (struct fixture){.pid = 10,
				.parent = 1,
				.user = 5,
				.minor = 10,
				.children_user = 7,
				.children_minor = 20});
	after_pass(group);
	assert_int_equal(cpu_ticks(group), 12);
	after_pass(group);
	assert_int_equal(cpu_ticks(group), 12);
}

static void children_that_no_pass_has_seen_are_in_their_parents_figures(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 5, .children_user = 40});
	uint32_t group = group_with(10);

	/* What it had reaped before it was watched is not the group's. */
	after_pass(group);
	assert_int_equal(cpu_ticks(group), 5);
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 5, .children_user = 49});
	after_pass(group);
	assert_int_equal(cpu_ticks(group), 14);
	tree_drop(&tree, 10);
	after_pass(group);
	assert_int_equal(cpu_ticks(group), 14);
}

static void a_member_stays_one_when_it_is_reparented(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 5});
	tree_put(&tree, (struct fixture){.pid = 11, .parent = 10, .user = 1, .start = LATER});
	tree_put(&tree, (struct fixture){.pid = 12, .parent = 11, .user = 2, .start = LATER});
	uint32_t group = group_with(10);

	after_pass(group);
	tree_drop(&tree, 11);
	tree_put(&tree, (struct fixture){.pid = 12, .parent = 1, .user = 4, .start = LATER});
	tree_put(&tree, (struct fixture){.pid = 13, .parent = 12, .start = LATER});
	after_pass(group);
	assert_string_equal(members_of(group), "10 root, 12 reparented, 13 child");
	tree_drop(&tree, 10);
	tree_drop(&tree, 12);
	after_pass(group);
	after_pass(group);
	assert_int_equal(cpu_ticks(group), 5 + 1 + 4);
	assert_int_equal(value(group, TALLY_PIDS), 1);
}

static void a_process_of_a_members_session_descends_from_it(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .session = 10});
	tree_put(&tree, (struct fixture){.pid = 20, .parent = 1, .session = 5});
	uint32_t group = group_with(10), other = group_with(20);

	after_pass(group);
	/* Its parent lived and died between two passes. */
	tree_put(&tree, (struct fixture){.pid = 12, .parent = 1, .session = 10, .start = LATER});
	/* A session of a member that does not lead it proves nothing. */
	tree_put(&tree, (struct fixture){.pid = 22, .parent = 1, .session = 20, .start = LATER});
	tree_put(&tree, (struct fixture){.pid = 23, .parent = 1, .session = 5, .start = LATER});
	after_pass(group);
	assert_string_equal(members_of(group), "10 root, 12 reparented");
	assert_string_equal(members_of(other), "20 root");
}

static void orphans_of_a_subreaper_belong_to_its_group(void **state)
{
	struct collect_root root = {.pid = 10, .subreaper = 5};
	uint32_t group;

	tree_put(&tree, (struct fixture){.pid = 5, .parent = 1});
	tree_put(&tree, (struct fixture){.pid = 6, .parent = 5});
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 5});
	assert_int_equal(collector_group_add(collector, &group, NULL), 0);
	after_pass(group);
	assert_int_equal(collector_root_add(collector, group, &root, NULL), 0);
	tree_put(&tree, (struct fixture){.pid = 11, .parent = 5, .start = LATER});
	after_pass(group);
	/* 6 was known before: a child that the caller had already. */
	assert_string_equal(members_of(group), "10 root, 11 reparented");
}

static void add_with(uint32_t group, struct collect_root root)
{
	assert_int_equal(collector_root_add(collector, group, &root, NULL), 0);
}

static void orphans_are_told_apart_by_their_sign(void **state)
{
	static char text[20000];
	uint32_t first, second;

	tree_put(&tree, (struct fixture){.pid = 5, .parent = 1});
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 5});
	tree_put(&tree, (struct fixture){.pid = 20, .parent = 5});
	assert_int_equal(collector_group_add(collector, &first, NULL), 0);
	assert_int_equal(collector_group_add(collector, &second, NULL), 0);
	add_with(first, (struct collect_root){.pid = 10, .subreaper = 5, .sign = "PS=a.1"});
	add_with(second, (struct collect_root){.pid = 20, .subreaper = 5, .sign = "PS=b.1"});
	after_pass(first);

	tree_put(&tree, (struct fixture){.pid = 21, .parent = 5, .start = LATER});
	tree_write(&tree, "21/environ", "XPS=a.1%cPS=b.10%cPS=b.1", 1, 1);
	/* Variables end with a NUL each; the sign lies far behind, at each place in a piece. */
	for (int shift = 0; shift < 12; shift++) {
		char path[128];
		int pid = 30 + shift, length = 4080 + shift;

		memset(text, 'x', sizeof(text));
		text[length] = '\0';
		memcpy(text + length + 1, "PS=b.1", 7);
		tree_put(&tree, (struct fixture){.pid = pid, .parent = 5, .start = LATER});
		snprintf(path, sizeof(path), "%s/%d/environ", tree.path, pid);
		FILE *file = fopen(path, "w");
		assert_non_null(file);
		fwrite(text, 1, (size_t)length + 8, file);
		fclose(file);
	}
	after_pass(first);
	/* 21 bears no sign of its own: it is not lost, but the first one's. */
	assert_string_equal(members_of(first), "10 root, 21 reparented");
	assert_int_equal(value(second, TALLY_PIDS), 13);
}

/* A daemon's intermediate is seen while it ends: nobody can read its environment any more. */
static void who_ends_does_not_take_its_child_along_to_a_wrong_group(void **state)
{
	uint32_t first, second;

	tree_put(&tree, (struct fixture){.pid = 5, .parent = 1});
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 5});
	tree_put(&tree, (struct fixture){.pid = 20, .parent = 5});
	assert_int_equal(collector_group_add(collector, &first, NULL), 0);
	assert_int_equal(collector_group_add(collector, &second, NULL), 0);
	add_with(first, (struct collect_root){.pid = 10, .subreaper = 5, .sign = "PS=a.1"});
	add_with(second, (struct collect_root){.pid = 20, .subreaper = 5, .sign = "PS=b.1"});
	after_pass(first);

	tree_put(&tree, (struct fixture){.pid = 21, .parent = 5, .session = 21, .start = LATER});
	tree_write(&tree, "21/environ", "%s", "");
	/* One that still is its child, one that is in its session only, and one of each below. */
	tree_put(&tree, (struct fixture){.pid = 22, .parent = 21, .session = 21, .start = LATER});
	tree_write(&tree, "22/environ", "PS=b.1%c", 0);
	tree_put(&tree, (struct fixture){.pid = 23, .parent = 5, .session = 21, .start = LATER});
	tree_write(&tree, "23/environ", "PS=b.1%c", 0);
	tree_put(&tree, (struct fixture){.pid = 24, .parent = 22, .start = LATER});
	tree_put(&tree, (struct fixture){.pid = 25, .parent = 21, .start = LATER});
	after_pass(first);
	assert_int_equal(value(first, TALLY_PIDS), 3);
	assert_non_null(strstr(members_of(first), "25 child"));
	assert_int_equal(value(second, TALLY_PIDS), 4);
	assert_non_null(strstr(members_of(second), "22 reparented"));
	assert_non_null(strstr(members_of(second), "23 reparented"));
	assert_non_null(strstr(members_of(second), "24 child"));
}

static void a_family_shares_no_pid(void **state)
{
	uint32_t outer, inner;

	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 1});
	tree_put(&tree, (struct fixture){.pid = 11, .parent = 10, .user = 2});
	tree_put(&tree, (struct fixture){.pid = 12, .parent = 11, .user = 4});
	assert_int_equal(collector_group_add(collector, &outer, NULL), 0);
	assert_int_equal(collector_group_add(collector, &inner, NULL), 0);
	uint32_t other = group_with(10);
	add_with(outer, (struct collect_root){.pid = 10, .family = 1});
	add_with(inner, (struct collect_root){.pid = 11, .family = 1});
	after_pass(outer);
	assert_string_equal(members_of(outer), "10 root");
	assert_string_equal(members_of(inner), "11 root, 12 child");
	assert_string_equal(members_of(other), "10 root, 11 child, 12 child");
	assert_int_equal(cpu_ticks(outer), 1);
	assert_int_equal(cpu_ticks(inner), 6);
	assert_int_equal(cpu_ticks(other), 7);
}

static void a_root_leaves_its_family_with_what_it_consumes_from_then_on(void **state)
{
	uint32_t outer, inner;

	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 1});
	tree_put(&tree, (struct fixture){.pid = 11, .parent = 10, .user = 20});
	assert_int_equal(collector_group_add(collector, &outer, NULL), 0);
	assert_int_equal(collector_group_add(collector, &inner, NULL), 0);
	add_with(outer, (struct collect_root){.pid = 10, .family = 1});
	after_pass(outer);
	assert_int_equal(cpu_ticks(outer), 21);
	add_with(inner, (struct collect_root){.pid = 11, .family = 1});
	tree_put(&tree, (struct fixture){.pid = 11, .parent = 10, .user = 50});
	tree_put(&tree, (struct fixture){.pid = 12, .parent = 11, .user = 4, .start = LATER});
	after_pass(outer);
	assert_string_equal(members_of(outer), "10 root");
	assert_string_equal(members_of(inner), "11 root, 12 child");
	assert_int_equal(cpu_ticks(outer), 21);
	assert_int_equal(cpu_ticks(inner), 34);
	/* It dies, and its parent reaps it: that is no growth of the parent's. */
	tree_drop(&tree, 11);
	tree_drop(&tree, 12);
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 2, .children_user = 54});
	after_pass(outer);
	assert_int_equal(cpu_ticks(outer), 22);
	assert_int_equal(cpu_ticks(inner), 34);
}

static void a_pid_below_two_roots_counts_in_both_groups(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 1});
	tree_put(&tree, (struct fixture){.pid = 11, .parent = 10, .user = 2});
	tree_put(&tree, (struct fixture){.pid = 12, .parent = 11, .user = 4});
	uint32_t inner = group_with(11), outer = group_with(10);

	after_pass(outer);
	assert_int_equal(cpu_ticks(outer), 7);
	assert_int_equal(cpu_ticks(inner), 6);
	assert_string_equal(members_of(outer), "10 root, 11 child, 12 child");
	assert_string_equal(members_of(inner), "11 root, 12 child");
	tree_put(&tree, (struct fixture){.pid = 13, .parent = 12, .user = 8, .start = LATER});
	after_pass(outer);
	assert_int_equal(cpu_ticks(outer), 15);
	assert_int_equal(cpu_ticks(inner), 14);
	/* Reaped by 10, which is in one of them only. */
	tree_drop(&tree, 11);
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 1, .children_user = 2});
	tree_put(&tree, (struct fixture){.pid = 12, .parent = 1, .user = 4});
	after_pass(outer);
	after_pass(outer);
	assert_int_equal(cpu_ticks(outer), 15);
	assert_int_equal(cpu_ticks(inner), 14);
	collector_group_remove(collector, outer);
	after_pass(inner);
	assert_int_equal(cpu_ticks(inner), 14);
	assert_string_equal(members_of(inner), "12 reparented, 13 child");
}

static void a_root_takes_in_strangers_that_descend_from_it(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 1});
	tree_put(&tree, (struct fixture){.pid = 11, .parent = 10, .user = 2, .children_user = 100});
	tree_put(&tree, (struct fixture){.pid = 12, .parent = 11, .user = 4});
	tree_put(&tree, (struct fixture){.pid = 20, .parent = 1, .user = 50});
	uint32_t other = group_with(20);

	after_pass(other);
	uint32_t group = group_with(10);
	after_pass(group);
	assert_string_equal(members_of(group), "10 root, 11 child, 12 child");
	assert_int_equal(cpu_ticks(group), 7);
	assert_string_equal(members_of(other), "20 root");
}

static void a_second_root_joins_the_group_and_counters_go_on(void **state)
{
	struct collect_root root = {.pid = 20};

	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 5, .nice = 3});
	uint32_t group = group_with(10);

	after_pass(group);
	tree_drop(&tree, 10);
	after_pass(group);
	assert_int_equal(value(group, TALLY_RSS), 0);
	assert_int_equal(value(group, TALLY_PIDS), 0);
	assert_int_equal(cpu_ticks(group), 5);
	tree_put(&tree, (struct fixture){.pid = 20, .parent = 1, .user = 3, .nice = 7});
	assert_int_equal(collector_root_add(collector, group, &root, NULL), 0);
	after_pass(group);
	assert_int_equal(cpu_ticks(group), 8);
	assert_int_equal(value(group, TALLY_NICE), 7);
	assert_int_equal(value(group, TALLY_PIDS_STARTED), 2);
	/* Adding it again changes nothing. */
	assert_int_equal(collector_root_add(collector, group, &root, NULL), 0);
	after_pass(group);
	assert_int_equal(cpu_ticks(group), 8);
	assert_int_equal(value(group, TALLY_PIDS_STARTED), 2);
}

static void counters_never_fall(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 50, .minor = 9});
	uint32_t group = group_with(10);

	after_pass(group);
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 20, .minor = 1});
	after_pass(group);
	assert_int_equal(cpu_ticks(group), 50);
	assert_int_equal(value(group, TALLY_MINOR_FAULTS), 9);
}

static void a_zombie_is_a_pid_without_memory_and_threads(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 5, .state = 'Z'});
	uint32_t group = group_with(10);

	after_pass(group);
	assert_int_equal(value(group, TALLY_PIDS), 1);
	assert_int_equal(value(group, TALLY_THREADS), 0);
	assert_int_equal(value(group, TALLY_FDS), 0);
	assert_int_equal(value(group, TALLY_STATE), 'Z');
	assert_int_equal(cpu_ticks(group), 5);
}

static void put_thread(int pid, int tid, int64_t run_ns, int64_t wait_ns, int switches)
{
	char name[64];

	snprintf(name, sizeof(name), "%d/task/%d", pid, tid);
	tree_dir(&tree, name);
	snprintf(name, sizeof(name), "%d/task/%d/schedstat", pid, tid);
	tree_write(&tree, name, "%" PRId64 " %" PRId64 " 3\n", run_ns, wait_ns);
	snprintf(name, sizeof(name), "%d/task/%d/status", pid, tid);
	tree_write(&tree, name, "voluntary_ctxt_switches:\t%d\nnonvoluntary_ctxt_switches:\t%d\n",
		switches, switches + 1);
}

static void threads_are_added_up_and_dead_ones_kept(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .threads = 3});
	put_thread(10, 10, 1000, 10, 1);
	put_thread(10, 12, 2000, 20, 2);
	put_thread(10, 11, 4000, 40, 4);
	uint32_t group = group_with(10);

	after_pass(group);
	assert_int_equal(value(group, TALLY_RUN_QUEUE_WAIT), 70);
	assert_int_equal(value(group, TALLY_VOLUNTARY_SWITCHES), 7);
	assert_int_equal(value(group, TALLY_INVOLUNTARY_SWITCHES), 10);
	char gone[128];
	snprintf(gone, sizeof(gone), "%s/10/task/11", tree.path);
	tree_remove_path(gone);
	put_thread(10, 12, 2500, 25, 3);
	put_thread(10, 13, 500, 5, 1);
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .threads = 3, .user = 1});
	after_pass(group);
	assert_int_equal(value(group, TALLY_RUN_QUEUE_WAIT), 10 + 40 + 25 + 5);
	assert_int_equal(value(group, TALLY_VOLUNTARY_SWITCHES), 1 + 4 + 3 + 1);
	/* A thread that has less than it had is another one. */
	put_thread(10, 13, 100, 1, 1);
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .threads = 3, .user = 2});
	after_pass(group);
	assert_int_equal(value(group, TALLY_RUN_QUEUE_WAIT), 10 + 40 + 25 + 5 + 1);
}

static void proportional_memory_is_read_when_asked_for(void **state)
{
	struct collect_options options = {.procfs = tree.path, .pss = true};

	collector_close(collector);
	assert_int_equal(collector_open("procfs", &options, &collector, NULL, NULL), 0);
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1});
	tree_write(&tree, "10/smaps_rollup",
		"1000-2000 ---p 00000000 00:00 0  [rollup]\nRss:  100 kB\nPss:    64 kB\n"
		"Pss_Dirty:  3 kB\n");
	uint32_t group = group_with(10);
	after_pass(group);
	assert_int_equal(value(group, TALLY_PSS), 64 * 1024);
}

static void parents_in_a_circle_belong_nowhere(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 1});
	tree_put(&tree, (struct fixture){.pid = 20, .parent = 21});
	tree_put(&tree, (struct fixture){.pid = 21, .parent = 20});
	tree_put(&tree, (struct fixture){.pid = 22, .parent = 22});
	uint32_t group = group_with(10);

	after_pass(group);
	assert_string_equal(members_of(group), "10 root");
	uint32_t circle = group_with(20);
	after_pass(circle);
	assert_int_equal(value(circle, TALLY_PIDS), 2);
	tree_drop(&tree, 20);
	tree_drop(&tree, 21);
	after_pass(circle);
	assert_int_equal(value(circle, TALLY_PIDS), 0);
}

static void a_long_line_of_descendants_is_followed(void **state)
{
	for (int i = 0; i < 300; i++)
		tree_put(&tree, (struct fixture){.pid = 1000 - i, .parent = 1001 - i, .user = 1});
	uint32_t group = group_with(1000);

	after_pass(group);
	assert_int_equal(value(group, TALLY_PIDS), 300);
	assert_int_equal(cpu_ticks(group), 300);
}

static void status_counts_members_and_strangers(void **state)
{
	struct collect_status status;

	for (int pid = 10; pid < 15; pid++)
		tree_put(&tree, (struct fixture){.pid = pid, .parent = 1});
	tree_put(&tree, (struct fixture){.pid = 15, .parent = 14});
	uint32_t group = group_with(14);

	after_pass(group);
	collector_status(collector, &status);
	assert_int_equal(status.pids, 2);
	assert_int_equal(status.strangers, 4);
	tree_drop(&tree, 10);
	tree_drop(&tree, 15);
	after_pass(group);
	collector_status(collector, &status);
	assert_int_equal(status.pids, 1);
	assert_int_equal(status.strangers, 3);
}

static void a_group_number_used_again_starts_from_nothing(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 5});
	tree_put(&tree, (struct fixture){.pid = 20, .parent = 1, .user = 3});
	uint32_t first = group_with(10);

	after_pass(first);
	collector_group_remove(collector, first);
	uint32_t second = group_with(20);
	assert_int_equal(second, first);
	after_pass(second);
	assert_int_equal(cpu_ticks(second), 3);
	assert_string_equal(members_of(second), "20 root");
	/* And its first process can be followed again. */
	uint32_t third = group_with(10);
	after_pass(third);
	assert_int_equal(cpu_ticks(third), 5);
}

#define tree_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		tree_test(sums_a_tree),
		tree_test(a_missing_file_is_absent_with_its_reason),
		tree_test(a_name_may_hold_anything),
		tree_test(roots_are_told_by_pid_and_start),
		tree_test(a_child_may_have_a_lower_pid),
		tree_test(a_truncated_stat_is_not_believed),
		tree_test(who_vanishes_while_it_is_looked_at_is_no_error),
		tree_test(a_recycled_pid_is_another_process),
		tree_test(a_recycled_pid_in_the_same_directory_is_told_by_its_start),
		tree_test(a_directory_with_another_inode_may_be_the_same_process),
		tree_test(a_reaped_child_counts_once),
		tree_test(an_unreaped_child_is_kept),
		tree_test(a_child_that_arrives_a_pass_late_counts_once),
		tree_test(children_that_no_pass_has_seen_are_in_their_parents_figures),
		tree_test(a_member_stays_one_when_it_is_reparented),
		tree_test(a_process_of_a_members_session_descends_from_it),
		tree_test(orphans_of_a_subreaper_belong_to_its_group),
		tree_test(orphans_are_told_apart_by_their_sign),
		tree_test(who_ends_does_not_take_its_child_along_to_a_wrong_group),
		tree_test(a_family_shares_no_pid),
		tree_test(a_root_leaves_its_family_with_what_it_consumes_from_then_on),
		tree_test(a_pid_below_two_roots_counts_in_both_groups),
		tree_test(a_root_takes_in_strangers_that_descend_from_it),
		tree_test(a_second_root_joins_the_group_and_counters_go_on),
		tree_test(counters_never_fall),
		tree_test(a_zombie_is_a_pid_without_memory_and_threads),
		tree_test(threads_are_added_up_and_dead_ones_kept),
		tree_test(proportional_memory_is_read_when_asked_for),
		tree_test(parents_in_a_circle_belong_nowhere),
		tree_test(a_long_line_of_descendants_is_followed),
		tree_test(status_counts_members_and_strangers),
		tree_test(a_group_number_used_again_starts_from_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
