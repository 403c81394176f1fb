/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/series.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "serve/tasks.h"

/* What each row begins with. */
enum { CELL_WALL, CELL_BOOT, CELL_ERA, CELL_PRESENT, CELL_FIRST };

/* About so many rows, when nobody says how long a step is; up to more as they were taken. */
#define ROWS_WANTED 30
#define ROWS_FEW    40

/* A rate may be derived from a sample so far before the range. */
#define BEFORE_NS (300 * NS_PER_S)

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

static bool is_gauge(int metric)
{
	return tally_metrics[metric].kind == TALLY_KIND_GAUGE;
}

void series_begin(struct series *series, const struct query *query, uint64_t hidden)
{
	*series = (struct series){.query = *query, .hidden = hidden, .shown = wanted(query)};

	uint64_t kept = series->shown;
	if (kept & (QUERY_CPU_SECONDS | QUERY_CPU_RATE))
		kept |= TALLY_BIT(TALLY_CPU_USER) | TALLY_BIT(TALLY_CPU_SYSTEM);
	for (int i = 0; i < TALLY_METRIC_COUNT; i++) {
		series->column[i] = series->maximum[i] = -1;
		if (kept & TALLY_BIT(i)) {
			series->column[i] = (int)series->metrics;
			series->stored[series->metrics++] = i;
		}
	}
	series->columns = series->metrics;
	for (int i = 0; i < TALLY_METRIC_COUNT; i++)
		if (series->column[i] >= 0 && is_gauge(i))
			series->maximum[i] = (int)series->columns++;
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

/* Where a sample belongs: of each step, and of all before the range, there is one row. */
enum place { PLACE_NEW, PLACE_LAST, PLACE_NONE };

/* A clock that was set back begins a new row: rows are in the order in which they happened. */
static enum place place_of(const struct series *series, int64_t wall_ns, uint32_t era)
{
	const struct query *query = &series->query;

	if (series->rows == 0)
		return PLACE_NEW;
	const int64_t *last = row_at(series, series->rows - 1);
	int64_t last_ns = last[CELL_WALL];
	if (wall_ns < query->since_ns) /* The clock may have been set back meanwhile. */
		return last_ns < query->since_ns ? PLACE_LAST : PLACE_NONE;
	if (last_ns < query->since_ns || query->step_ns == 0 || last[CELL_ERA] != era)
		return PLACE_NEW;
	return floor_step(last_ns, query->step_ns) == floor_step(wall_ns, query->step_ns)
		       ? PLACE_LAST
		       : PLACE_NEW;
}

/* Both clocks go on alike unless somebody set one; slowly steered clocks differ by 1/2000. */
static void note_clock(struct series *series, const struct history_point *point)
{
	const struct tally_sample *sample = point->sample;
	int64_t gap_ns = sample->boot_ns - series->last_boot_ns;
	int64_t step_ns = sample->wall_ns - series->last_wall_ns - gap_ns;
	int64_t size_ns = step_ns < 0 ? -step_ns : step_ns;

	if (series->begun && series->last_era == point->era && size_ns > NS_PER_S &&
		size_ns > gap_ns / 1000 && sample->wall_ns >= series->query.since_ns &&
		series->clock_step_count < SERIES_CLOCK_STEPS)
		series->clock_steps[series->clock_step_count++] =
			(struct clock_step){sample->wall_ns, step_ns};
	series->begun = true;
	series->last_wall_ns = sample->wall_ns;
	series->last_boot_ns = sample->boot_ns;
	series->last_era = point->era;
}

static void begin_row(struct series *series, int64_t *row)
{
	memset(row, 0, row_size(series) * sizeof(*row));
	memset(series->sums, 0, sizeof(series->sums));
	memset(series->counts, 0, sizeof(series->counts));
}

static void add_gauge(
	struct series *series, int64_t *row, int metric, const struct history_point *point)
{
	int column = series->column[metric];
	int64_t value = point->sample->value[metric], maximum = value;
	int64_t *most = &row[CELL_FIRST + series->maximum[metric]];

	if (point->maxima && tally_sample_has(point->maxima, metric))
		maximum = point->maxima->value[metric];
	if (series->counts[column]++ == 0 || maximum > *most)
		*most = maximum;
	series->sums[column] += value;
	row[CELL_FIRST + column] = (int64_t)(series->sums[column] / series->counts[column]);
}

/* A gauge that any sample of the step has is present; of the rest the last one tells. */
static void put_sample(struct series *series, int64_t *row, const struct history_point *point)
{
	const struct tally_sample *sample = point->sample;
	uint64_t present = sample->present & ~series->hidden;

	row[CELL_WALL] = sample->wall_ns;
	row[CELL_BOOT] = sample->boot_ns;
	row[CELL_ERA] = point->era;
	for (size_t i = 0; i < series->metrics; i++) {
		int metric = series->stored[i];

		if (!is_gauge(metric))
			row[CELL_FIRST + i] = sample->value[metric];
		else if (present & TALLY_BIT(metric))
			add_gauge(series, row, metric, point);
		if (is_gauge(metric) && series->counts[i] > 0)
			present |= TALLY_BIT(metric);
	}
	row[CELL_PRESENT] = (int64_t)present;
}

static bool put_row(struct series *series, enum place place, const struct history_point *point)
{
	int64_t *row = place == PLACE_LAST ? row_at(series, series->rows - 1) : add_row(series);

	if (!row)
		return false;
	if (place == PLACE_NEW)
		begin_row(series, row);
	put_sample(series, row, point);
	return true;
}

bool series_add(void *context, const struct history_point *point)
{
	struct series *series = context;
	enum place place = place_of(series, point->sample->wall_ns, point->era);

	note_clock(series, point);
	if (place == PLACE_NONE)
		return true;
	series->averaged |= series->query.step_ns > 0 || point->maxima;
	if (series->rows == 0 && series->query.step_ns > 0 &&
		point->sample->wall_ns >= series->query.since_ns) {
		series->lead = true; /* The first step has its rates from its own first sample. */
		if (!put_row(series, PLACE_NEW, point))
			return false;
	}
	return put_row(series, place, point);
}

/* Writes one value of a column, from a row and the one before it. */
typedef void write_fn(struct buffer *out, const struct tally_sample *before,
	const struct tally_sample *now, enum tally_metric metric);

/* One column of the answer: what it is called, made by, and made from. */
struct column {
	const char *key;
	write_fn *write;
	enum tally_metric metric, other;
	bool maximum;
};

/* What a column needs of a row, as a sample again: one rule derives rates everywhere. */
static void unpack(const struct series *series, size_t row, const struct column *column,
	struct tally_sample *ret)
{
	const int64_t *cells = row_at(series, row);
	const int *of = column->maximum ? series->maximum : series->column;

	ret->wall_ns = cells[CELL_WALL];
	ret->boot_ns = cells[CELL_BOOT];
	ret->present = (uint64_t)cells[CELL_PRESENT];
	ret->value[column->metric] = cells[CELL_FIRST + of[column->metric]];
	ret->value[column->other] = cells[CELL_FIRST + of[column->other]];
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

/* Rows that only rates are derived from: at most one. */
static size_t first_row(const struct series *series)
{
	return series->lead ||
	       (series->rows > 0 && row_at(series, 0)[CELL_WALL] < series->query.since_ns);
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
		if (i > 0 && row_at(series, i)[CELL_ERA] != row_at(series, i - 1)[CELL_ERA])
			pair[~i & 1].present = 0; /* The machine booted: no rate spans that. */
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
			(struct column){"cpu_rate", write_cpu_rate, TALLY_CPU_USER,
				TALLY_CPU_SYSTEM, false});
		comma = ",";
	}
	if (series->shown & QUERY_CPU_SECONDS) {
		buffer_puts(out, comma);
		write_column(series, out,
			(struct column){"cpu_seconds", cpu_seconds, TALLY_CPU_USER,
				TALLY_CPU_SYSTEM, false});
		comma = ",";
	}
	for (int i = 0; i < TALLY_METRIC_COUNT; i++) {
		bool rate = series->query.rate && tally_metrics[i].kind == TALLY_KIND_COUNTER;

		if (!(series->shown & TALLY_BIT(i)))
			continue;
		buffer_puts(out, comma);
		write_column(series, out,
			(struct column){tally_metrics[i].key, rate ? write_rate : write_value, i, i,
				false});
		comma = ",";
	}
}

static void write_maxima(const struct series *series, struct buffer *out)
{
	const char *comma = "";

	for (int i = 0; series->averaged && i < TALLY_METRIC_COUNT; i++) {
		if (!(series->shown & TALLY_BIT(i)) || !is_gauge(i))
			continue;
		buffer_puts(out, comma);
		write_column(series, out,
			(struct column){tally_metrics[i].key, write_value, i, i, true});
		comma = ",";
	}
}

static void write_times(const struct series *series, struct buffer *out)
{
	size_t begin = first_row(series);

	for (size_t i = begin; i < series->rows; i++) {
		if (i > begin)
			buffer_putc(out, ',');
		buffer_put_seconds(out, row_at(series, i)[CELL_WALL]);
	}
}

static void write_clock_steps(const struct series *series, struct buffer *out)
{
	for (size_t i = 0; i < series->clock_step_count; i++) {
		buffer_puts(out, i ? ",{\"time\":" : "{\"time\":");
		buffer_put_seconds(out, series->clock_steps[i].wall_ns);
		buffer_puts(out, ",\"seconds\":");
		buffer_put_seconds(out, series->clock_steps[i].step_ns);
		buffer_putc(out, '}');
	}
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
	buffer_puts(out, ",\"step_seconds\":");
	buffer_put_seconds(out, series->query.step_ns);
	buffer_puts(out, ",\"times\":[");
	write_times(series, out);
	buffer_puts(out, "],\"series\":{");
	write_columns(series, out);
	buffer_puts(out, "},\"maxima\":{");
	write_maxima(series, out);
	buffer_puts(out, "},\"clock_steps\":[");
	write_clock_steps(series, out);
	buffer_puts(out, "]}\n");
}

void series_done(struct series *series)
{
	free(series->cells);
	*series = (struct series){0};
}

int64_t series_step(const struct history_extent *extent, int64_t since_ns, int64_t until_ns)
{
	static const int64_t steps_ms[] = {100, 200, 500, 1000, 2000, 5000, 10000, 15000, 30000,
		60000, 120000, 300000, 600000, 900000, 1800000, 3600000, 7200000, 21600000,
		43200000, 86400000};
	int64_t first = extent->first_ns > since_ns ? extent->first_ns : since_ns;
	int64_t last = extent->last_ns < until_ns ? extent->last_ns : until_ns;
	double whole = (double)(extent->last_ns - extent->first_ns), part = (double)(last - first);
	double rows = whole > 0 ? (double)extent->rows * part / whole : (double)extent->rows;

	if (rows <= ROWS_FEW)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(steps_ms); i++)
		if (part / (double)(steps_ms[i] * NS_PER_MS) <= ROWS_WANTED)
			return steps_ms[i] * NS_PER_MS;
	return floor_step(last - first, 86400 * NS_PER_S) / ROWS_WANTED + NS_PER_S;
}

int64_t series_since(const struct query *query)
{
	int64_t before_ns = BEFORE_NS, since_ns;

	if (query->step_ns > BEFORE_NS / 2 && __builtin_mul_overflow(query->step_ns, 2, &before_ns))
		return INT64_MIN;
	return __builtin_sub_overflow(query->since_ns, before_ns, &since_ns) ? INT64_MIN : since_ns;
}
