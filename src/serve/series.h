/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Samples of a range as columns: what the charts, and whoever fetches history, are given.
 *
 * Pure: samples are added one by one, oldest first, and the columns are written at the end.
 */
#ifndef SERVE_SERIES_H
#define SERVE_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tally/sample.h>
#include "serve/buffer.h"
#include "serve/query.h"

/** Most values of one answer: 32 MB while it is made. */
#define SERIES_CELLS_MAX 4000000

struct series {
	/* Set by series_begin(). */
	struct query query;
	uint64_t hidden;		/**< Metrics that are not to be told. */
	uint64_t shown;			/**< Metrics to write, and QUERY_CPU_… */
	int stored[TALLY_METRIC_COUNT]; /**< Metrics that are kept, each a column of the rows. */
	int column[TALLY_METRIC_COUNT]; /**< Their columns, or -1. */
	size_t columns;

	int64_t *cells; /**< Rows: wall_ns, boot_ns, present, then the columns. */
	size_t rows, room;
	int code; /**< -ENOMEM, or -EFBIG: more than SERIES_CELLS_MAX. */
};

/**
 * Begin.
 *
 * @query   Its range, step, rate and metrics count; its process is written down. Samples
 *          before the range may be added to derive the first rate from; they are not written.
 * @hidden  TALLY_BIT of the metrics that are to be absent.
 */
void series_begin(struct series *series, const struct query *query, uint64_t hidden);

/** Take a sample: a tally_sample_fn, `context` is the series. */
bool series_add(void *context, const struct tally_sample *sample);

/** Write {"task", "process", "times", "series"}. */
void series_write(const struct series *series, const char *task, struct buffer *out);

/** Free; the series is then empty. */
void series_done(struct series *series);

#endif
