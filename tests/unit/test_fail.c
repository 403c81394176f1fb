/* SPDX-License-Identifier: Apache-2.0 */
/* Making errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "base/fail.h"

static void a_failure_says_what_and_why(void **state)
{
	struct tally_error err = {0};

	assert_int_equal(tally_fail(&err, -EACCES, "cannot read %s", "/proc/812/io"), -EACCES);
	assert_int_equal(err.code, -EACCES);
	assert_string_equal(err.message, "cannot read /proc/812/io: Permission denied");
}

static void a_refusal_says_it_by_itself(void **state)
{
	struct tally_error err = {0};

	assert_int_equal(tally_refuse(&err, -EINVAL, "'%s' is no time", "soon"), -EINVAL);
	assert_int_equal(err.code, -EINVAL);
	assert_string_equal(err.message, "'soon' is no time");
}

static void context_goes_in_front(void **state)
{
	struct tally_error err = {0};

	tally_fail(&err, -ENOENT, "cannot open %s", "x");
	assert_int_equal(tally_prefix(&err, -ENOENT, "task %s", "web"), -ENOENT);
	assert_string_equal(err.message, "task web: cannot open x: No such file or directory");
	assert_int_equal(err.code, -ENOENT);
}

static void nobody_has_to_listen(void **state)
{
	assert_int_equal(tally_fail(NULL, -EIO, "x"), -EIO);
	assert_int_equal(tally_refuse(NULL, -EIO, "x"), -EIO);
	assert_int_equal(tally_prefix(NULL, -EIO, "x"), -EIO);
}

static void a_long_message_is_cut_and_stays_a_string(void **state)
{
	char text[2 * TALLY_ERROR_SIZE];
	struct tally_error err;

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	tally_fail(&err, -EIO, "%s", text);
	assert_int_equal(strlen(err.message), TALLY_ERROR_SIZE - 1);
	tally_prefix(&err, -EIO, "%s", text);
	assert_int_equal(strlen(err.message), TALLY_ERROR_SIZE - 1);
	tally_refuse(&err, -EIO, "short");
	tally_prefix(&err, -EIO, "%s", text);
	assert_int_equal(strlen(err.message), TALLY_ERROR_SIZE - 1);
}

/* Names come from hostile hands: an error stays one line. */
static void a_message_is_one_line(void **state)
{
	struct tally_error err;

	tally_refuse(&err, -EINVAL, "bad name '%s'", "a\nb\033[31m\x7f");
	assert_string_equal(err.message, "bad name 'a?b?[31m?'");
	tally_prefix(&err, -EINVAL, "line\n2");
	assert_string_equal(err.message, "line?2: bad name 'a?b?[31m?'");
}

static void utf8_is_left_as_it_is(void **state)
{
	struct tally_error err;

	tally_refuse(&err, -EINVAL, "%s", "h\xc3\xa9llo");
	assert_string_equal(err.message, "h\xc3\xa9llo");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failure_says_what_and_why),
		cmocka_unit_test(a_refusal_says_it_by_itself),
		cmocka_unit_test(context_goes_in_front),
		cmocka_unit_test(nobody_has_to_listen),
		cmocka_unit_test(a_long_message_is_cut_and_stays_a_string),
		cmocka_unit_test(a_message_is_one_line),
		cmocka_unit_test(utf8_is_left_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
