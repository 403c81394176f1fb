/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines, taken apart by the table of options of the command. */
#include "base/clock.h"
#include "check.h"
#include "cli/commands.h"
#include "cli/options.h"

struct values {
	const char *name;
	int64_t interval_ns;
	bool quiet, wait;
	struct option_list sources;
};

static const struct option_row rows[] = {
	{"name", 'n', OPTION_STRING, "NAME", offsetof(struct values, name), "a name"},
	{"interval", 'i', OPTION_DURATION, "TIME", offsetof(struct values, interval_ns), "a time"},
	{"quiet", 'q', OPTION_FLAG, NULL, offsetof(struct values, quiet), "a flag"},
	{"wait", 'w', OPTION_FLAG, NULL, offsetof(struct values, wait), "a flag"},
	{"source", 0, OPTION_LIST, "SPEC", offsetof(struct values, sources), "a list"},
	{.name = NULL},
};

static const struct command runs = {.name = "runs",
	.arguments = "COMMAND",
	.summary = "",
	.options = rows,
	.least = 1,
	.runs = true};
static const struct command shows = {
	.name = "shows", .arguments = "[TASK]", .summary = "", .options = rows, .most = 1};

/* Errors are the business of the end-to-end tests: here they are only counted. */
static int parse(const struct command *command, const char *const *words, struct values *values,
	struct command_line *line)
{
	int count = 0;

	while (words[count])
		count++;
	memset(values, 0, sizeof(*values));
	return options_parse(command, count, (char **)words, values, line);
}

#define WORDS(...) ((const char *const[]){"tally", "command", __VA_ARGS__, NULL})

static void options_are_taken_in_every_form(void **state)
{
	struct values v;
	struct command_line line;

	assert_int_equal(
		parse(&runs, WORDS("--name", "a", "--interval=2s", "x"), &v, &line), OPTIONS_GO);
	assert_string_equal(v.name, "a");
	assert_int_equal(v.interval_ns, 2 * NS_PER_S);

	assert_int_equal(parse(&runs, WORDS("-n", "b", "-i250ms", "x"), &v, &line), OPTIONS_GO);
	assert_string_equal(v.name, "b");
	assert_int_equal(v.interval_ns, 250 * NS_PER_MS);

	assert_int_equal(parse(&runs, WORDS("-qwnc", "x"), &v, &line), OPTIONS_GO);
	assert_true(v.quiet && v.wait);
	assert_string_equal(v.name, "c");

	assert_int_equal(parse(&runs, WORDS("--name=", "x"), &v, &line), OPTIONS_GO);
	assert_string_equal(v.name, "");
}

static void the_first_argument_of_a_command_that_runs_ends_the_options(void **state)
{
	struct values v;
	struct command_line line;

	assert_int_equal(parse(&runs, WORDS("-q", "ls", "--name", "-w"), &v, &line), OPTIONS_GO);
	assert_true(v.quiet);
	assert_false(v.wait);
	assert_null(v.name);
	assert_int_equal(line.argument_count, 3);
	assert_string_equal(line.arguments[0], "ls");
	assert_string_equal(line.arguments[2], "-w");
	assert_null(line.arguments[3]);

	assert_int_equal(parse(&runs, WORDS("--", "-q", "--"), &v, &line), OPTIONS_GO);
	assert_false(v.quiet);
	assert_int_equal(line.argument_count, 2);
	assert_string_equal(line.arguments[0], "-q");
}

static void options_may_follow_the_arguments_of_others(void **state)
{
	struct values v;
	struct command_line line;

	assert_int_equal(parse(&shows, WORDS("task", "-q"), &v, &line), OPTIONS_GO);
	assert_true(v.quiet);
	assert_string_equal(line.arguments[0], "task");
	assert_int_equal(parse(&shows, WORDS("-"), &v, &line), OPTIONS_GO);
	assert_string_equal(line.arguments[0], "-");
	assert_int_equal(parse(&shows, WORDS("--", "-q"), &v, &line), OPTIONS_GO);
	assert_string_equal(line.arguments[0], "-q");
}

static void lists_keep_their_order(void **state)
{
	struct values v;
	struct command_line line;

	assert_int_equal(
		parse(&shows, WORDS("--source", "a", "--source=b", "--source", "a"), &v, &line),
		OPTIONS_GO);
	assert_int_equal(v.sources.count, 3);
	assert_string_equal(v.sources.items[0], "a");
	assert_string_equal(v.sources.items[1], "b");
	assert_true(options_given(&line, "source"));
	assert_false(options_given(&line, "name"));
	options_done(&shows, &v);
}

static void wrong_usage_is_refused(void **state)
{
	const char *const *const wrong[] = {WORDS("--nmae", "x", "y"), WORDS("--quiet=1", "x"),
		WORDS("-z", "x"), WORDS("-qz", "x"), WORDS("--name"), WORDS("-n"),
		WORDS("-i", "x", "y"), WORDS("-i0", "y"), WORDS("--", NULL), WORDS("--=x", "y")};
	struct values v;
	struct command_line line;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(parse(&runs, wrong[i], &v, &line), EXIT_USAGE);
	assert_int_equal(parse(&shows, WORDS("a", "b"), &v, &line), EXIT_USAGE);
}

/* Of the real tables: what the walk takes for granted. */
static void every_table_of_options_is_sound(void **state)
{
	for (size_t i = 0; commands[i]; i++) {
		const struct option_row *own = commands[i]->options;
		size_t count = 0;

		for (const struct option_row *row = own; row->name; row++, count++) {
			assert_true((row->type == OPTION_FLAG) == !row->argument);
			assert_true(row->help && *row->help);
			assert_string_not_equal(row->name, "help");
			assert_string_not_equal(row->name, "version");
			assert_true(row->letter != 'h' && row->letter != 'V');
			for (const struct option_row *other = own; other < row; other++) {
				assert_string_not_equal(row->name, other->name);
				assert_false(row->letter && row->letter == other->letter);
			}
		}
		assert_true(count + 2 <= OPTION_ROWS_MAX);
		assert_true(commands[i]->runs || commands[i]->most <= ARGUMENTS_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_are_taken_in_every_form),
		cmocka_unit_test(the_first_argument_of_a_command_that_runs_ends_the_options),
		cmocka_unit_test(options_may_follow_the_arguments_of_others),
		cmocka_unit_test(lists_keep_their_order),
		cmocka_unit_test(wrong_usage_is_refused),
		cmocka_unit_test(every_table_of_options_is_sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
