/* SPDX-License-Identifier: Apache-2.0 */
/* The line that tells how far long work is. */
#include "base/clock.h"
#include "check.h"
#include "cli/progress.h"

static const char *line(double part, int64_t seconds, int columns, const char *what)
{
	static char out[512];

	progress_line(out, sizeof(out), columns, part, seconds * NS_PER_S, what);
	return out;
}

static void the_line_tells_how_much_is_done_and_left(void **state)
{
	assert_string_equal(
		line(0.05, 1, 80, "task 1 of 20"), "[#...................]   5 %  task 1 of 20");
	assert_string_equal(line(0.25, 4, 80, "task 6 of 20"),
		"[#####...............]  25 %  task 6 of 20, 12 s left");
	assert_string_equal(
		line(0.1, 100, 80, "x"), "[##..................]  10 %  x, 15 min left");
	assert_string_equal(line(1, 9, 80, "x"), "[####################] 100 %  x");
	assert_string_equal(line(7, 9, 80, "x"), "[####################] 100 %  x");
	assert_string_equal(line(-1, 9, 80, "looking"), "looking, 9 s");
}

static void it_fits_and_is_harmless(void **state)
{
	assert_string_equal(line(-1, 9, 7, "looking"), "looking");
	assert_string_equal(line(-1, 9, 0, "looking"), "");
	assert_string_equal(line(-1, 9, -5, "looking"), "");
	assert_string_equal(line(-1, 0, 80, "a\x1b[2Jb"), "a?[2Jb, 0 s");
}

static void nothing_is_shown_where_there_is_no_terminal(void **state)
{
	int ends[2];
	char byte;
	struct progress progress;

	assert_int_equal(pipe(ends), 0);
	progress_begin(&progress, ends[1]);
	progress.begun_ns -= 10 * NS_PER_S;
	progress_tell(&progress, 0.5, "working");
	progress_end(&progress);
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 0);
	close(ends[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_line_tells_how_much_is_done_and_left),
		cmocka_unit_test(it_fits_and_is_harmless),
		cmocka_unit_test(nothing_is_shown_where_there_is_no_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
