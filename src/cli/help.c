/* SPDX-License-Identifier: Apache-2.0 */
/* `tally help` and every --help. */
#include "cli/help.h"

#include <string.h>
#include <tally/monitor.h>
#include "cli/commands.h"

/* Columns of a line of help. */
#define WIDTH 79

/* Write a text from a column on, broken between words; later lines begin at the same column. */
static void put_wrapped(FILE *out, size_t indent, const char *text)
{
	size_t column = indent;

	while (*text) {
		size_t length = strcspn(text, " ");

		if (column > indent && column + 1 + length > WIDTH) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			fputc(' ', out);
			column++;
		}
		fprintf(out, "%.*s", (int)length, text);
		column += length;
		text += length;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

/* "  -n, --name NAME" */
static int option_left(const struct option_row *row, char *out, size_t size)
{
	char letter[8] = "    ";

	if (row->letter)
		snprintf(letter, sizeof(letter), "-%c, ", row->letter);
	return snprintf(out, size, "  %s--%s%s%s", letter, row->name, row->argument ? " " : "",
		row->argument ? row->argument : "");
}

static size_t widest_left(const struct option_row *rows)
{
	char left[80];
	size_t widest = 0;

	for (; rows->name; rows++) {
		size_t length = (size_t)option_left(rows, left, sizeof(left));

		widest = length > widest ? length : widest;
	}
	return widest;
}

static void put_options(FILE *out, const struct option_row *rows, size_t left_width)
{
	char left[80];

	for (; rows->name; rows++) {
		option_left(rows, left, sizeof(left));
		fprintf(out, "%-*s  ", (int)left_width, left);
		put_wrapped(out, left_width + 2, rows->help);
	}
}

int help_command(const struct command *command, FILE *out)
{
	size_t own = widest_left(command->options), common = widest_left(options_common);
	size_t width = own > common ? own : common;

	fprintf(out, "Usage: tally %s [OPTION]...%s%s\n\n%s.\n", command->name,
		command->arguments ? " " : "", command->arguments ? command->arguments : "",
		command->summary);
	if (command->description)
		fprintf(out, "\n%s\n", command->description);
	fputs("\nOptions:\n", out);
	put_options(out, command->options, width);
	put_options(out, options_common, width);
	return 0;
}

int help_program(FILE *out)
{
	fputs("Usage: tally COMMAND [OPTION]... [ARGUMENT]...\n\n"
	      "What every task on this machine consumes: CPU, memory, I/O and disk.\n\n"
	      "Commands:\n",
		out);
	for (size_t i = 0; commands[i]; i++)
		fprintf(out, "  %-11s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\n`tally COMMAND --help` tells more of each, `tally --version` the version.\n"
	      "Durations are numbers with ms, s, m, h or d, as 250ms; without a unit, seconds.\n"
	      "Colours are left out where NO_COLOR is set.\n",
		out);
	return 0;
}

int help_version(void)
{
	printf("tally %s\n", tally_version());
	return 0;
}

static const struct option_row no_options[] = {{.name = NULL}};

static int run_help(int argc, char **argv)
{
	struct command_line line;
	int r = options_parse(&command_help, argc, argv, NULL, &line);

	if (r != OPTIONS_GO)
		return r;
	if (line.argument_count == 0)
		return help_program(stdout);

	const struct command *command = command_find(line.arguments[0]);
	if (command)
		return help_command(command, stdout);
	return line_refuse(&line, 2, "there is no command '%s'; `tally help` lists those there are",
		line.arguments[0]);
}

const struct command command_help = {
	.name = "help",
	.arguments = "[COMMAND]",
	.summary = "Tell what the program or one of its commands does",
	.options = no_options,
	.most = 1,
	.run = run_help,
};

static int run_version(int argc, char **argv)
{
	struct command_line line;
	int r = options_parse(&command_version, argc, argv, NULL, &line);

	return r == OPTIONS_GO ? help_version() : r;
}

const struct command command_version = {
	.name = "version",
	.summary = "Tell the version of the program",
	.options = no_options,
	.run = run_version,
};
