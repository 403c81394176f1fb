/* SPDX-License-Identifier: Apache-2.0 */
/* A report as one page: that of web/report.html, with the data as JSON in its midst. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/clock.h"
#include "cli/json.h"
#include "cli/report_data.h"
#include "cli/report_page.h"
#include "model/model.h"

/* Series of more processes would be larger than useful: charts have eight colours. */
#define PARTS_DRAWN 8
#define PARTS_TOLD  1000

/* What the charts of the page are made of. */
#define TASK_METRICS                                                                               \
	(ROWS_CPU_RATE | TALLY_BIT(TALLY_CPU_USER) | TALLY_BIT(TALLY_CPU_SYSTEM) |                 \
		TALLY_BIT(TALLY_RUN_QUEUE_WAIT) | TALLY_BIT(TALLY_RSS) | TALLY_BIT(TALLY_SHARED) | \
		TALLY_BIT(TALLY_SWAP) | TALLY_BIT(TALLY_IO_READ) | TALLY_BIT(TALLY_IO_WRITE) |     \
		TALLY_BIT(TALLY_DISK) | TALLY_BIT(TALLY_DISK_FILES) |                              \
		TALLY_BIT(TALLY_DISK_DELETED) | TALLY_BIT(TALLY_PIDS) | TALLY_BIT(TALLY_THREADS) | \
		TALLY_BIT(TALLY_MEMORY_WORKING_SET) | TALLY_BIT(TALLY_MEMORY_LIMIT) |              \
		TALLY_BIT(TALLY_CPU_THROTTLED) | TALLY_BIT(TALLY_CPU_PRESSURE) |                   \
		TALLY_BIT(TALLY_MEMORY_PRESSURE) | TALLY_BIT(TALLY_IO_PRESSURE))
#define PROCESS_METRICS                                                                            \
	(ROWS_CPU_RATE | TALLY_BIT(TALLY_RSS) | TALLY_BIT(TALLY_IO_READ) |                         \
		TALLY_BIT(TALLY_IO_WRITE) | TALLY_BIT(TALLY_PIDS))

/* Whole numbers without their fraction, others with what a chart can show of it. */
static json_t *number(double value)
{
	if (fabs(value) < 9e15 && value == rint(value))
		return json_integer((json_int_t)value);
	char text[32];

	snprintf(text, sizeof(text), "%.7g", value);
	return json_real(strtod(text, NULL));
}

static json_t *times_json(const struct report_rows *rows)
{
	json_t *times = json_array();

	for (size_t i = 0; i < rows->count; i++)
		json_array_append_new(
			times, json_real((double)(rows->rows[i].last.wall_ns / NS_PER_MS) / 1e3));
	return times;
}

static json_t *series_json(const struct report_rows *rows, uint64_t wanted)
{
	struct report_column columns[REPORT_COLUMNS_MAX];
	size_t count = report_columns(wanted, true, columns);
	json_t *series = json_object();

	for (size_t c = 0; c < count; c++) {
		json_t *values = json_array();
		double value;

		for (size_t i = 0; i < rows->count; i++)
			json_array_append_new(values, report_cell(rows, i, &columns[c], &value)
							      ? number(value)
							      : json_null());
		json_object_set_new(series, columns[c].key, values);
	}
	return series;
}

static json_t *total_json(
	const struct report_data *data, const struct report_part *part, enum tally_metric metric)
{
	int64_t value;

	if (!report_total(data, part, metric, &value))
		return json_null();
	if (tally_metrics[metric].unit == TALLY_UNIT_NS)
		return json_real((double)value / 1e9);
	return json_integer(value);
}

static json_t *cpu_json(const struct report_data *data, const struct report_part *part)
{
	int64_t user_ns, system_ns;

	if (!report_total(data, part, TALLY_CPU_USER, &user_ns) ||
		!report_total(data, part, TALLY_CPU_SYSTEM, &system_ns))
		return json_null();
	return json_real((double)(user_ns + system_ns) / 1e9);
}

static bool of_task_alone(int metric)
{
	return tally_metrics[metric].aggregate == TALLY_AGGREGATE_TASK;
}

/* Totals of counters, "peak_KEY" of gauges, and why others are missing. */
static json_t *totals_json(const struct report_data *data, const struct report_part *part)
{
	const struct report_rows *rows = &part->rows;
	json_t *object = json_object();

	json_object_set_new(object, "cpu_seconds", cpu_json(data, part));
	for (int m = 0; m < TALLY_METRIC_COUNT; m++) {
		char key[64];

		if (tally_metrics[m].kind == TALLY_KIND_INFO || (part->process && of_task_alone(m)))
			continue;
		snprintf(key, sizeof(key), "%s%s",
			tally_metrics[m].kind == TALLY_KIND_GAUGE ? "peak_" : "",
			tally_metrics[m].key);
		json_object_set_new(object, key, total_json(data, part, m));
	}
	json_object_set_new(object, "missing",
		rows->count ? sample_json_missing(&rows->rows[rows->count - 1].last, !part->process)
			    : json_object());
	return object;
}

static json_t *part_json(const struct report_data *data, const struct report_part *part, bool drawn)
{
	json_t *object = totals_json(data, part);
	const struct report_rows *rows = &part->rows;

	json_object_set_new(object, "process", json_text(part->process));
	if (rows->count > 0) {
		json_object_set_new(
			object, "first", json_real((double)rows->rows[0].last.wall_ns / NS_PER_S));
		json_object_set_new(object, "last",
			json_real((double)rows->rows[rows->count - 1].last.wall_ns / NS_PER_S));
	}
	if (drawn) {
		json_object_set_new(object, "times", times_json(rows));
		json_object_set_new(object, "series", series_json(rows, PROCESS_METRICS));
	}
	return object;
}

static json_t *data_json(const struct report_data *data, json_t *facts)
{
	json_t *all = json_object(), *parts = json_array();

	json_object_set_new(all, "task", json_text(data->task));
	json_object_set_new(all, "version", json_string(TALLY_VERSION));
	json_object_set_new(all, "made", json_real((double)clock_wall_ns() / NS_PER_S));
	json_object_set_new(all, "facts", facts);
	json_object_set_new(all, "totals", totals_json(data, &data->total));
	json_object_set_new(all, "times", times_json(&data->total.rows));
	json_object_set_new(all, "series", series_json(&data->total.rows, TASK_METRICS));
	json_object_set_new(all, "process_count", json_integer((json_int_t)data->part_count));
	for (size_t i = 0; i < data->part_count && i < PARTS_TOLD; i++)
		json_array_append_new(parts, part_json(data, &data->parts[i], i < PARTS_DRAWN));
	json_object_set_new(all, "processes", parts);
	return all;
}

/* Within a page "</script" would end the data: '<' is written as JSON may write it. */
static int write_escaped(const char *text, FILE *out)
{
	for (; *text; text++) {
		int r = *text == '<' ? fputs("\\u003c", out) : fputc(*text, out);

		if (r == EOF)
			return -EIO;
	}
	return 0;
}

int report_html_write(const struct report_data *data, json_t *facts, FILE *out)
{
	json_t *all = data_json(data, facts);
	CLEANUP_FREE char *text = json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(14));
	int r = text ? 0 : -ENOMEM;

	json_decref(all);
	if (r == 0 &&
		fwrite(report_page_head, 1, report_page_head_length, out) < report_page_head_length)
		r = -EIO;
	if (r == 0)
		r = write_escaped(text, out);
	if (r == 0 &&
		fwrite(report_page_tail, 1, report_page_tail_length, out) < report_page_tail_length)
		r = -EIO;
	return r;
}
