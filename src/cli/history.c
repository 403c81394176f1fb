/* SPDX-License-Identifier: Apache-2.0 */
/* `tally history`: what a task consumed in the past, from a store. */
#include "cli/history.h"

#include <errno.h>
#include <string.h>
#include "base/clock.h"
#include "base/fail.h"
#include "base/parse.h"
#include "cli/commands.h"
#include "cli/nearest.h"
#include "cli/shared.h"
#include "cli/stored.h"
#include "cli/table.h"

/* How far before the range a sample may be that its first rates are derived from. */
#define BEFORE_NS (300 * NS_PER_S)

struct history_command {
	const char *store, *metrics, *step;
	int64_t since_ns, until_ns;
	bool rate, json, csv;
	/* Worked out of them: */
	uint64_t wanted;
	int64_t step_ns;
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
	{"store", 0, OPTION_FILE, "FILE", AT(store), HELP_STORED},
	{.name = NULL},
};

static const char *const derived[] = {"cpu_rate", "cpu_seconds"};

static int find_key(const char *key, uint64_t *ret)
{
	int metric = tally_metric_find(key);

	if (strcmp(key, derived[0]) == 0)
		*ret |= ROWS_CPU_RATE;
	else if (strcmp(key, derived[1]) == 0)
		*ret |= ROWS_CPU_SECONDS;
	else if (metric >= 0)
		*ret |= TALLY_BIT(metric);
	else
		return -ENOENT;
	return 0;
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

static int check_metrics(struct history_command *o, const struct command_line *line)
{
	char key[64];

	if (!o->metrics)
		return OPTIONS_GO;
	for (const char *at = o->metrics; *at;) {
		size_t length = strcspn(at, ",");

		snprintf(key, sizeof(key), "%.*s", (int)length, at);
		if (length > 0 && find_key(key, &o->wanted) < 0)
			return refuse_key(line, key);
		at += length + (at[length] == ',');
	}
	return o->wanted ? OPTIONS_GO
			 : line_refuse_option(line, "metrics",
				   "it names no metric; give keys, as rss_bytes,pids");
}

static int check(struct history_command *o, const struct command_line *line)
{
	struct tally_error err;

	if (o->json && o->csv)
		return line_refuse_option(line, "csv", "give --json or --csv, not both");
	if (o->step && strcmp(o->step, "0") != 0 && strcmp(o->step, "0s") != 0 &&
		parse_duration(o->step, &o->step_ns, &err) < 0)
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

static int fail_reading(int r, const struct history_rows *rows, struct tally_error *err)
{
	if (r == 0)
		r = rows->code;
	if (r == -EFBIG)
		return tally_refuse(err, r,
			"that would be more than %d rows; give it a longer --step, or a shorter "
			"time with --since and --until",
			HISTORY_ROWS_MAX);
	return r < 0 ? tally_fail(err, r, "cannot read the history") : 0;
}

static int fail_empty(const struct history_answer *answer, const struct history_extent *extent,
	struct tally_error *err)
{
	char first[32], last[32];

	return tally_refuse(err, -ENODATA,
		"there is no sample of %s%s%s in that time; those there are reach from %s to %s",
		answer->task, answer->process ? "/" : "", answer->process ? answer->process : "",
		stored_time(first, extent->first_ns, false),
		stored_time(last, extent->last_ns, false));
}

static int64_t reach_back(int64_t since_ns, int64_t step_ns)
{
	int64_t before_ns = 2 * step_ns > BEFORE_NS ? 2 * step_ns : BEFORE_NS;

	return since_ns < INT64_MIN + before_ns ? INT64_MIN : since_ns - before_ns;
}

static int read_rows(const struct history_command *o, struct stored *stored,
	struct history_task *task, struct history_answer *answer, struct tally_error *err)
{
	struct history_rows *rows = &answer->rows;
	struct history_extent extent;
	uint64_t lost = 0;
	int r = history_extent(stored->history, task, answer->process, &extent);

	if (r < 0)
		return tally_refuse(err, r, "store %s has no sample of %s", stored->path,
			answer->process ? answer->process : answer->task);
	rows->since_ns = o->since_ns;
	rows->step_ns = o->step ? o->step_ns : history_rows_step(&extent, o->since_ns, o->until_ns);
	r = history_points(stored->history, task, answer->process,
		reach_back(o->since_ns, rows->step_ns), o->until_ns, history_rows_add, rows, &lost);
	if (lost > 0)
		fprintf(stderr,
			"tally: %llu stretches of samples are damaged and left out; "
			"`tally store check` tells which\n",
			(unsigned long long)lost);
	r = fail_reading(r, rows, err);
	return r == 0 && rows->count == 0 ? fail_empty(answer, &extent, err) : r;
}

static int write_answer(const struct history_command *o, const struct history_answer *answer,
	struct tally_error *err)
{
	int r = o->json	 ? history_write_json(answer)
		: o->csv ? history_write_csv(answer)
			 : history_write_table(answer);

	if (r == -E2BIG)
		return tally_refuse(err, r,
			"a table has room for %d metrics; name fewer with --metrics, or use --csv",
			TABLE_COLUMNS_MAX - 1);
	return r < 0 ? tally_fail(err, r, "cannot write the history") : 0;
}

static int show_history(const struct history_command *o, struct command_line *line)
{
	struct history_answer answer = {
		.task = line->arguments[0], .metrics = o->wanted, .rate = o->rate};
	struct history_task *task;
	struct tally_error err;
	struct stored stored;
	int r = stored_open(o->store, &stored, &err);

	if (r == 0)
		r = stored_find(&stored, line->arguments[0], &task, &answer.process, &err);
	if (r == 0)
		r = read_rows(o, &stored, task, &answer, &err);
	if (r == 0)
		r = write_answer(o, &answer, &err);
	history_rows_done(&answer.rows);
	stored_close(&stored);
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
		"Reads a store, whether an observer writes it or not. Of each step it tells the\n"
		"rates of counters, and the average and the maximum of what goes up and down.",
	.options = options,
	.least = 1,
	.most = 1,
	.run = run_history,
};
