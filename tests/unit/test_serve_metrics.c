/* SPDX-License-Identifier: Apache-2.0 */
/* /metrics: what is exported, and how it is written. */
#include "check.h"
#include "base/attr.h"
#include "base/clock.h"
#include "serve/exposure.h"
#include "serve/metrics.h"

#define PARTS_MAX 64

/* A machine of one task, or some, made up. */
struct machine {
	struct snapshot_task tasks[8];
	struct snapshot_process processes[PARTS_MAX];
	struct snapshot snapshot;
	char names[PARTS_MAX][16];
};

static struct snapshot_task *add_task(struct machine *m, const char *id)
{
	struct snapshot_task *task = &m->tasks[m->snapshot.task_count++];

	*task = (struct snapshot_task){
		.info = {.id = id, .source = "pid", .life = TALLY_LIFE_ACTIVE, .followed = true},
		.first = m->snapshot.process_count};
	tally_sample_start(&task->reading.sample, NS_PER_S, NS_PER_S);
	m->snapshot.tasks = m->tasks;
	m->snapshot.processes = m->processes;
	return task;
}

static struct snapshot_process *add_process(
	struct machine *m, const char *name, int64_t cpu_s, int64_t rss)
{
	struct snapshot_process *process = &m->processes[m->snapshot.process_count++];

	*process = (struct snapshot_process){
		.info = {.name = name, .life = TALLY_LIFE_ACTIVE, .pid = 1, .runs = 1}};
	m->tasks[m->snapshot.task_count - 1].count++;
	tally_sample_clear(&process->reading.sample, TALLY_REASON_KERNEL);
	process->reading.sample.boot_ns = NS_PER_S;
	tally_sample_set(&process->reading.sample, TALLY_CPU_USER, cpu_s * NS_PER_S);
	tally_sample_set(&process->reading.sample, TALLY_RSS, rss);
	return process;
}

static char *write_text(struct exposure *exposure, enum metrics_format format, uint64_t hidden)
{
	struct self_status self = {.monitor = {.version = "0", .collector = "procfs"}};
	struct buffer out = {0};

	metrics_write(&out, format, exposure, &self, hidden);
	buffer_putc(&out, '\0');
	assert_int_equal(out.code, 0);
	return out.at;
}

static char *text_of(struct exposure *exposure, struct machine *m, uint64_t tick)
{
	assert_int_equal(exposure_update(exposure, &m->snapshot, tick), 0);
	return write_text(exposure, METRICS_PROMETHEUS, 0);
}

/* Value of the line that begins with a text; -1 when there is none. */
static double value_of(const char *text, const char *begin)
{
	const char *at = text;

	while ((at = strstr(at, begin))) {
		if (at == text || at[-1] == '\n')
			return strtod(at + strlen(begin), NULL);
		at++;
	}
	return -1;
}

#define assert_value(text, begin, expected)                                                        \
	do {                                                                                       \
		double v_ = value_of(text, begin);                                                 \
		if (v_ != (double)(expected))                                                      \
			fail_msg("%s is %g, not %g", begin, v_, (double)(expected));               \
	} while (0)

static void figures_are_exported_per_process_and_disk_per_task(void **state)
{
	struct machine m = {0};
	struct exposure exposure = {0};
	struct snapshot_task *task = add_task(&m, "shop");

	add_process(&m, "web", 3, 4096);
	add_process(&m, "worker", 5, 8192);
	tally_sample_set(&task->reading.sample, TALLY_DISK, 512);
	tally_sample_set(&task->reading.sample, TALLY_CPU_USER, 8 * NS_PER_S);
	CLEANUP_FREE char *text = text_of(&exposure, &m, 1);

	assert_value(
		text, "tally_cpu_seconds_total{task=\"shop\",process=\"web\",mode=\"user\"} ", 3);
	assert_value(text,
		"tally_cpu_seconds_total{task=\"shop\",process=\"worker\",mode=\"user\"} ", 5);
	assert_value(text, "tally_memory_bytes{task=\"shop\",process=\"web\",type=\"rss\"} ", 4096);
	assert_value(text, "tally_disk_bytes{task=\"shop\",type=\"used\"} ", 512);
	assert_value(text, "tally_process_runs_total{task=\"shop\",process=\"web\"} ", 1);
	/* The task's own sum would be counted twice by sum(). */
	assert_null(strstr(text, "tally_cpu_seconds_total{task=\"shop\",mode"));
	exposure_done(&exposure);
}

static void what_is_absent_has_no_line(void **state)
{
	struct machine m = {0};
	struct exposure exposure = {0};

	add_task(&m, "shop");
	add_process(&m, "web", 3, 4096);
	CLEANUP_FREE char *text = text_of(&exposure, &m, 1);

	assert_null(strstr(text, "tally_fds{"));
	assert_null(strstr(text, "mode=\"system\""));
	assert_null(strstr(text, "tally_disk_bytes{"));
	assert_null(strstr(text, "tally_process_start_time_seconds{"));
	exposure_done(&exposure);
}

static void hidden_metrics_have_no_line(void **state)
{
	struct machine m = {0};
	struct exposure exposure = {0};

	add_task(&m, "shop");
	add_process(&m, "web", 3, 4096);
	assert_int_equal(exposure_update(&exposure, &m.snapshot, 1), 0);
	CLEANUP_FREE char *text = write_text(&exposure, METRICS_PROMETHEUS, TALLY_BIT(TALLY_RSS));

	assert_null(strstr(text, "type=\"rss\""));
	assert_non_null(strstr(text, "mode=\"user\""));
	exposure_done(&exposure);
}

static void labels_are_escaped(void **state)
{
	struct machine m = {0};
	struct exposure exposure = {0};

	add_task(&m, "a\"b\\c\nd");
	add_process(&m, "\xff\xc3\xa4", 1, 1);
	CLEANUP_FREE char *text = text_of(&exposure, &m, 1);

	assert_non_null(strstr(text,
		"tally_memory_bytes{task=\"a\\\"b\\\\c\\nd\",process=\"\xef\xbf\xbd\xc3\xa4\",type=\"rss\"} 1\n"));
	exposure_done(&exposure);
}

static int count(const char *text, const char *part)
{
	int found = 0;

	for (; (text = strstr(text, part)); text += strlen(part))
		found++;
	return found;
}

static void each_family_is_announced_once_in_the_words_of_its_format(void **state)
{
	struct machine m = {0};
	struct exposure exposure = {0};

	add_task(&m, "shop");
	add_process(&m, "web", 3, 4096);
	CLEANUP_FREE char *plain = text_of(&exposure, &m, 1);
	CLEANUP_FREE char *open = write_text(&exposure, METRICS_OPENMETRICS, 0);

	assert_int_equal(count(plain, "# TYPE tally_memory_bytes gauge\n"), 1);
	assert_int_equal(count(plain, "# TYPE tally_cpu_seconds_total counter\n"), 1);
	assert_int_equal(count(plain, "# UNIT"), 0);
	assert_int_equal(count(plain, "# TYPE tally_self_info gauge\n"), 1);
	assert_int_equal(count(plain, "# EOF"), 0);
	assert_int_equal(count(open, "# TYPE tally_cpu_seconds counter\n"), 1);
	assert_int_equal(count(open, "# UNIT tally_cpu_seconds seconds\n"), 1);
	assert_int_equal(count(open, "# UNIT tally_io_bytes bytes\n"), 1);
	assert_int_equal(count(open, "# TYPE tally_self info\n"), 1);
	assert_string_equal(open + strlen(open) - 6, "# EOF\n");
	for (int i = 0; i < TALLY_METRIC_COUNT; i++) {
		char head[96];

		if (i == TALLY_STATE)
			continue;
		snprintf(head, sizeof(head), "# TYPE tally_%s ", tally_metrics[i].family);
		assert_int_equal(count(open, head), 1);
	}
	exposure_done(&exposure);
}

static void a_task_that_ended_is_exported_once_more(void **state)
{
	struct machine m = {0};
	struct exposure exposure = {0};
	struct snapshot_task *task = add_task(&m, "shop");
	static const char line[] =
		"tally_cpu_seconds_total{task=\"shop\",process=\"web\",mode=\"user\"} ";

	add_process(&m, "web", 3, 0);
	task->info.life = TALLY_LIFE_SUCCESS; /* Ended, but its last nanoseconds are awaited. */
	free(text_of(&exposure, &m, 1));
	CLEANUP_FREE char *awaited = text_of(&exposure, &m, 2);
	task->info.followed = false;
	CLEANUP_FREE char *final = text_of(&exposure, &m, 3);
	CLEANUP_FREE char *same_tick = text_of(&exposure, &m, 3);
	CLEANUP_FREE char *gone = text_of(&exposure, &m, 4);

	assert_value(awaited, line, 3);
	assert_value(final, line, 3);
	assert_value(same_tick, line, 3);
	assert_value(gone, line, -1);

	task->info.life = TALLY_LIFE_ACTIVE; /* The id is used again. */
	task->info.followed = true;
	CLEANUP_FREE char *again = text_of(&exposure, &m, 5);
	assert_value(again, line, 3);
	exposure_done(&exposure);
}

static void a_task_never_sampled_has_no_series(void **state)
{
	struct machine m = {0};
	struct exposure exposure = {0};
	struct snapshot_task *task = add_task(&m, "old");

	task->reading.sample.boot_ns = 0;
	task->info.followed = false;
	add_process(&m, "web", 0, 0)->reading.sample.boot_ns = 0;
	CLEANUP_FREE char *text = text_of(&exposure, &m, 1);
	assert_null(strstr(text, "{task="));
	exposure_done(&exposure);
}

static void many_processes(struct machine *m, int count_of)
{
	*m = (struct machine){0};
	add_task(m, "shop");
	for (int i = 0; i < count_of; i++) {
		snprintf(m->names[i], sizeof(m->names[i]), "p%02d", i);
		add_process(m, m->names[i], 10, 100);
	}
}

static double sum_of(const char *text, const char *begin)
{
	double sum = 0;

	for (const char *at = text; (at = strstr(at, begin)); at++) {
		const char *value = strchr(at, ' ');

		if (at > text && at[-1] == '\n' && value)
			sum += strtod(value, NULL);
	}
	return sum;
}

static size_t series_in(const char *text)
{
	size_t lines = 0;

	for (const char *at = text; (at = strstr(at, "{task=")); at++)
		lines++;
	return lines;
}

static void beyond_the_limit_the_rest_is_summed(void **state)
{
	struct exposure exposure = {.limit = 200};
	struct machine m;

	many_processes(&m, PARTS_MAX);
	CLEANUP_FREE char *text = text_of(&exposure, &m, 1);

	assert_true(series_in(text) <= 200);
	assert_true(exposure.folded > 0 && exposure.folded < PARTS_MAX);
	assert_int_equal(exposure.series, series_in(text));
	assert_true(sum_of(text, "tally_cpu_seconds_total{") == 10.0 * PARTS_MAX);
	assert_true(sum_of(text, "tally_memory_bytes{") == 100.0 * PARTS_MAX);
	assert_value(text, "tally_memory_bytes{task=\"shop\",process=\"_other\",type=\"rss\"} ",
		100.0 * (double)exposure.folded);
	exposure_done(&exposure);
}

static void a_sum_never_falls_and_never_jumps(void **state)
{
	static const char other[] =
		"tally_cpu_seconds_total{task=\"shop\",process=\"_other\",mode=\"user\"} ";
	struct exposure exposure = {.limit = 200};
	struct machine m;

	many_processes(&m, PARTS_MAX);
	CLEANUP_FREE char *first = text_of(&exposure, &m, 1);
	double before = value_of(first, other);

	/* All that are summed use one second more; then the first half of all processes is gone. */
	for (int i = 0; i < PARTS_MAX; i++)
		m.processes[i].reading.sample.value[TALLY_CPU_USER] += NS_PER_S;
	CLEANUP_FREE char *second = text_of(&exposure, &m, 2);
	assert_value(second, other, before + (double)exposure.folded);

	size_t folded = exposure.folded;
	memmove(m.processes, m.processes + PARTS_MAX / 2, sizeof(m.processes[0]) * PARTS_MAX / 2);
	m.tasks[0].count = m.snapshot.process_count = PARTS_MAX / 2;
	CLEANUP_FREE char *third = text_of(&exposure, &m, 3);
	assert_value(third, other, before + (double)folded);
	exposure_done(&exposure);
}

static void a_process_that_comes_to_be_summed_brings_nothing_from_before(void **state)
{
	static const char other[] =
		"tally_cpu_seconds_total{task=\"shop\",process=\"_other\",mode=\"user\"} ";
	struct exposure exposure = {.limit = 200};
	struct machine m;

	many_processes(&m, PARTS_MAX - 2);
	CLEANUP_FREE char *first = text_of(&exposure, &m, 1);
	double before = value_of(first, other);

	struct snapshot_process *old = add_process(&m, "old", 1000, 1);
	struct snapshot_process *young = add_process(&m, "young", 7, 1);
	old->info.started_wall_ns = clock_wall_ns() - 3600 * NS_PER_S;
	young->info.started_wall_ns = clock_wall_ns() + NS_PER_S;
	CLEANUP_FREE char *second = text_of(&exposure, &m, 2);
	assert_value(second, other, before + 7);
	exposure_done(&exposure);
}

static void tasks_without_room_are_summed_together(void **state)
{
	struct exposure exposure = {.limit = 60};
	struct machine m = {0};
	static const char *const ids[] = {"a", "b", "c", "d", "_other", "e"};

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		add_task(&m, ids[i]);
		add_process(&m, "web", 10, 100);
	}
	CLEANUP_FREE char *text = text_of(&exposure, &m, 1);

	assert_true(series_in(text) <= 60);
	assert_true(sum_of(text, "tally_cpu_seconds_total{") == 60);
	assert_non_null(strstr(text, "{task=\"_other\",process=\"_other\",mode=\"user\"}"));
	assert_null(strstr(text, "{task=\"_other\",process=\"web\""));
	exposure_done(&exposure);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(figures_are_exported_per_process_and_disk_per_task),
		cmocka_unit_test(what_is_absent_has_no_line),
		cmocka_unit_test(hidden_metrics_have_no_line),
		cmocka_unit_test(labels_are_escaped),
		cmocka_unit_test(each_family_is_announced_once_in_the_words_of_its_format),
		cmocka_unit_test(a_task_that_ended_is_exported_once_more),
		cmocka_unit_test(a_task_never_sampled_has_no_series),
		cmocka_unit_test(beyond_the_limit_the_rest_is_summed),
		cmocka_unit_test(a_sum_never_falls_and_never_jumps),
		cmocka_unit_test(a_process_that_comes_to_be_summed_brings_nothing_from_before),
		cmocka_unit_test(tasks_without_room_are_summed_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
