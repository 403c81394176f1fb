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

#endif
