/* SPDX-License-Identifier: Apache-2.0 */
/* Errors that a user made on the command line: said in one line, and pointed at in a second. */
#include <stdarg.h>
#include <string.h>
#include "base/text.h"
#include "cli/options.h"

/* Words shown on either side of the one that is pointed at. */
#define NEIGHBOURS 3

/* Columns of a word at most. */
#define WORD_SIZE 48

static int first_shown(int index)
{
	return index > NEIGHBOURS + 1 ? index - NEIGHBOURS : 0;
}

/* Write one word, and a blank before it. @return the column at which it begins. */
static size_t put_word(const char *word, size_t column, size_t *ret_columns)
{
	char shown[WORD_SIZE];

	*ret_columns = text_show(shown, sizeof(shown), word);
	fprintf(stderr, " %s", shown);
	return column + 1;
}

/*
 *     tally run --intervall 2s make
 *               ^~~~~~~~~~~
 */
static void point_at(const struct command_line *line, int index)
{
	size_t column = 1, columns, found = 0, found_columns = 0;
	int last = index + NEIGHBOURS < line->argc ? index + NEIGHBOURS : line->argc - 1;

	fputc(' ', stderr);
	if (first_shown(index) > 0)
		column = put_word("...", column, &columns) + columns;
	for (int i = first_shown(index); i <= last; i++) {
		column = put_word(i == 0 ? "tally" : line->argv[i], column, &columns);
		if (i == index) {
			found = column;
			found_columns = columns;
		}
		column += columns;
	}
	fputs(last < line->argc - 1 ? " ...\n" : "\n", stderr);
	fprintf(stderr, "%*s^", (int)found, "");
	for (size_t i = 1; i < found_columns; i++)
		fputc('~', stderr);
	fputc('\n', stderr);
}

/* What a user wrote is part of the message: it is shown, never obeyed. */
static void PRINTF_LIKE(2, 0) say(const struct command_line *line, const char *format, va_list args)
{
	char text[1024], shown[1024];

	vsnprintf(text, sizeof(text), format, args);
	text_show(shown, sizeof(shown), text);
	if (line->silent)
		snprintf(line->silent->message, sizeof(line->silent->message), "%.*s",
			(int)sizeof(line->silent->message) - 1, shown);
	else
		fprintf(stderr, "tally %s: %s\n", line->command->name, shown);
}

int line_refuse(const struct command_line *line, int index, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(line, format, args);
	va_end(args);
	if (index > 0 && !line->silent)
		point_at(line, index);
	return EXIT_USAGE;
}

/* What came from the file is said with its place there, and there is nothing to point at. */
static void PRINTF_LIKE(3, 0)
	say_in_file(const struct command_line *line, int number, const char *format, va_list args)
{
	struct command_line plain = *line;
	char text[1024];

	vsnprintf(text, sizeof(text), format, args);
	plain.file = NULL;
	line_fail(&plain, "%s:%d: %s: %s", line->file, line->lines[number],
		line->command->options[number].name, text);
}

int line_refuse_option(const struct command_line *line, const char *name, const char *format, ...)
{
	int number = 0;
	va_list args;

	while (line->command->options[number].name &&
		strcmp(line->command->options[number].name, name) != 0)
		number++;
	va_start(args, format);
	if (line->lines[number] > 0)
		say_in_file(line, number, format, args);
	else
		say(line, format, args);
	va_end(args);
	if (line->where[number] > 0 && !line->silent)
		point_at(line, line->where[number]);
	return EXIT_USAGE;
}

int line_fail(const struct command_line *line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(line, format, args);
	va_end(args);
	return EXIT_FAIL;
}
