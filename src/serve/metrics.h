/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The text of /metrics, from the metric table: OpenMetrics 1.0 or Prometheus' own format 0.0.4.
 *
 * Figures are exported per process; the sum over a task's processes is its own figure, so that no
 * query has to know of two kinds of lines: sum by (task) (...) counts everything once. Only what
 * belongs to the task as a whole (its disk usage) comes without a process. What is absent has no
 * line. State, the one metric that is a word, is left out: it would be a series per word.
 */
#ifndef SERVE_METRICS_H
#define SERVE_METRICS_H

#include "serve/buffer.h"
#include "serve/exposure.h"
#include "serve/self.h"

enum metrics_format { METRICS_PROMETHEUS, METRICS_OPENMETRICS, METRICS_FORMATS };

/** Content type of a format. Static. */
const char *metrics_content_type(enum metrics_format format);

/**
 * Write all.
 *
 * @hidden  TALLY_BIT of the metrics that are not to be told.
 */
void metrics_write(struct buffer *out, enum metrics_format format, const struct exposure *exposure,
	const struct self_status *self, uint64_t hidden);

/** One sample of the text, taken apart. */
struct metrics_value {
	const char *prefix, *family,
		*suffix;		 /**< Its name, in three pieces that are put together. */
	const char *label, *label_value; /**< Of the family, or NULL. */
	const struct exposed *row;	 /**< Its other labels; NULL: it has none. */
	double value;
};

typedef void metrics_value_fn(void *context, const struct metrics_value *value);

/**
 * Visit all samples of the text, in its order, but for tally_self_info. For those who write them in
 * other ways.
 *
 * @self  NULL: without Tally's own.
 */
void metrics_visit(const struct exposure *exposure, const struct self_status *self,
	metrics_value_fn *visit, void *context);

#endif
