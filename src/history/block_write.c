/* SPDX-License-Identifier: Apache-2.0 */
#include "history/block.h"
#include "history/block_column.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>

struct block_scratch *block_scratch_new(void)
{
	return calloc(1, sizeof(struct block_scratch));
}

struct block_scratch *block_scratch_free(struct block_scratch *scratch)
{
	if (!scratch)
		return NULL;
	bytes_free(&scratch->coded);
	bytes_free(&scratch->bits);
	bytes_free(&scratch->block);
	free(scratch);
	return NULL;
}

/* Models are all alike, but for what is known of the last column. */
void block_models_begin(struct block_models *models)
{
	models_begin(
		(struct model *)models, offsetof(struct block_models, last) / sizeof(struct model));
	for (size_t i = 0; i < TALLY_METRIC_CAPACITY; i++)
		models->last[i] = (struct block_form){.start = START_UNKNOWN,
			.changes = CHANGES_UNKNOWN,
			.scale = SCALE_UNKNOWN,
			.is_signed = FORM_UNKNOWN,
			.present = FORM_UNKNOWN};
}

/* A column as it will be written. */
struct coding {
	enum block_changes changes;
	bool is_signed;
	uint64_t scale;
	int64_t level;
	unsigned count;		     /* of values */
	uint64_t values[TABLE_ROWS]; /* folded if any is negative */
};

/* What telling a level costs, about. */
#define LEVEL_BITS 16

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
	for (unsigned i = 0; i < SCALE_OTHER; i++)
		if (block_scales[i] == scale)
			return i;
	return SCALE_OTHER;
}

static enum block_start start_kind(int64_t start)
{
	if (start == 0)
		return START_ZERO;
	if (start % TICK_NS == 0)
		return START_TICKS;
	return start % PAGE == 0 ? START_PAGES : START_PLAIN;
}

/* Fold a list of differences where any is negative. @return its bits. */
static unsigned fold(const int64_t *values, unsigned count, uint64_t *ret, bool *ret_signed)
{
	unsigned bits = 0;

	*ret_signed = false;
	for (unsigned i = 0; i < count; i++)
		*ret_signed |= values[i] < 0;
	for (unsigned i = 0; i < count; i++) {
		ret[i] = *ret_signed ? zigzag(values[i]) : (uint64_t)values[i];
		bits += bit_length(ret[i]);
	}
	return bits;
}

static void code_sparse(struct coding *c, const struct table_change *changes, uint32_t count)
{
	int64_t values[TABLE_ROWS];

	for (uint32_t i = 0; i < count; i++)
		values[i] = changes[i].delta / (int64_t)c->scale;
	c->changes = CHANGES_SPARSE;
	c->count = count;
	fold(values, count, c->values, &c->is_signed);
}

/* Not smaller than half of them, not larger than the rest; their order is lost. (Wirth's way.) */
static int64_t median(int64_t *values, unsigned count)
{
	int from = 0, to = (int)count - 1, middle = (int)count / 2;

	while (from < to) {
		int64_t pivot = values[middle];
		int low = from, high = to;

		while (low <= high) {
			while (values[low] < pivot)
				low++;
			while (values[high] > pivot)
				high--;
			if (low > high)
				break;
			int64_t swap = values[low];
			values[low++] = values[high];
			values[high--] = swap;
		}
		from = high < middle ? low : from;
		to = low > middle ? high : to;
	}
	return values[middle];
}

/* Keep a way to write a column if it is shorter. */
static void offer(struct coding *c, enum block_changes changes, const int64_t *values,
	int64_t level, unsigned *least_bits)
{
	uint64_t folded[TABLE_ROWS];
	bool is_signed;
	unsigned bits = fold(values, c->count, folded, &is_signed) +
			(changes == CHANGES_DENSE_LEVEL ? LEVEL_BITS : 0);

	if (bits >= *least_bits)
		return;
	*least_bits = bits;
	c->changes = changes;
	c->is_signed = is_signed;
	c->level = level;
	memcpy(c->values, folded, c->count * sizeof(*folded));
}

static void code_dense(struct coding *c, const struct table_change *changes, uint32_t count,
	unsigned first_row, unsigned rows)
{
	int64_t once[TABLE_ROWS] = {0}, other[TABLE_ROWS] = {0};
	unsigned least_bits = UINT_MAX;

	c->count = rows - first_row - 1;
	for (uint32_t i = 0; i < count; i++)
		once[changes[i].row - first_row - 1] = changes[i].delta / (int64_t)c->scale;
	offer(c, CHANGES_DENSE, once, 0, &least_bits);
	for (unsigned i = 0; i < c->count; i++)
		other[i] = wrapped_difference(once[i], i ? once[i - 1] : 0);
	offer(c, CHANGES_DENSE_TWICE, other, 0, &least_bits);
	memcpy(other, once, sizeof(other));
	int64_t level = median(other, c->count);
	for (unsigned i = 0; i < c->count; i++)
		other[i] = wrapped_difference(once[i], level);
	offer(c, CHANGES_DENSE_LEVEL, other, level, &least_bits);
}

/* A sparse change costs its distance and its length, a dense row without one next to nothing. */
static bool better_sparse(uint32_t count, unsigned dense)
{
	return count * 4 < dense;
}

static void code_column(struct coding *c, const struct table *table, uint32_t series,
	const struct table_column *column)
{
	unsigned first_row = table->series[series].first_row;
	const struct table_change *changes = table->changes + column->first;

	*c = (struct coding){.changes = CHANGES_NONE};
	if (column->count == 0)
		return;
	c->scale = find_scale(changes, column->count);
	if (c->scale > INT64_MAX)
		c->scale = 1;
	if (better_sparse(column->count, table->rows - first_row - 1))
		code_sparse(c, changes, column->count);
	else
		code_dense(c, changes, column->count, first_row, table->rows);
}

/* A table being written. */
struct writing {
	const struct table *table;
	struct encoder to;
	struct block_models *models;
};

static void put_number(struct writing *w, unsigned kind, uint64_t value)
{
	encode_number(&w->to, &w->models->numbers[kind], value);
}

static void put_start(struct writing *w, struct block_form *last, int64_t start)
{
	enum block_start kind = start_kind(start);

	encode_choice(&w->to, w->models->start[last->start], 2, kind);
	last->start = (uint8_t)kind;
	if (kind != START_ZERO)
		put_number(w, NUMBER_START + kind, zigzag(start / block_units[kind]));
}

static void put_scale(struct writing *w, struct block_form *last, uint64_t scale)
{
	unsigned number = scale_number(scale);

	encode_choice(&w->to, w->models->scale[last->scale], 3, number);
	last->scale = (uint8_t)number;
	if (number == SCALE_OTHER)
		put_number(w, NUMBER_SCALE, scale);
}

static void put_rows(
	struct writing *w, const struct table_change *changes, uint32_t count, unsigned row)
{
	put_number(w, NUMBER_CHANGES, count);
	for (uint32_t i = 0; i < count; i++) {
		put_number(w, NUMBER_CHANGE_ROW, changes[i].row - row);
		row = changes[i].row;
	}
}

static unsigned commonest_length(const struct coding *c)
{
	uint8_t seen[65] = {0};
	unsigned best = 0;

	for (unsigned i = 0; i < c->count; i++) {
		unsigned length = bit_length(c->values[i]);

		if (++seen[length] > seen[best])
			best = length;
	}
	return best;
}

static void put_center(struct writing *w, struct block_form *last, unsigned center)
{
	if (last->center)
		put_number(w, NUMBER_CENTER_MOVED, zigzag((int64_t)center + 1 - last->center));
	else
		put_number(w, NUMBER_CENTER, center);
	last->center = (uint8_t)(center + 1);
}

static void put_length(
	struct writing *w, struct length_models *own, unsigned length, unsigned center)
{
	bool longer = length > center;
	unsigned far = longer ? length - center : center - length;

	encode_bit(&w->to, &own->same, far == 0);
	if (far == 0)
		return;
	encode_bit(&w->to, &own->longer, longer);
	for (unsigned i = 1; i <= far; i++)
		encode_bit(&w->to, &own->on[longer][i < LENGTH_STEPS ? i - 1 : LENGTH_STEPS - 1],
			i < far);
}

static void put_values(struct writing *w, struct block_form *last, const struct coding *c)
{
	struct length_models *shared = &w->models->lengths[c->changes != CHANGES_SPARSE];
	struct length_models own = length_models_of(shared);
	unsigned center = commonest_length(c);

	put_center(w, last, center);
	for (unsigned i = 0; i < c->count; i++) {
		unsigned length = bit_length(c->values[i]);

		put_length(w, &own, length, center);
		encode_rest(&w->to, c->values[i], length);
	}
	length_models_learn(shared, &own);
}

static void put_column(struct writing *w, uint32_t series, unsigned metric)
{
	const struct table_column *column = &w->table->columns[series * w->table->metrics + metric];
	struct block_form *last = &w->models->last[metric];
	struct coding c;

	put_start(w, last, column->start);
	code_column(&c, w->table, series, column);
	encode_choice(&w->to, w->models->changes[last->changes], 3, c.changes);
	last->changes = (uint8_t)c.changes;
	if (c.changes == CHANGES_NONE)
		return;
	put_scale(w, last, c.scale);
	encode_bit(&w->to, &w->models->is_signed[last->is_signed], c.is_signed);
	last->is_signed = c.is_signed;
	if (c.changes == CHANGES_DENSE_LEVEL)
		put_number(w, NUMBER_LEVEL, zigzag(c.level));
	if (c.changes == CHANGES_SPARSE)
		put_rows(w, w->table->changes + column->first, column->count,
			w->table->series[series].first_row);
	put_values(w, last, &c);
}

static void put_where(struct writing *w, const struct table_series *series)
{
	unsigned rows = w->table->rows, run = 0;
	bool here = true;

	for (unsigned row = 0; row < rows; row++)
		run += row_set_has(&series->here, row);
	encode_bit(&w->to, &w->models->in_all_rows, run == rows);
	if (run == rows)
		return;
	put_number(w, NUMBER_FIRST_ROW, series->first_row);
	run = 0;
	for (unsigned row = series->first_row; row < rows; row++, run++)
		if (row_set_has(&series->here, row) != here) {
			put_number(w, NUMBER_RUN, run);
			run = 0;
			here = !here;
		}
	put_number(w, NUMBER_RUN, run);
}

static void put_reason(struct writing *w, struct block_form *last, uint8_t reason)
{
	encode_bit(&w->to, &w->models->same_reason, reason == last->reason);
	if (reason != last->reason)
		encode_choice(&w->to, w->models->reason, 8, reason);
	last->reason = reason;
}

static void put_presence(struct writing *w, const struct table_presence *presence)
{
	for (unsigned m = 0; m < w->table->metrics; m++) {
		struct block_form *last = &w->models->last[m];
		bool present = presence->present & TALLY_BIT(m);

		encode_bit(&w->to, &w->models->present[last->present], present);
		last->present = present;
		if (!present)
			put_reason(w, last, presence->reason[m]);
	}
}

static void put_series(struct writing *w, uint32_t index)
{
	const struct table_series *series = &w->table->series[index];
	uint32_t code = index ? w->table->series[index - 1].code : 0;
	unsigned row = series->first_row;

	put_number(w, NUMBER_CODE, zigzag((int64_t)series->code - code));
	put_where(w, series);
	put_number(w, NUMBER_PRESENCES, series->presence_count);
	for (uint32_t i = 0; i < series->presence_count; i++) {
		const struct table_presence *presence = &w->table->presence[series->presence + i];

		put_number(w, NUMBER_PRESENCE_ROW, presence->row - row);
		put_presence(w, presence);
		row = presence->row;
	}
}

static void put_ticks(struct writing *w)
{
	bool successive = w->table->tick[w->table->rows - 1] == w->table->rows - 1;

	encode_bit(&w->to, &w->models->successive, successive);
	for (unsigned row = 1; row < w->table->rows && !successive; row++)
		put_number(
			w, NUMBER_TICKS_BETWEEN, w->table->tick[row] - w->table->tick[row - 1] - 1);
}

/*
 * The most that a column can take: a row decides of its place, of the steps to its length, and at
 * most 11 bits are spent on a decision.
 */
#define COLUMN_ROOM ((size_t)TABLE_ROWS * (7 + 2 + 64) * 11 / 8 + 1024)
/* And a series besides its columns: runs of rows, and presences. */
#define SERIES_ROOM(presences, metrics)                                                            \
	((size_t)(TABLE_ROWS + 8) * 16 + (size_t)(presences) * (16 + (size_t)(metrics)*16))
#define BITS_ROOM (9 * (size_t)TABLE_ROWS + 64)

static bool make_room(struct block_scratch *s, size_t coded)
{
	return bytes_room(&s->coded, coded) && bytes_room(&s->bits, BITS_ROOM);
}

static int put_table(struct block_scratch *s, const struct table *table)
{
	struct writing w = {.table = table, .models = &s->models};

	block_models_begin(w.models);
	w.to = encoder_to(&s->coded, &s->bits);
	if (!make_room(s, SERIES_ROOM(0, 0)))
		return -ENOMEM;
	put_ticks(&w);
	for (uint32_t i = 0; i < table->series_count; i++) {
		if (!make_room(s, SERIES_ROOM(table->series[i].presence_count, table->metrics)))
			return -ENOMEM;
		put_series(&w, i);
		for (unsigned m = 0; m < table->metrics; m++) {
			if (!make_room(s, COLUMN_ROOM))
				return -ENOMEM;
			put_column(&w, i, m);
		}
	}
	if (!make_room(s, CODER_ROOM))
		return -ENOMEM;
	encoder_end(&w.to);
	return 0;
}

int block_write(struct block_scratch *s, const struct table *table, struct reader *ret)
{
	struct bytes *block = &s->block;

	s->coded.length = s->bits.length = block->length = 0;
	int r = put_table(s, table);
	if (r < 0)
		return r;
	if (!bytes_room(block, 1 + 5 * VARINT_MAX + s->coded.length + s->bits.length))
		return -ENOMEM;
	put_byte(block, BLOCK_VERSION);
	put_varint(block, table->metrics);
	put_varint(block, table->first_tick);
	put_varint(block, table->rows);
	put_varint(block, table->series_count);
	put_varint(block, s->coded.length);
	put_blob(block, s->coded.at, s->coded.length);
	put_blob(block, s->bits.at, s->bits.length);
	*ret = reader_of(block->at, block->length);
	return 0;
}
