/* SPDX-License-Identifier: Apache-2.0 */
/* `tally config`: is a configuration file one that the observer would take? */
#include <errno.h>
#include <string.h>
#include "base/fail.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/observe.h"

struct config_options {
	bool quiet;
};

#define AT(member) offsetof(struct config_options, member)

static const struct option_row options[] = {
	{"quiet", 'q', OPTION_FLAG, NULL, AT(quiet), "say nothing of a file that is right"},
	{.name = NULL},
};

static int say_right(const char *path, const struct observer *o, bool quiet)
{
	size_t rules, keys = 0;

	config_rules(o->config, &rules);
	for (size_t i = 0; command_observe.options[i].name; i++)
		keys += o->line.lines[i] > 0;
	if (!quiet)
		printf("%s: it is right: %zu option%s, %zu rule%s\n", path, keys,
			keys == 1 ? "" : "s", rules, rules == 1 ? "" : "s");
	return 0;
}

/* A file without any source is no mistake: the command line may have them. */
static int add_source(struct observer *o, struct tally_error *err)
{
	const struct option_row *row;

	if (o->options.sources.count > 0 || options_find(&command_observe, "source", &row) < 0)
		return 0;
	return options_store(row, &o->options, "pid:of-the-command-line=1", err);
}

/* As the observer does, with a command line that has nothing but the file. */
static int check(const struct command_line *line, const char *path, bool quiet)
{
	struct tally_error err;
	struct observer o = {.line = {.command = &command_observe, .silent = &err}};
	int status = OPTIONS_GO, r = config_read(path, &command_observe, &o.config, &err);

	if (r == 0)
		r = config_apply(o.config, &o.line, &o.options, &err);
	if (r == 0)
		r = add_source(&o, &err);
	if (r == 0)
		status = observe_check_config(&o);
	if (r == 0 && status == OPTIONS_GO)
		status = say_right(path, &o, quiet);
	else
		status = line_fail(line, "%s", err.message);
	observe_done_config(&o);
	return status;
}

static int run_config(int argc, char **argv)
{
	struct config_options given = {0};
	struct command_line line;
	int status = options_parse(&command_config, argc, argv, &given, &line);

	if (status != OPTIONS_GO)
		return status;
	if (strcmp(line.arguments[0], "check") != 0)
		return line_refuse(&line, 0, "'%.60s' is not known; there is `tally config check`",
			line.arguments[0]);
	return check(&line, line.argument_count > 1 ? line.arguments[1] : CONFIG_DEFAULT_PATH,
		given.quiet);
}

const struct command command_config = {
	.name = "config",
	.arguments = "check [FILE]",
	.summary = "Check a configuration file of `tally observe`",
	.description =
		"Says whether the observer would take the file (default: /etc/tally/tally.yaml),\n"
		"or the first thing that is wrong with it: file, line, key, what was expected.\n"
		"Exits with 1 then. Files that it names are not opened.",
	.options = options,
	.least = 1,
	.most = 2,
	.run = run_config,
};
