/* SPDX-License-Identifier: Apache-2.0 */
/* `tally completion`: the scripts that let a shell complete our command lines. */
#include "cli/completion.h"

#include <string.h>
#include "base/attr.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/observe.h"
#include "cli/top_column.h"
#include "serve/client.h"

static void add_word(char *words, size_t size, const char *word)
{
	size_t used = strlen(words);

	snprintf(words + used, size - used, "%s%s", used ? " " : "", word);
}

void completion_commands(char *ret_words, size_t size)
{
	ret_words[0] = '\0';
	for (size_t i = 0; commands[i]; i++)
		add_word(ret_words, size, commands[i]->name);
}

static void column_words(char *words, size_t size)
{
	for (size_t i = 0; i < top_column_count; i++)
		add_word(words, size, top_columns[i].id);
}

static void metric_words(char *words, size_t size)
{
	for (int i = 0; i < TALLY_METRIC_COUNT; i++)
		add_word(words, size, tally_metrics[i].key);
}

/* Options whose values are words. */
static const struct {
	const char *option, *words;
	void (*more)(char *words, size_t size);
} word_options[] = {
	{"collector", "auto bpf procfs", NULL},
	{"log-format", "text journal json", NULL},
	{"sort", "", column_words},
	{"columns", "", column_words},
	{"metrics", "", metric_words},
};

enum completion_kind completion_of_option(
	const struct option_row *row, char *ret_words, size_t size)
{
	ret_words[0] = '\0';
	if (row->type == OPTION_FILE)
		return COMPLETE_FILE;
	if (row->type == OPTION_DIRECTORY)
		return COMPLETE_DIRECTORY;
	for (size_t i = 0; i < ARRAY_SIZE(word_options); i++)
		if (strcmp(word_options[i].option, row->name) == 0) {
			snprintf(ret_words, size, "%s", word_options[i].words);
			if (word_options[i].more)
				word_options[i].more(ret_words, size);
			return COMPLETE_WORDS;
		}
	return COMPLETE_NOTHING;
}

/* "info|check|export|prune" */
static void split_words(const char *arguments, char *ret_words, size_t size)
{
	snprintf(ret_words, size, "%s", arguments);
	for (char *at = ret_words; *at; at++)
		if (*at == '|' || *at == '[' || *at == ']')
			*at = ' ';
}

enum completion_kind completion_of_arguments(
	const struct command *command, char *ret_words, size_t size)
{
	const char *arguments = command->arguments ? command->arguments : "";

	ret_words[0] = '\0';
	if (command->runs)
		return COMPLETE_COMMAND;
	if (strstr(arguments, "TASK"))
		return COMPLETE_TASK;
	if (strstr(arguments, "COMMAND")) {
		completion_commands(ret_words, size);
		return COMPLETE_WORDS;
	}
	if (strchr(arguments, '|')) {
		split_words(arguments, ret_words, size);
		return COMPLETE_WORDS;
	}
	return COMPLETE_NOTHING;
}

/* ---- tasks ---- */

/* A name that a terminal must not see is not offered: nobody could type it either. */
static void put_name(const char *task, const char *process)
{
	char whole[1024], shown[1024];
	int length = snprintf(
		whole, sizeof(whole), "%s%s%s", task, process ? "/" : "", process ? process : "");

	text_show(shown, sizeof(shown), whole);
	if ((size_t)length < sizeof(whole) && strcmp(whole, shown) == 0)
		puts(whole);
}

static void put_task(const json_t *task)
{
	const char *id = json_string_value(json_object_get(task, "task"));
	size_t index;
	json_t *process;

	if (!id)
		return;
	put_name(id, NULL);
	json_array_foreach(json_object_get(task, "processes"), index, process)
	{
		const char *name = json_string_value(json_object_get(process, "process"));

		if (name)
			put_name(id, name);
	}
}

/* Asked by the scripts at each press of Tab: where no observer is, there is nothing to say. */
static int put_tasks(void)
{
	char socket[108];
	json_t *all, *task;
	size_t index;
	int status;

	observe_default_socket(socket, sizeof(socket));
	if (client_get(socket, "/api/v1/tasks", &all, &status, NULL) < 0)
		return 0;
	json_array_foreach(json_object_get(all, "tasks"), index, task) put_task(task);
	json_decref(all);
	return 0;
}

/* ---- the command ---- */

static const struct option_row no_options[] = {{.name = NULL}};

static int run_completion(int argc, char **argv)
{
	static const struct {
		const char *shell;
		void (*write)(FILE *out);
	} shells[] = {
		{"bash", completion_bash}, {"zsh", completion_zsh}, {"fish", completion_fish}};
	struct command_line line;
	int status = options_parse(&command_completion, argc, argv, NULL, &line);

	if (status != OPTIONS_GO)
		return status;
	if (strcmp(line.arguments[0], "tasks") == 0)
		return put_tasks();
	for (size_t i = 0; i < ARRAY_SIZE(shells); i++)
		if (strcmp(shells[i].shell, line.arguments[0]) == 0) {
			shells[i].write(stdout);
			return 0;
		}
	return line_refuse(&line, 2,
		"there is no completion for '%s'; for bash, zsh and fish there is",
		line.arguments[0]);
}

const struct command command_completion = {
	.name = "completion",
	.arguments = "bash|zsh|fish",
	.summary = "Write the script that lets a shell complete our command lines",
	.description = "Where Tally was installed the shells find it by themselves. Otherwise:\n"
		       "eval \"$(tally completion bash)\", or tally completion fish | source.",
	.options = no_options,
	.least = 1,
	.most = 1,
	.run = run_completion,
};
