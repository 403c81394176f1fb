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

const struct table_presence *table_presence_at(
	const struct table *table, uint32_t index, unsigned row)
{
	const struct table_series *series = &table->series[index];

	if (series->presence_count == 0)
		return NULL;

	const struct table_presence *presence = &table->presence[series->presence];
	for (uint32_t left = series->presence_count; left > 1 && presence[1].row <= row; left--)
		presence++;
	return presence;
}

/* The rows wanted of one metric. */
struct window {
	const struct table *table;
	unsigned metric, from, to;
	struct row_set rows;
	struct table_values *sum;
	struct row_set claimed; /* rows for which the first process is found */
};

static struct row_set rows_between(unsigned from, unsigned to)
{
	struct row_set set = {{0}};

	for (unsigned row = from; row <= to; row++)
		row_set_add(&set, row);
	return set;
}

static bool covers(const struct row_set *set, const struct row_set *part)
{
	return (part->words[0] & ~set->words[0]) == 0 && (part->words[1] & ~set->words[1]) == 0;
}

static bool known_at(const struct window *w, uint32_t series, unsigned row)
{
	const struct table_presence *presence = table_presence_at(w->table, series, row);

	return row_set_has(&w->table->series[series].here, row) && presence &&
	       presence->present & TALLY_BIT(w->metric);
}

static bool always_known(const struct window *w, uint32_t index)
{
	const struct table_series *series = &w->table->series[index];

	return series->presence_count == 1 && covers(&series->here, &w->rows) &&
	       w->table->presence[series->presence].present & TALLY_BIT(w->metric);
}

static void fill(struct table_values *ret, int64_t value, unsigned from, unsigned to)
{
	for (unsigned row = from; row < to; row++)
		ret->values[row] = value;
}

/* Values of a column over the window. */
static void read_column(const struct window *w, uint32_t series, struct table_values *ret)
{
	const struct table_column *column =
		&w->table->columns[series * w->table->metrics + w->metric];
	const struct table_change *changes = w->table->changes;
	uint32_t i = column->first, end = column->first + column->count;
	uint64_t value = (uint64_t)column->start;
	unsigned row = w->from;

	for (; i < end && changes[i].row <= w->from; i++)
		value += (uint64_t)changes[i].delta;
	ret->steady = i == end || changes[i].row > w->to;
	ret->values[row] = (int64_t)value;
	if (ret->steady)
		return;
	for (; i < end && changes[i].row <= w->to; i++) {
		fill(ret, (int64_t)value, row, changes[i].row);
		row = changes[i].row;
		value += (uint64_t)changes[i].delta;
	}
	fill(ret, (int64_t)value, row, w->to + 1);
}

static void spread(const struct window *w, struct table_values *values)
{
	if (values->steady)
		fill(values, values->values[w->from], w->from, w->to + 1);
	values->steady = false;
}

static void add_row(struct table_values *sum, const struct table_values *part, unsigned row)
{
	sum->values[row] = (int64_t)((uint64_t)sum->values[row] + (uint64_t)part->values[row]);
}

static void add_all(struct window *w, struct table_values *part)
{
	if (w->sum->steady && part->steady) {
		add_row(w->sum, part, w->from);
		return;
	}
	spread(w, w->sum);
	spread(w, part);
	for (unsigned row = w->from; row <= w->to; row++)
		add_row(w->sum, part, row);
}

static bool idle_at_zero(const struct window *w, uint32_t series)
{
	const struct table_column *column =
		&w->table->columns[series * w->table->metrics + w->metric];

	return column->count == 0 && column->start == 0;
}

/* Add what a process has of a metric. */
static void add_part(struct window *w, uint32_t series)
{
	struct table_values part;

	if (idle_at_zero(w, series))
		return;
	read_column(w, series, &part);
	if (always_known(w, series)) {
		add_all(w, &part);
		return;
	}
	spread(w, w->sum);
	spread(w, &part);
	for (unsigned row = w->from; row <= w->to; row++)
		if (known_at(w, series, row))
			add_row(w->sum, &part, row);
}

/* Add the value of the first process that is there and has one. */
static void add_first(struct window *w, uint32_t series)
{
	static const struct row_set none;
	struct table_values part;

	if (covers(&w->claimed, &w->rows))
		return;
	read_column(w, series, &part);
	if (covers(&none, &w->claimed) && always_known(w, series)) {
		add_all(w, &part);
		w->claimed = w->rows;
		return;
	}
	spread(w, w->sum);
	spread(w, &part);
	for (unsigned row = w->from; row <= w->to; row++)
		if (!row_set_has(&w->claimed, row) && known_at(w, series, row)) {
			row_set_add(&w->claimed, row);
			add_row(w->sum, &part, row);
		}
}

static bool is_process(const struct table_series *series)
{
	return series->code != SERIES_TOTAL && !SERIES_IS_MAXIMA(series->code);
}

/* What the processes explain of a metric of the total. */
static void add_processes(struct window *w)
{
	enum tally_aggregate aggregate = tally_metrics[w->metric].aggregate;

	if (aggregate == TALLY_AGGREGATE_TASK)
		return;
	for (uint32_t i = 0; i < w->table->series_count; i++)
		if (is_process(&w->table->series[i])) {
			if (aggregate == TALLY_AGGREGATE_SUM)
				add_part(w, i);
			else
				add_first(w, i);
		}
}

void table_read(const struct table *table, uint32_t series, unsigned metric, unsigned from,
	unsigned to, struct table_values *ret)
{
	struct window w = {.table = table, .metric = metric, .from = from, .to = to, .sum = ret};

	assert(from <= to && to < TABLE_ROWS);
	w.rows = rows_between(from, to);
	read_column(&w, series, ret);
	if (table->series[series].code == SERIES_TOTAL)
		add_processes(&w);
}

/* Presence of the samples wanted. */
static void begin_samples(const struct table *table, uint32_t series, unsigned from, unsigned to,
	struct tally_sample *ret)
{
	for (unsigned row = from; row <= to; row++) {
		const struct table_presence *presence = table_presence_at(table, series, row);
		struct tally_sample *sample = &ret[row - from];

		tally_sample_clear(sample, TALLY_REASON_NOT_STORED);
		if (!presence || !row_set_has(&table->series[series].here, row))
			continue;
		sample->present = presence->present;
		memcpy(sample->reason, presence->reason, table->metrics);
	}
}

static void set_values(const struct table_values *values, unsigned metric, const int64_t *boot_ns,
	unsigned from, unsigned to, struct tally_sample *ret)
{
	for (unsigned row = from; row <= to; row++) {
		struct tally_sample *sample = &ret[row - from];
		uint64_t value = (uint64_t)values->values[values->steady ? from : row];

		if (!tally_sample_has(sample, metric))
			continue;
		sample->reason[metric] = 0;
		sample->value[metric] = (int64_t)(boot_ns ? (uint64_t)boot_ns[row] - value : value);
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
	int64_t series = table_find(table, code);
	bool maxima = SERIES_IS_MAXIMA(code);
	struct table_values values;

	*ret_here = (struct row_set){{0}};
	if (series < 0)
		return 0;
	*ret_here = table->series[series].here;
	begin_samples(table, (uint32_t)series, from, to, ret);
	for (unsigned metric = 0; metric < table->metrics; metric++) {
		table_read(table, (uint32_t)series, metric, from, to, &values);
		set_values(&values, metric, metric_is_age(metric) && !maxima ? boot_ns : NULL, from,
			to, ret);
	}
	return maxima ? add_average(table, code, boot_ns, from, to, ret) : 0;
}
