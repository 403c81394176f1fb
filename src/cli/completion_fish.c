/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "cli/completion.h"

#define WORDS_SIZE 2048

/* Inside of single quotes. */
static void put_quoted(const char *text, FILE *out)
{
	fputc('\'', out);
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
	fputc('\'', out);
}

static void put_values(enum completion_kind kind, const char *words, FILE *out)
{
	switch (kind) {
	case COMPLETE_WORDS:
		fprintf(out, " -x -a '%s'", words);
		break;
	case COMPLETE_FILE:
		fputs(" -r -F", out);
		break;
	case COMPLETE_DIRECTORY:
		fputs(" -x -a '(__fish_complete_directories)'", out);
		break;
	case COMPLETE_TASK:
		fputs(" -x -a '(tally completion tasks 2>/dev/null)'", out);
		break;
	case COMPLETE_COMMAND:
		fputs(" -x -a '(__fish_complete_subcommand --fcs-skip=2)'", out);
		break;
	default:
		fputs(" -x", out);
	}
}

static void put_option(const struct command *command, const struct option_row *row, FILE *out)
{
	char words[WORDS_SIZE];

	fprintf(out, "complete -c tally -n '__tally_is %s' -l %s", command->name, row->name);
	if (row->letter)
		fprintf(out, " -s %c", row->letter);
	if (row->type != OPTION_FLAG)
		put_values(completion_of_option(row, words, sizeof(words)), words, out);
	fputs(" -d ", out);
	put_quoted(row->help, out);
	fputc('\n', out);
}

static void put_command(const struct command *command, FILE *out)
{
	char words[WORDS_SIZE];
	enum completion_kind kind = completion_of_arguments(command, words, sizeof(words));

	fprintf(out, "complete -c tally -n '__tally_is' -f -a %s -d ", command->name);
	put_quoted(command->summary, out);
	fputc('\n', out);
	for (const struct option_row *row = command->options; row->name; row++)
		put_option(command, row, out);
	for (const struct option_row *row = options_common; row->name; row++)
		put_option(command, row, out);
	fprintf(out, "complete -c tally -n '__tally_is %s'", command->name);
	if (kind == COMPLETE_NOTHING)
		fputs(" -f", out);
	else
		put_values(kind, words, out);
	fputc('\n', out);
}

void completion_fish(FILE *out)
{
	fputs("# fish completion for tally, as `tally completion fish` writes it.\n"
	      "\n"
	      "# Whether the command is one of these; without any: whether it is yet to come.\n"
	      "function __tally_is\n"
	      "\tset -l words (commandline -opc)\n"
	      "\tif test (count $argv) -eq 0\n"
	      "\t\ttest (count $words) -eq 1\n"
	      "\telse\n"
	      "\t\ttest (count $words) -ge 2; and contains -- $words[2] $argv\n"
	      "\tend\n"
	      "end\n"
	      "\n"
	      "complete -c tally -e\n",
		out);
	for (size_t i = 0; commands[i]; i++)
		put_command(commands[i], out);
}
