/* SPDX-License-Identifier: Apache-2.0 */
/* What answers are written with: numbers, strings, tasks and series as JSON. */
#include "check.h"
#include <math.h>
#include "base/attr.h"
#include "base/clock.h"
#include "model/model.h"
#include "serve/buffer.h"
#include "serve/compress.h"
#include "serve/series.h"
#include "serve/tasks.h"

static const char *text_of(struct buffer *buffer)
{
	buffer_putc(buffer, '\0');
	return buffer->at;
}

static void assert_seconds(int64_t ns, const char *expected)
{
	CLEANUP_BUFFER struct buffer b = {0};

	buffer_put_seconds(&b, ns);
	assert_string_equal(text_of(&b), expected);
}

static void nanoseconds_are_written_exactly(void **state)
{
	assert_seconds(0, "0.0");
	assert_seconds(1, "0.000000001");
	assert_seconds(-1, "-0.000000001");
	assert_seconds(1250000000, "1.25");
	assert_seconds(3000000000, "3.0");
	assert_seconds(1700000000123456789, "1700000000.123456789");
	assert_seconds(INT64_MAX, "9223372036.854775807");
	assert_seconds(INT64_MIN, "-9223372036.854775808");
}

static void whole_numbers_are_written_to_their_limits(void **state)
{
	static const int64_t values[] = {0, 7, -20, INT64_MAX, INT64_MIN};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		CLEANUP_BUFFER struct buffer b = {0};
		char expected[32];

		snprintf(expected, sizeof(expected), "%lld", (long long)values[i]);
		buffer_put_i64(&b, values[i]);
		assert_string_equal(text_of(&b), expected);
	}
}

static void any_bytes_become_a_string_of_json(void **state)
{
	static const char *const texts[] = {"", "plain", "quo\"te\\", "line\nfeed\x01\x7f",
		"na\xc3\xafve", "bad\xff\xc3", "</script>", "\xf0\x9f\x98\x80"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		CLEANUP_BUFFER struct buffer b = {0};
		json_error_t error;

		buffer_put_json(&b, texts[i]);
		json_t *value = json_loadb(b.at, b.used, JSON_DECODE_ANY, &error);
		assert_non_null(value);
		if (!strchr(texts[i], '\xff'))
			assert_string_equal(json_string_value(value), texts[i]);
		else
			assert_string_equal(
				json_string_value(value), "bad\xef\xbf\xbd\xef\xbf\xbd");
		json_decref(value);
	}
}

static void a_buffer_keeps_to_its_limit_and_says_so(void **state)
{
	CLEANUP_BUFFER struct buffer b = {.limit = 10};
	size_t length;

	buffer_puts(&b, "12345");
	buffer_puts(&b, "67890");
	assert_int_equal(b.code, 0);
	buffer_putc(&b, 'x');
	assert_int_equal(b.code, -EFBIG);
	buffer_puts(&b, "");
	assert_null(buffer_take(&b, &length));
}

static void what_is_compressed_can_be_read_again(void **state)
{
	char body[4096];
	size_t length;

	memset(body, 'a', sizeof(body));
	for (int i = ENCODING_GZIP; i < ENCODING_COUNT; i++) {
		CLEANUP_FREE char *packed = compress_body(i, body, sizeof(body), &length);

		assert_non_null(packed);
		assert_true(length < 200);
		assert_memory_equal(packed, i == ENCODING_GZIP ? "\x1f\x8b" : "\x28\xb5\x2f\xfd",
			i == ENCODING_GZIP ? 2 : 4);
	}
	assert_null(compress_body(ENCODING_GZIP, body, 100, &length));
	assert_null(compress_body(ENCODING_IDENTITY, body, sizeof(body), &length));
}

/* ---- tasks ---- */

static void fill(struct tally_sample *sample, int64_t seed)
{
	tally_sample_clear(sample, TALLY_REASON_NOT_SAMPLED);
	sample->wall_ns = 1700000000 * NS_PER_S + seed;
	sample->boot_ns = 1000 * NS_PER_S + seed;
	for (int i = 0; i < TALLY_METRIC_COUNT; i++)
		if (i % 5 != 3)
			tally_sample_set(sample, i, seed * (i + 1) * 1234567);
		else
			tally_sample_unset(sample, i, i % TALLY_REASON_COUNT);
	tally_sample_set(sample, TALLY_STATE, 'S');
}

static bool same_number(json_t *a, json_t *b)
{
	double x = json_number_value(a), y = json_number_value(b);

	return fabs(x - y) <= 1e-8 * fabs(x);
}

/* Every key of `expected` is in `actual`, with the same value. */
static void assert_holds(json_t *actual, json_t *expected)
{
	const char *key;
	json_t *value;

	json_object_foreach(expected, key, value)
	{
		json_t *other = json_object_get(actual, key);

		if (!other || json_typeof(other) != json_typeof(value) ||
			!(json_is_number(value) ? same_number(value, other)
						: json_equal(value, other)))
			fail_msg("%s differs", key);
	}
}

static json_t *written(const struct snapshot *snapshot)
{
	CLEANUP_BUFFER struct buffer b = {0};
	json_error_t error;

	tasks_write(&b, snapshot, 1700000001 * NS_PER_S, &(struct tasks_wanted){0});
	json_t *all = json_loadb(b.at, b.used, JSON_REJECT_DUPLICATES, &error);
	if (!all)
		fail_msg("%s at %d", error.text, error.position);
	return all;
}

static void tasks_are_written_as_the_model_has_them(void **state)
{
	struct snapshot_process processes[2] = {
		{.info = {.name = "web\n", .pid = 812, .life = TALLY_LIFE_ACTIVE, .runs = 2}},
		{.info = {.name = "worker", .life = TALLY_LIFE_FAILED, .return_code = 3}}};
	struct snapshot_task tasks[2] = {
		{.info = {.id = "shop\xff", .source = "pid", .sandbox = "/srv/\"shop\""},
			.first = 0,
			.count = 2},
		{.info = {.id = "idle", .source = "pid"}, .first = 2}};
	struct snapshot snapshot = {
		.tasks = tasks, .task_count = 2, .processes = processes, .process_count = 2};

	for (int i = 0; i < 2; i++) {
		fill(&processes[i].reading.sample, 3 + i);
		fill(&tasks[i].reading.sample, 7 + i);
	}
	tasks[0].reading.has_cpu_rate = true;
	tasks[0].reading.cpu_rate = 1.0 / 3;

	json_t *all = written(&snapshot), *list = json_object_get(all, "tasks");
	assert_int_equal(json_array_size(list), 2);
	json_t *task = json_array_get(list, 0), *expected = json_object();
	reading_json_put(&tasks[0].reading, true, expected);
	json_object_del(expected, "state");
	assert_holds(task, expected);
	json_t *missing = sample_json_missing(&tasks[0].reading.sample, true);
	assert_true(json_equal(json_object_get(task, "missing"), missing));
	assert_string_equal(json_string_value(json_object_get(task, "task")), "shop\xef\xbf\xbd");
	json_decref(missing);
	json_decref(expected);

	json_t *parts = json_object_get(task, "processes");
	assert_int_equal(json_array_size(parts), 2);
	for (int i = 0; i < 2; i++) {
		expected = json_object();
		reading_json_put(&processes[i].reading, false, expected);
		missing = sample_json_missing(&processes[i].reading.sample, false);
		json_object_set_new(expected, "missing", missing);
		assert_holds(json_array_get(parts, (size_t)i), expected);
		json_decref(expected);
	}
	assert_true(json_is_null(json_object_get(json_array_get(parts, 0), "return_code")));
	assert_int_equal(
		json_integer_value(json_object_get(json_array_get(parts, 1), "return_code")), 3);
	assert_int_equal(json_array_size(json_object_get(json_array_get(list, 1), "processes")), 0);
	json_decref(all);
}

static void what_is_not_shared_is_null_and_says_so(void **state)
{
	struct snapshot_task task = {.info = {.id = "a", .source = "pid"}};
	struct snapshot snapshot = {.tasks = &task, .task_count = 1};

	tally_sample_clear(&task.reading.sample, TALLY_REASON_KERNEL);
	for (int i = 0; i < TALLY_METRIC_COUNT; i++)
		if (i != TALLY_PSS)
			tally_sample_set(&task.reading.sample, i, 1);
	snapshot_mask(&snapshot);

	json_t *all = written(&snapshot);
	json_t *one = json_array_get(json_object_get(all, "tasks"), 0);
	json_t *missing = json_object_get(one, "missing");
	assert_true(json_is_null(json_object_get(one, "io_read_bytes")));
	assert_true(json_is_null(json_object_get(one, "fds")));
	assert_true(json_is_integer(json_object_get(one, "rss_bytes")));
	assert_non_null(
		strstr(json_string_value(json_object_get(missing, "io_read_bytes")), "--share"));
	assert_null(strstr(json_string_value(json_object_get(missing, "pss_bytes")), "--share"));
	json_decref(all);
}

/* ---- series ---- */

static struct tally_sample sample_of(int64_t second, int64_t cpu_ms, int64_t rss)
{
	struct tally_sample sample;

	tally_sample_clear(&sample, TALLY_REASON_NOT_SAMPLED);
	sample.wall_ns = second * NS_PER_S;
	sample.boot_ns = (second + 50) * NS_PER_S;
	tally_sample_set(&sample, TALLY_CPU_USER, cpu_ms * NS_PER_MS);
	tally_sample_set(&sample, TALLY_CPU_SYSTEM, 0);
	if (rss >= 0)
		tally_sample_set(&sample, TALLY_RSS, rss);
	return sample;
}

static bool add(struct series *series, const struct tally_sample *sample, uint32_t era)
{
	struct history_point point = {.sample = sample, .era = era};

	return series_add(series, &point);
}

/* Twelve seconds at half a core; no memory figure in the sixth. */
static json_t *series_of(const struct query *query, uint64_t hidden)
{
	CLEANUP_BUFFER struct buffer b = {0};
	struct series series;
	json_error_t error;

	series_begin(&series, query, hidden);
	for (int64_t i = 100; i < 112; i++) {
		struct tally_sample sample = sample_of(i, 500 * (i - 99), i == 105 ? -1 : i);

		assert_true(add(&series, &sample, 1));
	}
	series_write(&series, "shop", &b);
	series_done(&series);
	json_t *all = json_loadb(b.at, b.used, JSON_REJECT_DUPLICATES, &error);
	if (!all)
		fail_msg("%s at %d", error.text, error.position);
	return all;
}

static void assert_column(json_t *all, const char *key, const char *expected)
{
	json_t *column = key ? json_object_get(json_object_get(all, "series"), key)
			     : json_object_get(all, "times");
	CLEANUP_FREE char *text = column ? json_dumps(column, JSON_COMPACT) : NULL;

	assert_non_null(text);
	assert_string_equal(text, expected);
}

static void samples_are_columns_as_they_were_taken(void **state)
{
	struct query query = {.since_ns = INT64_MIN,
		.until_ns = INT64_MAX,
		.metrics = TALLY_BIT(TALLY_RSS) | QUERY_CPU_RATE | QUERY_CPU_SECONDS};
	json_t *all = series_of(&query, 0);

	assert_string_equal(json_string_value(json_object_get(all, "task")), "shop");
	assert_true(json_is_null(json_object_get(all, "process")));
	assert_int_equal(json_object_size(json_object_get(all, "series")), 3);
	assert_column(all, NULL,
		"[100.0,101.0,102.0,103.0,104.0,105.0,106.0,107.0,108.0,109.0,110.0,111.0]");
	assert_column(all, "rss_bytes", "[100,101,102,103,104,null,106,107,108,109,110,111]");
	assert_column(all, "cpu_seconds", "[0.5,1.0,1.5,2.0,2.5,3.0,3.5,4.0,4.5,5.0,5.5,6.0]");
	assert_column(all, "cpu_rate", "[null,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5]");
	json_decref(all);
}

static void of_a_step_there_are_averages_maxima_and_rates(void **state)
{
	struct query query = {.since_ns = INT64_MIN,
		.until_ns = INT64_MAX,
		.step_ns = 5 * NS_PER_S,
		.rate = true,
		.metrics = TALLY_BIT(TALLY_RSS) | TALLY_BIT(TALLY_CPU_USER)};
	json_t *all = series_of(&query, 0);

	assert_column(all, NULL, "[104.0,109.0,111.0]");
	assert_column(all, "rss_bytes", "[102,107,110]");
	assert_column(all, "cpu_user_seconds", "[0.5,0.5,0.5]");
	json_t *maxima = json_object_get(json_object_get(all, "maxima"), "rss_bytes");
	CLEANUP_FREE char *text = json_dumps(maxima, JSON_COMPACT);
	assert_string_equal(text, "[104,109,111]");
	assert_int_equal(json_object_size(json_object_get(all, "maxima")), 1);
	assert_int_equal(json_array_size(json_object_get(all, "clock_steps")), 0);
	json_decref(all);
}

/* Set back by an hour, and forward again. */
static void a_clock_that_was_set_is_told(void **state)
{
	struct query query = {
		.since_ns = INT64_MIN, .until_ns = INT64_MAX, .metrics = TALLY_BIT(TALLY_RSS)};
	CLEANUP_BUFFER struct buffer b = {0};
	struct series series;

	series_begin(&series, &query, 0);
	for (int64_t i = 0; i < 6; i++) {
		struct tally_sample sample = sample_of(8000 + i, 0, i);

		sample.wall_ns -= i >= 2 && i < 4 ? 3600 * NS_PER_S : 0;
		assert_true(add(&series, &sample, 1));
	}
	series_write(&series, "a", &b);
	assert_non_null(
		strstr(text_of(&b), "\"times\":[8000.0,8001.0,4402.0,4403.0,8004.0,8005.0]"));
	assert_non_null(strstr(b.at, "\"clock_steps\":[{\"time\":4402.0,\"seconds\":-3600.0},"
				     "{\"time\":8004.0,\"seconds\":3600.0}]"));
	series_done(&series);
}

static void no_rate_spans_two_boots(void **state)
{
	struct query query = {
		.since_ns = INT64_MIN, .until_ns = INT64_MAX, .metrics = QUERY_CPU_RATE};
	CLEANUP_BUFFER struct buffer b = {0};
	struct series series;

	series_begin(&series, &query, 0);
	for (int64_t i = 100; i < 104; i++) {
		struct tally_sample sample = sample_of(i, 500 * (i - 100), 0);

		assert_true(add(&series, &sample, i < 102 ? 1 : 2));
	}
	series_write(&series, "a", &b);
	assert_non_null(strstr(text_of(&b), "\"cpu_rate\":[null,0.5,null,0.5]"));
	series_done(&series);
}

static void coarse_samples_bring_their_maxima(void **state)
{
	struct query query = {
		.since_ns = INT64_MIN, .until_ns = INT64_MAX, .metrics = TALLY_BIT(TALLY_RSS)};
	CLEANUP_BUFFER struct buffer b = {0};
	struct series series;

	series_begin(&series, &query, 0);
	for (int64_t i = 100; i < 102; i++) {
		struct tally_sample sample = sample_of(i, 0, i), most = sample_of(i, 0, 7 * i);
		struct history_point point = {&sample, i == 100 ? &most : NULL, NS_PER_S, 1};

		assert_true(series_add(&series, &point));
	}
	series_write(&series, "a", &b);
	assert_non_null(strstr(text_of(&b), "\"series\":{\"rss_bytes\":[100,101]}"));
	assert_non_null(strstr(b.at, "\"maxima\":{\"rss_bytes\":[700,101]}"));
	series_done(&series);
}

static void the_first_rate_comes_from_the_sample_before_the_range(void **state)
{
	struct query query = {.since_ns = 106 * NS_PER_S,
		.until_ns = INT64_MAX,
		.rate = true,
		.metrics = TALLY_BIT(TALLY_CPU_USER)};
	json_t *all = series_of(&query, 0);

	assert_column(all, NULL, "[106.0,107.0,108.0,109.0,110.0,111.0]");
	assert_column(all, "cpu_user_seconds", "[0.5,0.5,0.5,0.5,0.5,0.5]");
	json_decref(all);
}

static void hidden_metrics_are_null_in_series(void **state)
{
	struct query query = {
		.since_ns = INT64_MIN, .until_ns = INT64_MAX, .step_ns = 100 * NS_PER_S};
	json_t *all = series_of(&query, TALLY_BIT(TALLY_RSS));

	assert_column(all, "rss_bytes", "[null]");
	assert_column(all, "cpu_user_seconds", "[6.0]");
	assert_int_equal(json_object_size(json_object_get(all, "series")), TALLY_METRIC_COUNT + 2);
	json_decref(all);
}

static void a_clock_set_back_does_not_bring_samples_from_outside_in(void **state)
{
	struct query query = {
		.since_ns = 100 * NS_PER_S, .until_ns = INT64_MAX, .metrics = TALLY_BIT(TALLY_RSS)};
	static const int64_t walls[] = {99, 100, 101, 98, 99, 100};
	CLEANUP_BUFFER struct buffer b = {0};
	struct series series;

	series_begin(&series, &query, 0);
	for (size_t i = 0; i < ARRAY_SIZE(walls); i++) {
		struct tally_sample sample = sample_of(walls[i], 0, (int64_t)i);

		sample.boot_ns = (int64_t)(i + 1) * NS_PER_S;
		assert_true(add(&series, &sample, 1));
	}
	series_write(&series, "a", &b);
	assert_non_null(strstr(text_of(&b), "[100.0,101.0,100.0]"));
	assert_non_null(strstr(b.at, "[1,2,5]"));
	series_done(&series);
}

static void a_range_with_too_many_values_is_refused(void **state)
{
	struct query query = {.since_ns = INT64_MIN, .until_ns = INT64_MAX};
	struct series series;
	int64_t i = 0;

	series_begin(&series, &query, 0);
	for (; i < SERIES_CELLS_MAX; i++) {
		struct tally_sample sample = sample_of(i, 0, 0);

		if (!add(&series, &sample, 1))
			break;
	}
	assert_int_equal(series.code, -EFBIG);
	assert_true(i < SERIES_CELLS_MAX);
	series_done(&series);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nanoseconds_are_written_exactly),
		cmocka_unit_test(whole_numbers_are_written_to_their_limits),
		cmocka_unit_test(any_bytes_become_a_string_of_json),
		cmocka_unit_test(a_buffer_keeps_to_its_limit_and_says_so),
		cmocka_unit_test(what_is_compressed_can_be_read_again),
		cmocka_unit_test(tasks_are_written_as_the_model_has_them),
		cmocka_unit_test(what_is_not_shared_is_null_and_says_so),
		cmocka_unit_test(samples_are_columns_as_they_were_taken),
		cmocka_unit_test(of_a_step_there_are_averages_maxima_and_rates),
		cmocka_unit_test(a_clock_that_was_set_is_told),
		cmocka_unit_test(no_rate_spans_two_boots),
		cmocka_unit_test(coarse_samples_bring_their_maxima),
		cmocka_unit_test(the_first_rate_comes_from_the_sample_before_the_range),
		cmocka_unit_test(hidden_metrics_are_null_in_series),
		cmocka_unit_test(a_clock_set_back_does_not_bring_samples_from_outside_in),
		cmocka_unit_test(a_range_with_too_many_values_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
