/* SPDX-License-Identifier: Apache-2.0 */
/* `tally show`: the tasks that sources name, sampled here and now; or those of an observer. */
#include <errno.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/fail.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/shared.h"
#include "cli/show.h"
#include "cli/tasks_json.h"

/* Between the two ticks that a rate needs. */
#define GAP_NS (500 * NS_PER_MS)

struct show_options {
	struct option_list sources;
	const char *collector, *store, *socket;
	int64_t interval_ns, at_wall_ns;
	bool json, pids, pss;
};

#define AT(member) offsetof(struct show_options, member)

static const struct option_row options[] = {
	{"source", 0, OPTION_LIST, "SPEC", AT(sources),
		"where tasks come from, as pid:web=812 or pid:shop/web=812; may be given again"},
	{"pids", 'p', OPTION_FLAG, NULL, AT(pids),
		"list the operating-system processes of each task, and why they belong to it"},
	{"json", 'j', OPTION_FLAG, NULL, AT(json), "write JSON instead of a table"},
	{"interval", 'i', OPTION_DURATION, "TIME", AT(interval_ns),
		"time between the two samples that rates are made of (default: 500ms)"},
	{"at", 0, OPTION_TIME, "TIME", AT(at_wall_ns),
		"show an instant of the past, from a store: 14:05, -5m, 2026-11-24T03:25:00Z"},
	{"store", 0, OPTION_FILE, "FILE", AT(store),
		"store to read with --at (default: that of `tally observe`)"},
	{"socket", 0, OPTION_FILE, "PATH", AT(socket),
		"socket of the observer to ask without --source (default: that of `tally observe`)"},
	{"collector", 'c', OPTION_STRING, "NAME", AT(collector), HELP_COLLECTOR},
	{"pss", 0, OPTION_FLAG, NULL, AT(pss), HELP_PSS},
	{.name = NULL},
};

static int open_monitor(
	const struct show_options *o, struct tally_monitor **ret, struct tally_error *err)
{
	const struct tally_monitor_options monitor = {
		.collector = o->collector, .pss = o->pss, .log = shared_log};
	int r = tally_monitor_new(&monitor, ret, err);

	for (size_t i = 0; r == 0 && i < o->sources.count; i++)
		r = tally_monitor_add_source(*ret, o->sources.items[i], err);
	return r;
}

/* Two ticks, so that there is a rate; one sample of a task that ended in between is enough. */
static int sample_twice(struct tally_monitor *monitor, int64_t gap_ns, struct tally_error *err)
{
	struct timespec gap = {gap_ns / NS_PER_S, gap_ns % NS_PER_S};
	int r = tally_monitor_tick(monitor, err);

	if (r < 0)
		return r;
	clock_nanosleep(CLOCK_MONOTONIC, 0, &gap, NULL);
	return tally_monitor_tick(monitor, err);
}

/* An id may hold a slash itself: the whole word is tried first, then "TASK/PROCESS". */
static int find_wanted(
	struct tally_monitor *monitor, char *word, struct wanted *wanted, struct tally_error *err)
{
	struct tally_reading reading;
	char *slash = strrchr(word, '/');

	wanted->task = word;
	int r = tally_monitor_sample(monitor, word, &reading, err);
	if (r != -ENOENT || !slash)
		return r;
	*slash = '\0';
	wanted->process = slash + 1;
	return tally_monitor_sample_process(monitor, word, slash + 1, &reading, err);
}

static int show_json(struct tally_monitor *monitor, const struct wanted *wanted, bool pids,
	struct tally_error *err)
{
	json_t *all = tasks_json(monitor, wanted->task, wanted->process, pids);
	int r = all ? json_write(all, stdout) : -ENOMEM;

	json_decref(all);
	return r < 0 ? tally_fail(err, r, "cannot write JSON") : 0;
}

static int show(const struct show_options *o, struct tally_monitor *monitor,
	const struct wanted *wanted, struct tally_error *err)
{
	int r;

	if (o->json)
		return show_json(monitor, wanted, o->pids, err);
	r = o->pids ? show_pids(monitor, wanted) : show_tasks(monitor, wanted);
	return r < 0 ? tally_fail(err, r, "cannot show the tasks") : 0;
}

static int show_sampled(
	const struct show_options *o, struct command_line *line, struct tally_monitor **monitor)
{
	struct wanted wanted = {0};
	struct tally_error err;
	int r = open_monitor(o, monitor, &err);

	if (r == 0)
		r = sample_twice(*monitor, o->interval_ns ? o->interval_ns : GAP_NS, &err);
	if (r == 0 && line->argument_count > 0)
		r = find_wanted(*monitor, line->arguments[0], &wanted, &err);
	if (r == 0)
		r = show(o, *monitor, &wanted, &err);
	if (r == 0)
		return 0;
	line_fail(line, "%s", err.message);
	return r == -EINVAL ? EXIT_USAGE : EXIT_FAIL;
}

/* An observer has its own way of sampling. */
static int check_observed(const struct command_line *line)
{
	static const char *const own[] = {"interval", "collector", "pss"};

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (options_given(line, own[i]))
			return line_refuse_option(line, own[i],
				"it goes with --source: without, the observer is asked, which has "
				"its own");
	return OPTIONS_GO;
}

static int check_sampled(const struct command_line *line)
{
	if (options_given(line, "socket"))
		return line_refuse_option(line, "socket",
			"an observer is asked without --source; leave one of both out");
	return OPTIONS_GO;
}

static int check(const struct show_options *o, const struct command_line *line)
{
	static const char *const now_only[] = {
		"source", "pids", "interval", "socket", "collector", "pss"};

	if (options_given(line, "at")) {
		for (size_t i = 0; i < ARRAY_SIZE(now_only); i++)
			if (options_given(line, now_only[i]))
				return line_refuse(line, 0,
					"--at reads the past from a store, where --%s means "
					"nothing; leave it out",
					now_only[i]);
		return OPTIONS_GO;
	}
	if (options_given(line, "store"))
		return line_refuse_option(
			line, "store", "a store has the past: tell the instant with --at TIME");
	return o->sources.count ? check_sampled(line) : check_observed(line);
}

static int run_show(int argc, char **argv)
{
	struct show_options o = {0};
	struct command_line line;
	struct tally_monitor *monitor = NULL;
	int status = options_parse(&command_show, argc, argv, &o, &line);

	if (status == OPTIONS_GO)
		status = check(&o, &line);
	if (status == OPTIONS_GO && options_given(&line, "at"))
		status = show_past(&line, o.store, o.at_wall_ns, o.json);
	else if (status == OPTIONS_GO && o.sources.count == 0)
		status = show_observed(&line, o.socket, o.pids, o.json);
	else if (status == OPTIONS_GO)
		status = show_sampled(&o, &line, &monitor);
	tally_monitor_free(monitor);
	options_done(&command_show, &o);
	return status;
}

const struct command command_show = {
	.name = "show",
	.arguments = "[TASK[/PROCESS]]",
	.summary = "Show what tasks consume now, or did at an instant",
	.description =
		"Shows what the observer of this machine knows. With --source it samples the\n"
		"tasks named there itself, twice, a short time apart, and shows the second\n"
		"sample with the rates between them. With --at it shows what a store has of an\n"
		"instant of the past.",
	.options = options,
	.most = 1,
	.run = run_show,
};
