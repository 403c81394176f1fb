/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "source/procfile.h"

static int parse(const char *text, struct procfile *ret, struct tally_error *err)
{
	return procfile_parse("P", text, strlen(text), ret, err);
}

static int parse_env(const char *text, struct procfile *ret, struct tally_error *err)
{
	return procfile_parse_environment("E", text, strlen(text), ret, err);
}

static void processes_come_in_their_order(void **state)
{
	struct procfile p;

	assert_int_equal(parse("# x\n\n  web:  a b c  \r\nworker_2-x:d:e # f", &p, NULL), 0);
	assert_int_equal(p.count, 2);
	assert_string_equal(p.entries[0].name, "web");
	assert_string_equal(p.entries[0].text, "a b c");
	assert_string_equal(p.entries[1].name, "worker_2-x");
	assert_string_equal(p.entries[1].text, "d:e # f");
	procfile_done(&p);
	assert_null(p.entries);
}

static void what_is_no_process_is_refused_with_its_line(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{"", "P: it names no process; write lines of NAME: COMMAND"},
		{"a: b\n:c\n", "P:2: ':c' is not NAME: COMMAND, as web: ./server --port $PORT"},
		{"a\x01: b\n", "P:1: 'a?: b' is not NAME: COMMAND, as web: ./server --port $PORT"},
		{"a: b\n\na: c\n",
			"P:3: there is a process 'a' already; give each a name of its own"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct procfile p = {0};
		struct tally_error err;

		assert_int_equal(parse(cases[i].text, &p, &err), -EINVAL);
		assert_string_equal(err.message, cases[i].expected);
		assert_null(p.entries);
	}
}

static void a_nul_is_no_text(void **state)
{
	struct procfile p;
	struct tally_error err;

	assert_int_equal(procfile_parse("P", "a: b\0c\n", 7, &p, &err), -EINVAL);
	assert_non_null(strstr(err.message, "P:1: it holds a NUL"));
}

static void values_are_quoted_as_foreman_has_them(void **state)
{
	struct procfile e;
	static const struct {
		const char *name, *value;
	} expected[] = {
		{"PLAIN", "a b # c"},
		{"EMPTY", ""},
		{"SINGLE", "a\\n\"b"},
		{"DOUBLE", "a\nb\\\"c$"},
		{"EXPORTED", "x"},
		{"TWICE", "second"},
	};

	assert_int_equal(parse_env("PLAIN=a b # c  \nEMPTY=\nSINGLE='a\\n\"b'\n"
				   "DOUBLE=\"a\\nb\\\\\\\"c\\$\"\nexport EXPORTED=x\n"
				   "TWICE=first\nTWICE=second\n",
				 &e, NULL),
		0);
	assert_int_equal(e.count, 6);
	for (size_t i = 0; i < 6; i++)
		assert_string_equal(procfile_find(&e, expected[i].name), expected[i].value);
	assert_null(procfile_find(&e, "NONE"));
	procfile_done(&e);
}

static void an_empty_environment_is_one(void **state)
{
	struct procfile e;

	assert_int_equal(parse_env("", &e, NULL), 0);
	assert_int_equal(e.count, 0);
	procfile_done(&e);
}

static void what_is_no_variable_is_refused_with_its_line(void **state)
{
	static const char *const cases[] = {"A", "=b", "1A=b", "A-B=c", "A =b", "A=\"b", "A='b"};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct procfile e;
		struct tally_error err;
		char text[64];

		snprintf(text, sizeof(text), "X=1\n%s\n", cases[i]);
		assert_int_equal(parse_env(text, &e, &err), -EINVAL);
		assert_memory_equal(err.message, "E:2: ", 5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(processes_come_in_their_order),
		cmocka_unit_test(what_is_no_process_is_refused_with_its_line),
		cmocka_unit_test(a_nul_is_no_text),
		cmocka_unit_test(values_are_quoted_as_foreman_has_them),
		cmocka_unit_test(an_empty_environment_is_one),
		cmocka_unit_test(what_is_no_variable_is_refused_with_its_line),
	};

	return cmocka_run_group_tests_name("procfile", tests, NULL, NULL);
}
