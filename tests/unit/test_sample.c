/* SPDX-License-Identifier: Apache-2.0 */
/* Samples: the table, sums by its rules, rates, and their JSON and CSV. */
#include "check.h"
#include <tally/tally.h>
#include "model/model.h"

static struct tally_sample sample_with(enum tally_metric metric, int64_t value)
{
	struct tally_sample sample;

	tally_sample_clear(&sample, TALLY_REASON_NOT_SAMPLED);
	tally_sample_set(&sample, metric, value);
	return sample;
}

static void every_key_is_found_and_no_two_are_equal(void **state)
{
	for (int i = 0; i < TALLY_METRIC_COUNT; i++)
		assert_int_equal(tally_metric_find(tally_metrics[i].key), i);
	assert_int_equal(tally_metric_find("no_such_key"), -ENOENT);
}

static void metrics_of_one_family_share_its_label_and_unit(void **state)
{
	for (int i = 0; i < TALLY_METRIC_COUNT; i++)
		for (int j = 0; j < i; j++) {
			const struct tally_metric_info *a = &tally_metrics[i],
						       *b = &tally_metrics[j];

			if (strcmp(a->family, b->family) != 0)
				continue;
			assert_non_null(a->label);
			assert_string_equal(a->label, b->label);
			assert_string_not_equal(a->label_value, b->label_value);
			assert_int_equal(a->unit, b->unit);
			assert_int_equal(a->kind, b->kind);
		}
}

static void every_reason_has_words(void **state)
{
	for (int i = 0; i < TALLY_REASON_COUNT; i++)
		assert_true(strlen(tally_reason_text(i)) > 10);
	assert_string_equal(tally_reason_text(TALLY_REASON_COUNT), "unknown");
}

static void a_zeroed_sample_is_empty_for_want_of_a_pass(void **state)
{
	struct tally_sample sample = {0};

	for (int i = 0; i < TALLY_METRIC_COUNT; i++) {
		assert_false(tally_sample_has(&sample, i));
		assert_int_equal(sample.reason[i], TALLY_REASON_NOT_SAMPLED);
	}
}

static void sums_add_and_info_is_of_the_first(void **state)
{
	struct tally_sample sum, a = sample_with(TALLY_RSS, 10), b = sample_with(TALLY_RSS, 32);

	tally_sample_set(&a, TALLY_NICE, -5);
	tally_sample_set(&b, TALLY_NICE, 19);
	tally_sample_start(&sum, 7, 8);
	tally_sample_add(&sum, &a);
	tally_sample_add(&sum, &b);
	assert_int_equal(sum.value[TALLY_RSS], 42);
	assert_int_equal(sum.value[TALLY_NICE], -5);
	assert_int_equal(sum.wall_ns, 7);
	assert_int_equal(sum.boot_ns, 8);
}

static void one_unreadable_part_makes_the_sum_absent_in_any_order(void **state)
{
	struct tally_sample known = sample_with(TALLY_IO_READ, 10), hidden, sum;

	tally_sample_clear(&hidden, TALLY_REASON_PERMISSION);
	for (int first = 0; first < 2; first++) {
		tally_sample_start(&sum, 0, 0);
		tally_sample_add(&sum, first ? &hidden : &known);
		tally_sample_add(&sum, first ? &known : &hidden);
		tally_sample_add(&sum, &known);
		assert_false(tally_sample_has(&sum, TALLY_IO_READ));
		assert_int_equal(sum.reason[TALLY_IO_READ], TALLY_REASON_PERMISSION);
	}
}

static void what_has_not_begun_or_has_ended_takes_nothing_from_a_sum(void **state)
{
	struct tally_sample known = sample_with(TALLY_STATE, 'S'), waiting, ended, sum;

	tally_sample_clear(&waiting, TALLY_REASON_NOT_SAMPLED);
	tally_sample_clear(&ended, TALLY_REASON_ENDED);
	tally_sample_start(&sum, 0, 0);
	tally_sample_add(&sum, &waiting);
	assert_int_equal(sum.reason[TALLY_STATE], TALLY_REASON_NOT_SAMPLED);
	tally_sample_add(&sum, &ended);
	assert_int_equal(sum.reason[TALLY_STATE], TALLY_REASON_ENDED);
	tally_sample_add(&sum, &known);
	assert_int_equal(sum.value[TALLY_STATE], 'S');
	tally_sample_add(&sum, &ended);
	assert_int_equal(sum.value[TALLY_STATE], 'S');
}

static void disk_belongs_to_the_task(void **state)
{
	struct tally_sample sum, part = sample_with(TALLY_DISK, 99);

	tally_sample_start(&sum, 0, 0);
	tally_sample_add(&sum, &part);
	assert_false(tally_sample_has(&sum, TALLY_DISK));
	assert_int_equal(sum.reason[TALLY_DISK], TALLY_REASON_NO_SANDBOX);
	assert_int_equal(sum.reason[TALLY_MEMORY_CURRENT], TALLY_REASON_NO_CGROUP);
}

static void a_rate_is_the_rise_over_the_time_between(void **state)
{
	struct tally_sample a = sample_with(TALLY_IO_READ, 1000),
			    b = sample_with(TALLY_IO_READ, 4000);
	double rate = -1;

	a.boot_ns = 5000000000;
	b.boot_ns = 7000000000;
	assert_int_equal(tally_sample_rate(&a, &b, TALLY_IO_READ, &rate), 0);
	assert_true(rate == 1500.0);
}

static void cpu_rate_is_in_cores(void **state)
{
	struct tally_sample a = sample_with(TALLY_CPU_USER, 0), b = a;
	double rate = -1;

	tally_sample_set(&a, TALLY_CPU_SYSTEM, 0);
	tally_sample_set(&b, TALLY_CPU_USER, 1000000000);
	tally_sample_set(&b, TALLY_CPU_SYSTEM, 500000000);
	b.boot_ns = 1000000000;
	assert_int_equal(tally_sample_cpu_rate(&a, &b, &rate), 0);
	assert_true(rate > 1.4999 && rate < 1.5001);
}

static void a_rate_that_cannot_be_known_is_absent_and_untouched(void **state)
{
	struct tally_sample a = sample_with(TALLY_IO_READ, 1000),
			    b = sample_with(TALLY_IO_READ, 999);
	double rate = 77;

	b.boot_ns = 1000;
	assert_int_equal(tally_sample_rate(&a, &b, TALLY_IO_READ, &rate), -ENODATA);  /* fell */
	assert_int_equal(tally_sample_rate(&a, &a, TALLY_IO_READ, &rate), -ENODATA);  /* no time */
	assert_int_equal(tally_sample_rate(&a, &b, TALLY_IO_WRITE, &rate), -ENODATA); /* absent */
	tally_sample_set(&a, TALLY_RSS, 1);
	tally_sample_set(&b, TALLY_RSS, 2);
	assert_int_equal(tally_sample_rate(&a, &b, TALLY_RSS, &rate), -ENODATA); /* a gauge */
	assert_true(rate == 77);
}

static void json_shows_null_for_what_is_absent_and_says_why(void **state)
{
	struct tally_sample sample = sample_with(TALLY_CPU_USER, 1500000000);
	json_t *object = json_object(), *missing;

	tally_sample_set(&sample, TALLY_CPU_SYSTEM, 250000000);
	tally_sample_set(&sample, TALLY_STATE, 'D');
	tally_sample_set(&sample, TALLY_RSS, INT64_C(9007199254740993));
	tally_sample_unset(&sample, TALLY_IO_READ, TALLY_REASON_PERMISSION);
	assert_int_equal(sample_json_put(&sample, true, object), 0);
	assert_true(json_real_value(json_object_get(object, "cpu_user_seconds")) == 1.5);
	assert_true(json_real_value(json_object_get(object, "cpu_seconds")) == 1.75);
	assert_string_equal(json_string_value(json_object_get(object, "state")), "disk-sleep");
	assert_int_equal(
		json_integer_value(json_object_get(object, "rss_bytes")), 9007199254740993);
	assert_true(json_is_null(json_object_get(object, "io_read_bytes")));
	assert_int_equal(json_object_size(object), TALLY_METRIC_COUNT + 1);

	missing = sample_json_missing(&sample, true);
	assert_string_equal(json_string_value(json_object_get(missing, "io_read_bytes")),
		tally_reason_text(TALLY_REASON_PERMISSION));
	assert_null(json_object_get(missing, "rss_bytes"));
	json_decref(missing);
	json_decref(object);
}

static void json_of_a_process_has_no_disk(void **state)
{
	struct tally_sample sample = sample_with(TALLY_RSS, 1);
	json_t *object = json_object();

	assert_int_equal(sample_json_put(&sample, false, object), 0);
	assert_null(json_object_get(object, "disk_bytes"));
	json_decref(object);
}

static void csv_keeps_every_nanosecond_and_leaves_absent_cells_empty(void **state)
{
	struct tally_sample sample = sample_with(TALLY_CPU_USER, 1000000001);
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	sample.wall_ns = INT64_C(1764000000000000007);
	tally_sample_set(&sample, TALLY_CPU_SYSTEM, 0);
	tally_sample_set(&sample, TALLY_NICE, -3);
	sample_csv_header(out, "task,process");
	sample_csv_row(out, "web,", &sample);
	fclose(out);
	assert_non_null(strstr(text, "task,process,time,cpu_seconds,cpu_user_seconds,"));
	assert_non_null(strstr(
		text, "\nweb,,1764000000.000000007,1.000000001,1.000000001,0.000000000,,,,"));
	const char *last = strstr(text, ",-3,");
	assert_non_null(last);
	assert_int_equal(strspn(last + 3, ","), TALLY_METRIC_COUNT - 1 - TALLY_NICE);
	assert_string_equal(last + 3 + TALLY_METRIC_COUNT - 1 - TALLY_NICE, "\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_is_found_and_no_two_are_equal),
		cmocka_unit_test(metrics_of_one_family_share_its_label_and_unit),
		cmocka_unit_test(every_reason_has_words),
		cmocka_unit_test(a_zeroed_sample_is_empty_for_want_of_a_pass),
		cmocka_unit_test(sums_add_and_info_is_of_the_first),
		cmocka_unit_test(one_unreadable_part_makes_the_sum_absent_in_any_order),
		cmocka_unit_test(what_has_not_begun_or_has_ended_takes_nothing_from_a_sum),
		cmocka_unit_test(disk_belongs_to_the_task),
		cmocka_unit_test(a_rate_is_the_rise_over_the_time_between),
		cmocka_unit_test(cpu_rate_is_in_cores),
		cmocka_unit_test(a_rate_that_cannot_be_known_is_absent_and_untouched),
		cmocka_unit_test(json_shows_null_for_what_is_absent_and_says_why),
		cmocka_unit_test(json_of_a_process_has_no_disk),
		cmocka_unit_test(csv_keeps_every_nanosecond_and_leaves_absent_cells_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
