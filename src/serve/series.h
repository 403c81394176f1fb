/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Samples of a range as columns: what the charts, `tally history`, and whoever fetches history, are
 * given; whether an observer answers or a store is read.
 *
 * Of a step the last sample tells counters and properties; gauges are averaged, their maximum is kept
 * beside. Rates are derived at the end, and never across two boots of the machine.
 *
 * Pure: samples are added one by one, oldest first, and the columns are written at the end.
 */
#ifndef SERVE_SERIES_H
#define SERVE_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tally/sample.h>
#include "history/inspect.h"
#include "serve/buffer.h"
#include "serve/query.h"

/** Most values of one answer: 32 MB while it is made. */
#define SERIES_CELLS_MAX 4000000

/** Most steps of the wall clock that are told; whoever has more does not need to know each. */
#define SERIES_CLOCK_STEPS 64

/** The wall clock was set: how far, and what it showed then. */
struct clock_step {
	int64_t wall_ns, step_ns;
};

struct series {
	/* Set by series_begin(). */
	struct query query;
	uint64_t hidden;		 /**< Metrics that are not to be told. */
	uint64_t shown;			 /**< Metrics to write, and QUERY_CPU_… */
	int stored[TALLY_METRIC_COUNT];	 /**< Metrics that are kept, each a column of the rows. */
	int column[TALLY_METRIC_COUNT];	 /**< Their columns, or -1. */
	int maximum[TALLY_METRIC_COUNT]; /**< Columns of the maxima of gauges, or -1. */
	size_t metrics, columns;	 /**< Columns of metrics come first. */

	int64_t *cells; /**< Rows: what each begins with, then the columns. */
	size_t rows, room;
	bool lead;     /**< The first row is no step but the first sample of the next row. */
	bool averaged; /**< Some gauges are averages: there are maxima. */
	int code;      /**< -ENOMEM, or -EFBIG: more than SERIES_CELLS_MAX. */

	/* The row under way: gauges, by column. */
	__int128 sums[TALLY_METRIC_COUNT];
	int64_t counts[TALLY_METRIC_COUNT];

	/* The sample added last. */
	bool begun;
	int64_t last_wall_ns, last_boot_ns;
	uint32_t last_era;
	struct clock_step clock_steps[SERIES_CLOCK_STEPS];
	size_t clock_step_count;
};

/**
 * Begin.
 *
 * @query   Its range, step, rate and metrics count; its process is written down. Samples
 *          before the range may be added to derive the first rate from; they are not written.
 * @hidden  TALLY_BIT of the metrics that are to be absent.
 */
void series_begin(struct series *series, const struct query *query, uint64_t hidden);

/** Take a sample: a history_point_fn, `context` is the series. */
bool series_add(void *context, const struct history_point *point);

/** Write {"task", "process", "step_seconds", "times", "series", "maxima", "clock_steps"}. */
void series_write(const struct series *series, const char *task, struct buffer *out);

/** Free; the series is then empty. */
void series_done(struct series *series);

/**
 * How long a step gives about thirty rows of a range.
 *
 * @return  Nanoseconds; 0 (samples as they were taken) where there are few.
 */
int64_t series_step(const struct history_extent *extent, int64_t since_ns, int64_t until_ns);

/** How far before a range a sample may be that its first rate is derived from. */
int64_t series_since(const struct query *query);

#endif
