/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "base/attr.h"
#include "source/told.h"

static void a_copy_has_everything_and_points_to_nothing_of_the_original(void **state)
{
	char id[] = "id", name[] = "name", process_name[] = "web", port_name[] = "http";
	char definition[] = "/tasks/id";
	struct source_run runs[] = {
		{.state = "FAILED", .life = TALLY_LIFE_FAILED, .return_code = 3},
		{.state = "RUNNING", .life = TALLY_LIFE_ACTIVE, .pid = 812, .started_wall_ns = 7}};
	struct source_process processes[] = {
		{.name = process_name, .life = TALLY_LIFE_ACTIVE, .runs = runs, .run_count = 2},
		{.name = "idle", .cgroup = "/sys/fs/cgroup/a"}};
	struct source_port ports[] = {{port_name, 8080}, {"admin", -1}};
	struct source_task task = {.id = id,
		.name = name,
		.definition = definition,
		.processes = processes,
		.process_count = 2,
		.ports = ports,
		.port_count = 2,
		.state_wall_ns = 5};

	assert_true(told_has_more(&task));
	CLEANUP_FREE struct source_task *copy = told_copy(&task);
	assert_non_null(copy);
	memset(id, 'x', 2);
	memset(name, 'x', 4);
	memset(process_name, 'x', 3);
	memset(port_name, 'x', 4);
	memset(definition, 'x', 9);
	memset(runs, 0, sizeof(runs));
	memset(processes, 0, sizeof(processes));
	memset(ports, 0, sizeof(ports));

	assert_string_equal(copy->id, "id");
	assert_string_equal(copy->name, "name");
	assert_string_equal(copy->definition, "/tasks/id");
	assert_null(copy->user);
	assert_null(copy->sandbox);
	assert_int_equal(copy->state_wall_ns, 5);
	assert_int_equal(copy->process_count, 2);
	assert_string_equal(copy->processes[0].name, "web");
	assert_int_equal(copy->processes[0].run_count, 2);
	assert_string_equal(copy->processes[0].runs[0].state, "FAILED");
	assert_int_equal(copy->processes[0].runs[0].return_code, 3);
	assert_int_equal(copy->processes[0].runs[1].pid, 812);
	assert_null(copy->processes[1].runs);
	assert_string_equal(copy->processes[1].cgroup, "/sys/fs/cgroup/a");
	assert_string_equal(copy->ports[0].name, "http");
	assert_int_equal(copy->ports[1].port, -1);
}

static void a_task_of_which_nothing_more_is_told_is_not_kept(void **state)
{
	struct source_process process = {.name = "web", .pid = 1};
	struct source_task task = {
		.id = "a", .sandbox = "/srv", .processes = &process, .process_count = 1};

	assert_false(told_has_more(&task));
	CLEANUP_FREE struct source_task *copy = told_copy(&task);
	assert_string_equal(copy->sandbox, "/srv");
	assert_int_equal(copy->port_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_copy_has_everything_and_points_to_nothing_of_the_original),
		cmocka_unit_test(a_task_of_which_nothing_more_is_told_is_not_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
