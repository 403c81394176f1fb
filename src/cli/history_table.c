/* SPDX-License-Identifier: Apache-2.0 */
/* `tally history` as a table. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "cli/format.h"
#include "cli/history.h"
#include "cli/sparkline.h"
#include "cli/stored.h"
#include "cli/table.h"

/* A column: where in the document its values are, and how they are shown. */
struct column {
	const char *title;
	char key[40];
	bool rate, maximum;
	const json_t *values;
};

/* The columns when nobody named metrics. */
static const struct column usual[] = {
	{"CORES", "cpu_rate", false, false, NULL},
	{"MEMORY", "rss_bytes", false, false, NULL},
	{"PEAK", "rss_bytes", false, true, NULL},
	{"READ", "io_read_bytes", true, false, NULL},
	{"WRITTEN", "io_write_bytes", true, false, NULL},
	{"PIDS", "pids", false, false, NULL},
};

static bool find_values(const json_t *answer, struct column *column)
{
	column->values = json_object_get(
		json_object_get(answer, column->maximum ? "maxima" : "series"), column->key);
	return column->values;
}

/* @return how many. */
static size_t usual_columns(const json_t *answer, struct column ret[TABLE_COLUMNS_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		ret[count] = usual[i];
		count += find_values(answer, &ret[count]);
	}
	return count;
}

/* @return how many, or -E2BIG. */
static int named_columns(
	const json_t *answer, const char *metrics, bool rate, struct column ret[TABLE_COLUMNS_MAX])
{
	int count = 0;

	while (*metrics) {
		size_t length = strcspn(metrics, ",");
		struct column column = {.rate = rate};

		if (length > 0 && count == TABLE_COLUMNS_MAX - 1)
			return -E2BIG;
		if (length > 0 && length < sizeof(column.key)) {
			memcpy(column.key, metrics, length);
			ret[count] = column;
			ret[count].title = ret[count].key;
			count += find_values(answer, &ret[count]);
		}
		metrics += length + (metrics[length] == ',');
	}
	return count;
}

static const char *format_rate(char out[FORMAT_SIZE], enum tally_metric metric, double rate)
{
	switch (tally_metrics[metric].unit) {
	case TALLY_UNIT_BYTES:
		return format_bytes_rate(out, rate);
	case TALLY_UNIT_NS:
		return format_cores(out, rate);
	default:
		snprintf(out, FORMAT_SIZE, "%.1f/s", rate);
		return out;
	}
}

static const char *format_value(char out[FORMAT_SIZE], enum tally_metric metric, double value)
{
	switch (tally_metrics[metric].unit) {
	case TALLY_UNIT_NS:
		return format_duration(out, (int64_t)(value * 1e9));
	case TALLY_UNIT_COUNT:
		if (value == trunc(value))
			return format_count(out, (int64_t)value);
		snprintf(out, FORMAT_SIZE, "%.1f", value);
		return out;
	default:
		return format_metric(out, metric, (int64_t)value);
	}
}

/* What is derived of CPU has no row in the table of metrics. */
static enum tally_metric metric_of(const struct column *column)
{
	int metric = tally_metric_find(column->key);

	return metric < 0 ? TALLY_CPU_USER : (enum tally_metric)metric;
}

static bool is_rate(const struct column *column)
{
	return strcmp(column->key, "cpu_rate") == 0 ||
	       (column->rate && tally_metrics[metric_of(column)].kind == TALLY_KIND_COUNTER);
}

static void add_cell(struct table *table, const struct column *column, size_t row)
{
	const json_t *cell = json_array_get(column->values, row);
	char text[FORMAT_SIZE];

	if (json_is_string(cell))
		table_add(table, json_string_value(cell));
	else if (!json_is_number(cell))
		table_add(table, "-");
	else if (is_rate(column))
		table_add(table, format_rate(text, metric_of(column), json_number_value(cell)));
	else
		table_add(table, format_value(text, metric_of(column), json_number_value(cell)));
}

/* The course of each column, above its figures. */
static void add_sparklines(
	struct table *table, const struct column *columns, size_t count, size_t rows)
{
	double *values = calloc(rows, sizeof(*values));
	char drawn[SPARKLINE_SIZE];

	table_add(table, "");
	for (size_t i = 0; i < count; i++) {
		for (size_t row = 0; values && row < rows; row++) {
			const json_t *cell = json_array_get(columns[i].values, row);

			values[row] = json_is_number(cell) ? json_number_value(cell) : NAN;
		}
		table_add(table, values ? sparkline_draw(drawn, values, rows) : "");
	}
	free(values);
}

static double time_of(const json_t *times, size_t row)
{
	return json_number_value(json_array_get(times, row));
}

/* Whether rows are so near that their seconds would be the same. */
static bool need_tenths(const json_t *answer, const json_t *times)
{
	double step = json_number_value(json_object_get(answer, "step_seconds"));

	if (step > 0)
		return step != trunc(step);
	for (size_t i = 1; i < json_array_size(times); i++)
		if (fabs(time_of(times, i) - time_of(times, i - 1)) < 0.9)
			return true;
	return false;
}

/* Rows are in the order in which they happened: where times leap, it is said why. */
static void tell_clock_steps(const json_t *answer)
{
	char at[32], by[FORMAT_SIZE];
	size_t index;
	const json_t *step;

	json_array_foreach(json_object_get(answer, "clock_steps"), index, step)
	{
		double seconds = json_number_value(json_object_get(step, "seconds"));
		double time = json_number_value(json_object_get(step, "time"));

		printf("- the clock of this machine was set %s by %s to %s\n",
			seconds < 0 ? "back" : "forward",
			format_duration(by, (int64_t)(fabs(seconds) * 1e9)),
			stored_time(at, (int64_t)(time * 1e9), false));
	}
}

int history_write_table(const json_t *answer, const char *metrics, bool rate)
{
	const json_t *times = json_object_get(answer, "times");
	struct column columns[TABLE_COLUMNS_MAX];
	int count = metrics ? named_columns(answer, metrics, rate, columns)
			    : (int)usual_columns(answer, columns);
	struct table table = {.columns = (size_t)count + 1};
	bool tenths = need_tenths(answer, times);
	char time[32];

	if (count < 0)
		return count;
	table_add(&table, "TIME");
	for (int i = 0; i < count; i++) {
		table.right[i + 1] = true;
		table_add(&table, columns[i].title);
	}
	if (sparkline_shown(STDOUT_FILENO))
		add_sparklines(&table, columns, (size_t)count, json_array_size(times));
	for (size_t row = 0; row < json_array_size(times); row++) {
		table_add(&table, stored_time(time, (int64_t)(time_of(times, row) * 1e9), tenths));
		for (int i = 0; i < count; i++)
			add_cell(&table, &columns[i], row);
	}
	int r = table_print(&table, stdout, terminal_style(STDOUT_FILENO));
	tell_clock_steps(answer);
	return r;
}
