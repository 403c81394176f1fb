/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Samples of a range put together by step, and the columns that are made of them.
 *
 * Of the samples in a step the last one tells counters and properties; gauges are averaged, and
 * their maximum is kept. Pure.
 */
#ifndef CLI_REPORT_ROWS_H
#define CLI_REPORT_ROWS_H

#include "history/inspect.h"

/** Most rows of one answer: about 100 MB while it is made. */
#define REPORT_ROWS_MAX 100000

/** Beside the metrics of the table. */
#define ROWS_CPU_SECONDS (UINT64_C(1) << 62)
#define ROWS_CPU_RATE	 (UINT64_C(1) << 63)

/** One step. */
struct report_row {
	struct tally_sample last;
	uint32_t era;
	uint32_t counts[TALLY_METRIC_COUNT]; /**< Samples that have it. */
	double sums[TALLY_METRIC_COUNT];
	int64_t maxima[TALLY_METRIC_COUNT];
};

struct report_rows {
	int64_t since_ns, step_ns; /**< Set before the first sample; step 0: each is a row. */
	struct report_row *rows;
	size_t count, capacity;
	bool averaged;		    /**< Some gauges are averages. */
	struct tally_sample before; /**< The last one before the range, or the first one in it. */
	uint32_t before_era;
	int code; /**< -ENOMEM, or -EFBIG: more than REPORT_ROWS_MAX. */
};

/** Take in a sample: a history_point_fn, `context` is the rows. */
bool report_rows_add(void *context, const struct history_point *point);

void report_rows_done(struct report_rows *rows);

/** What a column tells of a row. */
enum column_kind {
	COLUMN_VALUE, /**< Of a gauge the average. */
	COLUMN_MAXIMUM,
	COLUMN_RATE,
	COLUMN_CPU_SECONDS,
	COLUMN_CPU_RATE,
};

struct report_column {
	const char *key, *title;
	enum column_kind kind;
	enum tally_metric metric;
};

/** Most columns: every metric, its maximum, and what is derived. */
#define REPORT_COLUMNS_MAX (2 * TALLY_METRIC_COUNT + 2)

/**
 * List columns by key, derived ones first.
 *
 * @wanted  TALLY_BIT of each metric, and ROWS_CPU_…
 * @rate    Counters as rates.
 * @return  How many.
 */
size_t report_columns(uint64_t wanted, bool rate, struct report_column ret[REPORT_COLUMNS_MAX]);

/**
 * Value of a column at a row, as people see it: seconds, bytes, per second.
 *
 * @return  False when it is absent, or, for a rate, cannot be known.
 */
bool report_cell(const struct report_rows *rows, size_t row, const struct report_column *column,
	double *ret);

#endif
