/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files become options and rules. What is said of bad ones: tests/e2e/test_config.py. */
#include "check.h"
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/config.h"

struct values {
	bool flag, other;
	const char *text;
	int64_t time;
	uint64_t size;
	struct option_list list;
};

#define AT(member) offsetof(struct values, member)

static const struct option_row options[] = {
	{"config", 0, OPTION_FILE, "FILE", AT(text), "not in a file"},
	{"flag", 0, OPTION_FLAG, NULL, AT(flag), "x"},
	{"other", 0, OPTION_FLAG, NULL, AT(other), "x"},
	{"text", 0, OPTION_STRING, "X", AT(text), "x"},
	{"time", 0, OPTION_DURATION, "X", AT(time), "x"},
	{"size", 0, OPTION_SIZE, "X", AT(size), "x"},
	{"list", 0, OPTION_LIST, "X", AT(list), "x"},
	{.name = NULL},
};

static const struct command command = {.name = "example", .options = options};

static struct config *parse(const char *text)
{
	struct config *config = NULL;
	struct tally_error err;

	if (config_parse("f", text, strlen(text), &command, &config, &err) < 0)
		fail_msg("%s", err.message);
	return config;
}

static void every_type_is_stored(void **state)
{
	struct config *config = parse("flag: yes\nother: false\ntext: 007\ntime: 1.5s\nsize: 2K\n"
				      "list:\n- a b\n- 'c'\n");
	struct command_line line = {.command = &command};
	struct values values = {0};
	size_t rules;

	assert_int_equal(config_apply(config, &line, &values, NULL), 0);
	assert_true(values.flag);
	assert_false(values.other);
	assert_string_equal(values.text, "007");
	assert_int_equal(values.time, 1500 * NS_PER_MS);
	assert_int_equal(values.size, 2048);
	assert_int_equal(values.list.count, 2);
	assert_string_equal(values.list.items[0], "a b");
	assert_string_equal(values.list.items[1], "c");
	assert_string_equal(line.file, "f");
	assert_int_equal(line.lines[1], 1);
	assert_int_equal(line.lines[6], 7);
	assert_true(options_given(&line, "size"));
	assert_false(options_given(&line, "config"));
	config_rules(config, &rules);
	assert_int_equal(rules, 0);
	options_done(&command, &values);
	config_free(config);
}

static void the_command_line_wins(void **state)
{
	struct config *config = parse("text: file\ntime: 7s\nlist: [file]\n");
	static char *argv[] = {(char *)"tally", (char *)"example", (char *)"--text=line",
		(char *)"--list", (char *)"line", NULL};
	struct command_line line;
	struct values values = {0};

	assert_int_equal(options_parse(&command, 5, argv, &values, &line), OPTIONS_GO);
	assert_int_equal(config_apply(config, &line, &values, NULL), 0);
	assert_string_equal(values.text, "line");
	assert_int_equal(values.time, 7 * NS_PER_S);
	assert_int_equal(values.list.count, 1);
	assert_string_equal(values.list.items[0], "line");
	options_done(&command, &values);
	config_free(config);
}

static void rules_come_in_their_order(void **state)
{
	struct config *config = parse("match:\n- task: a\n  comm: [x, y]\n"
				      "- {task: b, process: c, cmdline: [z], user: [u]}\n");
	size_t count;
	const struct match_rule *rules = config_rules(config, &count);

	assert_int_equal(count, 2);
	assert_string_equal(rules[0].task, "a");
	assert_null(rules[0].process);
	assert_int_equal(rules[0].keys[MATCH_COMM].count, 2);
	assert_string_equal(rules[0].keys[MATCH_COMM].items[1], "y");
	assert_int_equal(rules[0].keys[MATCH_USER].count, 0);
	assert_string_equal(rules[1].process, "c");
	assert_string_equal(rules[1].keys[MATCH_CMDLINE].items[0], "z");
	assert_string_equal(rules[1].keys[MATCH_USER].items[0], "u");
	config_free(config);
}

static void an_empty_file_changes_nothing(void **state)
{
	static const char *const texts[] = {"", "# a comment\n", "---\n", "{}\n"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct config *config = parse(texts[i]);
		struct command_line line = {.command = &command};
		struct values values = {0}, none = {0};

		assert_int_equal(config_apply(config, &line, &values, NULL), 0);
		assert_memory_equal(&values, &none, sizeof(none));
		config_free(config);
	}
}

static void a_refusal_is_one_line_with_its_place(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{"time: never\n", "f:1: time: 'never' is not a duration"},
		{"\n\nlits: [a]\n", "f:3: lits: there is no such key; did you mean list?"},
		{"list: [a, '']\n", "f:1: list: an entry is empty"},
		{"list:\n- a\n- [b]\n", "f:3: list: expected a single value, and this is a list"},
		{"config: x\n", "f:1: config: there is no such key"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *config = NULL;
		struct tally_error err;

		assert_int_equal(config_parse("f", cases[i].text, strlen(cases[i].text), &command,
					 &config, &err),
			-EINVAL);
		assert_null(config);
		if (strncmp(err.message, cases[i].expected, strlen(cases[i].expected)) != 0)
			fail_msg("%s", err.message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_is_stored),
		cmocka_unit_test(the_command_line_wins),
		cmocka_unit_test(rules_come_in_their_order),
		cmocka_unit_test(an_empty_file_changes_nothing),
		cmocka_unit_test(a_refusal_is_one_line_with_its_place),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
