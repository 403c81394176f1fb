/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/report_rows.h"

#include <errno.h>
#include <stdlib.h>
#include "base/attr.h"
#include "base/clock.h"
#include "model/model.h"

static int64_t floor_step(int64_t wall_ns, int64_t step_ns)
{
	int64_t into = wall_ns % step_ns;

	return wall_ns - (into < 0 ? into + step_ns : into);
}

/* A clock that was set back begins a new row: rows are in the order in which they happened. */
static bool goes_on(const struct report_rows *rows, const struct history_point *point)
{
	if (rows->count == 0 || rows->step_ns == 0)
		return false;

	const struct report_row *last = &rows->rows[rows->count - 1];
	return last->era == point->era && floor_step(last->last.wall_ns, rows->step_ns) ==
						  floor_step(point->sample->wall_ns, rows->step_ns);
}

static struct report_row *begin_row(struct report_rows *rows)
{
	if (rows->count == REPORT_ROWS_MAX) {
		rows->code = -EFBIG;
		return NULL;
	}
	if (rows->count == rows->capacity) {
		size_t capacity = rows->capacity ? rows->capacity * 2 : 64;
		struct report_row *grown = reallocarray(rows->rows, capacity, sizeof(*rows->rows));

		if (!grown) {
			rows->code = -ENOMEM;
			return NULL;
		}
		rows->rows = grown;
		rows->capacity = capacity;
	}
	rows->rows[rows->count] = (struct report_row){.era = 0};
	return &rows->rows[rows->count++];
}

static void add_gauges(struct report_row *row, const struct history_point *point)
{
	const struct tally_sample *most = point->maxima ? point->maxima : point->sample;

	for (int m = 0; m < TALLY_METRIC_COUNT; m++) {
		if (!tally_sample_has(point->sample, m))
			continue;
		int64_t value = point->sample->value[m];
		int64_t maximum = tally_sample_has(most, m) ? most->value[m] : value;

		if (row->counts[m] == 0 || maximum > row->maxima[m])
			row->maxima[m] = maximum;
		row->sums[m] += (double)value;
		row->counts[m]++;
	}
}

static void note_before(struct report_rows *rows, const struct history_point *point)
{
	rows->before = *point->sample;
	rows->before_era = point->era;
}

bool report_rows_add(void *context, const struct history_point *point)
{
	struct report_rows *rows = context;

	if (point->sample->wall_ns < rows->since_ns) {
		if (rows->count == 0)
			note_before(rows, point);
		return true;
	}
	if (rows->before.boot_ns == 0)
		note_before(rows, point); /* The first row has a rate from its own first sample. */

	struct report_row *row =
		goes_on(rows, point) ? &rows->rows[rows->count - 1] : begin_row(rows);
	if (!row)
		return false;
	rows->averaged |= rows->step_ns > 0 || point->maxima;
	row->era = point->era;
	row->last = *point->sample;
	add_gauges(row, point);
	return true;
}

void report_rows_done(struct report_rows *rows)
{
	free(rows->rows);
	rows->rows = NULL;
	rows->count = rows->capacity = 0;
}

size_t report_columns(uint64_t wanted, bool rate, struct report_column ret[REPORT_COLUMNS_MAX])
{
	size_t count = 0;

	if (wanted & ROWS_CPU_RATE)
		ret[count++] = (struct report_column){
			"cpu_rate", "cpu_rate", COLUMN_CPU_RATE, TALLY_CPU_USER};
	if (wanted & ROWS_CPU_SECONDS)
		ret[count++] = (struct report_column){"cpu_seconds", "cpu_seconds",
			rate ? COLUMN_CPU_RATE : COLUMN_CPU_SECONDS, TALLY_CPU_USER};
	for (int m = 0; m < TALLY_METRIC_COUNT; m++)
		if (wanted & TALLY_BIT(m)) {
			const struct tally_metric_info *info = &tally_metrics[m];
			bool rated = rate && info->kind == TALLY_KIND_COUNTER;

			ret[count++] = (struct report_column){
				info->key, info->key, rated ? COLUMN_RATE : COLUMN_VALUE, m};
		}
	return count;
}

/* The sample that a rate is derived from; NULL: there is none, or the machine booted since. */
static const struct tally_sample *earlier(const struct report_rows *rows, size_t row)
{
	const struct tally_sample *before = row ? &rows->rows[row - 1].last : &rows->before;
	uint32_t era = row ? rows->rows[row - 1].era : rows->before_era;

	return before->boot_ns && era == rows->rows[row].era ? before : NULL;
}

static bool rate_cell(
	const struct report_rows *rows, size_t row, const struct report_column *column, double *ret)
{
	const struct tally_sample *before = earlier(rows, row), *now = &rows->rows[row].last;

	if (!before)
		return false;
	if (column->kind == COLUMN_CPU_RATE)
		return tally_sample_cpu_rate(before, now, ret) == 0;
	return tally_sample_rate(before, now, column->metric, ret) == 0;
}

static bool value_cell(const struct report_row *row, enum tally_metric metric, double *ret)
{
	double scale = tally_metrics[metric].unit == TALLY_UNIT_NS ? 1e9 : 1;

	if (tally_metrics[metric].kind == TALLY_KIND_GAUGE) {
		if (row->counts[metric] == 0)
			return false;
		*ret = row->sums[metric] / row->counts[metric] / scale;
		return true;
	}
	if (!tally_sample_has(&row->last, metric))
		return false;
	*ret = metric_shown(metric, row->last.value[metric]);
	return true;
}

bool report_cell(
	const struct report_rows *rows, size_t row, const struct report_column *column, double *ret)
{
	const struct report_row *at = &rows->rows[row];
	int64_t cpu_ns;

	switch (column->kind) {
	case COLUMN_RATE:
	case COLUMN_CPU_RATE:
		return rate_cell(rows, row, column, ret);
	case COLUMN_CPU_SECONDS:
		if (tally_sample_cpu_ns(&at->last, &cpu_ns) < 0)
			return false;
		*ret = (double)cpu_ns / 1e9;
		return true;
	case COLUMN_MAXIMUM:
		if (at->counts[column->metric] == 0)
			return false;
		*ret = metric_shown(column->metric, at->maxima[column->metric]);
		return true;
	default:
		return value_cell(at, column->metric, ret);
	}
}
