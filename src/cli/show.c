/* SPDX-License-Identifier: Apache-2.0 */
/* `tally show`: the tasks of an observer, or those that sources name, sampled here and now. */
#include <errno.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/fail.h"
#include "cli/commands.h"
#include "cli/disk.h"
#include "cli/json.h"
#include "cli/observed.h"
#include "cli/shared.h"
#include "cli/show.h"
#include "cli/tasks_json.h"

/* Between the two ticks that a rate needs. */
#define GAP_NS (500 * NS_PER_MS)

struct show_options {
	struct option_list sources;
	const char *collector, *store, *socket;
	int64_t interval_ns, at_wall_ns;
	bool json, pids, pss, deleted;
};

#define AT(member) offsetof(struct show_options, member)

static const struct option_row options[] = {
	{"source", 0, OPTION_LIST, "SPEC", AT(sources),
		"sample what this names, as pid:web=812 or pid:shop/web=812, instead of asking the "
		"observer; may be given again"},
	{"pids", 'p', OPTION_FLAG, NULL, AT(pids),
		"list the operating-system processes of each task, and why they belong to it"},
	{"deleted", 0, OPTION_FLAG, NULL, AT(deleted),
		"list the files of a task's sandbox that have no name any more, but are held open"},
	{"json", 'j', OPTION_FLAG, NULL, AT(json), "write JSON instead of a table"},
	{"interval", 'i', OPTION_DURATION, "TIME", AT(interval_ns),
		"time between the two samples that rates are made of (default: 500ms)"},
	{"at", 0, OPTION_TIME, "TIME", AT(at_wall_ns),
		"show an instant of the past: 14:05, -5m, 2026-11-24T03:25:00Z"},
	{"store", 0, OPTION_FILE, "FILE", AT(store),
		"store to read with --at, instead of asking the observer (default: its own, where "
		"none answers)"},
	{"socket", 0, OPTION_FILE, "PATH", AT(socket), HELP_SOCKET},
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

/* Without a source the observer is asked, which knows already. */
static int show_held(
	const struct show_options *o, struct command_line *line, struct tally_monitor **monitor)
{
	struct tally_error err;
	int r = 0;

	if (o->sources.count) {
		r = open_monitor(o, monitor, &err);
		if (r == 0)
			r = tally_monitor_tick(*monitor, &err);
	}
	if (r < 0)
		return line_fail(line, "%s", err.message);
	return show_deleted(line, *monitor, line->arguments[0], o->socket, o->json);
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

/* Options that are for sampling here; what an observer does it was told when it was started. */
static int refuse_sampling(const struct command_line *line, const char *why)
{
	static const char *const here[] = {"interval", "collector", "pss"};

	for (size_t i = 0; i < ARRAY_SIZE(here); i++)
		if (options_given(line, here[i]))
			return line_refuse_option(line, here[i], "--%s %s", here[i], why);
	return OPTIONS_GO;
}

static int check_past(const struct show_options *o, const struct command_line *line)
{
	static const char *const now_only[] = {"source", "pids", "deleted"};

	for (size_t i = 0; i < ARRAY_SIZE(now_only); i++)
		if (options_given(line, now_only[i]))
			return line_refuse(line, 0,
				"--at reads the past, where --%s means nothing; leave it out",
				now_only[i]);
	if (o->store && o->socket)
		return line_refuse_option(line, "socket",
			"give --store to read a file or --socket to ask an observer, not both");
	return refuse_sampling(line, "means nothing in the past; leave it out");
}

static int check(const struct show_options *o, const struct command_line *line)
{
	if (options_given(line, "at"))
		return check_past(o, line);
	if (options_given(line, "store"))
		return line_refuse_option(
			line, "store", "a store has the past: tell the instant with --at TIME");
	if (o->deleted && line->argument_count == 0)
		return line_refuse_option(line, "deleted", "name the task whose files are wanted");
	if (o->deleted && o->pids)
		return line_refuse_option(line, "pids", "give --pids or --deleted, not both");
	if (o->sources.count == 0)
		return refuse_sampling(line,
			"is for what --source names; an observer samples as it "
			"was told to");
	if (o->socket)
		return line_refuse_option(line, "socket",
			"give --source to sample here or --socket to ask an observer, not both");
	return OPTIONS_GO;
}

/* Ask the observer. Where none answers: the store, for the past. */
static int show_from_observer(const struct show_options *o, struct command_line *line)
{
	struct show_question question = {
		.socket = o->socket,
		.word = line->argument_count > 0 ? line->arguments[0] : NULL,
		.has_at = options_given(line, "at"),
		.at_ns = o->at_wall_ns,
		.json = o->json,
		.pids = o->pids,
	};
	struct tally_error err;
	int r = show_observed(&question, &err);

	if (r == 0)
		return 0;
	if (!observed_absent(r) || o->socket)
		return line_fail(line, "%s", err.message);
	if (question.has_at)
		return show_past(line, NULL, o->at_wall_ns, o->json);
	return line_refuse(line, 0,
		"%s; start one with `tally observe`, name processes with --source pid:NAME=PID, or "
		"an instant of the past with --at TIME",
		err.message);
}

static int show_whatever(const struct show_options *o, struct command_line *line)
{
	struct tally_monitor *monitor = NULL;

	if (options_given(line, "at") && o->store)
		return show_past(line, o->store, o->at_wall_ns, o->json);
	if (o->sources.count == 0 && !o->deleted)
		return show_from_observer(o, line);
	int status = o->deleted ? show_held(o, line, &monitor) : show_sampled(o, line, &monitor);
	tally_monitor_free(monitor);
	return status;
}

static int run_show(int argc, char **argv)
{
	struct show_options o = {0};
	struct command_line line;
	int status = options_parse(&command_show, argc, argv, &o, &line);

	if (status == OPTIONS_GO)
		status = check(&o, &line);
	if (status == OPTIONS_GO)
		status = show_whatever(&o, &line);
	options_done(&command_show, &o);
	return status;
}

const struct command command_show = {
	.name = "show",
	.arguments = "[TASK[/PROCESS]]",
	.summary = "Show what tasks consume now, or did at an instant",
	.description =
		"Asks the observer of this machine. With --source it samples the tasks that this\n"
		"names twice, a short time apart, and shows the second sample with the rates\n"
		"between them. With --at it shows an instant of the past, from the observer or,\n"
		"where none answers, from a store.",
	.options = options,
	.most = 1,
	.run = run_show,
};
