/* SPDX-License-Identifier: Apache-2.0 */
/* The checkpoint roots of Mesos' executors. */
#include "thermos_root.h"

#define RUN "slaves/agent-1/frameworks/framework-1/executors/executor-%d/runs/run-1"

/* An executor with one task, "task-NUMBER". */
static void make_executor(int number)
{
	struct wire wire = {0};
	char root[512], id[32];

	snprintf(root, sizeof(root), RUN "/checkpoints/", number);
	snprintf(id, sizeof(id), "task-%d", number);
	make_root(root);
	make_folders(below(RUN "/sandbox", number));
	wire_header(&wire, id, below(RUN "/sandbox", number), (int)getuid());
	wire_process(&wire, "web", 0, 0, 0, 0);
	make_task(root, id, &wire);
}

static void every_executor_has_its_own_root(void **state)
{
	make_executor(1);
	make_executor(2);
	struct source *source = open_kind(&source_mesos, false);
	refresh(source);
	assert_int_equal(count_tasks(source), 2);
	assert_string_equal(told_of(source, "task-2").sandbox, below(RUN "/sandbox", 2));
	assert_string_equal(told_of(source, "task-1").processes[0].name, "web");
	assert_int_equal(refresh(source), 0);
	assert_int_equal(said.warnings, 0);
	source_close(source);
}

static void links_like_latest_are_skipped(void **state)
{
	struct wire wire = {0};

	make_executor(1);
	assert_int_equal(symlink("run-1", below("slaves/agent-1/frameworks/framework-1/executors/"
						"executor-1/runs/latest")),
		0);
	assert_int_equal(symlink("agent-1", below("slaves/latest")), 0);

	/* What a user puts in place of his checkpoints leads nowhere. */
	make_root("elsewhere/");
	wire_header(&wire, "stolen", NULL, (int)getuid());
	make_task("elsewhere/", "stolen", &wire);
	make_folders(below(RUN, 2));
	assert_int_equal(symlink(below("elsewhere"), below(RUN "/checkpoints", 2)), 0);
	make_folders(below(RUN "/checkpoints", 3));
	assert_int_equal(symlink(below("elsewhere/tasks"), below(RUN "/checkpoints/tasks", 3)), 0);

	struct source *source = open_kind(&source_mesos, false);
	refresh(source);
	assert_int_equal(count_tasks(source), 1);
	assert_true(told_of(source, "task-1").found);
	assert_int_equal(said.warnings, 0);
	source_close(source);
}

static void executors_come_and_go(void **state)
{
	struct source *source = open_kind(&source_mesos, false);

	refresh(source);
	assert_int_equal(count_tasks(source), 0);
	make_executor(1);
	make_executor(2);
	assert_int_equal(refresh(source), 1);
	assert_int_equal(count_tasks(source), 2);
	rename(below("slaves/agent-1/frameworks/framework-1/executors/executor-1"), below("gone"));
	assert_int_equal(refresh(source), 1);
	assert_int_equal(count_tasks(source), 1);
	rename(below("slaves"), below("all-gone"));
	assert_int_equal(refresh(source), 1);
	assert_int_equal(count_tasks(source), 0);
	source_close(source);
}

static void a_new_executor_is_heard_at_once(void **state)
{
	make_folders(below("slaves"));
	struct source *source = open_kind(&source_mesos, true);

	refresh(source);
	for (int number = 1; number <= 2; number++) {
		make_executor(number);
		for (int i = 0; i < 20 && count_tasks(source) < (size_t)number; i++)
			hear(source);
		assert_int_equal(count_tasks(source), number);
	}
	source_close(source);
}

static void a_sandbox_below_its_executor_needs_no_owner(void **state)
{
	struct wire wire = {0};
	char root[512];

	if (getuid() != 0)
		skip_because("only root has files of others");
	snprintf(root, sizeof(root), RUN "/checkpoints/", 1);
	make_root(root);
	make_folders(below(RUN "/sandbox", 1));
	assert_int_equal(chown(below(RUN "/sandbox", 1), 4321, 4321), 0);
	make_folders(below("outside"));
	assert_int_equal(chown(below("outside"), 4321, 4321), 0);
	wire_header(&wire, "inside", below(RUN "/sandbox", 1), 1234);
	make_task(root, "inside", &wire);
	wire_header(&wire, "outside", below("outside"), 1234);
	make_task(root, "outside", &wire);
	struct source *source = open_kind(&source_mesos, false);
	settle(source);
	assert_string_equal(told_of(source, "inside").sandbox, below(RUN "/sandbox", 1));
	assert_string_equal(told_of(source, "outside").sandbox, "");
	source_close(source);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(every_executor_has_its_own_root),
		TEST(links_like_latest_are_skipped),
		TEST(executors_come_and_go),
		TEST(a_new_executor_is_heard_at_once),
		TEST(a_sandbox_below_its_executor_needs_no_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
