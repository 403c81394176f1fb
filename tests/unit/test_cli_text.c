/* SPDX-License-Identifier: Apache-2.0 */
/* Figures, rows and guesses as the program words them. */
#include "base/attr.h"
#include "base/clock.h"
#include "check.h"
#include "cli/csv.h"
#include "cli/format.h"
#include "cli/nearest.h"

static void bytes_have_three_digits_and_a_unit(void **state)
{
	static const struct {
		int64_t bytes;
		const char *text;
	} cases[] = {{0, "0 B"}, {999, "999 B"}, {1000, "0.98 KiB"}, {1023, "1.00 KiB"},
		{1024, "1.00 KiB"}, {10 * 1024, "10.0 KiB"}, {10234, "9.99 KiB"},
		{10239, "10.0 KiB"}, {100 * 1024, "100 KiB"}, {1023 * 1024, "1.00 MiB"},
		{INT64_C(812) << 20, "812 MiB"}, {INT64_C(5) << 30, "5.00 GiB"},
		{INT64_MAX, "8.00 EiB"}};
	char text[FORMAT_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(format_bytes(text, cases[i].bytes), cases[i].text);
	assert_string_equal(format_bytes_rate(text, 1536.0), "1.50 KiB/s");
}

static void durations_never_show_sixty_of_a_unit(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} cases[] = {{0, "0.0 ms"}, {1200 * NS_PER_US, "1.2 ms"}, {243 * NS_PER_MS, "243 ms"},
		{NS_PER_S, "1.00 s"}, {9994 * NS_PER_MS, "9.99 s"}, {9996 * NS_PER_MS, "10.0 s"},
		{59949 * NS_PER_MS, "59.9 s"}, {59999 * NS_PER_MS, "1m 00.0s"},
		{82400 * NS_PER_MS, "1m 22.4s"}, {INT64_C(3599990) * NS_PER_MS, "1h 00m 00s"},
		{7384 * NS_PER_S, "2h 03m 04s"}, {INT64_C(86399900) * NS_PER_MS, "1d 00h 00m"},
		{INT64_C(273900) * NS_PER_S, "3d 04h 05m"}};
	char text[FORMAT_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(format_duration(text, cases[i].ns), cases[i].text);
}

static void counts_are_grouped(void **state)
{
	char text[FORMAT_SIZE];

	assert_string_equal(format_count(text, 0), "0");
	assert_string_equal(format_count(text, 999), "999");
	assert_string_equal(format_count(text, 1204), "1,204");
	assert_string_equal(format_count(text, -123456), "-123,456");
	assert_string_equal(format_count(text, INT64_MIN), "-9,223,372,036,854,775,808");
}

static void every_reason_has_few_words(void **state)
{
	for (int i = 0; i < TALLY_REASON_COUNT; i++) {
		assert_string_not_equal(format_reason(i), "unknown");
		assert_between(strlen(format_reason(i)), 4, 24);
	}
	assert_string_equal(format_reason(TALLY_REASON_COUNT), "unknown");
}

static void names_in_csv_are_quoted_where_they_must_be(void **state)
{
	static const struct {
		const char *task, *process, *columns;
	} cases[] = {{"a", "", "a,"}, {"a b", "c", "a b,c"}, {"a,b", "c\"d", "\"a,b\",\"c\"\"d\""},
		{"a\nb", "\r", "\"a\nb\",\"\r\""}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP_FREE char *columns = csv_names(cases[i].task, cases[i].process);

		assert_string_equal(columns, cases[i].columns);
	}
}

static const char *guess(const char *word)
{
	static const char *const known[] = {"interval", "disk-interval", "json", "csv", "quiet"};
	struct nearest nearest = {0};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		nearest_consider(&nearest, word, known[i]);
	return nearest.word;
}

static void a_mistyped_word_finds_the_nearest(void **state)
{
	assert_string_equal(guess("intervall"), "interval");
	assert_string_equal(guess("itnerval"), "interval");
	assert_string_equal(guess("jsno"), "json");
	assert_string_equal(guess("quite"), "quiet");
	assert_string_equal(guess("diskinterval"), "disk-interval");
	assert_null(guess("memory"));
	assert_null(guess(""));
	assert_null(guess("x"));
	assert_null(guess("a-word-that-is-longer-than-any-option-of-ours"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_have_three_digits_and_a_unit),
		cmocka_unit_test(durations_never_show_sixty_of_a_unit),
		cmocka_unit_test(counts_are_grouped),
		cmocka_unit_test(every_reason_has_few_words),
		cmocka_unit_test(names_in_csv_are_quoted_where_they_must_be),
		cmocka_unit_test(a_mistyped_word_finds_the_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
