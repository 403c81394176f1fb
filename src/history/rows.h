/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The open end of a task's history: rows as ticks append them, each as what changed since the one
 * before. The bytes are compact at any time (a row that changed nothing takes none), can be read
 * from their start (rows_table()), and the same bytes are the journal of the store.
 *
 * A sequence of items; each begins with a varint: its kind in the low two bits, a number above:
 *
 *     REPEAT n   n rows of successive ticks in which nothing changed
 *     SKIP n     n ticks without a row
 *     ROW flags  one row. With flag LAYOUT: a varint count, then that many times a varint
 *                (slot << 1 | here), and for a new slot (the next number) its code.
 *                Then for each series that changed: a varint, slots since the last one, at least 1;
 *                a varint, the metrics that changed (a bit each) << 1 | presence changed; if so a
 *                varint of the metrics present and a byte of reason for each other one; then a
 *                folded difference for each metric that changed. A varint 0 ends the row.
 *
 * Values are those of table.h. Before the first row all are 0, present and absent for reason 0
 * alike. The metrics are those of this program: bytes are not kept longer than a run, and a store
 * that was written with other metrics names them (store.h).
 */
#ifndef HISTORY_ROWS_H
#define HISTORY_ROWS_H

#include "history/bytes.h"
#include "history/table.h"

/** One series of a record. The total comes first; a maximum after what it is the maximum of. */
struct rows_part {
	uint32_t code; /**< As in table.h; once in a record. */
	const struct tally_sample *sample;
};

/** What was last said of a series. */
struct rows_series {
	uint32_t code;
	bool here;
	const struct tally_sample *now; /**< During rows_append(): its sample, if it has one. */
	uint64_t present;
	int64_t value[TALLY_METRIC_COUNT];
	uint8_t reason[TALLY_METRIC_COUNT];
};

/** Rows; a zeroed one is empty. */
struct rows {
	struct bytes log;	    /**< Without the repeats at its end. */
	struct rows_series *series; /**< By slot. */
	uint32_t series_count, series_capacity;
	uint32_t rows, repeats;
	uint64_t first_tick, last_tick;
	int64_t total[TALLY_METRIC_COUNT]; /**< Values of the last total as they were given. */
};

/**
 * Append a row.
 *
 * @tick     Number of the tick, above that of the row before.
 * @ret      Set to what the log has grown by: empty when the row repeats the last one.
 * @return   0; -ENOMEM, -E2BIG (more than TABLE_SERIES_MAX series): the rows are then as they were.
 */
int rows_append(struct rows *rows, uint64_t tick, int64_t boot_ns, const struct rows_part *parts,
	size_t count, struct bytes *ret);

/** What was last said of series that nobody needs now: kept for the next who wakes. */
struct rows_spare {
	struct rows_series *series;
	uint32_t capacity;
};

/**
 * Give away what appending needs and reading does not: what was last said of each series. rows_wake()
 * finds it out again from the log; it must be called before the next row is appended.
 */
void rows_rest(struct rows *rows, struct rows_spare *spare);

/** Undo rows_rest(). @table is overwritten. @return 0 or -ENOMEM. */
int rows_wake(struct rows *rows, struct table *table, struct rows_spare *spare);

/** Bytes of memory that rows hold. */
size_t rows_bytes(const struct rows *rows);

/** Forget all rows, keep the memory. */
void rows_clear(struct rows *rows);

/** Free what rows hold. */
void rows_done(struct rows *rows);

/**
 * Read a log into a table.
 *
 * @log         Hostile or damaged bytes are fine.
 * @metrics     Number of metrics it was written with.
 * @first_tick  Tick of its first row.
 * @repeats     Repeats of the last row that the log does not have.
 * @return      0, -EBADMSG (this is no log), -ENOMEM.
 */
int rows_table(struct reader log, uint32_t metrics, uint64_t first_tick, uint32_t repeats,
	struct table *ret);

#endif
