/* SPDX-License-Identifier: Apache-2.0 */
/* `tally history` as a table. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/clock.h"
#include "cli/format.h"
#include "cli/history.h"
#include "cli/sparkline.h"
#include "cli/stored.h"
#include "cli/table.h"

/* The columns when nobody named metrics. */
static const struct history_column usual[] = {
	{"cpu_rate", "CORES", COLUMN_CPU_RATE, TALLY_CPU_USER},
	{"rss_bytes", "MEMORY", COLUMN_VALUE, TALLY_RSS},
	{"rss_bytes", "PEAK", COLUMN_MAXIMUM, TALLY_RSS},
	{"io_read_bytes", "READ", COLUMN_RATE, TALLY_IO_READ},
	{"io_write_bytes", "WRITTEN", COLUMN_RATE, TALLY_IO_WRITE},
	{"pids", "PIDS", COLUMN_VALUE, TALLY_PIDS},
};

static size_t usual_columns(
	const struct history_rows *rows, struct history_column ret[HISTORY_COLUMNS_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		if (usual[i].kind != COLUMN_MAXIMUM || rows->averaged)
			ret[count++] = usual[i];
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

static void add_cell(struct table *table, const struct history_rows *rows, size_t row,
	const struct history_column *column)
{
	char text[FORMAT_SIZE];
	double value;

	if (!history_cell(rows, row, column, &value))
		table_add(table, "-");
	else if (column->kind == COLUMN_CPU_RATE)
		table_add(table, format_cores(text, value));
	else if (column->kind == COLUMN_RATE)
		table_add(table, format_rate(text, column->metric, value));
	else
		table_add(table, format_value(text, column->metric, value));
}

/* The course of each column, above its figures. */
static void add_sparklines(struct table *table, const struct history_rows *rows,
	const struct history_column *columns, size_t count)
{
	double *values = calloc(rows->count, sizeof(*values));
	char drawn[SPARKLINE_SIZE];

	table_add(table, "");
	for (size_t i = 0; i < count; i++) {
		for (size_t row = 0; values && row < rows->count; row++)
			if (!history_cell(rows, row, &columns[i], &values[row]))
				values[row] = NAN;
		table_add(table, values ? sparkline_draw(drawn, values, rows->count) : "");
	}
	free(values);
}

/* Whether rows are so near that their seconds would be the same. */
static bool need_tenths(const struct history_rows *rows)
{
	if (rows->step_ns > 0)
		return rows->step_ns % NS_PER_S != 0;
	for (size_t i = 1; i < rows->count; i++)
		if (llabs(rows->rows[i].last.wall_ns - rows->rows[i - 1].last.wall_ns) <
			NS_PER_S * 9 / 10)
			return true;
	return false;
}

int history_write_table(const struct history_answer *answer)
{
	const struct history_rows *rows = &answer->rows;
	struct history_column columns[HISTORY_COLUMNS_MAX];
	size_t count = answer->metrics ? history_columns(answer->metrics, answer->rate, columns)
				       : usual_columns(rows, columns);
	struct table table = {.columns = count + 1};
	bool tenths = need_tenths(rows);
	char time[32];

	if (table.columns > TABLE_COLUMNS_MAX)
		return -E2BIG;
	table_add(&table, "TIME");
	for (size_t i = 0; i < count; i++) {
		table.right[i + 1] = true;
		table_add(&table, columns[i].title);
	}
	if (sparkline_shown(STDOUT_FILENO))
		add_sparklines(&table, rows, columns, count);
	for (size_t row = 0; row < rows->count; row++) {
		table_add(&table, stored_time(time, rows->rows[row].last.wall_ns, tenths));
		for (size_t i = 0; i < count; i++)
			add_cell(&table, rows, row, &columns[i]);
	}
	return table_print(&table, stdout, terminal_style(STDOUT_FILENO));
}
