/* SPDX-License-Identifier: Apache-2.0 */
/* `tally history` as JSON and as CSV. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include "base/clock.h"
#include "cli/history.h"
#include "cli/json.h"

/* What is written when nobody named metrics: all there are. */
static uint64_t all_of(const struct history_answer *answer)
{
	uint64_t all = TALLY_BIT(TALLY_METRIC_COUNT) - 1;

	if (answer->metrics)
		return answer->metrics;
	for (int m = 0; answer->process && m < TALLY_METRIC_COUNT; m++)
		if (tally_metrics[m].aggregate == TALLY_AGGREGATE_TASK)
			all &= ~TALLY_BIT(m);
	return all | ROWS_CPU_SECONDS | ROWS_CPU_RATE;
}

/* A state is a word. */
static const char *word_of(
	const struct history_rows *rows, size_t row, const struct history_column *column)
{
	const struct tally_sample *sample = &rows->rows[row].last;

	if (column->kind != COLUMN_VALUE || tally_metrics[column->metric].unit != TALLY_UNIT_STATE)
		return NULL;
	return tally_sample_has(sample, column->metric)
		       ? tally_state_word(sample->value[column->metric])
		       : NULL;
}

/* Counts and bytes are whole unless they were averaged or divided by time. */
static bool is_whole(const struct history_column *column, double value)
{
	return (column->kind == COLUMN_VALUE || column->kind == COLUMN_MAXIMUM) &&
	       tally_metrics[column->metric].unit != TALLY_UNIT_NS && value == trunc(value);
}

static json_t *cell_json(
	const struct history_rows *rows, size_t row, const struct history_column *column)
{
	const char *word = word_of(rows, row, column);
	double value;

	if (word)
		return json_string(word);
	if (!history_cell(rows, row, column, &value))
		return json_null();
	return is_whole(column, value) ? json_integer((json_int_t)value) : json_real(value);
}

static json_t *column_json(const struct history_rows *rows, const struct history_column *column)
{
	json_t *values = json_array();

	for (size_t i = 0; i < rows->count; i++)
		json_array_append_new(values, cell_json(rows, i, column));
	return values;
}

static json_t *times_json(const struct history_rows *rows)
{
	json_t *times = json_array();

	for (size_t i = 0; i < rows->count; i++)
		json_array_append_new(
			times, json_real((double)rows->rows[i].last.wall_ns / NS_PER_S));
	return times;
}

static struct history_column maximum_of(const struct history_column *column)
{
	return (struct history_column){column->key, column->title, COLUMN_MAXIMUM, column->metric};
}

int history_write_json(const struct history_answer *answer)
{
	const struct history_rows *rows = &answer->rows;
	struct history_column columns[HISTORY_COLUMNS_MAX];
	size_t count = history_columns(all_of(answer), answer->rate, columns);
	json_t *all = json_object(), *series = json_object(), *maxima = json_object();

	for (size_t i = 0; i < count; i++) {
		struct history_column maximum = maximum_of(&columns[i]);

		json_object_set_new(series, columns[i].key, column_json(rows, &columns[i]));
		if (rows->averaged && history_column_has_maximum(&columns[i]))
			json_object_set_new(maxima, maximum.key, column_json(rows, &maximum));
	}
	json_object_set_new(all, "task", json_text(answer->task));
	json_object_set_new(all, "process", json_text(answer->process));
	json_object_set_new(all, "step_seconds", json_real((double)rows->step_ns / NS_PER_S));
	json_object_set_new(all, "times", times_json(rows));
	json_object_set_new(all, "series", series);
	json_object_set_new(all, "maxima", maxima);
	int r = json_dumpf(all, stdout, JSON_REAL_PRECISION(15));
	json_decref(all);
	return r < 0 || fputc('\n', stdout) == EOF ? -EIO : 0;
}

static void put_cell(
	const struct history_rows *rows, size_t row, const struct history_column *column)
{
	const char *word = word_of(rows, row, column);
	double value;

	fputc(',', stdout);
	if (word)
		fputs(word, stdout);
	else if (history_cell(rows, row, column, &value))
		printf(is_whole(column, value) ? "%.0f" : "%.9g", value);
}

/* Averages are followed by their maxima. */
static size_t add_maxima(
	const struct history_rows *rows, struct history_column *columns, size_t count)
{
	size_t all = count;

	for (size_t i = 0; rows->averaged && i < count; i++)
		if (history_column_has_maximum(&columns[i]))
			columns[all++] = maximum_of(&columns[i]);
	return all;
}

int history_write_csv(const struct history_answer *answer)
{
	const struct history_rows *rows = &answer->rows;
	struct history_column columns[HISTORY_COLUMNS_MAX];
	size_t count = history_columns(all_of(answer), answer->rate, columns);

	count = add_maxima(rows, columns, count);
	fputs("time", stdout);
	for (size_t i = 0; i < count; i++)
		printf(",%s%s", columns[i].key, columns[i].kind == COLUMN_MAXIMUM ? "_max" : "");
	for (size_t row = 0; row < rows->count; row++) {
		int64_t wall_ns = rows->rows[row].last.wall_ns;

		printf("\n%" PRId64 ".%09" PRId64, wall_ns / NS_PER_S, wall_ns % NS_PER_S);
		for (size_t i = 0; i < count; i++)
			put_cell(rows, row, &columns[i]);
	}
	fputc('\n', stdout);
	return 0;
}
