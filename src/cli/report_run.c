/* SPDX-License-Identifier: Apache-2.0 */
/* The files of `tally run --report` and --svg: all that the monitor remembers of the command. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/fail.h"
#include "base/text.h"
#include "cli/format.h"
#include "cli/report.h"
#include "cli/report_data.h"

/* Of more processes nobody reads a report; their sum is in the task's own figures. */
#define PARTS_MAX 1000

static bool add_sample(void *context, const struct tally_sample *sample)
{
	const struct history_point point = {.sample = sample};

	return report_rows_add(context, &point);
}

/*
 * The last sample is taken when the command has ended, maybe a moment after one of the tick thread: a
 * rate over that moment would be a spike of what was accounted late. Both become one.
 */
static void join_last(struct report_rows *rows, int64_t interval_ns)
{
	if (rows->count < 2)
		return;
	struct report_row *last = &rows->rows[rows->count - 1], *before = last - 1;

	if (last->last.boot_ns - before->last.boot_ns >= interval_ns / 2)
		return;
	for (int m = 0; m < TALLY_METRIC_COUNT; m++) {
		if (before->counts[m] > 0 &&
			(last->counts[m] == 0 || before->maxima[m] > last->maxima[m]))
			last->maxima[m] = before->maxima[m];
		last->sums[m] += before->sums[m];
		last->counts[m] += before->counts[m];
	}
	*before = *last;
	rows->count--;
}

static int read_series(const struct report *report, const char *process, int64_t step_ns,
	struct report_rows *rows, struct tally_error *err)
{
	const struct run *run = report->run;

	rows->since_ns = INT64_MIN;
	rows->step_ns = step_ns;
	int r = tally_monitor_range(
		run->monitor, run->task, process, INT64_MIN, INT64_MAX, add_sample, rows, err);
	if (r == 0 && rows->code < 0)
		r = tally_fail(err, rows->code, "cannot collect the samples of the report");
	join_last(rows, run->interval_ns);
	return r;
}

/* A name to read once the monitor's lock is free. */
static void add_part(
	void *context, const struct tally_process_info *info, const struct tally_reading *reading)
{
	struct report_data *data = context;

	if (data->part_count < PARTS_MAX)
		report_data_add(data, info->name);
}

static int run_data(const struct report *report, struct report_data *ret, struct tally_error *err)
{
	const struct run *run = report->run;
	int64_t step_ns = report_step(report->wall_ns, run->record.samples);

	*ret = (struct report_data){.task = run->task, .from_zero = true};
	int r = read_series(report, NULL, step_ns, &ret->total.rows, err);
	if (r == 0)
		r = tally_monitor_processes(run->monitor, run->task, add_part, ret, err);
	for (size_t i = 0; i < ret->part_count && r == 0; i++)
		r = read_series(report, ret->parts[i].process, step_ns, &ret->parts[i].rows, err);
	report_data_sort(ret);
	return r;
}

/* What report_json() has, and how far apart the samples are that are drawn. */
static json_t *facts_of(const struct report *report, const struct report_data *data)
{
	json_t *facts = report_json(report);

	if (!facts)
		return NULL;
	json_object_del(facts, "processes");
	json_object_set_new(facts, "timed_out", json_boolean(report->run->timed_out));
	json_object_set_new(
		facts, "step_seconds", json_real((double)data->total.rows.step_ns / NS_PER_S));
	return facts;
}

static void put_title(const struct report *report, char *out, size_t size)
{
	char task[64], wall[FORMAT_SIZE], end[48];
	const struct command_state *state = &report->state;

	text_show(task, sizeof(task), report->run->task);
	if (report->run->timed_out)
		snprintf(end, sizeof(end), "ended by the time limit");
	else if (state->signal)
		snprintf(end, sizeof(end), "ended by signal %d", state->signal);
	else
		snprintf(end, sizeof(end), "exit %d", state->exit_code);
	snprintf(out, size, "%s: %s after %s", task, end, format_duration(wall, report->wall_ns));
}

int report_write_files(const struct report *report, struct output *html, struct output *svg,
	struct tally_error *err)
{
	struct report_data data = {0};
	char title[192];

	if (!html->stream && !svg->stream)
		return 0;
	int r = run_data(report, &data, err);
	if (r == 0 && html->stream) {
		r = report_html_write(&data, facts_of(report, &data), html->stream);
		r = r < 0 ? tally_fail(err, r, "cannot write %s", html->path)
			  : output_commit(html, err);
	}
	if (r == 0 && svg->stream) {
		put_title(report, title, sizeof(title));
		r = report_svg_write(&data, title, svg->stream);
		r = r < 0 ? tally_fail(err, r, "cannot write %s", svg->path)
			  : output_commit(svg, err);
	}
	report_data_done(&data);
	return r;
}
