/* SPDX-License-Identifier: Apache-2.0 */
#include "history/table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"

/* Make room for one more item of an array that doubles. */
static bool grow(void **items, size_t *capacity, size_t needed, size_t size)
{
	if (needed <= *capacity)
		return true;

	size_t more = *capacity ? *capacity * 2 : 16;
	if (more < needed)
		more = needed;
	void *larger = reallocarray(*items, more, size);
	if (!larger)
		return false;
	*items = larger;
	*capacity = more;
	return true;
}

#define GROW(items, capacity, needed)                                                              \
	grow((void **)&(items), &(capacity), (needed), sizeof(*(items)))

void table_clear(struct table *table)
{
	table->first_tick = 0;
	table->rows = table->series_count = table->presence_count = table->change_count = 0;
	table->metrics = TALLY_METRIC_COUNT;
}

void table_done(struct table *table)
{
	free(table->series);
	free(table->presence);
	free(table->columns);
	free(table->changes);
	free(table->spare);
	*table = (struct table){0};
}

struct table_series *table_add_series(struct table *table, uint32_t code, unsigned row)
{
	size_t columns = ((size_t)table->series_count + 1) * table->metrics;

	if (table->series_count >= TABLE_SERIES_MAX ||
		!GROW(table->series, table->series_capacity, table->series_count + 1) ||
		!GROW(table->columns, table->column_capacity, columns))
		return NULL;

	struct table_series *series = &table->series[table->series_count];
	*series = (struct table_series){.code = code, .first_row = (uint8_t)row};
	memset(&table->columns[columns - table->metrics], 0,
		table->metrics * sizeof(struct table_column));
	table->series_count++;
	return series;
}

struct table_presence *table_add_presence(struct table *table, uint32_t series, unsigned row)
{
	if (!GROW(table->presence, table->presence_capacity, table->presence_count + 1))
		return NULL;

	struct table_presence *presence = &table->presence[table->presence_count++];
	*presence = (struct table_presence){.series = series, .row = (uint8_t)row};
	return presence;
}

bool table_add_change(struct table *table, uint32_t column, unsigned row, int64_t delta)
{
	if (!GROW(table->changes, table->change_capacity, table->change_count + 1))
		return false;
	table->changes[table->change_count++] = (struct table_change){column, (uint8_t)row, delta};
	return true;
}

/* Presences are few: an insertion sort, which keeps the order of rows. */
static void sort_presence(struct table *table)
{
	for (uint32_t i = 1; i < table->presence_count; i++) {
		struct table_presence taken = table->presence[i];
		uint32_t j = i;

		for (; j > 0 && table->presence[j - 1].series > taken.series; j--)
			table->presence[j] = table->presence[j - 1];
		if (j != i)
			table->presence[j] = taken;
	}
	for (uint32_t i = 0; i < table->presence_count; i++) {
		struct table_series *series = &table->series[table->presence[i].series];

		if (series->presence_count++ == 0)
			series->presence = i;
	}
}

/* Changes came row by row: counting those of each column, then placing them, keeps that order. */
static bool sort_changes(struct table *table)
{
	uint32_t columns = table->series_count * table->metrics, place = 0;

	if (!GROW(table->spare, table->spare_capacity, table->change_count))
		return false;
	for (uint32_t i = 0; i < table->change_count; i++)
		table->columns[table->changes[i].column].count++;
	for (uint32_t i = 0; i < columns; i++) {
		table->columns[i].first = place;
		place += table->columns[i].count;
		table->columns[i].count = 0;
	}
	for (uint32_t i = 0; i < table->change_count; i++) {
		struct table_column *column = &table->columns[table->changes[i].column];

		table->spare[column->first + column->count++] = table->changes[i];
	}

	struct table_change *sorted = table->spare;
	size_t capacity = table->spare_capacity;
	table->spare = table->changes;
	table->spare_capacity = table->change_capacity;
	table->changes = sorted;
	table->change_capacity = capacity;
	return true;
}

bool table_sort(struct table *table)
{
	if (!sort_changes(table))
		return false;
	sort_presence(table);
	return true;
}

int64_t table_find(const struct table *table, uint32_t code)
{
	for (uint32_t i = 0; i < table->series_count; i++)
		if (table->series[i].code == code)
			return i;
	return -1;
}

/* The rows wanted, and what is summed up for one metric over them. */
struct window {
	const struct table *table;
	unsigned from, to;
	int64_t sum[TABLE_ROWS];
	struct row_set claimed; /* rows for which the first process is found */
};

static const struct table_presence *presence_at(
	const struct table *table, const struct table_series *series, unsigned row)
{
	const struct table_presence *presence = &table->presence[series->presence];

	for (uint32_t left = series->presence_count; left > 1 && presence[1].row <= row; left--)
		presence++;
	return presence;
}

static bool known_at(
	const struct window *w, const struct table_series *series, unsigned metric, unsigned row)
{
	return row_set_has(&series->here, row) && series->presence_count > 0 &&
	       presence_at(w->table, series, row)->present & TALLY_BIT(metric);
}

/* Values of a column over the window. */
static void fill(const struct window *w, uint32_t index, int64_t *values)
{
	const struct table_column *column = &w->table->columns[index];
	const struct table_change *change = w->table->changes + column->first;
	const struct table_change *end = change + column->count;
	uint64_t value = (uint64_t)column->start;
	unsigned row = w->from;

	for (; change < end && change->row <= w->from; change++)
		value += (uint64_t)change->delta;
	for (; change < end && change->row <= w->to; change++) {
		for (; row < change->row; row++)
			values[row] = (int64_t)value;
		value += (uint64_t)change->delta;
	}
	for (; row <= w->to; row++)
		values[row] = (int64_t)value;
}

static bool always_known(const struct window *w, const struct table_series *series, unsigned metric)
{
	const struct table_presence *presence = &w->table->presence[series->presence];

	if (series->presence_count != 1 || !(presence->present & TALLY_BIT(metric)))
		return false;
	for (unsigned row = w->from; row <= w->to; row++)
		if (!row_set_has(&series->here, row))
			return false;
	return true;
}

static bool idle_at_zero(const struct window *w, uint32_t column)
{
	return w->table->columns[column].count == 0 && w->table->columns[column].start == 0;
}

/* Add what a process has of a metric. */
static void add_part(struct window *w, uint32_t index, unsigned metric)
{
	const struct table_series *series = &w->table->series[index];
	uint32_t column = index * w->table->metrics + metric;
	int64_t values[TABLE_ROWS];

	if (idle_at_zero(w, column))
		return;
	fill(w, column, values);
	if (always_known(w, series, metric)) {
		for (unsigned row = w->from; row <= w->to; row++)
			w->sum[row] = (int64_t)((uint64_t)w->sum[row] + (uint64_t)values[row]);
		return;
	}
	for (unsigned row = w->from; row <= w->to; row++)
		if (known_at(w, series, metric, row))
			w->sum[row] = (int64_t)((uint64_t)w->sum[row] + (uint64_t)values[row]);
}

/* Add the value of the first process that is there and has one. */
static void add_first(struct window *w, uint32_t index, unsigned metric)
{
	const struct table_series *series = &w->table->series[index];
	int64_t values[TABLE_ROWS];

	fill(w, index * w->table->metrics + metric, values);
	for (unsigned row = w->from; row <= w->to; row++)
		if (!row_set_has(&w->claimed, row) && known_at(w, series, metric, row)) {
			row_set_add(&w->claimed, row);
			w->sum[row] = (int64_t)((uint64_t)w->sum[row] + (uint64_t)values[row]);
		}
}

static bool is_process(const struct table_series *series)
{
	return series->code != SERIES_TOTAL && !SERIES_IS_MAXIMA(series->code);
}

/* What the processes explain of a metric of the total. */
static void add_processes(struct window *w, unsigned metric)
{
	enum tally_aggregate aggregate = tally_metrics[metric].aggregate;

	if (aggregate == TALLY_AGGREGATE_TASK)
		return;
	for (uint32_t i = 0; i < w->table->series_count; i++)
		if (is_process(&w->table->series[i])) {
			if (aggregate == TALLY_AGGREGATE_SUM)
				add_part(w, i, metric);
			else
				add_first(w, i, metric);
		}
}

/* Times and presence of the samples wanted. */
static void begin_samples(
	const struct window *w, const struct table_series *series, struct tally_sample *ret)
{
	for (unsigned row = w->from; row <= w->to; row++) {
		struct tally_sample *sample = &ret[row - w->from];

		tally_sample_clear(sample, TALLY_REASON_NOT_STORED);
		if (!row_set_has(&series->here, row) || series->presence_count == 0)
			continue;

		const struct table_presence *presence = presence_at(w->table, series, row);
		sample->present = presence->present;
		memcpy(sample->reason, presence->reason, w->table->metrics);
	}
}

static void set_values(const struct window *w, unsigned metric, const int64_t *boot_ns, bool age,
	struct tally_sample *ret)
{
	for (unsigned row = w->from; row <= w->to; row++) {
		struct tally_sample *sample = &ret[row - w->from];

		if (!tally_sample_has(sample, metric))
			continue;
		sample->reason[metric] = 0;
		sample->value[metric] =
			age ? (int64_t)((uint64_t)boot_ns[row] - (uint64_t)w->sum[row])
			    : w->sum[row];
	}
}

/* What maxima are above: the samples of the series they belong to. */
static int add_average(const struct table *table, uint32_t code, const int64_t *boot_ns,
	unsigned from, unsigned to, struct tally_sample *ret)
{
	CLEANUP_FREE struct tally_sample *averages = calloc(to - from + 1, sizeof(*averages));
	struct row_set here;

	if (!averages)
		return -ENOMEM;
	int r = table_samples(table, code & ~1u, boot_ns, from, to, averages, &here);
	for (unsigned row = from; r == 0 && row <= to; row++)
		for (unsigned m = 0; m < table->metrics; m++)
			if (row_set_has(&here, row) && tally_sample_has(&ret[row - from], m))
				ret[row - from].value[m] =
					(int64_t)((uint64_t)ret[row - from].value[m] +
						  (uint64_t)averages[row - from].value[m]);
	return r;
}

int table_samples(const struct table *table, uint32_t code, const int64_t *boot_ns, unsigned from,
	unsigned to, struct tally_sample *ret, struct row_set *ret_here)
{
	struct window w = {.table = table, .from = from, .to = to};
	int64_t index = table_find(table, code);

	assert(from <= to && to < TABLE_ROWS);
	*ret_here = (struct row_set){{0}};
	if (index < 0)
		return 0;
	*ret_here = table->series[index].here;
	begin_samples(&w, &table->series[index], ret);
	for (unsigned metric = 0; metric < table->metrics; metric++) {
		w.claimed = (struct row_set){{0}};
		fill(&w, (uint32_t)index * table->metrics + metric, w.sum);
		if (code == SERIES_TOTAL)
			add_processes(&w, metric);
		set_values(
			&w, metric, boot_ns, metric_is_age(metric) && !SERIES_IS_MAXIMA(code), ret);
	}
	return SERIES_IS_MAXIMA(code) ? add_average(table, code, boot_ns, from, to, ret) : 0;
}
