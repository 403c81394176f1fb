/* SPDX-License-Identifier: Apache-2.0 */
/** Reading the log of rows.h into a table. Every byte may be wrong. */
#include "history/rows.h"
#include "history/rows_item.h"

#include <errno.h>

/* A log being read. */
struct replay {
	struct reader log;
	struct table *table;
	uint64_t tick; /* of the next row, counted from the first */
	int error;     /* no memory; what is malformed marks the reader */
};

static void no_memory(struct replay *r)
{
	r->error = -ENOMEM;
	reader_fail(&r->log);
}

/* Begin a row in which all is as it was. False when there is no room. */
static bool begin_row(struct replay *r)
{
	struct table *table = r->table;

	if (table->rows == TABLE_ROWS || r->tick > UINT32_MAX) {
		reader_fail(&r->log);
		return false;
	}
	table->tick[table->rows] = (uint32_t)r->tick++;
	table->rows++;
	return true;
}

/* Note who is in the row. */
static void end_row(struct replay *r)
{
	struct table *table = r->table;

	for (uint32_t i = 0; i < table->series_count; i++)
		if (table->series[i].open)
			row_set_add(&table->series[i].here, table->rows - 1);
}

static void read_repeats(struct replay *r, uint64_t count)
{
	if (r->table->rows == 0)
		reader_fail(&r->log);
	for (; count > 0 && !r->log.bad; count--)
		if (begin_row(r))
			end_row(r);
}

static void read_skip(struct replay *r, uint64_t count)
{
	if (count > UINT32_MAX)
		reader_fail(&r->log);
	else
		r->tick += count;
}

static void read_layout(struct replay *r)
{
	struct table *table = r->table;
	uint64_t count = get_varint(&r->log);

	for (; count > 0 && !r->log.bad; count--) {
		uint64_t slot = get_varint(&r->log);
		bool here = slot & 1;

		slot >>= 1;
		if (slot > table->series_count) {
			reader_fail(&r->log);
			return;
		}
		if (slot == table->series_count) {
			uint32_t code = (uint32_t)get_limited(&r->log, UINT32_MAX);

			if (r->log.bad)
				return;
			if (!table_add_series(table, code, table->rows - 1)) {
				no_memory(r);
				return;
			}
		}
		table->series[slot].open = here;
	}
}

static void read_presence(struct replay *r, uint32_t slot)
{
	struct table *table = r->table;
	struct table_presence *presence = table_add_presence(table, slot, table->rows - 1);

	if (!presence) {
		no_memory(r);
		return;
	}
	presence->present = get_limited(&r->log, metrics_mask(table->metrics));
	for (unsigned m = 0; m < table->metrics; m++)
		if (!(presence->present & TALLY_BIT(m)))
			presence->reason[m] = get_byte(&r->log);
}

static void read_value(struct replay *r, uint32_t slot, unsigned metric)
{
	struct table *table = r->table;
	uint32_t column = slot * table->metrics + metric;
	int64_t delta = unzigzag(get_varint(&r->log));

	if (table->rows - 1 == table->series[slot].first_row)
		table->columns[column].start = delta;
	else if (!table_add_change(table, column, table->rows - 1, delta))
		no_memory(r);
}

static void read_series(struct replay *r, uint32_t slot)
{
	uint64_t changed = get_limited(&r->log, metrics_mask(r->table->metrics) << 1 | 1);

	if (changed & 1)
		read_presence(r, slot);
	for (unsigned m = 0; m < r->table->metrics && !r->log.bad; m++)
		if (changed >> 1 & TALLY_BIT(m))
			read_value(r, slot, m);
}

static void read_row(struct replay *r, uint64_t flags)
{
	uint64_t slot = 0, gap;

	if (!begin_row(r))
		return;
	if (flags & ROW_LAYOUT)
		read_layout(r);
	while ((gap = get_limited(&r->log, TABLE_SERIES_MAX)) > 0) {
		slot += gap;
		if (slot > r->table->series_count) {
			reader_fail(&r->log);
			return;
		}
		read_series(r, (uint32_t)slot - 1);
	}
	if (!r->log.bad)
		end_row(r);
}

static void read_item(struct replay *r)
{
	uint64_t item = get_varint(&r->log);

	switch (item & 3) {
	case ITEM_REPEAT:
		read_repeats(r, item >> 2);
		break;
	case ITEM_SKIP:
		read_skip(r, item >> 2);
		break;
	case ITEM_ROW:
		read_row(r, item >> 2);
		break;
	default:
		reader_fail(&r->log);
	}
}

int rows_table(struct reader log, uint32_t metrics, uint64_t first_tick, uint32_t repeats,
	struct table *ret)
{
	struct replay r = {.log = log, .table = ret};

	table_clear(ret);
	ret->metrics = metrics;
	ret->first_tick = first_tick;
	while (!r.log.bad && reader_left(&r.log) > 0)
		read_item(&r);
	if (repeats > 0 && !r.log.bad)
		read_repeats(&r, repeats);
	if (r.error < 0)
		return r.error;
	if (r.log.bad || ret->rows == 0)
		return -EBADMSG;
	return table_sort(ret) ? 0 : -ENOMEM;
}

/* Memory that a log may waste while it rests: giving it back costs more than it is worth. */
#define LOG_SLACK 1024

static void trim_log(struct rows *rows)
{
	if (rows->log.capacity - rows->log.length <= LOG_SLACK)
		return;

	uint8_t *exact = realloc(rows->log.at, rows->log.length + !rows->log.length);
	if (exact) {
		rows->log.at = exact;
		rows->log.capacity = rows->log.length + !rows->log.length;
	}
}

void rows_rest(struct rows *rows, struct rows_spare *spare)
{
	struct rows_spare given = {rows->series, rows->series_capacity};

	trim_log(rows);
	rows->series = NULL;
	rows->series_count = rows->series_capacity = 0;
	if (given.capacity > spare->capacity) {
		free(spare->series);
		*spare = given;
	} else {
		free(given.series);
	}
}

/* What the table says of a series at its end. */
static void recall(const struct table *table, uint32_t index, struct rows_series *ret)
{
	const struct table_series *series = &table->series[index];
	const struct table_presence *presence =
		&table->presence[series->presence + series->presence_count - 1];

	*ret = (struct rows_series){
		.code = series->code, .here = series->open, .present = presence->present};
	memcpy(ret->reason, presence->reason, sizeof(ret->reason));
	for (unsigned m = 0; m < TALLY_METRIC_COUNT; m++) {
		const struct table_column *column = &table->columns[index * table->metrics + m];
		uint64_t value = (uint64_t)column->start;

		for (uint32_t i = 0; i < column->count; i++)
			value += (uint64_t)table->changes[column->first + i].delta;
		ret->value[m] = (int64_t)value;
	}
}

/* Room for a number of series: the spare one, when it is large enough. */
static bool take_series(struct rows *rows, uint32_t count, struct rows_spare *spare)
{
	if (spare->capacity >= count) {
		rows->series = spare->series;
		rows->series_capacity = spare->capacity;
		*spare = (struct rows_spare){0};
	} else {
		rows->series = calloc(count, sizeof(*rows->series));
		rows->series_capacity = count;
	}
	rows->series_count = count;
	return rows->series;
}

int rows_wake(struct rows *rows, struct table *table, struct rows_spare *spare)
{
	if (rows->series || rows->rows == 0)
		return 0;

	int r = rows_table(reader_of(rows->log.at, rows->log.length), TALLY_METRIC_COUNT,
		rows->first_tick, rows->repeats, table);
	if (r < 0)
		return r;
	if (!take_series(rows, table->series_count, spare)) {
		rows->series_count = rows->series_capacity = 0;
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < table->series_count; i++)
		recall(table, i, &rows->series[i]);
	return 0;
}
