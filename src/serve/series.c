/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/series.h"

#include <errno.h>
#include <stdlib.h>
#include "serve/tasks.h"

/* What each row begins with. */
enum { CELL_WALL, CELL_BOOT, CELL_PRESENT, CELL_FIRST };

static uint64_t wanted(const struct query *query)
{
	uint64_t all = TALLY_BIT(TALLY_METRIC_COUNT) - 1;

	if (query->metrics)
		return query->metrics;
	for (int i = 0; query->process && i < TALLY_METRIC_COUNT; i++)
		if (tally_metrics[i].aggregate == TALLY_AGGREGATE_TASK)
			all &= ~TALLY_BIT(i);
	return all | QUERY_CPU_SECONDS | QUERY_CPU_RATE;
}

void series_begin(struct series *series, const struct query *query, uint64_t hidden)
{
	*series = (struct series){.query = *query, .hidden = hidden, .shown = wanted(query)};

	uint64_t kept = series->shown;
	if (kept & (QUERY_CPU_SECONDS | QUERY_CPU_RATE))
		kept |= TALLY_BIT(TALLY_CPU_USER) | TALLY_BIT(TALLY_CPU_SYSTEM);
	for (int i = 0; i < TALLY_METRIC_COUNT; i++) {
		series->column[i] = -1;
		if (kept & TALLY_BIT(i)) {
			series->column[i] = (int)series->columns;
			series->stored[series->columns++] = i;
		}
	}
}

static size_t row_size(const struct series *series)
{
	return CELL_FIRST + series->columns;
}

static int64_t *row_at(const struct series *series, size_t row)
{
	return series->cells + row * row_size(series);
}

static int64_t *add_row(struct series *series)
{
	size_t size = row_size(series);

	if (series->rows == series->room) {
		size_t room = series->room ? series->room * 2 : 256;

		if (series->rows * size >= SERIES_CELLS_MAX) {
			series->code = -EFBIG;
			return NULL;
		}
		int64_t *grown = reallocarray(series->cells, room * size, sizeof(*grown));
		if (!grown) {
			series->code = -ENOMEM;
			return NULL;
		}
		series->cells = grown;
		series->room = room;
	}
	return row_at(series, series->rows++);
}

static int64_t floor_step(int64_t wall_ns, int64_t step_ns)
{
	int64_t into = wall_ns % step_ns;

	return wall_ns - (into < 0 ? into + step_ns : into);
}

/* Where a sample belongs: of each step, and of all before the range, the last one is kept. */
enum place { PLACE_NEW, PLACE_LAST, PLACE_NONE };

static enum place place_of(const struct series *series, int64_t wall_ns)
{
	const struct query *query = &series->query;

	if (series->rows == 0)
		return PLACE_NEW;
	int64_t last_ns = row_at(series, series->rows - 1)[CELL_WALL];
	if (wall_ns < query->since_ns) /* The clock may have been set back meanwhile. */
		return last_ns < query->since_ns ? PLACE_LAST : PLACE_NONE;
	if (last_ns < query->since_ns || query->step_ns == 0)
		return PLACE_NEW;
	return floor_step(last_ns, query->step_ns) == floor_step(wall_ns, query->step_ns)
		       ? PLACE_LAST
		       : PLACE_NEW;
}

bool series_add(void *context, const struct tally_sample *sample)
{
	struct series *series = context;
	enum place place = place_of(series, sample->wall_ns);

	if (place == PLACE_NONE)
		return true;
	int64_t *row = place == PLACE_LAST ? row_at(series, series->rows - 1) : add_row(series);
	if (!row)
		return false;
	row[CELL_WALL] = sample->wall_ns;
	row[CELL_BOOT] = sample->boot_ns;
	row[CELL_PRESENT] = (int64_t)(sample->present & ~series->hidden);
	for (size_t i = 0; i < series->columns; i++)
		row[CELL_FIRST + i] = sample->value[series->stored[i]];
	return true;
}

/* Writes one value of a column, from a row and the one before it. */
typedef void write_fn(struct buffer *out, const struct tally_sample *before,
	const struct tally_sample *now, enum tally_metric metric);

/* One column of the answer: what it is called, made by, and made from. */
struct column {
	const char *key;
	write_fn *write;
	enum tally_metric metric, other;
};

/* What a column needs of a row, as a sample again: one rule derives rates everywhere. */
static void unpack(const struct series *series, size_t row, const struct column *column,
	struct tally_sample *ret)
{
	const int64_t *cells = row_at(series, row);

	ret->wall_ns = cells[CELL_WALL];
	ret->boot_ns = cells[CELL_BOOT];
	ret->present = (uint64_t)cells[CELL_PRESENT];
	ret->value[column->metric] = cells[CELL_FIRST + series->column[column->metric]];
	ret->value[column->other] = cells[CELL_FIRST + series->column[column->other]];
}

static void put_rate(struct buffer *out, int code, double rate)
{
	if (code == 0)
		buffer_put_real(out, rate);
	else
		buffer_puts(out, "null");
}

static void write_rate(struct buffer *out, const struct tally_sample *before,
	const struct tally_sample *now, enum tally_metric metric)
{
	double rate = 0;
	int code = tally_sample_rate(before, now, metric, &rate);

	put_rate(out, code, rate);
}

static void write_value(struct buffer *out, const struct tally_sample *before,
	const struct tally_sample *now, enum tally_metric metric)
{
	metric_write(out, now, metric);
}

static void write_cpu_rate(struct buffer *out, const struct tally_sample *before,
	const struct tally_sample *now, enum tally_metric metric)
{
	double rate = 0;
	int code = tally_sample_cpu_rate(before, now, &rate);

	put_rate(out, code, rate);
}

static void write_cpu_seconds(struct buffer *out, const struct tally_sample *before,
	const struct tally_sample *now, enum tally_metric metric)
{
	int64_t cpu_ns;

	if (tally_sample_cpu_ns(now, &cpu_ns) == 0)
		buffer_put_seconds(out, cpu_ns);
	else
		buffer_puts(out, "null");
}

/* Rows before the range: at most one. */
static size_t first_row(const struct series *series)
{
	return series->rows > 0 && row_at(series, 0)[CELL_WALL] < series->query.since_ns;
}

static void write_column(const struct series *series, struct buffer *out, struct column column)
{
	struct tally_sample pair[2] = {{0}, {0}};
	size_t begin = first_row(series);

	buffer_put_json(out, column.key);
	buffer_puts(out, ":[");
	if (begin)
		unpack(series, 0, &column, &pair[0]);
	for (size_t i = begin; i < series->rows; i++) {
		unpack(series, i, &column, &pair[i & 1]);
		if (i > begin)
			buffer_putc(out, ',');
		column.write(out, &pair[~i & 1], &pair[i & 1], column.metric);
	}
	buffer_putc(out, ']');
}

static void write_columns(const struct series *series, struct buffer *out)
{
	write_fn *cpu_seconds = series->query.rate ? write_cpu_rate : write_cpu_seconds;
	const char *comma = "";

	if (series->shown & QUERY_CPU_RATE) {
		write_column(series, out,
			(struct column){
				"cpu_rate", write_cpu_rate, TALLY_CPU_USER, TALLY_CPU_SYSTEM});
		comma = ",";
	}
	if (series->shown & QUERY_CPU_SECONDS) {
		buffer_puts(out, comma);
		write_column(series, out,
			(struct column){
				"cpu_seconds", cpu_seconds, TALLY_CPU_USER, TALLY_CPU_SYSTEM});
		comma = ",";
	}
	for (int i = 0; i < TALLY_METRIC_COUNT; i++) {
		bool rate = series->query.rate && tally_metrics[i].kind == TALLY_KIND_COUNTER;

		if (!(series->shown & TALLY_BIT(i)))
			continue;
		buffer_puts(out, comma);
		write_column(series, out,
			(struct column){
				tally_metrics[i].key, rate ? write_rate : write_value, i, i});
		comma = ",";
	}
}

static void write_times(const struct series *series, struct buffer *out)
{
	size_t begin = first_row(series);

	buffer_puts(out, ",\"times\":[");
	for (size_t i = begin; i < series->rows; i++) {
		if (i > begin)
			buffer_putc(out, ',');
		buffer_put_seconds(out, row_at(series, i)[CELL_WALL]);
	}
	buffer_putc(out, ']');
}

void series_write(const struct series *series, const char *task, struct buffer *out)
{
	buffer_puts(out, "{\"task\":");
	buffer_put_json(out, task);
	buffer_puts(out, ",\"process\":");
	if (series->query.process)
		buffer_put_json(out, series->query.process);
	else
		buffer_puts(out, "null");
	write_times(series, out);
	buffer_puts(out, ",\"series\":{");
	write_columns(series, out);
	buffer_puts(out, "}}\n");
}

void series_done(struct series *series)
{
	free(series->cells);
	*series = (struct series){0};
}
