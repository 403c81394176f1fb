/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tally top`: the tasks on a screen, now and at any moment that is remembered.
 *
 *     top.c           options; which feed; the loop
 *     top_feed.c      what a feed gives: rows and courses
 *       top_observer.c, top_store.c, top_own.c   the feeds
 *     top_model.c     order, filter, what is unfolded, time: no screen
 *     top_column.c    the table of columns
 *     top_screen.c    draws; top_overlay.c what lies over the table, top_keys.c what keys do
 *     top_terminal.c  takes the terminal and gives it back
 *     top_once.c      --once
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/observe.h"
#include "cli/shared.h"
#include "cli/show.h"
#include "cli/sparkline.h"
#include "cli/stored.h"
#include "cli/top_once.h"
#include "cli/top_screen.h"
#include "cli/top_terminal.h"

struct top_options {
	struct option_list sources;
	const char *store, *socket, *sort, *filter, *columns, *collector;
	int64_t at_ns, interval_ns;
	bool once, json, unfold, flat, ascii;
};

#define AT(member) offsetof(struct top_options, member)

static const struct option_row options[] = {
	{"socket", 0, OPTION_FILE, "PATH", AT(socket),
		"socket of the observer to ask (default: where `tally observe` has it)"},
	{"store", 0, OPTION_FILE, "FILE", AT(store),
		"read this store instead; no observer is needed"},
	{"source", 0, OPTION_LIST, "SPEC", AT(sources),
		"watch by itself instead, what this names, as pid:web=812; may be given again"},
	{"at", 0, OPTION_TIME, "TIME", AT(at_ns),
		"begin at an instant of the past: 14:05, -5m, 2026-11-24T03:25:00Z"},
	{"interval", 'i', OPTION_DURATION, "TIME", AT(interval_ns),
		"time between two looks (default: 1s, or as often as the observer looks)"},
	{"sort", 's', OPTION_STRING, "COLUMN", AT(sort), "sort by this column (default: cpu)"},
	{"filter", 'f', OPTION_STRING, "TEXT", AT(filter), "only names that have this in them"},
	{"columns", 0, OPTION_STRING, "LIST", AT(columns),
		"columns to show, with commas between them, as cpu,mem,disk"},
	{"unfold", 'u', OPTION_FLAG, NULL, AT(unfold), "show the processes of all tasks"},
	{"flat", 0, OPTION_FLAG, NULL, AT(flat), "show all processes in one list"},
	{"once", '1', OPTION_FLAG, NULL, AT(once), "write one plain table for programs, and end"},
	{"json", 'j', OPTION_FLAG, NULL, AT(json), "with --once: JSON, as `tally show` has it"},
	{"ascii", 0, OPTION_FLAG, NULL, AT(ascii),
		"nothing but ASCII (default: where the locale is not UTF-8)"},
	{"collector", 'c', OPTION_STRING, "NAME", AT(collector), HELP_COLLECTOR},
	{.name = NULL},
};

/* ---- which feed ---- */

/* Without an observer, what there is to see on this machine. */
static int open_alone(const struct top_options *o, struct top_feed **ret, struct tally_error *err)
{
	const char *source = "auto";
	const struct option_list alone = {.items = &source, .count = 1};

	int r = top_own_open(&alone, o->collector, o->interval_ns, ret, err);
	if (r == 0)
		(*ret)->nothing = "  no observer answers, and no service, container, session or "
				  "daemon is seen here;\n"
				  "  name tasks with --source, as pid:web=812, or try as root";
	return r;
}

static int open_feed(const struct top_options *o, struct top_feed **ret, struct tally_error *err)
{
	char socket[108];

	if (o->store)
		return top_store_open(o->store, ret, err);
	if (o->sources.count)
		return top_own_open(&o->sources, o->collector, o->interval_ns, ret, err);
	observe_default_socket(socket, sizeof(socket));
	if (o->socket)
		snprintf(socket, sizeof(socket), "%s", o->socket);
	int r = top_observer_open(socket, ret, err);
	if ((r == -ENOENT || r == -ECONNREFUSED) && o->socket == NULL)
		return open_alone(o, ret, err);
	return r;
}

/* ---- on the screen ---- */

static int64_t interval_of(const struct top_options *o, const struct top_feed *feed)
{
	if (o->interval_ns)
		return o->interval_ns;
	return feed->interval_ns > NS_PER_S ? feed->interval_ns : NS_PER_S;
}

/* Until the next look: never for long, so that the clock on the screen goes on. */
static int64_t pause_of(const struct top_screen *screen, int64_t due_ns)
{
	int64_t left_ns = due_ns - clock_boot_ns();

	if (screen->courses_missing || left_ns < 0)
		return 0;
	return left_ns;
}

/* @return the number of the signal that ended it, or 0. */
static int watch(struct top_screen *screen, int64_t interval_ns)
{
	int64_t due_ns = clock_boot_ns() + interval_ns;
	int ended_by = 0;

	while (!screen->quit && !ended_by) {
		top_screen_draw(screen);
		ended_by = top_terminal_wait(pause_of(screen, due_ns));
		top_screen_take_keys(screen);
		if (screen->courses_missing)
			top_screen_load_courses(screen);
		if (clock_boot_ns() < due_ns)
			continue;
		if (top_model_moves(screen->model))
			top_model_read(screen->model);
		due_ns = clock_boot_ns() + interval_ns;
	}
	return ended_by;
}

static int show_screen(
	const struct top_options *o, struct top_model *model, struct tally_error *err)
{
	struct top_screen screen;
	int r = top_terminal_open(err);

	if (r < 0)
		return r;
	top_screen_begin(&screen, model, o->ascii || !sparkline_shown(STDOUT_FILENO));
	int ended_by = watch(&screen, interval_of(o, model->feed));
	top_terminal_close();
	if (ended_by && ended_by != SIGINT)
		raise(ended_by);
	return 0;
}

/* ---- once ---- */

/* A rate takes two looks where nobody looked before. */
static int look_again(struct top_model *model)
{
	struct timespec gap = {0, 500 * NS_PER_MS};

	if (strcmp(model->feed->ops->name, "own") != 0 || model->at_ns)
		return 0;
	clock_nanosleep(CLOCK_MONOTONIC, 0, &gap, NULL);
	return top_model_read(model);
}

static int write_json(const struct top_model *model, struct tally_error *err)
{
	json_t *all = model->feed->ops->json(model->feed, model->at_ns, err);
	int r = all ? json_write(all, stdout) : -EIO;

	json_decref(all);
	return r;
}

static int show_once(const struct top_options *o, struct top_model *model, struct tally_error *err)
{
	int r = look_again(model);

	if (r < 0)
		*err = model->error;
	else if (o->json)
		r = write_json(model, err);
	else
		top_once_write(model, stdout);
	return r;
}

/* ---- the command ---- */

static int refuse_sort(const struct command_line *line, const char *id)
{
	struct tally_error err;
	uint32_t bits;

	if (top_columns_parse(id, &bits, &err) < 0)
		return line_refuse_option(line, "sort", "%s", err.message);
	return line_refuse_option(line, "sort", "'%s' is no column to sort by; cpu is one", id);
}

static int ask_for(const struct top_options *o, struct command_line *line, struct top_model *model)
{
	struct tally_error err;

	if (o->columns && top_columns_parse(o->columns, &model->columns, &err) < 0)
		return line_refuse_option(line, "columns", "%s", err.message);
	if (o->sort) {
		int column = top_column_find(o->sort);

		if (column < 0 || !top_column_sorts(&top_columns[column]))
			return refuse_sort(line, o->sort);
		model->sort = (size_t)column;
	}
	snprintf(model->filter, sizeof(model->filter), "%s", o->filter ? o->filter : "");
	model->unfold_all = o->unfold;
	model->flat = o->flat;
	return OPTIONS_GO;
}

static int top(const struct top_options *o, struct command_line *line, struct top_feed *feed)
{
	struct top_model model;
	struct tally_error err = {0};

	top_model_begin(&model, feed);
	int status = ask_for(o, line, &model), r = 0;
	if (status == OPTIONS_GO && (r = top_model_go(&model, o->at_ns)) < 0) {
		status = line_fail(line, "%s", model.error.message);
	} else if (status == OPTIONS_GO && o->json && o->store) {
		status = show_past(line, o->store, top_model_time(&model), true);
	} else if (status == OPTIONS_GO) {
		r = o->once ? show_once(o, &model, &err) : show_screen(o, &model, &err);
		status = r < 0 ? line_fail(line, "%s", err.message) : 0;
	}
	top_model_done(&model);
	return status;
}

static int check(const struct top_options *o, const struct command_line *line)
{
	if (o->store && o->socket)
		return line_refuse_option(line, "socket",
			"a store is read without an observer; leave out --store or --socket");
	if (o->sources.count && (o->store || o->socket))
		return line_refuse_option(line, "source",
			"--source watches by itself; leave it out, or --store and --socket");
	if (o->sources.count && options_given(line, "at"))
		return line_refuse_option(line, "at",
			"who begins to watch has no past yet; --store FILE and the observer have one");
	if (o->json && !o->once)
		return line_refuse_option(line, "json", "JSON is written once: add --once");
	return OPTIONS_GO;
}

static int run_top(int argc, char **argv)
{
	struct top_options o = {0};
	struct command_line line;
	struct top_feed *feed = NULL;
	struct tally_error err;
	int status = options_parse(&command_top, argc, argv, &o, &line);

	if (status == OPTIONS_GO)
		status = check(&o, &line);
	if (status == OPTIONS_GO) {
		if (!o.once)
			top_terminal_hold_signals();
		if (open_feed(&o, &feed, &err) < 0)
			status = line_fail(&line, "%s", err.message);
		else
			status = top(&o, &line, feed);
	}
	top_feed_close(feed);
	options_done(&command_top, &o);
	return status;
}

const struct command command_top = {
	.name = "top",
	.summary = "Watch tasks on the screen, now and in the past",
	.description =
		"Asks the observer of this machine, reads a store (--store), or watches by\n"
		"itself (--source). The key ? tells all others: [ and ] step back and forth in\n"
		"time, t goes to a moment, Space holds the present, Enter shows the processes\n"
		"of a task.",
	.options = options,
	.run = run_top,
};
