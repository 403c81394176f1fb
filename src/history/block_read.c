/* SPDX-License-Identifier: Apache-2.0 */
/** Every byte may be wrong: nothing is read past the end, nothing is kept that does not fit. */
#include "history/block.h"
#include "history/block_column.h"

#include <errno.h>

/* A block being read. */
struct reading {
	struct table *table;
	struct decoder from;
	struct block_models *models;
	bool bad;  /* something was read that cannot be */
	int error; /* no memory */
};

static bool damaged(const struct reading *r)
{
	return r->bad || r->error < 0 || decoder_is_bad(&r->from);
}

static uint64_t get_number(struct reading *r, unsigned kind)
{
	return decode_number(&r->from, &r->models->numbers[kind]);
}

/* A number that must not be larger than a limit. */
static uint64_t get_at_most(struct reading *r, unsigned kind, uint64_t most)
{
	uint64_t number = get_number(r, kind);

	r->bad |= number > most;
	return number > most ? 0 : number;
}

static void read_ticks(struct reading *r)
{
	struct table *table = r->table;
	bool successive = decode_bit(&r->from, &r->models->successive);
	uint64_t tick = 0;

	table->tick[0] = 0;
	for (uint32_t row = 1; row < table->rows; row++) {
		tick += 1 + (successive ? 0 : get_at_most(r, NUMBER_TICKS_BETWEEN, UINT32_MAX));
		r->bad |= tick > UINT32_MAX;
		table->tick[row] = (uint32_t)tick;
	}
}

static void read_runs(struct reading *r, struct table_series *series)
{
	uint32_t rows = r->table->rows, row = series->first_row;

	for (bool here = true; row < rows && !damaged(r); here = !here) {
		uint64_t run = get_at_most(r, NUMBER_RUN, rows - row);

		r->bad |= run == 0;
		for (; run > 0; run--, row++)
			if (here)
				row_set_add(&series->here, row);
	}
}

static void read_where(struct reading *r, struct table_series *series)
{
	if (decode_bit(&r->from, &r->models->in_all_rows)) {
		for (uint32_t row = 0; row < r->table->rows; row++)
			row_set_add(&series->here, row);
		return;
	}
	series->first_row = (uint8_t)get_at_most(r, NUMBER_FIRST_ROW, r->table->rows - 1);
	read_runs(r, series);
}

static uint8_t read_reason(struct reading *r, struct block_form *last)
{
	if (!decode_bit(&r->from, &r->models->same_reason))
		last->reason = (uint8_t)decode_choice(&r->from, r->models->reason, 8);
	return last->reason;
}

static void read_presence(struct reading *r, struct table_presence *presence)
{
	for (unsigned m = 0; m < r->table->metrics; m++) {
		struct block_form *last = &r->models->last[m];

		last->present = decode_bit(&r->from, &r->models->present[last->present]);
		if (last->present)
			presence->present |= TALLY_BIT(m);
		else
			presence->reason[m] = read_reason(r, last);
	}
}

static void read_presences(struct reading *r, uint32_t index)
{
	struct table_series *series = &r->table->series[index];
	uint64_t count = get_at_most(r, NUMBER_PRESENCES, r->table->rows);
	uint64_t row = series->first_row;

	series->presence = r->table->presence_count;
	for (; count > 0 && !damaged(r); count--) {
		row += get_at_most(r, NUMBER_PRESENCE_ROW, TABLE_ROWS);
		r->bad |= row >= r->table->rows;
		if (damaged(r))
			return;

		struct table_presence *presence =
			table_add_presence(r->table, index, (unsigned)row);
		if (!presence) {
			r->error = -ENOMEM;
			return;
		}
		presence->present = 0;
		read_presence(r, presence);
		series->presence_count++;
	}
}

static int64_t scaled(int64_t value, uint64_t scale)
{
	return (int64_t)((uint64_t)value * scale);
}

static int64_t read_start(struct reading *r, struct block_form *last)
{
	unsigned kind = decode_choice(&r->from, r->models->start[last->start], 2);

	last->start = (uint8_t)kind;
	if (kind == START_ZERO)
		return 0;
	return scaled(unzigzag(get_number(r, NUMBER_START + kind)), (uint64_t)block_units[kind]);
}

static uint64_t read_scale(struct reading *r, struct block_form *last)
{
	last->scale = (uint8_t)decode_choice(&r->from, r->models->scale[last->scale], 3);
	return last->scale == SCALE_OTHER ? get_number(r, NUMBER_SCALE) : block_scales[last->scale];
}

static unsigned read_center(struct reading *r, struct block_form *last)
{
	int64_t center =
		last->center ? last->center - 1 + unzigzag(get_at_most(r, NUMBER_CENTER_MOVED, 128))
			     : (int64_t)get_at_most(r, NUMBER_CENTER, 64);

	r->bad |= center < 0 || center > 64;
	last->center = (uint8_t)(center + 1);
	return (unsigned)center;
}

/* How the changes of a column are coded. */
struct decoding {
	uint32_t column;
	enum block_changes changes;
	bool is_signed;
	uint64_t scale;
	int64_t level;
	unsigned center;
	struct length_models own;
};

static unsigned read_length(struct reading *r, struct decoding *d)
{
	unsigned far = 1, step = 0;

	if (decode_bit(&r->from, &d->own.same))
		return d->center;

	bool longer = decode_bit(&r->from, &d->own.longer);
	unsigned most = longer ? 64 - d->center : d->center;
	while (far <= most && decode_bit(&r->from, &d->own.on[longer][step])) {
		step = far < LENGTH_STEPS - 1 ? far : LENGTH_STEPS - 1;
		far++;
	}
	if (far > most) {
		r->bad = true;
		return 0;
	}
	return longer ? d->center + far : d->center - far;
}

static int64_t read_change(struct reading *r, struct decoding *d)
{
	uint64_t value = decode_rest(&r->from, read_length(r, d));

	return d->is_signed ? unzigzag(value) : (int64_t)value;
}

static void add_change(struct reading *r, const struct decoding *d, unsigned row, uint64_t change)
{
	if (change != 0 &&
		!table_add_change(r->table, d->column, row, scaled((int64_t)change, d->scale)))
		r->error = -ENOMEM;
}

static void read_sparse(
	struct reading *r, struct decoding *d, struct block_form *last, unsigned row)
{
	uint8_t rows[TABLE_ROWS];
	uint64_t count = get_at_most(r, NUMBER_CHANGES, TABLE_ROWS), at = row;

	for (uint64_t i = 0; i < count; i++) {
		at += get_at_most(r, NUMBER_CHANGE_ROW, TABLE_ROWS);
		r->bad |= at >= r->table->rows;
		rows[i] = (uint8_t)at;
	}
	d->center = read_center(r, last);
	for (uint64_t i = 0; i < count && !damaged(r); i++)
		add_change(r, d, rows[i], (uint64_t)read_change(r, d));
}

static void read_dense(struct reading *r, struct decoding *d, struct block_form *last, unsigned row)
{
	uint64_t before = (uint64_t)d->level;

	d->center = read_center(r, last);
	for (row++; row < r->table->rows && !damaged(r); row++) {
		uint64_t change = before + (uint64_t)read_change(r, d);

		if (d->changes == CHANGES_DENSE_TWICE)
			before = change;
		add_change(r, d, row, change);
	}
}

static void read_changes(struct reading *r, uint32_t column, unsigned row, struct block_form *last)
{
	struct decoding d = {.column = column, .changes = last->changes};
	struct length_models *shared = &r->models->lengths[d.changes != CHANGES_SPARSE];

	d.own = length_models_of(shared);
	d.scale = read_scale(r, last);
	d.is_signed = decode_bit(&r->from, &r->models->is_signed[last->is_signed]);
	last->is_signed = d.is_signed;
	if (d.changes == CHANGES_DENSE_LEVEL)
		d.level = unzigzag(get_number(r, NUMBER_LEVEL));
	if (d.changes == CHANGES_SPARSE)
		read_sparse(r, &d, last, row);
	else
		read_dense(r, &d, last, row);
	length_models_learn(shared, &d.own);
}

/* Changes come by column here, in their order of rows: only where each begins is to be noted. */
static void read_column(struct reading *r, uint32_t series, unsigned metric)
{
	struct table *table = r->table;
	struct table_column *column = &table->columns[series * table->metrics + metric];
	struct block_form *last = &r->models->last[metric];

	column->first = table->change_count;
	column->start = read_start(r, last);
	last->changes = (uint8_t)decode_choice(&r->from, r->models->changes[last->changes], 3);
	if (last->changes >= CHANGES_KINDS) {
		r->bad = true;
		last->changes = CHANGES_NONE;
	}
	if (last->changes != CHANGES_NONE)
		read_changes(
			r, series * table->metrics + metric, table->series[series].first_row, last);
	column->count = table->change_count - column->first;
}

static void read_series(struct reading *r, uint32_t index)
{
	uint64_t code = index ? r->table->series[index - 1].code : 0;

	code += (uint64_t)unzigzag(get_number(r, NUMBER_CODE));
	r->bad |= code > UINT32_MAX;

	struct table_series *series = table_add_series(r->table, (uint32_t)code, 0);
	if (!series) {
		r->error = -ENOMEM;
		return;
	}
	read_where(r, series);
	read_presences(r, index);
	for (unsigned m = 0; m < r->table->metrics && !damaged(r); m++)
		read_column(r, index, m);
}

static int read_head(struct reader *block, struct table *table, uint32_t *ret_series)
{
	if (get_byte(block) != BLOCK_VERSION)
		return block->bad ? -EBADMSG : -ENOTSUP;
	table_clear(table);
	table->metrics = (uint32_t)get_varint(block);
	table->first_tick = get_varint(block);
	table->rows = (uint32_t)get_limited(block, TABLE_ROWS);
	*ret_series = (uint32_t)get_limited(block, TABLE_SERIES_MAX);
	if (table->metrics < 1 || table->metrics > TALLY_METRIC_COUNT || table->rows < 1)
		return -EBADMSG;
	return block->bad ? -EBADMSG : 0;
}

int block_read(struct block_scratch *s, const void *at, size_t length, struct table *ret)
{
	struct reader block = reader_of(at, length);
	struct reading r = {.table = ret, .models = &s->models};
	uint32_t series_count;
	int error = read_head(&block, ret, &series_count);

	if (error < 0)
		return error;

	struct reader coded = get_piece(&block, get_varint(&block));
	if (block.bad)
		return -EBADMSG;
	block_models_begin(r.models);
	r.from = decoder_of(coded, block.at, reader_left(&block));
	read_ticks(&r);
	for (uint32_t i = 0; i < series_count && !damaged(&r); i++)
		read_series(&r, i);
	if (r.error < 0)
		return r.error;
	return damaged(&r) || !decoder_is_used_up(&r.from) ? -EBADMSG : 0;
}
