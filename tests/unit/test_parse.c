/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing: cursors, and what people write on command lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/parse.h"

static struct cursor of(const char *text)
{
	return cursor_of(text, strlen(text));
}

static void numbers_are_taken_from_the_front(void **state)
{
	struct cursor c = of("  12 \t-7 18446744073709551615x");
	uint64_t u;
	int64_t i;

	assert_true(cursor_u64(&c, &u));
	assert_int_equal(u, 12);
	assert_false(cursor_u64(&c, &u));
	assert_true(cursor_i64(&c, &i));
	assert_int_equal(i, -7);
	assert_false(cursor_i64(&c, &i));
	assert_true(cursor_u64(&c, &u));
	assert_true(u == UINT64_MAX);
	assert_int_equal(*c.at, 'x');
}

static void a_number_that_does_not_fit_takes_nothing(void **state)
{
	struct cursor c = of("18446744073709551616");
	const char *before = c.at;
	uint64_t u = 5;
	int64_t i = 5;

	assert_false(cursor_u64(&c, &u));
	assert_ptr_equal(c.at, before);
	assert_int_equal(u, 5);
	c = of("9223372036854775808");
	assert_false(cursor_i64(&c, &i));
	c = of("-9223372036854775807");
	assert_true(cursor_i64(&c, &i));
	assert_true(i == -INT64_MAX);
	c = of("- 7");
	assert_false(cursor_i64(&c, &i));
	c = of("");
	assert_false(cursor_u64(&c, &u));
}

/* The text is in memory of just its size: reading on would be found by the sanitizer. */
static void nothing_is_read_past_the_end(void **state)
{
	char *text = malloc(3);
	struct cursor c = cursor_of(text, 3), line;
	uint64_t u;

	memcpy(text, "123", 3);
	assert_true(cursor_u64(&c, &u));
	assert_int_equal(u, 123);
	c = cursor_of(text, 3);
	assert_false(cursor_literal(&c, "1234"));
	assert_true(cursor_literal(&c, "12"));
	assert_true(cursor_line(&c, &line));
	assert_int_equal(line.end - line.at, 1);
	assert_false(cursor_line(&c, &line));
	free(text);
}

static void lines_end_at_newlines_or_at_the_end(void **state)
{
	struct cursor c = of("a\n\nbc"), line;

	assert_true(cursor_line(&c, &line));
	assert_int_equal(line.end - line.at, 1);
	assert_true(cursor_line(&c, &line));
	assert_int_equal(line.end - line.at, 0);
	assert_true(cursor_line(&c, &line));
	assert_int_equal(line.end - line.at, 2);
	assert_false(cursor_line(&c, &line));
}

static void words_are_separated_by_blanks(void **state)
{
	struct cursor c = of("one  two\tthree");

	assert_true(cursor_skip_words(&c, 2));
	cursor_skip_blank(&c);
	assert_true(cursor_literal(&c, "three"));
	assert_false(cursor_skip_words(&c, 1));
	assert_true(cursor_skip_words(&c, 0));
}

static void a_whole_number_has_nothing_around_it(void **state)
{
	uint64_t value = 9;

	assert_true(parse_u64("42", 1, 100, &value));
	assert_int_equal(value, 42);
	static const char *const wrong[] = {"", " 42", "42 ", "4x", "-1", "0", "101", "+5", "1.0"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(parse_u64(wrong[i], 1, 100, &value));
	assert_int_equal(value, 42);
}

static void durations_have_units(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
	} right[] = {
		{"1s", NS_PER_S},
		{"250ms", 250 * NS_PER_MS},
		{"1.5h", 5400 * NS_PER_S},
		{"2m", 120 * NS_PER_S},
		{"1d", 86400 * NS_PER_S},
		{"90", 90 * NS_PER_S},
		{"0.5", NS_PER_S / 2},
		{"0.000000001s", 1},
		{"0.0000015ms", 1},
		{"0001s", NS_PER_S},
		{"1.9999999999999s", 1999999999},
		{"106751d", INT64_C(106751) * 86400 * NS_PER_S},
	};

	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		int64_t ns = -1;

		assert_int_equal(parse_duration(right[i].text, &ns, NULL), 0);
		assert_int_equal(ns, right[i].ns);
	}
}

static void wrong_durations_are_named_in_the_message(void **state)
{
	static const char *const wrong[] = {"", "s", "1x", "1 s", " 1s", "-1s", "1.s", ".5s", "1s ",
		"1e3", "0", "0s", "0.0000000001s", "99999999999999999999s", "106752d", "1,5s",
		"1ss", "0x10", "1S"};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct tally_error err = {0};
		int64_t ns = -1;

		assert_int_equal(parse_duration(wrong[i], &ns, &err), -EINVAL);
		assert_int_equal(ns, -1);
		assert_int_equal(err.code, -EINVAL);
		assert_non_null(strstr(err.message, wrong[i]));
	}
}

static void sizes_are_powers_of_1024(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} right[] = {
		{"0", 0},
		{"64", 64},
		{"64B", 64},
		{"64K", 65536},
		{"64kB", 65536},
		{"64KiB", 65536},
		{"1.5M", 3 << 19},
		{"2GiB", UINT64_C(2) << 30},
		{"1T", UINT64_C(1) << 40},
	};

	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		uint64_t bytes = 1;

		assert_int_equal(parse_size(right[i].text, &bytes, NULL), 0);
		assert_int_equal(bytes, right[i].bytes);
	}
	static const char *const wrong[] = {"", "M", "1P", "-1", "1 M", "1..5M", "9999999999T"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct tally_error err = {0};
		uint64_t bytes;

		assert_int_equal(parse_size(wrong[i], &bytes, &err), -EINVAL);
		assert_non_null(strstr(err.message, wrong[i]));
	}
}

/* 2026-11-24T03:25:00Z, a Tuesday. */
#define NOW_S INT64_C(1795490700)
#define NOW   (NOW_S * NS_PER_S)

static void set_zone(const char *zone)
{
	setenv("TZ", zone, 1);
	tzset();
}

static int64_t time_of(const char *text)
{
	struct tally_error err = {0};
	int64_t ns = -1;

	if (parse_time(text, NOW, &ns, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	return ns;
}

static void instants_in_universal_time(void **state)
{
	set_zone("UTC0");
	assert_int_equal(time_of("2026-11-24T03:25:00Z"), NOW);
	assert_int_equal(time_of("2026-11-24t03:25:00z"), NOW);
	assert_int_equal(time_of("2026-11-24 03:25:00Z"), NOW);
	assert_int_equal(time_of("2026-11-24T04:25:00+01:00"), NOW);
	assert_int_equal(time_of("2026-11-23T22:55-04:30"), NOW);
	assert_int_equal(time_of("2026-11-24T03:25"), NOW);
	assert_int_equal(time_of("2026-11-24T03:25:00.25Z"), NOW + NS_PER_S / 4);
	assert_int_equal(time_of("2026-11-24T03:25:00.1234567899Z"), NOW + 123456789);
	assert_int_equal(time_of("1970-01-01T00:00:00Z"), 0);
	assert_int_equal(time_of("2024-02-29T00:00:00Z"), INT64_C(1709164800) * NS_PER_S);
	assert_int_equal(time_of("1795490700"), NOW);
	assert_int_equal(time_of("1795490700.5"), NOW + NS_PER_S / 2);
	assert_int_equal(time_of("0"), 0);
	assert_int_equal(time_of("now"), NOW);
	assert_int_equal(time_of("-5m"), NOW - 300 * NS_PER_S);
	assert_int_equal(time_of("-90"), NOW - 90 * NS_PER_S);
}

static void the_clock_means_the_last_time_it_showed_that(void **state)
{
	set_zone("UTC0");
	assert_int_equal(time_of("03:25"), NOW);
	assert_int_equal(time_of("03:24:59"), NOW - NS_PER_S);
	assert_int_equal(time_of("03:25:01"), NOW + NS_PER_S - 86400 * NS_PER_S);
	assert_int_equal(time_of("23:00"), NOW - (4 * 3600 + 25 * 60) * NS_PER_S);
	assert_int_equal(time_of("03:24:59.5"), NOW - NS_PER_S / 2);
}

static void without_a_zone_a_time_is_local(void **state)
{
	set_zone("CET-1CEST,M3.5.0,M10.5.0/3");
	assert_int_equal(time_of("2026-11-24T04:25:00"), NOW);
	assert_int_equal(time_of("04:25"), NOW);
	assert_int_equal(time_of("2026-11-24T03:25:00Z"), NOW);
	/* In summer the same clock is an hour further on. */
	assert_int_equal(time_of("2026-07-01T12:00:00"), time_of("2026-07-01T10:00:00Z"));
	set_zone("UTC0");
}

static void wrong_times_are_named_in_the_message(void **state)
{
	static const char *const wrong[] = {"", "yesterday", "2026-11-24", "2026-13-01T00:00:00Z",
		"2026-02-29T00:00:00Z", "2026-11-31T00:00:00Z", "2026-11-24T24:00:00Z",
		"2026-11-24T03:25:00+1", "2026-11-24T03:25:00Zx", "2026-11-24T03:25:00.Z", "25:00",
		"3:25", "03:25:", "-", "-x", "--5m", "1.2.3", "99999999999999",
		"1969-12-31T00:00:00Z", " now", "2026-11-24T03:25:00 Z"};

	set_zone("UTC0");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct tally_error err = {0};
		int64_t ns = -1;

		assert_int_equal(parse_time(wrong[i], NOW, &ns, &err), -EINVAL);
		assert_non_null(strstr(err.message, wrong[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_taken_from_the_front),
		cmocka_unit_test(a_number_that_does_not_fit_takes_nothing),
		cmocka_unit_test(nothing_is_read_past_the_end),
		cmocka_unit_test(lines_end_at_newlines_or_at_the_end),
		cmocka_unit_test(words_are_separated_by_blanks),
		cmocka_unit_test(a_whole_number_has_nothing_around_it),
		cmocka_unit_test(durations_have_units),
		cmocka_unit_test(wrong_durations_are_named_in_the_message),
		cmocka_unit_test(sizes_are_powers_of_1024),
		cmocka_unit_test(instants_in_universal_time),
		cmocka_unit_test(the_clock_means_the_last_time_it_showed_that),
		cmocka_unit_test(without_a_zone_a_time_is_local),
		cmocka_unit_test(wrong_times_are_named_in_the_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
