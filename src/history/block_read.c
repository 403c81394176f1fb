/* SPDX-License-Identifier: Apache-2.0 */
/** Every byte may be wrong: nothing is read past the end, nothing is kept that does not fit. */
#include "history/block.h"
#include "history/block_column.h"

#include <errno.h>
#include "history/rows_item.h"

/* A block being read. */
struct reading {
	struct table *table;
	struct reader stream;
	struct bit_reader bits;
	const uint8_t *heads; /* in the scratch: by column */
	int error;	      /* no memory; what is malformed marks the readers */
};

static bool damaged(const struct reading *r)
{
	return r->stream.bad || r->bits.bad || r->error < 0;
}

static void no_memory(struct reading *r)
{
	r->error = -ENOMEM;
	reader_fail(&r->stream);
}

static void read_ticks(struct reading *r)
{
	struct table *table = r->table;
	bool successive = get_byte(&r->stream) == 0;
	uint64_t tick = 0;

	table->tick[0] = 0;
	for (uint32_t row = 1; row < table->rows; row++) {
		tick += 1 + (successive ? 0 : get_limited(&r->stream, UINT32_MAX));
		if (tick > UINT32_MAX)
			reader_fail(&r->stream);
		table->tick[row] = (uint32_t)tick;
	}
}

static void read_runs(struct reading *r, struct table_series *series)
{
	uint32_t rows = r->table->rows, row = series->first_row;

	for (bool here = true; row < rows && !r->stream.bad; here = !here) {
		uint64_t run = get_limited(&r->stream, rows - row);

		if (run == 0)
			reader_fail(&r->stream);
		for (; run > 0; run--, row++)
			if (here)
				row_set_add(&series->here, row);
	}
}

static void read_where(struct reading *r, struct table_series *series)
{
	if (get_byte(&r->stream) == 0) {
		for (uint32_t row = 0; row < r->table->rows; row++)
			row_set_add(&series->here, row);
		return;
	}
	series->first_row = (uint8_t)get_limited(&r->stream, r->table->rows - 1);
	read_runs(r, series);
}

static void read_presence(struct reading *r, uint32_t index, unsigned *row, uint64_t *last)
{
	struct table *table = r->table;

	*row += (unsigned)get_limited(&r->stream, TABLE_ROWS);
	*last ^= get_limited(&r->stream, metrics_mask(table->metrics));
	if (*row >= table->rows)
		reader_fail(&r->stream);
	if (r->stream.bad)
		return;

	struct table_presence *presence = table_add_presence(table, index, *row);
	if (!presence) {
		no_memory(r);
		return;
	}
	presence->present = *last;
	for (unsigned m = 0; m < table->metrics; m++)
		if (!(presence->present & TALLY_BIT(m)))
			presence->reason[m] = get_byte(&r->stream);
}

static void read_presences(struct reading *r, uint32_t index, uint64_t count, uint64_t *last)
{
	struct table_series *series = &r->table->series[index];
	unsigned row = series->first_row;

	series->presence = r->table->presence_count;
	for (; count > 0 && !r->stream.bad; count--) {
		read_presence(r, index, &row, last);
		series->presence_count += !r->stream.bad;
	}
}

static void read_series(struct reading *r, struct bytes *heads, uint32_t series_count)
{
	uint64_t code = 0, present = 0;

	for (uint32_t i = 0; i < series_count && !r->stream.bad; i++) {
		code += (uint64_t)unzigzag(get_varint(&r->stream));
		if (code > UINT32_MAX)
			reader_fail(&r->stream);

		uint64_t presences = get_limited(&r->stream, r->table->rows);
		struct table_series *series = table_add_series(r->table, (uint32_t)code, 0);
		if (!series || !bytes_room(heads, r->table->metrics)) {
			no_memory(r);
			return;
		}
		read_where(r, series);
		read_presences(r, i, presences, &present);
		for (uint32_t m = 0; m < r->table->metrics; m++)
			put_byte(heads, get_byte(&r->stream));
	}
	r->heads = heads->at;
}

static int64_t scaled(int64_t value, uint64_t scale)
{
	return (int64_t)((uint64_t)value * scale);
}

static int64_t read_start(struct reading *r, unsigned kind)
{
	switch (kind) {
	case START_PLAIN:
		return unzigzag(get_varint(&r->stream));
	case START_PAGES:
		return scaled(unzigzag(get_varint(&r->stream)), PAGE);
	case START_TICKS:
		return scaled(unzigzag(get_varint(&r->stream)), TICK_NS);
	default:
		return 0;
	}
}

static uint64_t read_value(struct reading *r, uint8_t center)
{
	uint8_t symbol = (uint8_t)(get_byte(&r->stream) + center);

	if (symbol < SYMBOL_DIRECT)
		return symbol;
	if (symbol > SYMBOL_MAX)
		return reader_fail(&r->stream);
	return symbol_base(symbol) | get_bits(&r->bits, symbol_bits(symbol));
}

/* How the changes of a column are coded. */
struct decoding {
	uint32_t column;
	uint8_t head, center;
	uint64_t scale;
};

static int64_t read_change(struct reading *r, const struct decoding *d)
{
	uint64_t value = read_value(r, d->center);

	return d->head & HEAD_UNSIGNED ? (int64_t)value : unzigzag(value);
}

static void add_change(struct reading *r, const struct decoding *d, unsigned row, int64_t change)
{
	if (change != 0 && !table_add_change(r->table, d->column, row, scaled(change, d->scale)))
		no_memory(r);
}

static void read_sparse(struct reading *r, struct decoding *d, unsigned first_row)
{
	uint8_t rows[TABLE_ROWS];
	uint64_t row = first_row, count = get_limited(&r->stream, TABLE_ROWS);

	for (uint64_t i = 0; i < count; i++) {
		row += get_limited(&r->stream, TABLE_ROWS);
		if (row >= r->table->rows) {
			reader_fail(&r->stream);
			return;
		}
		rows[i] = (uint8_t)row;
	}
	d->center = get_byte(&r->stream);
	for (uint64_t i = 0; i < count && !damaged(r); i++)
		add_change(r, d, rows[i], read_change(r, d));
}

static void read_dense(struct reading *r, struct decoding *d, unsigned first_row)
{
	bool twice = CHANGES_OF(d->head) == CHANGES_DENSE_TWICE;
	uint64_t last = 0;

	d->center = get_byte(&r->stream);
	for (unsigned row = first_row + 1; row < r->table->rows && !damaged(r); row++) {
		uint64_t change = (uint64_t)read_change(r, d);

		last = twice ? last + change : change;
		add_change(r, d, row, (int64_t)last);
	}
}

static void read_column(struct reading *r, uint32_t column)
{
	struct table *table = r->table;
	struct decoding d = {.column = column, .head = r->heads[column]};
	unsigned first_row = table->series[column / table->metrics].first_row;

	if (CHANGES_OF(d.head) == CHANGES_NONE)
		return;
	d.scale = SCALE_OF(d.head) == SCALE_VARINT ? get_varint(&r->stream)
						   : block_scales[SCALE_OF(d.head)];
	if (CHANGES_OF(d.head) == CHANGES_SPARSE)
		read_sparse(r, &d, first_row);
	else
		read_dense(r, &d, first_row);
}

/* Changes come by column here, in their order of rows: only where each begins is to be noted. */
static void read_columns(struct reading *r)
{
	struct table *table = r->table;
	uint32_t count = table->series_count * table->metrics;

	for (uint32_t i = 0; i < count && !r->stream.bad; i++)
		table->columns[i].start = read_start(r, START_OF(r->heads[i]));
	for (uint32_t i = 0; i < count && !damaged(r); i++) {
		table->columns[i].first = table->change_count;
		read_column(r, i);
		table->columns[i].count = table->change_count - table->columns[i].first;
	}
}

/* Unpack the stream into the scratch if it is packed. */
static int open_stream(struct block_scratch *s, struct reader *block, struct reader *ret)
{
	uint64_t plain = get_limited(block, BLOCK_STREAM_MAX), packed = get_varint(block);
	struct reader piece = get_piece(block, packed ? packed : plain);

	if (block->bad)
		return -EBADMSG;
	if (packed == 0) {
		*ret = piece;
		return 0;
	}
	s->stream.length = 0;
	if (!s->unpack && !(s->unpack = ZSTD_createDCtx()))
		return -ENOMEM;
	if (!bytes_room(&s->stream, plain))
		return -ENOMEM;
	if (ZSTD_decompressDCtx(s->unpack, s->stream.at, plain, piece.at, packed) != plain)
		return -EBADMSG;
	*ret = reader_of(s->stream.at, plain);
	return 0;
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
	struct reading r = {.table = ret};
	uint32_t series_count;
	int error = read_head(&block, ret, &series_count);

	if (error == 0)
		error = open_stream(s, &block, &r.stream);
	if (error < 0)
		return error;
	r.bits = bits_of(block.at, reader_left(&block));
	s->heads.length = 0;
	read_ticks(&r);
	read_series(&r, &s->heads, series_count);
	if (!damaged(&r))
		read_columns(&r);
	if (r.error < 0)
		return r.error;
	return damaged(&r) || reader_left(&r.stream) > 0 ? -EBADMSG : 0;
}
