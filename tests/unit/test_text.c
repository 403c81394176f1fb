/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/text.h"

static void assert_shown(const char *text, const char *expected, size_t columns)
{
	char out[64];

	assert_int_equal(text_show(out, sizeof(out), text), columns);
	assert_string_equal(out, expected);
}

static void control_characters_never_reach_a_terminal(void **state)
{
	assert_shown("a\x1b[31mb\n\t\x7f", "a?[31mb???", 10);
	assert_shown("c1 \xc2\x9b 31m", "c1 ? 31m", 8);
	assert_shown("rtl \xe2\x80\xae!", "rtl ?!", 6);
}

static void utf8_stays_and_what_is_none_is_replaced(void **state)
{
	assert_shown("na\xc3\xafve", "na\xc3\xafve", 5);
	assert_shown("\xff\xc3", "??", 2);
	assert_shown("overlong \xc0\xaf", "overlong ??", 11);
	assert_shown("surrogate \xed\xa0\x80", "surrogate ???", 13);
	assert_shown("", "", 0);
}

static void a_text_is_cut_between_characters(void **state)
{
	char out[4];

	text_show(out, sizeof(out), "ab\xc3\xaf");
	assert_string_equal(out, "ab");
	text_show(out, 1, "ab");
	assert_string_equal(out, "");
}

static void json_gets_utf8_whatever_came(void **state)
{
	CLEANUP_FREE char *bad = text_utf8("a\xff\xf0\x9f\x98");
	CLEANUP_FREE char *good = text_utf8("\xf0\x9f\x98\x80 \n");

	assert_string_equal(bad, "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	assert_string_equal(good, "\xf0\x9f\x98\x80 \n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(control_characters_never_reach_a_terminal),
		cmocka_unit_test(utf8_stays_and_what_is_none_is_replaced),
		cmocka_unit_test(a_text_is_cut_between_characters),
		cmocka_unit_test(json_gets_utf8_whatever_came),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
