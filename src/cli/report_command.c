/* SPDX-License-Identifier: Apache-2.0 */
/* `tally report`: a page about a task, from a store. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fail.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/report_data.h"
#include "cli/shared.h"
#include "cli/stored.h"

/* How far before the range a sample may be that its first rates are derived from. */
#define BEFORE_NS (300 * NS_PER_S)

#define PARTS_MAX 1000

struct report_command {
	const char *store, *output, *svg;
	int64_t since_ns, until_ns;
};

#define AT(member) offsetof(struct report_command, member)

static const struct option_row options[] = {
	{"since", 0, OPTION_TIME, "TIME", AT(since_ns),
		"begin here: 14:05, -5m, 2026-11-24T03:25:00Z or seconds since the epoch "
		"(default: all there is)"},
	{"until", 0, OPTION_TIME, "TIME", AT(until_ns), "end here (default: all there is)"},
	{"output", 'o', OPTION_FILE, "FILE", AT(output),
		"write the page here (default: standard output)"},
	{"svg", 0, OPTION_FILE, "FILE", AT(svg), "write a small picture of CPU and memory, too"},
	{"store", 0, OPTION_FILE, "FILE", AT(store), HELP_STORED},
	{.name = NULL},
};

struct files {
	struct output html, svg;
};

static int check(struct report_command *o, const struct command_line *line)
{
	if (!options_given(line, "until"))
		o->until_ns = INT64_MAX;
	if (!options_given(line, "since"))
		o->since_ns = INT64_MIN;
	if (o->since_ns > o->until_ns)
		return line_refuse_option(line, "since",
			"--since is later than --until; give them the other way round");
	if (!o->output && !o->svg && isatty(STDOUT_FILENO))
		return line_refuse(
			line, 0, "the page is not for a terminal; name a file with --output FILE");
	return OPTIONS_GO;
}

static int open_files(const struct report_command *o, struct files *files, struct tally_error *err)
{
	const char *html = o->output ? o->output : o->svg ? NULL : "-";
	int r = 0;

	if (html)
		r = output_open(&files->html, strcmp(html, "-") == 0 ? "/dev/stdout" : html, err);
	if (r == 0 && o->svg)
		r = output_open(
			&files->svg, strcmp(o->svg, "-") == 0 ? "/dev/stdout" : o->svg, err);
	return r;
}

/* A store open, and what is asked of it. */
struct reading {
	const struct report_command *options;
	struct stored *stored;
	struct history_task *task;
	struct report_data *data;
	int64_t step_ns;
	bool failed;
};

static void add_part(void *context, const char *name)
{
	struct reading *reading = context;

	if (reading->data->part_count < PARTS_MAX)
		reading->failed |= !report_data_add(reading->data, name);
}

static int64_t reach_back(int64_t since_ns, int64_t step_ns)
{
	int64_t before_ns = 2 * step_ns > BEFORE_NS ? 2 * step_ns : BEFORE_NS;

	return since_ns < INT64_MIN + before_ns ? INT64_MIN : since_ns - before_ns;
}

static int read_series(struct reading *reading, const char *process, struct report_rows *rows,
	struct tally_error *err)
{
	const struct report_command *o = reading->options;
	uint64_t lost = 0;

	rows->since_ns = o->since_ns;
	rows->step_ns = reading->step_ns;
	int r = history_points(reading->stored->history, reading->task, process,
		reach_back(o->since_ns, rows->step_ns), o->until_ns, report_rows_add, rows, &lost);
	if (lost > 0)
		fprintf(stderr,
			"tally: %llu stretches of samples are damaged and left out; "
			"`tally store check` tells which\n",
			(unsigned long long)lost);
	if (r == 0)
		r = rows->code;
	return r < 0 ? tally_fail(err, r, "cannot read the history") : 0;
}

static int64_t step_of(const struct report_command *o, const struct history_extent *extent)
{
	int64_t first = extent->first_ns > o->since_ns ? extent->first_ns : o->since_ns;
	int64_t last = extent->last_ns < o->until_ns ? extent->last_ns : o->until_ns;
	double whole = (double)(extent->last_ns - extent->first_ns), part = (double)(last - first);

	if (last <= first)
		return 0;
	return report_step(last - first,
		whole > 0 ? (uint64_t)((double)extent->rows * part / whole) : extent->rows);
}

static int fail_empty(
	const char *task, const struct history_extent *extent, struct tally_error *err)
{
	char first[32], last[32];

	return tally_refuse(err, -ENODATA,
		"there is no sample of %s in that time; those there are reach from %s to %s", task,
		stored_time(first, extent->first_ns, false),
		stored_time(last, extent->last_ns, false));
}

/* A process that was not there in the range has no place in the report. */
static void leave_out_empty(struct report_data *data)
{
	size_t kept = 0;

	for (size_t i = 0; i < data->part_count; i++) {
		struct report_part part = data->parts[i];

		if (part.rows.count > 0) {
			data->parts[kept++] = part;
			continue;
		}
		report_rows_done(&part.rows);
		free(part.process);
	}
	data->part_count = kept;
}

static int read_all(struct reading *reading, struct tally_error *err)
{
	struct report_data *data = reading->data;
	struct history_extent extent;
	int r = history_extent(reading->stored->history, reading->task, NULL, &extent);

	if (r < 0)
		return tally_refuse(
			err, r, "store %s has no sample of %s", reading->stored->path, data->task);
	reading->step_ns = step_of(reading->options, &extent);
	r = read_series(reading, NULL, &data->total.rows, err);
	if (r == 0 && data->total.rows.count == 0)
		return fail_empty(data->task, &extent, err);
	history_processes(reading->stored->history, reading->task, add_part, reading);
	if (reading->failed)
		return tally_fail(err, -ENOMEM, "cannot list the processes");
	for (size_t i = 0; i < data->part_count && r == 0; i++)
		r = read_series(reading, data->parts[i].process, &data->parts[i].rows, err);
	leave_out_empty(data);
	report_data_sort(data);
	return r;
}

static int write_files(const struct report_data *data, struct files *files, struct tally_error *err)
{
	char title[128], task[96];
	int r = 0;

	if (files->html.stream) {
		json_t *facts = json_object();

		json_object_set_new(facts, "step_seconds",
			json_real((double)data->total.rows.step_ns / NS_PER_S));
		r = report_html_write(data, facts, files->html.stream);
		r = r < 0 ? tally_fail(err, r, "cannot write %s", files->html.path)
			  : output_commit(&files->html, err);
	}
	if (r == 0 && files->svg.stream) {
		int64_t first_ns = 0, last_ns = 0;
		char first[32], last[32];

		report_extent(data, &first_ns, &last_ns);
		text_show(task, sizeof(task), data->task);
		snprintf(title, sizeof(title), "%s, %s to %s", task,
			stored_time(first, first_ns, false), stored_time(last, last_ns, false));
		r = report_svg_write(data, title, files->svg.stream);
		r = r < 0 ? tally_fail(err, r, "cannot write %s", files->svg.path)
			  : output_commit(&files->svg, err);
	}
	return r;
}

static int make_report(const struct report_command *o, struct command_line *line)
{
	struct report_data data = {.task = line->arguments[0]};
	struct files files = {0};
	struct stored stored;
	struct tally_error err;
	struct reading reading = {.options = o, .stored = &stored, .data = &data};
	const char *process = NULL;
	int r = stored_open(o->store, &stored, &err);

	if (r == 0)
		r = stored_find(&stored, line->arguments[0], &reading.task, &process, &err);
	if (r == 0 && process)
		r = tally_refuse(
			&err, -EINVAL, "a report is of a whole task; leave out the /%s", process);
	if (r == 0)
		r = read_all(&reading, &err);
	if (r == 0)
		r = open_files(o, &files, &err);
	if (r == 0)
		r = write_files(&data, &files, &err);
	output_abort(&files.html);
	output_abort(&files.svg);
	report_data_done(&data);
	stored_close(&stored);
	return r < 0 ? line_fail(line, "%s", err.message) : 0;
}

static int run_report(int argc, char **argv)
{
	struct report_command o = {0};
	struct command_line line;
	int status = options_parse(&command_report, argc, argv, &o, &line);

	if (status == OPTIONS_GO)
		status = check(&o, &line);
	if (status == OPTIONS_GO)
		status = make_report(&o, &line);
	options_done(&command_report, &o);
	return status;
}

const struct command command_report = {
	.name = "report",
	.arguments = "TASK",
	.summary = "Write a page about what a task consumed in the past",
	.description =
		"Reads a store, whether an observer writes it or not. The page is one file that\n"
		"needs no network: charts, totals, processes, and what is not known and why.",
	.options = options,
	.least = 1,
	.most = 1,
	.run = run_report,
};
