/* SPDX-License-Identifier: Apache-2.0 */
#include "history/block.h"
#include "history/block_column.h"

#include <errno.h>

#define PACK_LEVEL 1 /* higher ones gain 1 or 2 % of the size */

struct block_scratch *block_scratch_new(void)
{
	struct block_scratch *scratch = calloc(1, sizeof(*scratch));

	return scratch;
}

struct block_scratch *block_scratch_free(struct block_scratch *scratch)
{
	if (!scratch)
		return NULL;
	ZSTD_freeCCtx(scratch->pack);
	ZSTD_freeDCtx(scratch->unpack);
	bytes_free(&scratch->stream);
	bytes_free(&scratch->heads);
	bytes_free(&scratch->columns);
	bytes_free(&scratch->bits);
	bytes_free(&scratch->block);
	free(scratch);
	return NULL;
}

/* A column as it will be written. */
struct coding {
	uint8_t head;
	uint64_t scale;
	unsigned count;		     /* of symbols */
	uint64_t values[TABLE_ROWS]; /* what they stand for */
};

static uint64_t magnitude(int64_t value)
{
	return value < 0 ? -(uint64_t)value : (uint64_t)value;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
	while (b > 0) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* The largest divisor of all changes. */
static uint64_t find_scale(const struct table_change *changes, uint32_t count)
{
	uint64_t scale = 0;

	for (uint32_t i = 0; i < count && scale != 1; i++)
		scale = common_divisor(magnitude(changes[i].delta), scale);
	return scale ? scale : 1;
}

static unsigned scale_number(uint64_t scale)
{
	for (unsigned i = 0; i < SCALE_VARINT; i++)
		if (block_scales[i] == scale)
			return i;
	return SCALE_VARINT;
}

static enum block_start start_kind(int64_t start)
{
	if (start == 0)
		return START_ZERO;
	if (start % TICK_NS == 0)
		return START_TICKS;
	return start % PAGE == 0 ? START_PAGES : START_PLAIN;
}

static unsigned bits_of_value(uint64_t value)
{
	return value ? 64 - (unsigned)__builtin_clzll(value) : 0;
}

/* Fold a list of differences; not needed when none is negative. @return its bits. */
static unsigned fold(const int64_t *values, unsigned count, uint64_t *ret, bool *ret_unsigned)
{
	unsigned bits = 0;

	*ret_unsigned = true;
	for (unsigned i = 0; i < count; i++)
		*ret_unsigned &= values[i] >= 0;
	for (unsigned i = 0; i < count; i++) {
		ret[i] = *ret_unsigned ? (uint64_t)values[i] : zigzag(values[i]);
		bits += bits_of_value(ret[i]);
	}
	return bits;
}

static void set_changes(struct coding *c, enum block_changes kind, bool is_unsigned)
{
	c->head |= (uint8_t)((unsigned)kind << 2 | scale_number(c->scale) << 4 |
			     (is_unsigned ? HEAD_UNSIGNED : 0));
}

static void code_sparse(struct coding *c, const struct table_change *changes, uint32_t count)
{
	int64_t values[TABLE_ROWS];
	bool is_unsigned;

	for (uint32_t i = 0; i < count; i++)
		values[i] = changes[i].delta / (int64_t)c->scale;
	c->count = count;
	fold(values, count, c->values, &is_unsigned);
	set_changes(c, CHANGES_SPARSE, is_unsigned);
}

static void code_dense(struct coding *c, const struct table_change *changes, uint32_t count,
	unsigned first_row, unsigned rows)
{
	int64_t once[TABLE_ROWS] = {0}, twice[TABLE_ROWS];
	uint64_t folded[TABLE_ROWS];
	bool once_unsigned, twice_unsigned;

	c->count = rows - first_row - 1;
	for (uint32_t i = 0; i < count; i++)
		once[changes[i].row - first_row - 1] = changes[i].delta / (int64_t)c->scale;
	for (unsigned i = 0; i < c->count; i++)
		twice[i] = (int64_t)((uint64_t)once[i] - (uint64_t)(i ? once[i - 1] : 0));
	if (fold(twice, c->count, folded, &twice_unsigned) <
		fold(once, c->count, c->values, &once_unsigned)) {
		memcpy(c->values, folded, sizeof(folded));
		set_changes(c, CHANGES_DENSE_TWICE, twice_unsigned);
	} else {
		set_changes(c, CHANGES_DENSE, once_unsigned);
	}
}

/* A sparse change costs its distance and its symbol, a dense row without one next to nothing. */
static bool better_sparse(uint32_t count, unsigned dense)
{
	return count * 4 < dense;
}

static void code_column(
	struct coding *c, const struct table *table, uint32_t series, uint32_t metric)
{
	const struct table_column *column = &table->columns[series * table->metrics + metric];
	unsigned first_row = table->series[series].first_row;

	c->head = (uint8_t)start_kind(column->start);
	c->count = 0;
	if (column->count == 0)
		return;

	const struct table_change *changes = table->changes + column->first;
	c->scale = find_scale(changes, column->count);
	if (c->scale > INT64_MAX)
		c->scale = 1;
	if (better_sparse(column->count, table->rows - first_row - 1))
		code_sparse(c, changes, column->count);
	else
		code_dense(c, changes, column->count, first_row, table->rows);
}

static void put_start(struct bytes *to, int64_t start)
{
	switch (start_kind(start)) {
	case START_ZERO:
		break;
	case START_PLAIN:
		put_varint(to, zigzag(start));
		break;
	case START_PAGES:
		put_varint(to, zigzag(start / PAGE));
		break;
	case START_TICKS:
		put_varint(to, zigzag(start / TICK_NS));
		break;
	}
}

static void put_positions(
	struct bytes *to, const struct table_change *changes, uint32_t count, unsigned row)
{
	put_varint(to, count);
	for (uint32_t i = 0; i < count; i++) {
		put_varint(to, changes[i].row - row);
		row = changes[i].row;
	}
}

static unsigned commonest(const uint8_t *symbols, unsigned count)
{
	uint8_t seen[256] = {0};
	unsigned best = 0;

	for (unsigned i = 0; i < count; i++)
		if (++seen[symbols[i]] > seen[best])
			best = symbols[i];
	return best;
}

static void put_symbols(struct bytes *to, struct bit_writer *bits, const struct coding *c)
{
	uint8_t symbols[TABLE_ROWS];

	for (unsigned i = 0; i < c->count; i++) {
		unsigned symbol = symbol_of(c->values[i]), more = symbol_bits(symbol);

		symbols[i] = (uint8_t)symbol;
		if (more > 0)
			put_bits(bits, c->values[i] & ((UINT64_C(1) << more) - 1), more);
	}

	uint8_t center = (uint8_t)commonest(symbols, c->count);
	put_byte(to, center);
	for (unsigned i = 0; i < c->count; i++)
		put_byte(to, (uint8_t)(symbols[i] - center));
}

/* The most bytes that a column can take in the stream, and in the bits. */
#define COLUMN_ROOM (2 * VARINT_MAX + 2 + 3 * TABLE_ROWS)
#define BITS_ROOM   (8 * TABLE_ROWS + 8)

/* Code all columns: their heads, and those with changes. */
static int put_columns(struct block_scratch *s, const struct table *table)
{
	uint32_t count = table->series_count * table->metrics;
	struct bit_writer bits = {.to = &s->bits};
	struct coding c;

	if (!bytes_room(&s->heads, count))
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		const struct table_column *column = &table->columns[i];
		uint32_t series = i / table->metrics;

		code_column(&c, table, series, i % table->metrics);
		put_byte(&s->heads, c.head);
		if (column->count == 0)
			continue;
		if (!bytes_room(&s->columns, COLUMN_ROOM) || !bytes_room(&s->bits, BITS_ROOM))
			return -ENOMEM;
		if (SCALE_OF(c.head) == SCALE_VARINT)
			put_varint(&s->columns, c.scale);
		if (CHANGES_OF(c.head) == CHANGES_SPARSE)
			put_positions(&s->columns, table->changes + column->first, column->count,
				table->series[series].first_row);
		put_symbols(&s->columns, &bits, &c);
	}
	if (!bytes_room(&s->bits, 8))
		return -ENOMEM;
	bits_end(&bits);
	return 0;
}

static int put_starts(struct block_scratch *s, const struct table *table)
{
	uint32_t count = table->series_count * table->metrics;

	if (!bytes_room(&s->stream, (size_t)count * VARINT_MAX))
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		put_start(&s->stream, table->columns[i].start);
	return 0;
}

static void put_where(
	struct bytes *to, const struct table *table, const struct table_series *series)
{
	unsigned run = 0;
	bool here = true;

	for (unsigned row = 0; row < table->rows; row++)
		run += row_set_has(&series->here, row);
	put_byte(to, run != table->rows);
	if (run == table->rows)
		return;
	put_varint(to, series->first_row);
	run = 0;
	for (unsigned row = series->first_row; row < table->rows; row++, run++)
		if (row_set_has(&series->here, row) != here) {
			put_varint(to, run);
			run = 0;
			here = !here;
		}
	put_varint(to, run);
}

static void put_presences(struct bytes *to, const struct table *table,
	const struct table_series *series, uint64_t *last)
{
	unsigned row = series->first_row;

	for (uint32_t i = 0; i < series->presence_count; i++) {
		const struct table_presence *presence = &table->presence[series->presence + i];

		put_varint(to, presence->row - row);
		put_varint(to, presence->present ^ *last);
		*last = presence->present;
		row = presence->row;
		for (unsigned m = 0; m < table->metrics; m++)
			if (!(presence->present & TALLY_BIT(m)))
				put_byte(to, presence->reason[m]);
	}
}

static int put_series(struct block_scratch *s, const struct table *table)
{
	int64_t code = 0;
	uint64_t present = 0;

	for (uint32_t i = 0; i < table->series_count; i++) {
		const struct table_series *series = &table->series[i];
		size_t presences = series->presence_count * (2 * VARINT_MAX + table->metrics);

		if (!bytes_room(&s->stream,
			    4 * VARINT_MAX + 2 * TABLE_ROWS + presences + table->metrics))
			return -ENOMEM;
		put_varint(&s->stream, zigzag(series->code - code));
		code = series->code;
		put_varint(&s->stream, series->presence_count);
		put_where(&s->stream, table, series);
		put_presences(&s->stream, table, series, &present);
		put_blob(&s->stream, s->heads.at + i * table->metrics, table->metrics);
	}
	return 0;
}

static int put_ticks(struct block_scratch *s, const struct table *table)
{
	bool successive = table->tick[table->rows - 1] == table->rows - 1;

	if (!bytes_room(&s->stream, 1 + TABLE_ROWS * VARINT_MAX))
		return -ENOMEM;
	put_byte(&s->stream, !successive);
	if (!successive)
		for (unsigned row = 1; row < table->rows; row++)
			put_varint(&s->stream, table->tick[row] - table->tick[row - 1] - 1);
	return 0;
}

/* Put the head of the block and the packed stream behind it. */
static int pack(struct block_scratch *s, const struct table *table)
{
	size_t bound = ZSTD_compressBound(s->stream.length);
	struct bytes *block = &s->block;

	if (!s->pack && !(s->pack = ZSTD_createCCtx()))
		return -ENOMEM;
	block->length = 0;
	if (!bytes_room(block, 1 + 6 * VARINT_MAX + 2 * bound + s->bits.length))
		return -ENOMEM;

	uint8_t *packed = block->at + 1 + 6 * VARINT_MAX + bound; /* out of the way of the head */
	size_t length = ZSTD_compressCCtx(
		s->pack, packed, bound, s->stream.at, s->stream.length, PACK_LEVEL);
	if (ZSTD_isError(length))
		return -ENOMEM;

	bool shorter = length < s->stream.length;
	put_byte(block, BLOCK_VERSION);
	put_varint(block, table->metrics);
	put_varint(block, table->first_tick);
	put_varint(block, table->rows);
	put_varint(block, table->series_count);
	put_varint(block, s->stream.length);
	put_varint(block, shorter ? length : 0);
	memmove(block->at + block->length, shorter ? packed : s->stream.at,
		shorter ? length : s->stream.length);
	block->length += shorter ? length : s->stream.length;
	put_blob(block, s->bits.at, s->bits.length);
	return 0;
}

int block_write(struct block_scratch *s, const struct table *table, struct reader *ret)
{
	int r;

	s->stream.length = s->heads.length = s->columns.length = s->bits.length = 0;
	r = put_columns(s, table);
	if (r == 0)
		r = put_ticks(s, table);
	if (r == 0)
		r = put_series(s, table);
	if (r == 0)
		r = put_starts(s, table);
	if (r == 0 && !bytes_room(&s->stream, s->columns.length))
		r = -ENOMEM;
	if (r == 0) {
		put_blob(&s->stream, s->columns.at, s->columns.length);
		r = pack(s, table);
	}
	if (r == 0)
		*ret = reader_of(s->block.at, s->block.length);
	return r;
}
