/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "base/attr.h"
#include "cli/completion.h"

#define WORDS_SIZE 2048

/* Inside of single quotes; brackets and colons have a meaning there. */
static void put_text(const char *text, FILE *out)
{
	for (; *text; text++)
		if (*text == '\'')
			fputs("'\\''", out);
		else if (strchr("[]:\\", *text))
			fprintf(out, "\\%c", *text);
		else
			fputc(*text, out);
}

static void put_action(enum completion_kind kind, const char *words, FILE *out)
{
	switch (kind) {
	case COMPLETE_WORDS:
		fprintf(out, "(%s)", words);
		break;
	case COMPLETE_FILE:
		fputs("_files", out);
		break;
	case COMPLETE_DIRECTORY:
		fputs("_files -/", out);
		break;
	case COMPLETE_TASK:
		fputs("_tally_tasks", out);
		break;
	default:
		fputs(" ", out);
	}
}

/* '(-n --name)'{-n+,--name=}'[help]:NAME:action' */
static void put_option(const struct option_row *row, FILE *out)
{
	bool value = row->type != OPTION_FLAG;
	char words[WORDS_SIZE];

	fputs(" \\\n\t\t\t", out);
	if (row->type == OPTION_LIST)
		fputs("'*'", out);
	else if (row->letter)
		fprintf(out, "'(-%c --%s)'", row->letter, row->name);
	if (row->letter)
		fprintf(out, "{-%c%s,--%s%s}'[", row->letter, value ? "+" : "", row->name,
			value ? "=" : "");
	else
		fprintf(out, "'--%s%s[", row->name, value ? "=" : "");
	put_text(row->help, out);
	fputs("]", out);
	if (value) {
		fputs(":", out);
		put_text(row->argument, out);
		fputs(":", out);
		put_action(completion_of_option(row, words, sizeof(words)), words, out);
	}
	fputs("'", out);
}

static void put_arguments(const struct command *command, FILE *out)
{
	char words[WORDS_SIZE];
	enum completion_kind kind = completion_of_arguments(command, words, sizeof(words));

	if (kind == COMPLETE_COMMAND) {
		fputs(" \\\n\t\t\t'(-)1:command: _command_names -e' '*::arguments: _normal'", out);
	} else if (kind != COMPLETE_NOTHING) {
		fputs(" \\\n\t\t\t'1:argument:", out);
		put_action(kind, words, out);
		fputs("'", out);
	}
}

static void put_command(const struct command *command, FILE *out)
{
	fprintf(out, "\t%s)\n\t\t_arguments -s -S", command->name);
	for (const struct option_row *row = command->options; row->name; row++)
		put_option(row, out);
	for (const struct option_row *row = options_common; row->name; row++)
		put_option(row, out);
	put_arguments(command, out);
	fputs(" ;;\n", out);
}

static const char beginning[] =
	"#compdef tally\n"
	"# zsh completion for tally, as `tally completion zsh` writes it.\n"
	"\n"
	"_tally_tasks() {\n"
	"\tlocal -a tasks\n"
	"\ttasks=(${(f)\"$(_call_program tasks tally completion tasks 2>/dev/null)\"})\n"
	"\tcompadd -a tasks\n"
	"}\n"
	"\n"
	"_tally() {\n"
	"\tlocal -a commands\n"
	"\tcommands=(\n";

void completion_zsh(FILE *out)
{
	fputs(beginning, out);
	for (size_t i = 0; commands[i]; i++) {
		fprintf(out, "\t\t'%s:", commands[i]->name);
		put_text(commands[i]->summary, out);
		fputs("'\n", out);
	}
	fputs("\t)\n"
	      "\tif ((CURRENT == 2)); then\n"
	      "\t\t_describe command commands\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tshift words\n"
	      "\t((CURRENT--))\n"
	      "\tcase $words[1] in\n",
		out);
	for (size_t i = 0; commands[i]; i++)
		put_command(commands[i], out);
	fputs("\tesac\n"
	      "}\n"
	      "\n"
	      "if [ \"$funcstack[1]\" = _tally ]; then\n"
	      "\t_tally \"$@\"\n"
	      "else\n"
	      "\tcompdef _tally tally\n"
	      "fi\n",
		out);
}
