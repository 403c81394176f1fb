/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Tasks as JSON: {"time", "tasks": [...]}, the shape of `tally show --json`.
 *
 * Written straight into a buffer: a tree of 140,000 values for 500 tasks would cost ten times as
 * much as the text. What a value looks like is said by the metric table, as in model/json.c; a test
 * compares the two.
 */
#ifndef SERVE_TASKS_H
#define SERVE_TASKS_H

#include "serve/buffer.h"
#include "serve/snapshot.h"

/** Live pids of one task, to be shown with it. A zeroed one has none. */
struct pid_list {
	struct buffer json; /**< The members of an array of JSON, with commas between them. */
};

/** Take a pid into a list: a tally_pid_fn, `context` is the list. */
void pid_list_add(void *context, const struct tally_pid_info *info);

/** What of the tasks is shown. A zeroed one wants all figures, and no pids. */
struct tasks_wanted {
	uint64_t metrics;	     /**< As in struct query; 0: all. */
	const struct pid_list *pids; /**< Of the only task, or NULL. */
};

/**
 * Write a snapshot.
 *
 * @wall_ns  What it is of: the instant asked for, or the newest tick.
 */
void tasks_write(struct buffer *out, const struct snapshot *snapshot, int64_t wall_ns,
	const struct tasks_wanted *wanted);

/** Write a metric's value as JSON: as sample_json_value() has it, "null" when it is absent. */
void metric_write(struct buffer *out, const struct tally_sample *sample, enum tally_metric metric);

#endif
