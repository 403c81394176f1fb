/* SPDX-License-Identifier: Apache-2.0 */
/* `tally history`: what a task consumed in the past. */
#include "cli/history.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/attr.h"
#include "base/fail.h"
#include "base/parse.h"
#include "cli/commands.h"
#include "cli/nearest.h"
#include "cli/observed.h"
#include "cli/stored.h"
#include "cli/table.h"

struct history_command {
	const char *store, *socket, *metrics, *step;
	int64_t since_ns, until_ns;
	bool rate, json, csv;
};

#define AT(member) offsetof(struct history_command, member)

static const struct option_row options[] = {
	{"since", 0, OPTION_TIME, "TIME", AT(since_ns),
		"begin here: 14:05, -5m, 2026-11-24T03:25:00Z or seconds since the epoch "
		"(default: all there is)"},
	{"until", 0, OPTION_TIME, "TIME", AT(until_ns), "end here (default: all there is)"},
	{"step", 0, OPTION_STRING, "TIME", AT(step),
		"time of a row; 0: samples as they were taken (default: for about 30 rows)"},
	{"metrics", 'm', OPTION_STRING, "KEYS", AT(metrics),
		"which ones, as rss_bytes,pids (default: all in JSON and CSV)"},
	{"rate", 'r', OPTION_FLAG, NULL, AT(rate), "counters as rates, per second"},
	{"json", 'j', OPTION_FLAG, NULL, AT(json), "write JSON instead of a table"},
	{"csv", 0, OPTION_FLAG, NULL, AT(csv), "write CSV instead of a table"},
	{"store", 0, OPTION_FILE, "FILE", AT(store),
		"store to read, instead of asking the observer (default: where none answers, its own)"},
	{"socket", 0, OPTION_FILE, "PATH", AT(socket), HELP_SOCKET},
	{.name = NULL},
};

static const char *const derived[] = {"cpu_rate", "cpu_seconds"};

static bool is_key(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(derived); i++)
		if (strcmp(key, derived[i]) == 0)
			return true;
	return tally_metric_find(key) >= 0;
}

static int refuse_key(const struct command_line *line, const char *key)
{
	struct nearest nearest = {0};

	for (size_t i = 0; i < ARRAY_SIZE(derived); i++)
		nearest_consider(&nearest, key, derived[i]);
	for (int m = 0; m < TALLY_METRIC_COUNT; m++)
		nearest_consider(&nearest, key, tally_metrics[m].key);
	if (nearest.word)
		return line_refuse_option(line, "metrics",
			"there is no metric '%s'; did you mean %s?", key, nearest.word);
	return line_refuse_option(
		line, "metrics", "there is no metric '%s'; `man tally` lists those there are", key);
}

static int check_metrics(const struct history_command *o, const struct command_line *line)
{
	char key[64];
	size_t named = 0;

	if (!o->metrics)
		return OPTIONS_GO;
	for (const char *at = o->metrics; *at;) {
		size_t length = strcspn(at, ",");

		snprintf(key, sizeof(key), "%.*s", (int)(length < 63 ? length : 63), at);
		if (length > 0 && !is_key(key))
			return refuse_key(line, key);
		named += length > 0;
		at += length + (at[length] == ',');
	}
	return named ? OPTIONS_GO
		     : line_refuse_option(
			       line, "metrics", "it names no metric; give keys, as rss_bytes,pids");
}

static int check(struct history_command *o, const struct command_line *line)
{
	struct tally_error err;
	int64_t step_ns;

	if (o->json && o->csv)
		return line_refuse_option(line, "csv", "give --json or --csv, not both");
	if (o->store && o->socket)
		return line_refuse_option(line, "socket",
			"give --store to read a file or --socket to ask an observer, not both");
	if (o->step && strcmp(o->step, "0") != 0 && strcmp(o->step, "0s") != 0 &&
		parse_duration(o->step, &step_ns, &err) < 0)
		return line_refuse_option(line, "step", "--step: %s", err.message);
	if (!options_given(line, "until"))
		o->until_ns = INT64_MAX;
	if (!options_given(line, "since"))
		o->since_ns = INT64_MIN;
	if (o->since_ns > o->until_ns)
		return line_refuse_option(line, "since",
			"--since is later than --until; give them the other way round");
	return check_metrics(o, line);
}

static int write_answer(
	const struct history_command *o, const json_t *answer, struct tally_error *err)
{
	int r = o->json	 ? history_write_json(answer)
		: o->csv ? history_write_csv(answer)
			 : history_write_table(answer, o->metrics, o->rate);

	if (r == -E2BIG)
		return tally_refuse(err, r,
			"a table has room for %d metrics; name fewer with --metrics, or use --csv",
			TABLE_COLUMNS_MAX - 1);
	return r < 0 ? tally_fail(err, r, "cannot write the history") : 0;
}

static int show_history(const struct history_command *o, struct command_line *line)
{
	bool usual = !o->metrics && !o->json && !o->csv;
	struct history_question question = {
		.store = o->store,
		.socket = o->socket,
		.word = line->arguments[0],
		.since_ns = o->since_ns,
		.until_ns = o->until_ns,
		.step = o->step,
		.metrics = usual ? HISTORY_USUAL : o->metrics,
		.rate = usual || o->rate,
	};
	struct tally_error err;
	json_t *answer = NULL;
	int r = history_ask(&question, &answer, &err);

	if (r == 0)
		r = write_answer(o, answer, &err);
	json_decref(answer);
	return r < 0 ? line_fail(line, "%s", err.message) : 0;
}

static int run_history(int argc, char **argv)
{
	struct history_command o = {0};
	struct command_line line;
	int status = options_parse(&command_history, argc, argv, &o, &line);

	if (status == OPTIONS_GO)
		status = check(&o, &line);
	if (status == OPTIONS_GO)
		status = show_history(&o, &line);
	options_done(&command_history, &o);
	return status;
}

const struct command command_history = {
	.name = "history",
	.arguments = "TASK[/PROCESS]",
	.summary = "Show what a task consumed in the past",
	.description =
		"Asks the observer when there is one, and reads its store otherwise. Of each\n"
		"step it tells the rates of counters, and the average and the maximum of what\n"
		"goes up and down.",
	.options = options,
	.least = 1,
	.most = 1,
	.run = run_history,
};
