/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor, over a scripted source and a scripted collector: what it makes of what it is told. */
#include "check.h"
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>
#include <tally/tally.h>
#include "base/clock.h"
#include "base/fail.h"
#include "collect/collector.h"
#include "monitor/internal.h"
#include "monitor/monitor.h"
#include "source/fixed.h"

/* ---- a collector that says what it was told to say ---- */

#define GROUPS_MOST 64

struct script {
	struct collector collector;
	int64_t cpu_ns[GROUPS_MOST], pids[GROUPS_MOST]; /* The next pass has these. */
	int roots[GROUPS_MOST];
	int groups_now, refuse_root, slow_pass_ms;
	atomic_int fail_pass;
	pid_t reaped;
};

static int script_group_add(struct collector *collector, uint32_t group, struct tally_error *err)
{
	struct script *script = (struct script *)collector;

	script->cpu_ns[group] = 0;
	script->pids[group] = 1;
	script->roots[group] = 0;
	script->groups_now++;
	return 0;
}

static void script_group_remove(struct collector *collector, uint32_t group)
{
	((struct script *)collector)->groups_now--;
}

static int script_root_add(struct collector *collector, uint32_t group,
	const struct collect_root *root, struct tally_error *err)
{
	struct script *script = (struct script *)collector;

	if (script->refuse_root)
		return tally_fail(err, script->refuse_root, "cannot follow pid %d", root->pid);
	script->roots[group]++;
	return 0;
}

static int script_pass(struct collector *collector, struct tally_error *err)
{
	struct script *script = (struct script *)collector;

	usleep((useconds_t)script->slow_pass_ms * 1000);
	if (script->fail_pass)
		return tally_fail(err, -EIO, "cannot read");
	for (uint32_t i = 0; i < collector->group_count && i < GROUPS_MOST; i++) {
		if (!collector->used[i])
			continue;
		tally_sample_clear(&collector->groups[i], TALLY_REASON_KERNEL);
		tally_sample_set(&collector->groups[i], TALLY_CPU_USER, script->cpu_ns[i]);
		tally_sample_set(&collector->groups[i], TALLY_CPU_SYSTEM, 0);
		tally_sample_set(&collector->groups[i], TALLY_PIDS, script->pids[i]);
	}
	return 0;
}

static void script_members(
	struct collector *collector, uint32_t group, collect_member_fn *visit, void *context)
{
	visit(context,
		&(struct collect_member){.pid = 100 + (int)group, .comm = "x", .why = "root"});
}

static void script_reaped(
	struct collector *collector, uint32_t group, pid_t pid, const struct rusage *usage)
{
	((struct script *)collector)->reaped = pid;
}

static void script_status(struct collector *collector, struct collect_status *ret)
{
	ret->pids = 7;
}

static void script_close(struct collector *collector)
{
	free(collector);
}

static const struct collector_ops script_ops = {
	.name = "script",
	.close = script_close,
	.group_add = script_group_add,
	.group_remove = script_group_remove,
	.root_add = script_root_add,
	.pass = script_pass,
	.members = script_members,
	.reaped = script_reaped,
	.status = script_status,
};

/* ---- the stage ---- */

struct stage {
	struct script *script;
	struct source *source;
	struct tally_monitor *monitor;
	struct source_process process[4];
	struct source_task task[4];
	char log[4096];
	atomic_int lines;
};

static void keep_log(void *context, enum tally_log_level level, const char *line)
{
	struct stage *stage = context;

	if (level > TALLY_LOG_WARN)
		return;
	strncat(stage->log, line, sizeof(stage->log) - strlen(stage->log) - 2);
	strcat(stage->log, "\n");
	atomic_fetch_add(&stage->lines, 1);
}

static struct source_process process_of(const char *name, pid_t pid)
{
	return (struct source_process){.name = name, .life = TALLY_LIFE_ACTIVE, .pid = pid};
}

static void tell(struct stage *stage, size_t tasks)
{
	source_fixed_set(stage->source, stage->task, tasks);
}

/* One task "shop" with processes "web" and "db". */
static void set_stage(struct stage *stage, const struct tally_monitor_options *given)
{
	struct tally_monitor_options options = given ? *given : (struct tally_monitor_options){0};
	struct tally_error err = {0};

	*stage = (struct stage){.script = calloc(1, sizeof(struct script))};
	options.log = keep_log;
	options.log_context = stage;
	stage->script->collector.ops = &script_ops;
	assert_int_equal(monitor_new_with(&options, &stage->script->collector, "a test",
				 &stage->monitor, &err),
		0);
	assert_int_equal(source_fixed_open(&stage->source), 0);
	assert_int_equal(monitor_add_source(stage->monitor, stage->source, &err), 0);
	stage->process[0] = process_of("web", 11);
	stage->process[1] = process_of("db", 12);
	stage->task[0] = (struct source_task){.id = "shop",
		.life = TALLY_LIFE_ACTIVE,
		.processes = stage->process,
		.process_count = 2};
	tell(stage, 1);
}

static void strike(struct stage *stage)
{
	assert_null(tally_monitor_free(stage->monitor));
}

static void tick(struct stage *stage)
{
	struct tally_error err = {0};

	if (tally_monitor_tick(stage->monitor, &err) < 0)
		fail_msg("%s", err.message);
}

static int64_t cpu_of(struct stage *stage)
{
	struct tally_reading reading;
	struct tally_error err;
	int64_t cpu_ns = -1;

	assert_int_equal(tally_monitor_sample(stage->monitor, "shop", &reading, &err), 0);
	tally_sample_cpu_ns(&reading.sample, &cpu_ns);
	return cpu_ns;
}

/* ---- tests ---- */

static void a_task_is_the_sum_of_its_processes(void **state)
{
	struct stage stage;
	struct tally_reading reading;
	struct tally_error err;

	set_stage(&stage, NULL);
	tick(&stage);
	stage.script->cpu_ns[0] = 5;
	stage.script->cpu_ns[1] = 7;
	tick(&stage);
	assert_int_equal(cpu_of(&stage), 12);
	assert_int_equal(
		tally_monitor_sample_process(stage.monitor, "shop", "db", &reading, &err), 0);
	assert_int_equal(reading.sample.value[TALLY_CPU_USER], 7);
	assert_true(reading.has_cpu_rate);
	strike(&stage);
}

static void a_restarted_process_goes_on_in_its_group(void **state)
{
	struct stage stage;

	set_stage(&stage, NULL);
	tick(&stage);
	stage.process[0].pid = 21;
	tell(&stage, 1);
	tick(&stage);
	tick(&stage);
	assert_int_equal(stage.script->groups_now, 2);
	assert_int_equal(stage.script->roots[0], 2);
	strike(&stage);
}

static void a_root_that_cannot_be_followed_is_tried_and_said_once(void **state)
{
	struct stage stage;

	set_stage(&stage, NULL);
	stage.script->refuse_root = -EACCES;
	for (int i = 0; i < 3; i++) {
		tell(&stage, 1);
		tick(&stage);
	}
	assert_int_equal(stage.lines, 2);
	assert_non_null(
		strstr(stage.log, "task shop/web: cannot follow pid 11: Permission denied"));
	strike(&stage);
}

static void an_unlisted_task_is_lost_and_its_groups_are_given_back(void **state)
{
	struct stage stage;
	struct task *task;

	set_stage(&stage, NULL);
	tick(&stage);
	tell(&stage, 0);
	stage.script->pids[0] = 0;
	stage.script->pids[1] = 0;
	tick(&stage);
	assert_int_equal(stage.script->groups_now, 2);

	/* What lives on is followed; the dead are for three more seconds. */
	HASH_FIND_STR(stage.monitor->tasks, "shop", task);
	assert_int_equal(task->life, TALLY_LIFE_LOST);
	task->ended_boot_ns -= END_GRACE_NS;
	stage.script->pids[1] = 1;
	tick(&stage);
	assert_int_equal(stage.script->groups_now, 2);
	stage.script->pids[1] = 0;
	tick(&stage);
	assert_int_equal(stage.script->groups_now, 0);
	assert_int_equal(cpu_of(&stage), 0);
	strike(&stage);
}

static void an_ended_task_is_forgotten_with_its_history(void **state)
{
	struct stage stage;
	struct tally_reading reading;
	struct tally_error err;
	struct task *task;

	set_stage(&stage, NULL);
	tick(&stage);
	tell(&stage, 0);
	stage.script->pids[0] = stage.script->pids[1] = 0;
	tick(&stage);
	HASH_FIND_STR(stage.monitor->tasks, "shop", task);
	task->ended_boot_ns -= 3601 * NS_PER_S;
	tick(&stage);
	assert_int_equal(tally_monitor_sample(stage.monitor, "shop", &reading, &err), -ENOENT);
	strike(&stage);
}

static void a_task_id_belongs_to_the_source_that_had_it_first(void **state)
{
	struct stage stage;
	struct source *other;
	struct source_task task = {.id = "shop", .life = TALLY_LIFE_ACTIVE};
	struct tally_error err;

	set_stage(&stage, NULL);
	tick(&stage);
	assert_int_equal(source_fixed_open(&other), 0);
	source_fixed_set(other, &task, 1);
	assert_int_equal(monitor_add_source(stage.monitor, other, &err), 0);
	tick(&stage);
	assert_int_equal(stage.script->groups_now, 2);
	assert_non_null(strstr(stage.log, "claims that id"));
	strike(&stage);
}

static void a_source_that_fails_is_said_once_and_counted(void **state)
{
	struct stage stage;
	struct tally_status status;

	set_stage(&stage, NULL);
	source_fixed_fail(stage.source, -EIO, 3);
	for (int i = 0; i < 4; i++)
		tick(&stage);
	tally_monitor_status(stage.monitor, &status);
	assert_int_equal(status.faults, 3);
	assert_int_equal(stage.lines, 1);
	assert_int_equal(status.tasks, 1);
	strike(&stage);
}

static void an_unknown_process_is_refused_with_the_active_ones(void **state)
{
	struct stage stage;
	struct tally_reading reading;
	struct tally_error err;

	set_stage(&stage, NULL);
	tick(&stage);
	assert_int_equal(
		tally_monitor_sample_process(stage.monitor, "shop", "cache", &reading, &err),
		-ENOENT);
	assert_non_null(strstr(err.message, "web, db"));
	assert_int_equal(tally_monitor_sample(stage.monitor, "shap", &reading, &err), -ENOENT);
	assert_non_null(strstr(err.message, "'shap'"));
	strike(&stage);
}

static void a_process_no_tick_has_seen_is_sampled_on_demand(void **state)
{
	struct stage stage;
	struct tally_reading reading;
	struct tally_error err;

	set_stage(&stage, NULL);
	assert_int_equal(
		tally_monitor_sample_process(stage.monitor, "shop", "db", &reading, &err), 0);
	assert_int_equal(reading.sample.value[TALLY_PIDS], 1);
	strike(&stage);
}

static void a_stopped_monitor_answers_and_says_that_it_may_be_stale(void **state)
{
	struct stage stage;
	struct tally_reading reading;
	struct tally_error err;

	set_stage(&stage, NULL);
	tick(&stage);
	assert_int_equal(tally_monitor_sample(stage.monitor, "shop", &reading, &err), 0);
	assert_true(reading.stale);
	assert_int_equal(tally_monitor_start(stage.monitor, &err), 0);
	assert_int_equal(tally_monitor_start(stage.monitor, &err), -EALREADY);
	tick(&stage);
	assert_int_equal(tally_monitor_sample(stage.monitor, "shop", &reading, &err), 0);
	assert_false(reading.stale);
	tally_monitor_stop(stage.monitor);
	tally_monitor_stop(stage.monitor);
	strike(&stage);
}

static bool count_sample(void *context, const struct tally_sample *sample)
{
	(*(int *)context)++;
	return true;
}

static void the_past_is_answered_from_history(void **state)
{
	struct stage stage;
	struct tally_reading reading;
	struct tally_error err;
	int64_t between;
	int count = 0;

	set_stage(&stage, NULL);
	tick(&stage);
	between = clock_wall_ns();
	usleep(20000);
	stage.script->cpu_ns[0] = 5000000;
	tick(&stage);
	assert_int_equal(
		tally_monitor_sample_at(stage.monitor, "shop", NULL, between, &reading, &err), 0);
	assert_int_equal(reading.sample.value[TALLY_CPU_USER], 0);
	assert_int_equal(
		tally_monitor_sample_at(stage.monitor, "shop", "web", INT64_MAX, &reading, &err),
		0);
	assert_int_equal(reading.sample.value[TALLY_CPU_USER], 5000000);
	assert_true(reading.has_cpu_rate && reading.cpu_rate > 0);
	assert_int_equal(tally_monitor_range(stage.monitor, "shop", NULL, INT64_MIN, INT64_MAX,
				 count_sample, &count, &err),
		0);
	assert_int_equal(count, 2);
	strike(&stage);
}

static void reaped_children_reach_the_collector(void **state)
{
	struct stage stage;
	struct rusage usage = {0};

	set_stage(&stage, NULL);
	tick(&stage);
	source_fixed_reap(stage.source, "shop", "web", 4711, &usage);
	tick(&stage);
	assert_int_equal(stage.script->reaped, 4711);
	strike(&stage);
}

static void a_slow_pass_skips_ticks_and_says_so_once(void **state)
{
	struct tally_monitor_options options = {.interval_ns = 10 * NS_PER_MS};
	struct tally_status status;
	struct tally_error err;
	struct stage stage;

	set_stage(&stage, &options);
	stage.script->slow_pass_ms = 45;
	assert_int_equal(tally_monitor_start(stage.monitor, &err), 0);
	do {
		usleep(20000);
		tally_monitor_status(stage.monitor, &status);
	} while (status.ticks < 4);
	tally_monitor_stop(stage.monitor);
	tally_monitor_status(stage.monitor, &status);
	assert_true(status.ticks_skipped >= status.ticks);
	assert_int_equal(stage.lines, 1);
	assert_non_null(strstr(stage.log, "lengthen --interval"));
	strike(&stage);
}

static void a_failing_pass_ends_nothing(void **state)
{
	struct tally_monitor_options options = {.interval_ns = 10 * NS_PER_MS};
	struct tally_status status;
	struct tally_error err;
	struct stage stage;

	set_stage(&stage, &options);
	stage.script->fail_pass = 1;
	assert_int_equal(tally_monitor_start(stage.monitor, &err), 0);
	do {
		usleep(10000);
		tally_monitor_status(stage.monitor, &status);
	} while (status.faults < 3);
	stage.script->fail_pass = 0;
	do {
		usleep(10000);
		tally_monitor_status(stage.monitor, &status);
	} while (status.ticks < 2);
	tally_monitor_stop(stage.monitor);
	char *said = strstr(stage.log, "collector script: cannot read");
	assert_non_null(said);
	assert_null(strstr(said + 1, "collector script"));
	strike(&stage);
}

static void options_out_of_range_are_refused_with_the_numbers(void **state)
{
	struct tally_monitor_options options = {.interval_ns = 1000};
	struct tally_monitor *monitor = NULL;
	struct tally_error err;

	assert_int_equal(tally_monitor_new(&options, &monitor, &err), -EINVAL);
	assert_non_null(strstr(err.message, "10ms to 1h"));
	options = (struct tally_monitor_options){.interval_ns = NS_PER_S, .history_ns = INT64_MAX};
	assert_int_equal(tally_monitor_new(&options, &monitor, &err), -EINVAL);
	assert_non_null(strstr(err.message, "1000000"));
	options = (struct tally_monitor_options){.collector = "crystal-ball"};
	assert_int_equal(tally_monitor_new(&options, &monitor, &err), -ENOENT);
	assert_null(monitor);
	assert_null(tally_monitor_free(NULL));
}

static void *read_all_the_time(void *context)
{
	struct stage *stage = context;
	struct tally_reading reading;
	struct tally_status status;
	struct tally_error err;

	for (int i = 0; i < 300; i++) {
		tally_monitor_sample(stage->monitor, "shop", &reading, &err);
		tally_monitor_sample_at(stage->monitor, "shop", "web", 0, &reading, &err);
		tally_monitor_sample_process(stage->monitor, "shop", "db", &reading, &err);
		tally_monitor_status(stage->monitor, &status);
	}
	return NULL;
}

static void readers_and_ticks_do_not_disturb_each_other(void **state)
{
	struct tally_monitor_options options = {.interval_ns = 10 * NS_PER_MS};
	struct tally_error err;
	struct stage stage;
	pthread_t reader[2];

	set_stage(&stage, &options);
	assert_int_equal(tally_monitor_start(stage.monitor, &err), 0);
	for (int i = 0; i < 2; i++)
		pthread_create(&reader[i], NULL, read_all_the_time, &stage);
	for (int i = 0; i < 2; i++)
		pthread_join(reader[i], NULL);
	assert_true(cpu_of(&stage) >= 0);
	strike(&stage);
}

static void proc_stat_gives_the_busy_time_of_the_machine(void **state)
{
	static const char text[] = "cpu  10 20 30 1000 500 6 7 8 3 2\ncpu0 1 2 3\n";

	assert_int_equal(machine_parse_busy(text, sizeof(text) - 1, 100), 81 * NS_PER_S / 100);
	for (size_t length = 0; length < 30; length++)
		assert_true(machine_parse_busy(text, length, 100) < 82 * NS_PER_S / 100);
	assert_int_equal(machine_parse_busy("cpu 1 2 3", 9, 100), -1);
	assert_int_equal(machine_parse_busy("intr 1 2", 8, 100), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_task_is_the_sum_of_its_processes),
		cmocka_unit_test(a_restarted_process_goes_on_in_its_group),
		cmocka_unit_test(a_root_that_cannot_be_followed_is_tried_and_said_once),
		cmocka_unit_test(an_unlisted_task_is_lost_and_its_groups_are_given_back),
		cmocka_unit_test(an_ended_task_is_forgotten_with_its_history),
		cmocka_unit_test(a_task_id_belongs_to_the_source_that_had_it_first),
		cmocka_unit_test(a_source_that_fails_is_said_once_and_counted),
		cmocka_unit_test(an_unknown_process_is_refused_with_the_active_ones),
		cmocka_unit_test(a_process_no_tick_has_seen_is_sampled_on_demand),
		cmocka_unit_test(a_stopped_monitor_answers_and_says_that_it_may_be_stale),
		cmocka_unit_test(the_past_is_answered_from_history),
		cmocka_unit_test(reaped_children_reach_the_collector),
		cmocka_unit_test(a_slow_pass_skips_ticks_and_says_so_once),
		cmocka_unit_test(a_failing_pass_ends_nothing),
		cmocka_unit_test(options_out_of_range_are_refused_with_the_numbers),
		cmocka_unit_test(readers_and_ticks_do_not_disturb_each_other),
		cmocka_unit_test(proc_stat_gives_the_busy_time_of_the_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
