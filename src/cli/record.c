/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/fail.h"
#include "cli/csv.h"
#include "model/model.h"

/* One row of the CSV to be: rows come series by series and are written in order of time. */
struct row {
	size_t series; /* 0 is the task. */
	struct tally_sample sample;
};

struct rows {
	struct row *at;
	size_t count, room;
};

/* The samples of one series in [after_ns, until_ns] of CLOCK_BOOTTIME. */
struct taking {
	struct record *record;
	struct rows *rows;
	size_t series;
	int64_t after_ns, until_ns;
	bool failed;
};

/* The processes of the task, and what their rows begin with; [0] is the task. */
struct names {
	const char *task;
	char **raw, **columns;
	size_t count;
	bool failed;
};

void record_begin(struct record *record, struct tally_monitor *monitor, const char *task, FILE *csv)
{
	*record = (struct record){.monitor = monitor,
		.task = task,
		.csv = csv,
		.peak_rss_bytes = -1,
		.peak_pids = -1};
	if (csv)
		sample_csv_header(csv, CSV_NAMES);
}

bool record_due(const struct record *record)
{
	struct tally_status status;

	tally_monitor_status(record->monitor, &status);
	return status.ticks - record->ticks_taken >= RECORD_TAKE;
}

static void raise_peak(const struct tally_sample *sample, enum tally_metric metric, int64_t *peak)
{
	if (tally_sample_has(sample, metric) && sample->value[metric] > *peak)
		*peak = sample->value[metric];
}

static bool keep_row(struct taking *taking, const struct tally_sample *sample)
{
	struct rows *rows = taking->rows;

	if (rows->count == rows->room) {
		size_t room = rows->room ? rows->room * 2 : 64;
		struct row *grown = reallocarray(rows->at, room, sizeof(*grown));

		if (!grown)
			return false;
		rows->at = grown;
		rows->room = room;
	}
	rows->at[rows->count++] = (struct row){taking->series, *sample};
	return true;
}

static bool take_sample(void *context, const struct tally_sample *sample)
{
	struct taking *taking = context;
	struct record *record = taking->record;

	if (sample->boot_ns <= taking->after_ns || sample->boot_ns > taking->until_ns)
		return true;
	if (taking->series == 0) {
		record->samples++;
		raise_peak(sample, TALLY_RSS, &record->peak_rss_bytes);
		raise_peak(sample, TALLY_PIDS, &record->peak_pids);
		record->newest_boot_ns = sample->boot_ns;
	}
	taking->failed |= record->csv && !keep_row(taking, sample);
	return true;
}

static void add_series(struct names *names, const char *process)
{
	char **raw = reallocarray(names->raw, names->count + 1, sizeof(char *));
	if (raw)
		names->raw = raw;
	char **columns = reallocarray(names->columns, names->count + 1, sizeof(char *));
	if (columns)
		names->columns = columns;
	if (!raw || !columns) {
		names->failed = true;
		return;
	}
	raw[names->count] = strdup(process);
	columns[names->count] = csv_names(names->task, process);
	names->failed |= !raw[names->count] || !columns[names->count];
	names->count++;
}

static void add_process(
	void *context, const struct tally_process_info *info, const struct tally_reading *reading)
{
	add_series(context, info->name);
}

static void names_done(struct names *names)
{
	for (size_t i = 0; i < names->count; i++) {
		free(names->raw[i]);
		free(names->columns[i]);
	}
	free(names->raw);
	free(names->columns);
}

static int by_time(const void *a, const void *b)
{
	const struct row *first = a, *second = b;
	int64_t difference = first->sample.boot_ns - second->sample.boot_ns;

	if (difference != 0)
		return difference < 0 ? -1 : 1;
	return first->series < second->series ? -1 : first->series > second->series;
}

static void write_rows(FILE *csv, struct rows *rows, const struct names *names)
{
	if (rows->count > 0)
		qsort(rows->at, rows->count, sizeof(*rows->at), by_time);
	for (size_t i = 0; i < rows->count; i++)
		sample_csv_row(csv, names->columns[rows->at[i].series], &rows->at[i].sample);
}

/* Series 0 first: what it ends with bounds the others, for ticks go on meanwhile. */
static int take_series(struct record *record, const struct names *names, struct rows *rows,
	struct tally_error *err)
{
	int64_t after_ns = record->newest_boot_ns;

	for (size_t i = 0; i < names->count; i++) {
		struct taking taking = {
			record, rows, i, after_ns, i ? record->newest_boot_ns : INT64_MAX, false};
		int r = tally_monitor_range(record->monitor, record->task, i ? names->raw[i] : NULL,
			INT64_MIN, INT64_MAX, take_sample, &taking, err);

		if (r < 0)
			return r;
		if (taking.failed)
			return tally_fail(err, -ENOMEM, "cannot take the samples");
	}
	return 0;
}

int record_take(struct record *record, struct tally_error *err)
{
	struct names names = {.task = record->task};
	struct rows rows = {0};
	struct tally_status status;
	int r = 0;

	tally_monitor_status(record->monitor, &status);
	record->ticks_taken = status.ticks;
	add_series(&names, "");
	if (record->csv)
		r = tally_monitor_processes(
			record->monitor, record->task, add_process, &names, err);
	if (r == 0 && names.failed)
		r = tally_fail(err, -ENOMEM, "cannot take the samples");
	if (r == 0)
		r = take_series(record, &names, &rows, err);
	if (r == 0 && record->csv)
		write_rows(record->csv, &rows, &names);
	names_done(&names);
	free(rows.at);
	return r;
}
