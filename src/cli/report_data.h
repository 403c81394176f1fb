/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What a report of a task shows: its samples over a stretch of time and those of its processes, put
 * together by step, from a monitor that has run or from a store.
 */
#ifndef CLI_REPORT_DATA_H
#define CLI_REPORT_DATA_H

#include <jansson.h>
#include <stdio.h>
#include "cli/report_rows.h"

/** One series: of the task, or of a process. */
struct report_part {
	char *process; /**< NULL: the task. */
	struct report_rows rows;
};

struct report_data {
	const char *task;
	bool from_zero; /**< Totals are since the task began; otherwise since the range did. */
	struct report_part total;
	struct report_part *parts; /**< Those that consumed most come first. */
	size_t part_count;
};

/** How long a step is, so that a report has room for so many samples. 0: as they were taken. */
int64_t report_step(int64_t span_ns, uint64_t samples);

/** Add a process, its rows still empty. @return NULL without memory. */
struct report_part *report_data_add(struct report_data *data, const char *process);

/** Bring the processes in their order; all rows are in. */
void report_data_sort(struct report_data *data);

/** Of a counter: what was consumed; of a gauge: the most there was. @return false: not known. */
bool report_total(const struct report_data *data, const struct report_part *part,
	enum tally_metric metric, int64_t *ret);

/** Samples' first and last instant, wall clock. @return false: there is none. */
bool report_extent(const struct report_data *data, int64_t *ret_first_ns, int64_t *ret_last_ns);

/**
 * Write it as one page that needs nothing else.
 *
 * @facts   Besides: "command", "exit_code", … Stolen.
 * @return  0, -ENOMEM, -EIO.
 */
int report_html_write(const struct report_data *data, json_t *facts, FILE *out);

/** One line above the curves of an SVG, as "make: exit 0 after 12.3 s". @return 0, -EIO */
int report_svg_write(const struct report_data *data, const char *title, FILE *out);

void report_data_done(struct report_data *data);

#endif
