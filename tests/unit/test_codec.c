/* SPDX-License-Identifier: Apache-2.0 */
/** Rows, tables and blocks give back every value, presence and reason that went in. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "history/bits.h"
#include "history/block.h"
#include "history/rows.h"

#define PARTS 12

/* What was recorded of one row, as it was given. */
struct given {
	uint64_t tick;
	int64_t boot_ns;
	size_t count;
	uint32_t code[PARTS];
	struct tally_sample sample[PARTS];
};

static uint64_t random_state;

static uint64_t random_bits(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static unsigned below(unsigned limit)
{
	return (unsigned)(random_bits() % limit);
}

/* A change as metrics have them: none, small, in pages or clock ticks, noise, or anything. */
static int64_t random_change(void)
{
	switch (below(12)) {
	case 0:
		return (int64_t)random_bits();
	case 1:
		return (int64_t)(random_bits() % 1000000007);
	case 2:
		return 4096 * (int64_t)below(100);
	case 3:
		return -4096 * (int64_t)below(100);
	case 4:
		return 10000000 * (int64_t)below(100);
	case 5:
		return (int64_t)below(5) - 2;
	default:
		return 0;
	}
}

static void change_sample(struct tally_sample *sample, unsigned liveliness)
{
	for (unsigned m = 0; m < TALLY_METRIC_COUNT; m++) {
		if (below(100) >= liveliness)
			continue;
		if (below(20) == 0)
			tally_sample_unset(sample, m, below(TALLY_REASON_COUNT));
		else
			tally_sample_set(sample, m,
				(int64_t)((uint64_t)sample->value[m] + (uint64_t)random_change()));
	}
	if (below(50) == 0)
		sample->value[below(TALLY_METRIC_COUNT)] = below(2) ? INT64_MIN : INT64_MAX;
}

/* A total that its processes explain, but for a little. */
static void sum_total(struct given *row)
{
	struct tally_sample *total = &row->sample[0];

	tally_sample_start(total, 0, row->boot_ns);
	for (size_t i = 1; i < row->count; i++)
		if (!SERIES_IS_MAXIMA(row->code[i]))
			for (unsigned m = 0; m < TALLY_METRIC_COUNT; m++)
				if (tally_sample_has(&row->sample[i], m))
					tally_sample_set(total, m,
						(int64_t)((uint64_t)total->value[m] +
							  (uint64_t)row->sample[i].value[m]));
	if (below(10) == 0)
		change_sample(total, 30);
	tally_sample_set(total, TALLY_DISK_AGE, row->boot_ns - 77);
}

/* The next row: processes change, come and go; some have maxima. */
static void next_row(const struct given *last, struct given *ret, unsigned liveliness)
{
	static struct tally_sample state[PARTS];
	static bool here[PARTS];

	*ret = (struct given){.count = 1};
	ret->tick = last ? last->tick + 1 + (below(10) == 0 ? below(5) : 0) : random_bits() >> 20;
	ret->boot_ns = last ? last->boot_ns + 1000000000 + below(100000) : (int64_t)below(1000000);
	for (unsigned name = 1; name <= 4; name++) {
		if (!last || below(20) == 0)
			here[name] = below(3) > 0;
		if (!last)
			tally_sample_clear(&state[name], below(TALLY_REASON_COUNT));
		change_sample(&state[name], last ? liveliness : 100);
		if (!here[name])
			continue;
		ret->code[ret->count] = SERIES_OF(name);
		ret->sample[ret->count++] = state[name];
		if (name % 2) {
			ret->code[ret->count] = SERIES_MAXIMA_OF(SERIES_OF(name));
			ret->sample[ret->count] = state[name];
			change_sample(&ret->sample[ret->count++], liveliness / 2);
		}
	}
	sum_total(ret);
}

static void append(struct rows *rows, const struct given *row, struct bytes *said)
{
	struct rows_part parts[PARTS];

	for (size_t i = 0; i < row->count; i++)
		parts[i] = (struct rows_part){row->code[i], &row->sample[i]};
	assert_int_equal(rows_append(rows, row->tick, row->boot_ns, parts, row->count, said), 0);
}

static const struct tally_sample *given_sample(const struct given *row, uint32_t code)
{
	for (size_t i = 0; i < row->count; i++)
		if (row->code[i] == code)
			return &row->sample[i];
	return NULL;
}

static void assert_same(const struct tally_sample *is, const struct tally_sample *was)
{
	assert_int_equal(is->present, was->present);
	for (unsigned m = 0; m < TALLY_METRIC_COUNT; m++)
		if (tally_sample_has(was, m))
			assert_int_equal(is->value[m], was->value[m]);
		else
			assert_int_equal(is->reason[m], was->reason[m]);
}

static void assert_series(const struct table *table, const struct given *rows, uint32_t code)
{
	struct tally_sample samples[TABLE_ROWS];
	int64_t boot_ns[TABLE_ROWS];
	struct row_set here;
	unsigned from = below(table->rows), to = from + below(table->rows - from);

	for (unsigned i = 0; i < table->rows; i++)
		boot_ns[i] = rows[i].boot_ns;
	assert_int_equal(table_samples(table, code, boot_ns, from, to, samples, &here), 0);
	for (unsigned i = 0; i < table->rows; i++) {
		const struct tally_sample *was = given_sample(&rows[i], code);

		assert_int_equal(row_set_has(&here, i), was != NULL);
		if (was && i >= from && i <= to)
			assert_same(&samples[i - from], was);
	}
}

static void assert_table(const struct table *table, const struct given *rows, uint32_t count)
{
	assert_int_equal(table->rows, count);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(table->first_tick + table->tick[i], rows[i].tick);
	for (int i = 0; i < 4; i++)
		for (uint32_t code = 0; code < 10; code++)
			assert_series(table, rows, code);
}

/* All the ways a stretch of samples goes. */
static void round_trip(struct block_scratch *scratch, unsigned count, unsigned liveliness)
{
	static struct given given[TABLE_ROWS];
	struct rows rows = {0};
	struct table table = {0}, again = {0};
	struct bytes said = {0}, journal = {0};
	struct reader block;

	for (unsigned i = 0; i < count; i++) {
		next_row(i ? &given[i - 1] : NULL, &given[i], liveliness);
		append(&rows, &given[i], &said);
		assert_true(bytes_room(&journal, said.length));
		put_blob(&journal, said.at, said.length);
	}
	assert_int_equal(journal.length, rows.log.length);
	assert_memory_equal(journal.at, rows.log.at, journal.length);
	assert_int_equal(rows_table(reader_of(rows.log.at, rows.log.length), TALLY_METRIC_COUNT,
				 rows.first_tick, rows.repeats, &table),
		0);
	assert_table(&table, given, count);
	assert_int_equal(block_write(scratch, &table, &block), 0);

	void *kept = malloc(reader_left(&block));
	memcpy(kept, block.at, reader_left(&block));
	assert_int_equal(block_read(scratch, kept, reader_left(&block), &again), 0);
	assert_table(&again, given, count);
	free(kept);
	table_done(&table);
	table_done(&again);
	rows_done(&rows);
	bytes_free(&said);
	bytes_free(&journal);
}

static void random_samples_survive(void **state)
{
	struct block_scratch *scratch = block_scratch_new();

	for (unsigned round = 0; round < 300; round++) {
		random_state = 0x9e3779b97f4a7c15 + round;
		round_trip(scratch, 1 + below(TABLE_ROWS), below(3) ? below(10) : below(100));
	}
	block_scratch_free(scratch);
}

static struct tally_sample steady_sample(int64_t value)
{
	struct tally_sample sample;

	tally_sample_clear(&sample, TALLY_REASON_PERMISSION);
	for (unsigned m = 0; m < TALLY_METRIC_COUNT; m++)
		if (m != TALLY_DISK_AGE)
			tally_sample_set(&sample, m, value + m);
	return sample;
}

static void what_idles_takes_no_bytes(void **state)
{
	struct rows rows = {0};
	struct bytes said = {0};
	struct tally_sample sample = steady_sample(1000), total = sample;
	struct rows_part parts[] = {{SERIES_TOTAL, &total}, {SERIES_OF(1), &sample}};

	for (unsigned i = 0; i < TABLE_ROWS; i++) {
		int64_t boot_ns = (int64_t)i * 1000000123;

		tally_sample_set(&total, TALLY_DISK_AGE, boot_ns + 5000);
		assert_int_equal(rows_append(&rows, i, boot_ns, parts, 2, &said), 0);
		assert_int_equal(said.length > 0, i == 0);
	}
	assert_int_equal(rows.repeats, TABLE_ROWS - 1);
	rows_done(&rows);
	bytes_free(&said);
}

static void garbage_behind_absent_values_is_no_change(void **state)
{
	struct rows rows = {0};
	struct bytes said = {0};
	struct tally_sample sample = steady_sample(1);
	struct rows_part part = {SERIES_TOTAL, &sample};

	tally_sample_unset(&sample, TALLY_PSS, TALLY_REASON_BUDGET);
	rows_append(&rows, 1, 0, &part, 1, &said);
	sample.value[TALLY_PSS] = 4711;
	sample.reason[TALLY_RSS] = 3;
	sample.present |= UINT64_C(1) << 60;
	rows_append(&rows, 2, 0, &part, 1, &said);
	assert_int_equal(said.length, 0);
	rows_done(&rows);
	bytes_free(&said);
}

/* A block of a small table in memory of its own, so that a sanitizer sees every step past its end. */
static uint8_t *some_block(struct block_scratch *scratch, size_t *ret_length)
{
	static struct given given[40];
	struct rows rows = {0};
	struct table table = {0};
	struct bytes said = {0};
	struct reader block;

	for (unsigned i = 0; i < 40; i++) {
		next_row(i ? &given[i - 1] : NULL, &given[i], 10);
		append(&rows, &given[i], &said);
	}
	rows_table(reader_of(rows.log.at, rows.log.length), TALLY_METRIC_COUNT, rows.first_tick,
		rows.repeats, &table);
	assert_int_equal(block_write(scratch, &table, &block), 0);
	*ret_length = reader_left(&block);
	uint8_t *copy = malloc(*ret_length);
	memcpy(copy, block.at, *ret_length);
	table_done(&table);
	rows_done(&rows);
	bytes_free(&said);
	return copy;
}

static void a_damaged_block_is_no_crash(void **state)
{
	struct block_scratch *scratch = block_scratch_new();
	struct table table = {0};
	struct tally_sample samples[TABLE_ROWS];
	int64_t boot_ns[TABLE_ROWS] = {0};
	struct row_set here;
	size_t length;

	random_state = 42;
	uint8_t *block = some_block(scratch, &length);
	for (unsigned round = 0; round < 20000; round++) {
		size_t place = random_bits() % length;
		uint8_t flip = (uint8_t)(1 + below(255));

		block[place] ^= flip;
		int r = block_read(scratch, block, length, &table);
		assert_true(r == 0 || r == -EBADMSG || r == -ENOTSUP);
		if (r == 0)
			assert_int_equal(table_samples(&table, SERIES_TOTAL, boot_ns, 0,
						 table.rows - 1, samples, &here),
				0);
		block[place] ^= flip;
	}
	for (size_t shorter = 0; shorter < length; shorter++) {
		uint8_t *cut = malloc(shorter + 1);

		memcpy(cut, block, shorter);
		block_read(scratch, cut, shorter, &table);
		free(cut);
	}
	free(block);
	table_done(&table);
	block_scratch_free(scratch);
}

static void a_later_version_is_refused(void **state)
{
	struct block_scratch *scratch = block_scratch_new();
	struct table table = {0};
	size_t length;

	random_state = 7;
	uint8_t *block = some_block(scratch, &length);
	block[0] = BLOCK_VERSION + 1;
	assert_int_equal(block_read(scratch, block, length, &table), -ENOTSUP);
	free(block);
	table_done(&table);
	block_scratch_free(scratch);
}

static void metrics_that_were_unknown_are_not_stored(void **state)
{
	/* one row of the total alone, written when there were two metrics: 5 and absent */
	static const uint8_t log[] = {1 << 2 | 2, 1, 0 << 1 | 1, 0, 1, 1 << 1 | 1, 1, 4, 10, 0};
	struct table table = {0};
	struct tally_sample sample;
	int64_t boot_ns = 0;
	struct row_set here;

	assert_int_equal(rows_table(reader_of(log, sizeof(log)), 2, 9, 0, &table), 0);
	assert_int_equal(table_samples(&table, SERIES_TOTAL, &boot_ns, 0, 0, &sample, &here), 0);
	assert_int_equal(sample.present, 1);
	assert_int_equal(sample.value[0], 5);
	assert_int_equal(sample.reason[1], 4);
	assert_int_equal(sample.reason[2], TALLY_REASON_NOT_STORED);
	table_done(&table);
}

static void a_damaged_log_is_no_crash(void **state)
{
	struct table table = {0};

	random_state = 99;
	for (unsigned round = 0; round < 50000; round++) {
		size_t length = 1 + below(60);
		uint8_t *log = malloc(length);

		for (size_t i = 0; i < length; i++)
			log[i] = (uint8_t)below(below(2) ? 8 : 256);
		int r = rows_table(reader_of(log, length), 1 + below(TALLY_METRIC_COUNT),
			random_bits(), below(200), &table);
		assert_true(r == 0 || r == -EBADMSG);
		free(log);
	}
	table_done(&table);
}

static void bits_come_back(void **state)
{
	struct bytes bytes = {0};
	uint64_t values[500];
	unsigned counts[500];

	random_state = 3;
	assert_true(bytes_room(&bytes, 8 * 501));
	struct bit_writer writer = {.to = &bytes};
	for (unsigned i = 0; i < 500; i++) {
		counts[i] = below(63);
		values[i] = random_bits() & ((UINT64_C(1) << counts[i]) - 1);
		put_bits(&writer, values[i], counts[i]);
	}
	bits_end(&writer);
	uint8_t *exact = malloc(bytes.length);
	memcpy(exact, bytes.at, bytes.length);
	struct bit_reader reader = bits_of(exact, bytes.length);
	for (unsigned i = 0; i < 500; i++)
		assert_int_equal(get_bits(&reader, counts[i]), values[i]);
	assert_false(reader.bad);
	get_bits(&reader, 62);
	assert_true(reader.bad);
	free(exact);
	bytes_free(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bits_come_back),
		cmocka_unit_test(random_samples_survive),
		cmocka_unit_test(what_idles_takes_no_bytes),
		cmocka_unit_test(garbage_behind_absent_values_is_no_change),
		cmocka_unit_test(a_damaged_block_is_no_crash),
		cmocka_unit_test(a_later_version_is_refused),
		cmocka_unit_test(metrics_that_were_unknown_are_not_stored),
		cmocka_unit_test(a_damaged_log_is_no_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
