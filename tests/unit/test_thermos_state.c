/* SPDX-License-Identifier: Apache-2.0 */
/* The state machine of a task: which transitions are legal, and what is kept. */
#include "check.h"
#include "source/thermos_state.h"

static struct thermos_state state;
static struct tally_error err;

static int clear(void **unused)
{
	thermos_state_clear(&state);
	err = (struct tally_error){0};
	return 0;
}

static int apply_header(void)
{
	const struct thermos_record record = {
		.kind = THERMOS_HEADER,
		.header = {.task_id = "task-1", .has_uid = true, .uid = 7, .launch_ns = 5},
	};

	return thermos_state_apply(&state, &record, &err);
}

static int apply(const char *name, int64_t seq, int to)
{
	const struct thermos_record record = {
		.kind = THERMOS_PROCESS,
		.process = {.name = name,
			.has_seq = true,
			.seq = seq,
			.state = to,
			.pid = 812,
			.start_ns = 3,
			.stop_ns = 4,
			.return_code = 9},
	};

	return thermos_state_apply(&state, &record, &err);
}

static int apply_task(int to, int64_t at_ns)
{
	const struct thermos_record record = {
		.kind = THERMOS_TASK, .task = {.state = to, .at_ns = at_ns, .runner_pid = 70}};

	return thermos_state_apply(&state, &record, &err);
}

static struct thermos_runs *process(const char *name)
{
	struct thermos_runs *found;

	HASH_FIND_STR(state.processes, name, found);
	return found;
}

/* Bring a fresh process into a state. @return the next sequence number. */
static int64_t bring(const char *name, int to)
{
	static const int paths[THERMOS_PROCESS_STATES][4] = {
		[THERMOS_WAITING] = {THERMOS_WAITING, -1},
		[THERMOS_FORKED] = {THERMOS_WAITING, THERMOS_FORKED, -1},
		[THERMOS_RUNNING] = {THERMOS_WAITING, THERMOS_FORKED, THERMOS_RUNNING, -1},
		[THERMOS_SUCCESS] = {THERMOS_WAITING, THERMOS_FORKED, THERMOS_RUNNING,
			THERMOS_SUCCESS},
		[THERMOS_KILLED] = {THERMOS_WAITING, THERMOS_FORKED, THERMOS_RUNNING,
			THERMOS_KILLED},
		[THERMOS_FAILED] = {THERMOS_WAITING, THERMOS_FORKED, THERMOS_RUNNING,
			THERMOS_FAILED},
		[THERMOS_LOST] = {THERMOS_WAITING, THERMOS_FORKED, THERMOS_RUNNING, THERMOS_LOST},
	};
	int64_t seq = 0;

	for (; seq < 4 && paths[to][seq] >= 0; seq++)
		assert_int_equal(apply(name, seq, paths[to][seq]), 0);
	return seq;
}

/* The whole table, written down once more: row is the state before, column the one after. */
static void every_transition_is_legal_or_not_as_written(void **unused)
{
	static const char legal[THERMOS_PROCESS_STATES][THERMOS_PROCESS_STATES + 1] = {
		/*                    W F R S K F L, in the order of the numbers on the wire:
		 *                    WAITING FORKED RUNNING SUCCESS KILLED FAILED LOST */
		[THERMOS_WAITING] = ".x...x.",
		[THERMOS_FORKED] = "..x.x.x",
		[THERMOS_RUNNING] = "...xxxx",
		[THERMOS_SUCCESS] = "x......",
		[THERMOS_KILLED] = "x......",
		[THERMOS_FAILED] = "x......",
		[THERMOS_LOST] = "x......",
	};

	for (int from = 0; from < THERMOS_PROCESS_STATES; from++)
		for (int to = 0; to < THERMOS_PROCESS_STATES; to++) {
			clear(NULL);
			assert_int_equal(apply_header(), 0);
			int64_t seq = bring("web", from);
			int r = apply("web", seq, to);

			if (r != (legal[from][to] == 'x' ? 0 : -EBADMSG))
				fail_msg("%s after %s gives %d", thermos_process_state_name(to),
					thermos_process_state_name(from), r);
			if (r < 0) /* The state is as before. */
				assert_int_equal(thermos_last_run(process("web"))->state, from);
		}
}

static void only_waiting_opens_a_process(void **unused)
{
	assert_int_equal(apply_header(), 0);
	for (int to = 1; to < THERMOS_PROCESS_STATES; to++)
		assert_int_equal(apply("web", 0, to), -EBADMSG);
	assert_null(process("web"));
	assert_int_equal(apply("web", 0, THERMOS_WAITING), 0);
}

static void sequence_numbers_rise_by_one_over_all_runs(void **unused)
{
	assert_int_equal(apply_header(), 0);
	int64_t seq = bring("web", THERMOS_SUCCESS);
	assert_int_equal(apply("web", seq - 1, THERMOS_WAITING), -EBADMSG);
	assert_int_equal(apply("web", seq + 1, THERMOS_WAITING), -EBADMSG);
	assert_non_null(strstr(err.message, "record 5 follows record 3"));
	assert_int_equal(apply("web", INT64_MIN, THERMOS_WAITING), -EBADMSG);
	assert_int_equal(apply("web", seq, THERMOS_WAITING), 0);
	assert_int_equal(apply("db", INT64_MAX, THERMOS_WAITING), 0);
	assert_int_equal(apply("db", INT64_MIN, THERMOS_FORKED), -EBADMSG);
}

static void runs_are_kept_in_order_and_the_oldest_make_room(void **unused)
{
	assert_int_equal(apply_header(), 0);
	for (int64_t run = 0; run < THERMOS_RUNS_MAX + 5; run++)
		for (int to = THERMOS_WAITING; to <= THERMOS_SUCCESS; to++)
			assert_int_equal(apply("web", run * 4 + to, to), 0);
	assert_int_equal(process("web")->count, THERMOS_RUNS_MAX);
	assert_int_equal(process("web")->forgotten, 5);
	assert_int_equal(process("web")->seq, (THERMOS_RUNS_MAX + 5) * 4 - 1);
}

static void a_run_has_what_its_records_said(void **unused)
{
	assert_int_equal(apply_header(), 0);
	bring("web", THERMOS_FAILED);
	const struct thermos_run *run = thermos_last_run(process("web"));
	assert_int_equal(run->pid, 812);
	assert_int_equal(run->start_ns, 3);
	assert_int_equal(run->stop_ns, 4);
	assert_int_equal(run->return_code, 9);
}

static void the_header_comes_first_and_once(void **unused)
{
	assert_int_equal(apply("web", 0, THERMOS_WAITING), -EBADMSG);
	assert_int_equal(apply_task(THERMOS_TASK_ACTIVE, 1), -EBADMSG);
	assert_int_equal(apply_header(), 0);
	assert_int_equal(apply("web", 0, THERMOS_WAITING), 0);
	assert_int_equal(apply_header(), -EBADMSG);
	assert_non_null(process("web")); /* What was known is kept. */
	assert_int_equal(state.uid, 7);
}

static void the_task_is_what_its_last_status_says(void **unused)
{
	assert_int_equal(apply_header(), 0);
	assert_int_equal(state.state, THERMOS_TASK_ACTIVE);
	for (int to = 0; to < THERMOS_TASK_STATES; to++) {
		assert_int_equal(apply_task(to, to + 100), 0);
		assert_int_equal(state.state, to);
		assert_int_equal(state.state_ns, to + 100);
	}
	assert_int_equal(apply_task(THERMOS_TASK_STATES, 1), -EBADMSG);
	assert_int_equal(apply_task(-1, 1), -EBADMSG);
	assert_int_equal(state.runner_pid, 70);
}

static void records_that_lack_what_they_need_are_refused(void **unused)
{
	struct thermos_record record = {
		.kind = THERMOS_PROCESS,
		.process = {.name = "web", .has_seq = true, .state = THERMOS_WAITING},
	};

	assert_int_equal(apply_header(), 0);
	record.process.name = NULL;
	assert_int_equal(thermos_state_apply(&state, &record, &err), -EBADMSG);
	record.process.name = "";
	assert_int_equal(thermos_state_apply(&state, &record, &err), -EBADMSG);
	record.process.name = "web";
	record.process.has_seq = false;
	assert_int_equal(thermos_state_apply(&state, &record, &err), -EBADMSG);
	record.process.has_seq = true;
	record.process.state = -1;
	assert_int_equal(thermos_state_apply(&state, &record, &err), -EBADMSG);
	record.process.state = THERMOS_PROCESS_STATES;
	assert_int_equal(thermos_state_apply(&state, &record, &err), -EBADMSG);

	int64_t seq = bring("db", THERMOS_FORKED);
	record.process = (struct thermos_process){
		.name = "db", .has_seq = true, .seq = seq, .state = THERMOS_RUNNING};
	assert_int_equal(thermos_state_apply(&state, &record, &err), -EBADMSG); /* No pid. */
}

static void a_task_has_a_bounded_number_of_processes(void **unused)
{
	char name[32];

	assert_int_equal(apply_header(), 0);
	for (int i = 0; i < THERMOS_PROCESSES_MAX; i++) {
		snprintf(name, sizeof(name), "process-%d", i);
		assert_int_equal(apply(name, 0, THERMOS_WAITING), 0);
	}
	assert_int_equal(apply("one-more", 0, THERMOS_WAITING), -E2BIG);
	assert_int_equal(HASH_COUNT(state.processes), THERMOS_PROCESSES_MAX);
}

static void texts_have_a_limit(void **unused)
{
	char name[5000];
	struct thermos_record record = {.kind = THERMOS_HEADER, .header = {.task_id = name}};

	memset(name, 'x', sizeof(name));
	name[THERMOS_TEXT_MAX + 1] = 0;
	assert_int_equal(thermos_state_apply(&state, &record, &err), -E2BIG);
	assert_false(state.has_header);
	name[THERMOS_TEXT_MAX] = 0;
	assert_int_equal(thermos_state_apply(&state, &record, &err), 0);
	name[THERMOS_NAME_MAX + 1] = 0;
	assert_int_equal(apply(name, 0, THERMOS_WAITING), -E2BIG);
	name[THERMOS_NAME_MAX] = 0;
	assert_int_equal(apply(name, 0, THERMOS_WAITING), 0);
}

static void ports_are_copied_and_sorted(void **unused)
{
	struct source_port ports[] = {{"http", 80}, {"admin", 8081}, {"https", 443}};
	const struct thermos_record record = {
		.kind = THERMOS_HEADER, .header = {.ports = ports, .port_count = 3}};

	assert_int_equal(thermos_state_apply(&state, &record, &err), 0);
	ports[0].name = "gone";
	assert_int_equal(state.port_count, 3);
	assert_string_equal(state.ports[0].name, "admin");
	assert_int_equal(state.ports[0].port, 8081);
	assert_string_equal(state.ports[2].name, "https");
}

static void names_of_ports_have_a_limit(void **unused)
{
	char *name = malloc(THERMOS_PORTS_BYTES_MAX + 1);
	struct source_port port = {name, 1};
	const struct thermos_record record = {
		.kind = THERMOS_HEADER, .header = {.ports = &port, .port_count = 1}};

	memset(name, 'x', THERMOS_PORTS_BYTES_MAX);
	name[THERMOS_PORTS_BYTES_MAX] = 0;
	assert_int_equal(thermos_state_apply(&state, &record, &err), -E2BIG);
	name[THERMOS_PORTS_BYTES_MAX - 1] = 0;
	assert_int_equal(thermos_state_apply(&state, &record, &err), 0);
	free(name);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, clear, clear)
	const struct CMUnitTest tests[] = {
		TEST(every_transition_is_legal_or_not_as_written),
		TEST(only_waiting_opens_a_process),
		TEST(sequence_numbers_rise_by_one_over_all_runs),
		TEST(runs_are_kept_in_order_and_the_oldest_make_room),
		TEST(a_run_has_what_its_records_said),
		TEST(the_header_comes_first_and_once),
		TEST(the_task_is_what_its_last_status_says),
		TEST(records_that_lack_what_they_need_are_refused),
		TEST(a_task_has_a_bounded_number_of_processes),
		TEST(texts_have_a_limit),
		TEST(ports_are_copied_and_sorted),
		TEST(names_of_ports_have_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
