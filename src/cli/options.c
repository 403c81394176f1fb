/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/parse.h"
#include "cli/help.h"
#include "cli/nearest.h"

/* Their places in options_common[]. */
enum { COMMON_HELP, COMMON_VERSION, COMMON_COUNT };

const struct option_row options_common[] = {
	[COMMON_HELP] = {"help", 'h', OPTION_FLAG, NULL, 0, "show this help and exit"},
	[COMMON_VERSION] = {"version", 'V', OPTION_FLAG, NULL, 0, "show the version and exit"},
	{.name = NULL},
};

/* The walk over the words. */
struct walk {
	struct command_line *line;
	void *values;
	int at;		 /* Next word. */
	bool only_words; /* Behind "--". */
	bool help, version;
};

/* Number of an option in where[]: the command's own come first. -1 when there is none. */
static int find_option(const struct command *command, const char *name, size_t length, char letter,
	const struct option_row **ret)
{
	const struct option_row *tables[] = {command->options, options_common};
	int number = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct option_row *row = tables[i]; row->name; row++, number++)
			if (name ? strlen(row->name) == length &&
						memcmp(row->name, name, length) == 0
				 : row->letter == letter) {
				*ret = row;
				return number;
			}
	return -1;
}

int options_find(const struct command *command, const char *name, const struct option_row **ret)
{
	return find_option(command, name, strlen(name), 0, ret);
}

const char *options_nearest(const struct command *command, const char *name)
{
	const struct option_row *tables[] = {command->options, options_common};
	struct nearest nearest = {0};

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct option_row *row = tables[i]; row->name; row++)
			nearest_consider(&nearest, name, row->name);
	return nearest.word;
}

int option_list_add(struct option_list *list, const char *item)
{
	const char **items = reallocarray(list->items, list->count + 1, sizeof(const char *));

	if (!items)
		return -ENOMEM;
	list->items = items;
	items[list->count++] = item;
	return 0;
}

int options_store(
	const struct option_row *row, void *values, const char *text, struct tally_error *err)
{
	void *value = (char *)values + row->offset;

	switch (row->type) {
	case OPTION_FLAG:
		*(bool *)value = true;
		return 0;
	case OPTION_DURATION:
		return parse_duration(text, value, err);
	case OPTION_SIZE:
		return parse_size(text, value, err);
	case OPTION_TIME:
		return parse_time(text, clock_wall_ns(), value, err);
	case OPTION_LIST:
		return option_list_add(value, text);
	default:
		*(const char **)value = text;
		return 0;
	}
}

/* One option was recognised; text is its value, or NULL for a flag. */
static int take(
	struct walk *walk, const struct option_row *row, int number, const char *text, int index)
{
	struct tally_error err = {0};

	walk->line->where[number] = index;
	if (row == &options_common[COMMON_HELP])
		walk->help = true;
	else if (row == &options_common[COMMON_VERSION])
		walk->version = true;
	else if (options_store(row, walk->values, text, &err) < 0)
		return line_refuse(walk->line, index, "--%s: %s", row->name, err.message);
	return OPTIONS_GO;
}

static int refuse_unknown(struct walk *walk, const char *name)
{
	char plain[32];
	size_t length = strcspn(name, "=");

	snprintf(plain, sizeof(plain), "%.*s", (int)length, name);
	const char *nearest = options_nearest(walk->line->command, plain);
	if (nearest)
		return line_refuse(walk->line, walk->at,
			"there is no option --%s; did you mean --%s?", plain, nearest);
	return line_refuse(walk->line, walk->at,
		"there is no option --%s; `tally %s --help` lists those there are", plain,
		walk->line->command->name);
}

/* The value behind an option: the rest of its own word, or the next word. */
static int take_value(struct walk *walk, const struct option_row *row, int number, const char *rest)
{
	struct command_line *line = walk->line;

	if (rest)
		return take(walk, row, number, rest, walk->at);
	if (walk->at + 1 >= line->argc)
		return line_refuse(line, walk->at, "--%s needs a value: --%s %s", row->name,
			row->name, row->argument);
	walk->at++;
	return take(walk, row, number, line->argv[walk->at], walk->at);
}

static int take_long(struct walk *walk, const char *name)
{
	const struct option_row *row;
	const char *equals = strchr(name, '=');
	size_t length = equals ? (size_t)(equals - name) : strlen(name);
	int number = find_option(walk->line->command, name, length, 0, &row);

	if (number < 0)
		return refuse_unknown(walk, name);
	if (row->type != OPTION_FLAG)
		return take_value(walk, row, number, equals ? equals + 1 : NULL);
	if (equals)
		return line_refuse(walk->line, walk->at, "--%s takes no value", row->name);
	return take(walk, row, number, NULL, walk->at);
}

static int take_letters(struct walk *walk, const char *letters)
{
	const struct option_row *row;

	for (; *letters; letters++) {
		int number = find_option(walk->line->command, NULL, 0, *letters, &row);

		if (number < 0)
			return line_refuse(walk->line, walk->at,
				"there is no option -%c; `tally %s --help` lists those there are",
				*letters, walk->line->command->name);
		if (row->type != OPTION_FLAG)
			return take_value(walk, row, number, letters[1] ? letters + 1 : NULL);

		int r = take(walk, row, number, NULL, walk->at);
		if (r != OPTIONS_GO)
			return r;
	}
	return OPTIONS_GO;
}

static int take_argument(struct walk *walk)
{
	struct command_line *line = walk->line;

	if (line->command->runs) {
		line->arguments = line->argv + walk->at;
		line->argument_count = line->argc - walk->at;
		walk->at = line->argc;
		return OPTIONS_GO;
	}
	if (line->command->most == 0)
		return line_refuse(line, walk->at, "it takes no arguments");
	if ((unsigned)line->argument_count >= line->command->most)
		return line_refuse(line, walk->at, "one argument too many; it takes %s",
			line->command->arguments);
	line->few[line->argument_count++] = line->argv[walk->at];
	return OPTIONS_GO;
}

static int take_word(struct walk *walk)
{
	const char *word = walk->line->argv[walk->at];

	if (walk->only_words || word[0] != '-' || word[1] == '\0')
		return take_argument(walk);
	if (strcmp(word, "--") == 0) {
		walk->only_words = true;
		return OPTIONS_GO;
	}
	return word[1] == '-' ? take_long(walk, word + 2) : take_letters(walk, word + 1);
}

int options_parse(const struct command *command, int argc, char **argv, void *values,
	struct command_line *ret)
{
	struct walk walk = {.line = ret, .values = values};

	*ret = (struct command_line){.command = command, .argc = argc, .argv = argv};
	ret->arguments = ret->few;
	for (walk.at = 2; walk.at < argc; walk.at++) {
		int r = take_word(&walk);

		if (r != OPTIONS_GO)
			return r;
	}
	if (walk.help)
		return help_command(command, stdout);
	if (walk.version)
		return help_version();
	if ((unsigned)ret->argument_count < command->least)
		return line_refuse(ret, 0, "an argument is missing: tally %s %s", command->name,
			command->arguments);
	return OPTIONS_GO;
}

void options_done(const struct command *command, void *values)
{
	for (const struct option_row *row = command->options; row->name; row++)
		if (row->type == OPTION_LIST)
			free(((struct option_list *)((char *)values + row->offset))->items);
}

bool options_given(const struct command_line *line, const char *name)
{
	const struct option_row *row;
	int number = find_option(line->command, name, strlen(name), 0, &row);

	return number >= 0 && (line->where[number] > 0 || line->lines[number] > 0);
}
