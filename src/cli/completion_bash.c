/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "base/attr.h"
#include "cli/completion.h"

/* Room for the words of one option: the metrics have the most. */
#define WORDS_SIZE 2048

static void put_pattern(const struct command *command, const struct option_row *row, FILE *out)
{
	fprintf(out, "\t'%s --%s'", command->name, row->name);
	if (row->letter)
		fprintf(out, "|'%s -%c'", command->name, row->letter);
	fputs(")\n\t\t", out);
}

static void put_reply(enum completion_kind kind, const char *words, FILE *out)
{
	switch (kind) {
	case COMPLETE_WORDS:
		fprintf(out, "_tally_words '%s'", words);
		break;
	case COMPLETE_FILE: /* Readline knows how to quote names. */
		fputs(":", out);
		break;
	case COMPLETE_DIRECTORY:
		fputs("compopt +o default -o dirnames", out);
		break;
	case COMPLETE_TASK:
		fputs("_tally_tasks", out);
		break;
	case COMPLETE_COMMAND:
		fputs("_tally_command", out);
		break;
	default:
		fputs("compopt +o default +o bashdefault", out);
	}
}

static void put_values(const struct command *command, FILE *out)
{
	char words[WORDS_SIZE];

	for (const struct option_row *row = command->options; row->name; row++) {
		if (row->type == OPTION_FLAG)
			continue;
		put_pattern(command, row, out);
		put_reply(completion_of_option(row, words, sizeof(words)), words, out);
		fputs("; return ;;\n", out);
	}
}

static void put_command(const struct command *command, FILE *out)
{
	const struct option_row *tables[] = {command->options, options_common};
	char words[WORDS_SIZE];

	fprintf(out, "\t%s)\n\t\toptions='", command->name);
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct option_row *row = tables[i]; row->name; row++)
			fprintf(out, "--%s ", row->name);
	fputs("'\n\t\t[[ $cur == -* ]] || ", out);
	put_reply(completion_of_arguments(command, words, sizeof(words)), words, out);
	fputs(" ;;\n", out);
}

static const char beginning[] =
	"# bash completion for tally, as `tally completion bash` writes it.\n"
	"\n"
	"_tally_words() {\n"
	"\tcompopt +o default +o bashdefault\n"
	"\tmapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\")\n"
	"}\n"
	"\n"
	"# Names may have blanks and what else a shell minds.\n"
	"_tally_tasks() {\n"
	"\tlocal task\n"
	"\tcompopt +o default +o bashdefault\n"
	"\twhile IFS= read -r task; do\n"
	"\t\t[[ $task == \"$cur\"* ]] && COMPREPLY+=(\"$(printf %q \"$task\")\")\n"
	"\tdone < <(\"${COMP_WORDS[0]}\" completion tasks 2>/dev/null)\n"
	"\tdeclare -F __ltrim_colon_completions >/dev/null && __ltrim_colon_completions \"$cur\"\n"
	"}\n"
	"\n"
	"_tally_command() {\n"
	"\tlocal i\n"
	"\tfor ((i = 2; i < COMP_CWORD; i++)); do\n"
	"\t\t[[ ${COMP_WORDS[i]} == -* || ${COMP_WORDS[i - 1]} == -? || "
	"${COMP_WORDS[i - 1]} == --[a-z]* ]] || break\n"
	"\tdone\n"
	"\tif declare -F _command_offset >/dev/null; then\n"
	"\t\t_command_offset \"$i\"\n"
	"\telif ((i == COMP_CWORD)); then\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -c -- \"$cur\")\n"
	"\tfi\n"
	"}\n"
	"\n"
	"_tally() {\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} options=\n"
	"\tCOMPREPLY=()\n"
	"\tif [[ $cur == = ]]; then\n"
	"\t\tcur=\n"
	"\telif [[ $prev == = ]]; then\n"
	"\t\tprev=${COMP_WORDS[COMP_CWORD - 2]}\n"
	"\tfi\n";

void completion_bash(FILE *out)
{
	char words[WORDS_SIZE];

	fputs(beginning, out);
	completion_commands(words, sizeof(words));
	fprintf(out,
		"\tif ((COMP_CWORD == 1)); then\n\t\t_tally_words '%s --help --version'\n"
		"\t\treturn\n\tfi\n",
		words);
	fputs("\tcase \"${COMP_WORDS[1]} $prev\" in\n", out);
	for (size_t i = 0; commands[i]; i++)
		put_values(commands[i], out);
	fputs("\tesac\n\tcase ${COMP_WORDS[1]} in\n", out);
	for (size_t i = 0; commands[i]; i++)
		put_command(commands[i], out);
	fputs("\tesac\n"
	      "\t[[ $cur == -* ]] && _tally_words \"$options\"\n"
	      "\treturn 0\n"
	      "}\n"
	      "\n"
	      "complete -o bashdefault -o default -F _tally tally\n",
		out);
}
