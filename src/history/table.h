/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A stretch of the samples of a task as columns of changes: what lies between the rows that ticks
 * append (rows.h) and the blocks that are kept (block.h), and what queries read.
 *
 * A table has rows (instants), series (the total, processes, and in coarser resolutions their
 * maxima) and for each series and metric a column: the value at the series' first row, then only
 * what changed, when, by how much. What idles takes no place and no time.
 *
 * Values in columns are not those of the samples but what is left once the obvious is taken off:
 *   - of the total, where the metric adds up: what the processes of that row do not explain (0,
 *     nearly always); where it is that of the first: the difference from the first process here;
 *   - of a maximum: what it is above its average;
 *   - of an age (a gauge in nanoseconds): the instant (boot_ns) it is counted from.
 * All of it is arithmetic modulo 2^64, so that every value survives.
 */
#ifndef HISTORY_TABLE_H
#define HISTORY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tally/sample.h>

/** The most rows of a table: about two minutes at 1 s. */
#define TABLE_ROWS 128

/**
 * What a series is: TOTAL, or the number of a process name (1 and up) doubled; the series of its
 * maxima is one more.
 */
#define SERIES_TOTAL	       0u
#define SERIES_OF(name)	       ((uint32_t)(name) << 1)
#define SERIES_MAXIMA_OF(code) ((code) | 1u)
#define SERIES_IS_MAXIMA(code) ((code)&1u)

/** The most series of a table. */
#define TABLE_SERIES_MAX 65536

/** A set of rows. */
struct row_set {
	uint64_t words[TABLE_ROWS / 64];
};

static inline bool row_set_has(const struct row_set *set, unsigned row)
{
	return set->words[row / 64] >> (row % 64) & 1;
}

static inline void row_set_add(struct row_set *set, unsigned row)
{
	set->words[row / 64] |= UINT64_C(1) << (row % 64);
}

/** Which metrics are known, from a row on; why the others are not. */
struct table_presence {
	uint32_t series;
	uint8_t row;
	uint64_t present;
	uint8_t reason[TALLY_METRIC_CAPACITY]; /**< Valid where not present. */
};

struct table_series {
	uint32_t code;
	uint8_t first_row;   /**< The first row it is in. */
	bool open;	     /**< While rows are being added: it is in the current one. */
	struct row_set here; /**< All rows it is in. */
	uint32_t presence, presence_count; /**< Its presences; set by table_sort(). */
};

/** A column: value at the first row of the series, then changes[first … first + count - 1]. */
struct table_column {
	int64_t start;
	uint32_t first, count;
};

struct table_change {
	uint32_t column; /**< series * metrics + metric. */
	uint8_t row;
	int64_t delta;
};

/** A zeroed one is empty and can be filled again and again; table_done() frees it. */
struct table {
	uint64_t first_tick;	   /**< Number of the tick of row 0. */
	uint32_t tick[TABLE_ROWS]; /**< Ticks from first_tick to that of each row. */
	uint32_t rows, metrics, series_count, presence_count, change_count;
	struct table_series *series;
	struct table_presence *presence; /**< By series, then row. */
	struct table_column *columns;	 /**< series_count * metrics. */
	struct table_change *changes;	 /**< By column, then row. */
	size_t series_capacity, presence_capacity, column_capacity, change_capacity;
	struct table_change *spare; /**< For sorting. */
	size_t spare_capacity;
};

/** Empty a table, keep its memory. */
void table_clear(struct table *table);

/** Free what a table holds. */
void table_done(struct table *table);

/** Add a series that begins at a row, with its columns empty. @return it, or NULL without memory. */
struct table_series *table_add_series(struct table *table, uint32_t code, unsigned row);

/** Add a presence. @return it, or NULL without memory. */
struct table_presence *table_add_presence(struct table *table, uint32_t series, unsigned row);

/** Add a change at the end. False without memory. */
bool table_add_change(struct table *table, uint32_t column, unsigned row, int64_t delta);

/** Put presences and changes that were added row by row in their order. False without memory. */
bool table_sort(struct table *table);

/** Number of the series with a code, or -1. */
int64_t table_find(const struct table *table, uint32_t code);

/** Values of a metric of a series over rows of a table. */
struct table_values {
	bool steady;		    /**< The same value in all rows wanted: that of the first. */
	int64_t values[TABLE_ROWS]; /**< By row of the table. */
};

/**
 * Rebuild the values of one metric of a series that is no maximum. Where it is not present the
 * value is anything. Ages are still instants.
 *
 * @series    Number of the series in the table.
 * @from, @to Rows wanted, both included.
 */
void table_read(const struct table *table, uint32_t series, unsigned metric, unsigned from,
	unsigned to, struct table_values *ret);

/** The presence that holds for a row of a series; NULL when there is none. */
const struct table_presence *table_presence_at(
	const struct table *table, uint32_t series, unsigned row);

/**
 * Rebuild the samples of one series.
 *
 * @code      Which.
 * @boot_ns   Of every row of the table.
 * @from, @to Rows wanted, both included.
 * @ret       Room for to - from + 1 samples. Filled are those that ret_here names; times are not set.
 *            Absent values are 0. Metrics the table does not have are absent, NOT_STORED.
 * @ret_here  Rows (of the table) in which the series is.
 * @return    0, or -ENOMEM.
 */
int table_samples(const struct table *table, uint32_t code, const int64_t *boot_ns, unsigned from,
	unsigned to, struct tally_sample *ret, struct row_set *ret_here);

/** Whether a metric is an age: kept as the instant it is counted from. */
static inline bool metric_is_age(unsigned metric)
{
	return tally_metrics[metric].unit == TALLY_UNIT_NS &&
	       tally_metrics[metric].kind == TALLY_KIND_GAUGE;
}

#endif
