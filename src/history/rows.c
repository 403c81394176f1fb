/* SPDX-License-Identifier: Apache-2.0 */
#include "history/rows.h"
#include "history/rows_item.h"

#include <assert.h>
#include <errno.h>

#define METRICS TALLY_METRIC_COUNT

size_t rows_bytes(const struct rows *rows)
{
	return rows->log.capacity + rows->series_capacity * sizeof(struct rows_series);
}

void rows_clear(struct rows *rows)
{
	rows->log.length = 0;
	rows->series_count = rows->rows = rows->repeats = 0;
}

void rows_done(struct rows *rows)
{
	bytes_free(&rows->log);
	free(rows->series);
	*rows = (struct rows){0};
}

/* A row under construction. */
struct row {
	struct rows *rows;
	int64_t boot_ns;
	uint32_t series_before;
	uint64_t sums[METRICS], first[METRICS]; /* of the processes */
	uint64_t first_known;			/* metrics that the first process has */
};

static struct rows_series *find_series(const struct rows *rows, uint32_t code, size_t hint)
{
	if (hint < rows->series_count && rows->series[hint].code == code)
		return &rows->series[hint];
	for (uint32_t i = 0; i < rows->series_count; i++)
		if (rows->series[i].code == code)
			return &rows->series[i];
	return NULL;
}

static int begin_series(struct rows *rows, uint32_t code, struct rows_series **ret)
{
	if (rows->series_count >= TABLE_SERIES_MAX)
		return -E2BIG;
	if (rows->series_count == rows->series_capacity) {
		uint32_t capacity = rows->series_capacity ? rows->series_capacity * 2 : 2;
		void *series = reallocarray(rows->series, capacity, sizeof(*rows->series));

		if (!series)
			return -ENOMEM;
		rows->series = series;
		rows->series_capacity = capacity;
	}
	*ret = &rows->series[rows->series_count++];
	**ret = (struct rows_series){.code = code};
	return 0;
}

/* Give each series its sample, or none. */
static int place(struct row *row, const struct rows_part *parts, size_t count)
{
	for (uint32_t i = 0; i < row->rows->series_count; i++)
		row->rows->series[i].now = NULL;
	for (size_t i = 0; i < count; i++) {
		struct rows_series *series = find_series(row->rows, parts[i].code, i);
		int r = series ? 0 : begin_series(row->rows, parts[i].code, &series);

		if (r < 0)
			return r;
		series->now = parts[i].sample;
	}
	return 0;
}

/* An age as the instant it is counted from; others as they are. */
static uint64_t plain(const struct row *row, const struct tally_sample *sample, unsigned m)
{
	uint64_t value = (uint64_t)sample->value[m];

	return metric_is_age(m) ? (uint64_t)row->boot_ns - value : value;
}

/* What processes explain of the total. */
static void sum_up(struct row *row)
{
	for (uint32_t i = 0; i < row->rows->series_count; i++) {
		const struct rows_series *series = &row->rows->series[i];

		if (!series->now || series->code == SERIES_TOTAL || SERIES_IS_MAXIMA(series->code))
			continue;
		for (unsigned m = 0; m < METRICS; m++)
			if (tally_sample_has(series->now, m)) {
				row->sums[m] += plain(row, series->now, m);
				if (!(row->first_known & TALLY_BIT(m)))
					row->first[m] = plain(row, series->now, m);
			}
		row->first_known |= series->now->present;
	}
}

static uint64_t rest_of_total(const struct row *row, const struct tally_sample *total, unsigned m)
{
	switch (tally_metrics[m].aggregate) {
	case TALLY_AGGREGATE_SUM:
		return plain(row, total, m) - row->sums[m];
	case TALLY_AGGREGATE_FIRST:
		return plain(row, total, m) - row->first[m];
	case TALLY_AGGREGATE_TASK:
		break;
	}
	return plain(row, total, m);
}

static uint64_t rest_of_maximum(
	const struct rows_series *series, const struct rows_series *average, unsigned m)
{
	uint64_t value = (uint64_t)series->now->value[m];

	if (average && average->now && tally_sample_has(average->now, m))
		value -= (uint64_t)average->now->value[m];
	return value;
}

/* The values to keep of a series: what its columns hold (table.h). */
static void values_of(
	const struct row *row, const struct rows_series *series, int64_t made[METRICS])
{
	const struct rows_series *average = NULL;

	if (SERIES_IS_MAXIMA(series->code))
		average = find_series(
			row->rows, series->code & ~1u, (size_t)(series - row->rows->series) - 1);
	for (unsigned m = 0; m < METRICS; m++)
		if (series->code == SERIES_TOTAL)
			made[m] = (int64_t)rest_of_total(row, series->now, m);
		else if (SERIES_IS_MAXIMA(series->code))
			made[m] = (int64_t)rest_of_maximum(series, average, m);
		else
			made[m] = (int64_t)plain(row, series->now, m);
}

static bool same_presence(const struct rows_series *series)
{
	uint64_t absent = ~series->present & metrics_mask(METRICS);

	if ((series->now->present & metrics_mask(METRICS)) != series->present)
		return false;
	if (memcmp(series->reason, series->now->reason, METRICS) == 0)
		return true;
	for (unsigned m = 0; m < METRICS; m++)
		if (absent & TALLY_BIT(m) && series->reason[m] != series->now->reason[m])
			return false;
	return true;
}

static uint64_t changed_values(const struct rows_series *series, const int64_t *values)
{
	uint64_t changed = 0;

	for (unsigned m = 0; m < METRICS; m++)
		changed |= (uint64_t)(values[m] != series->value[m]) << m;
	return changed & series->now->present;
}

/* Room for all that put_series() can write. */
#define SERIES_ROOM (3 * VARINT_MAX + METRICS * (VARINT_MAX + 1))

/* Whether a series other than a maximum is as it was; cheap, for this is what most of them are. */
static bool as_it_was(const struct row *row, const struct rows_series *series)
{
	const int64_t *last = series->code == SERIES_TOTAL ? row->rows->total : series->value;

	if (!series->here || !same_presence(series))
		return false;
	if (memcmp(series->now->value, last, METRICS * sizeof(*last)) == 0)
		return true;
	for (unsigned m = 0; m < METRICS; m++)
		if (series->present & TALLY_BIT(m) &&
			(int64_t)plain(row, series->now, m) != last[m])
			return false;
	return true;
}

/* Whether a row says nothing new: then there is no need to find out what. */
static bool repeats_last(const struct row *row)
{
	const struct rows *rows = row->rows;

	for (uint32_t i = 0; i < rows->series_count; i++) {
		const struct rows_series *series = &rows->series[i];

		if (SERIES_IS_MAXIMA(series->code) || (!series->now && series->here))
			return false;
		if (series->now && !as_it_was(row, series))
			return false;
	}
	return true;
}

static void put_presence(struct bytes *to, const struct rows_series *series)
{
	uint64_t present = series->now->present & metrics_mask(METRICS);

	put_varint(to, present);
	for (unsigned m = 0; m < METRICS; m++)
		if (!(present & TALLY_BIT(m)))
			put_byte(to, series->now->reason[m]);
}

static void put_series(struct bytes *to, const struct rows_series *series, uint32_t gap,
	uint64_t changed, bool presence, const int64_t *values)
{
	put_varint(to, gap);
	put_varint(to, changed << 1 | presence);
	if (presence)
		put_presence(to, series);
	for (unsigned m = 0; m < METRICS; m++)
		if (changed & TALLY_BIT(m))
			put_varint(to, zigzag((int64_t)((uint64_t)values[m] -
							(uint64_t)series->value[m])));
}

/* Write the series that changed. @return how many. */
static uint32_t put_changes(struct row *row, struct bytes *to)
{
	struct rows *rows = row->rows;
	uint32_t count = 0, next = 0;
	int64_t made[METRICS];

	for (uint32_t i = 0; i < rows->series_count; i++) {
		const struct rows_series *series = &rows->series[i];

		if (!series->now)
			continue;
		values_of(row, series, made);

		uint64_t changed = changed_values(series, made);
		bool presence = i >= row->series_before || !same_presence(series);
		if (changed == 0 && !presence)
			continue;
		put_series(to, series, i + 1 - next, changed, presence, made);
		next = i + 1;
		count++;
	}
	put_varint(to, 0);
	return count;
}

static void put_item(struct bytes *to, enum item kind, uint64_t number)
{
	put_varint(to, number << 2 | kind);
}

/* Which series came and went. @return how many. */
static uint32_t put_layout(const struct row *row, struct bytes *to)
{
	const struct rows *rows = row->rows;
	uint32_t count = 0;

	for (uint32_t i = 0; i < rows->series_count; i++)
		count += rows->series[i].here != (rows->series[i].now != NULL);
	put_item(to, ITEM_ROW, count ? ROW_LAYOUT : 0);
	if (count == 0)
		return 0;
	put_varint(to, count);
	for (uint32_t i = 0; i < rows->series_count; i++) {
		const struct rows_series *series = &rows->series[i];
		bool here = series->now != NULL;

		if (series->here == here)
			continue;
		put_varint(to, (uint64_t)i << 1 | here);
		if (i >= row->series_before)
			put_varint(to, series->code);
	}
	return count;
}

/* The items before the row: repeats that were only counted, ticks without one. */
static void put_gap(const struct rows *rows, uint64_t tick, struct bytes *to)
{
	if (rows->repeats > 0)
		put_item(to, ITEM_REPEAT, rows->repeats);
	if (rows->rows > 0 && tick > rows->last_tick + 1)
		put_item(to, ITEM_SKIP, tick - rows->last_tick - 1);
}

/* Write the row; nothing when it repeats the last. Changes no state. */
static int write_row(struct row *row, uint64_t tick, struct bytes *to)
{
	const struct rows *rows = row->rows;
	bool next = rows->rows > 0 && tick == rows->last_tick + 1;
	size_t room = 5 * VARINT_MAX + rows->series_count * (SERIES_ROOM + 2 * VARINT_MAX);

	to->length = 0;
	if (next && repeats_last(row))
		return 0;
	if (!bytes_room(to, room))
		return -ENOMEM;
	sum_up(row);
	put_gap(rows, tick, to);

	uint32_t moved = put_layout(row, to);
	uint32_t changed = put_changes(row, to);
	if (next && moved == 0 && changed == 0)
		to->length = 0;
	return 0;
}

/* What was written is what was last said. */
static void remember(struct row *row)
{
	int64_t made[METRICS];

	for (uint32_t i = 0; i < row->rows->series_count; i++) {
		struct rows_series *series = &row->rows->series[i];

		series->here = series->now != NULL;
		if (!series->now)
			continue;
		values_of(row, series, made);
		for (unsigned m = 0; m < METRICS; m++) {
			if (!tally_sample_has(series->now, m))
				continue;
			series->value[m] = made[m];
			if (series->code == SERIES_TOTAL)
				row->rows->total[m] = (int64_t)plain(row, series->now, m);
		}
		series->present = series->now->present & metrics_mask(METRICS);
		memcpy(series->reason, series->now->reason, METRICS);
	}
}

static int append(struct row *row, uint64_t tick, const struct rows_part *parts, size_t count,
	struct bytes *to)
{
	int r = place(row, parts, count);

	if (r == 0)
		r = write_row(row, tick, to);
	if (r == 0 && !bytes_room(&row->rows->log, to->length))
		r = -ENOMEM;
	return r;
}

int rows_append(struct rows *rows, uint64_t tick, int64_t boot_ns, const struct rows_part *parts,
	size_t count, struct bytes *ret)
{
	struct row row = {.rows = rows, .boot_ns = boot_ns, .series_before = rows->series_count};

	assert(rows->rows == 0 || tick > rows->last_tick);

	int r = append(&row, tick, parts, count, ret);
	if (r < 0) {
		rows->series_count = row.series_before;
		return r;
	}
	if (rows->rows == 0)
		rows->first_tick = tick;
	rows->last_tick = tick;
	rows->rows++;
	if (ret->length == 0) {
		rows->repeats++;
		return 0;
	}
	put_blob(&rows->log, ret->at, ret->length);
	remember(&row);
	rows->repeats = 0;
	return 0;
}
