/* SPDX-License-Identifier: Apache-2.0 */
/** What the rooms above may do with a monitor besides the public API. */
#ifndef MONITOR_MONITOR_H
#define MONITOR_MONITOR_H

#include <tally/monitor.h>

struct collector;
struct source;
struct source_task;

/**
 * Make a monitor that uses a collector already open, as tally_monitor_new() otherwise.
 *
 * @collector  Taken over, also on failure.
 */
int monitor_new_with(const struct tally_monitor_options *options, struct collector *collector,
	const char *reason, struct tally_monitor **ret, struct tally_error *err);

/**
 * Add a source already open.
 *
 * @source  Taken over, also on failure. It is used under the monitor's tick lock from now on.
 */
int monitor_add_source(
	struct tally_monitor *monitor, struct source *source, struct tally_error *err);

/**
 * Visit tasks, each followed by its processes, as they stand at one instant: no tick comes between
 * two of them. As tally_monitor_tasks() otherwise; keep the visits short, the tick waits.
 *
 * @task    Id of the only one to visit, or NULL for all.
 * @return  0, or -ENOENT.
 */
int monitor_visit(struct tally_monitor *monitor, const char *task, tally_task_fn *visit_one,
	tally_process_fn *visit_part, void *context, struct tally_error *err);

/**
 * Ask for a fresh figure of a task's disk usage, its interval notwithstanding. Never blocks for it:
 * it arrives in the newest sample by and by, while the monitor runs.
 *
 * @return  0, -ENOENT (no such task), -ENODATA (it has no sandbox that can be looked at).
 */
int monitor_refresh_disk(struct tally_monitor *monitor, const char *task);

/**
 * What the source of a task told of it besides what tally_task_info has: what people call it, its
 * ports, the runs of its processes.
 *
 * @return  A copy, to be released with free(); NULL when there is nothing, or no memory.
 */
struct source_task *monitor_told(struct tally_monitor *monitor, const char *task);

/**
 * Find out how far the history reaches back, over all tasks that it remembers.
 *
 * @ret_first_ns  Wall clock; 0: it has nothing.
 * @return        0, -ENOMEM, or what the store says.
 *
 * Reads an index of the whole store: may take tens of milliseconds.
 */
int monitor_reach(struct tally_monitor *monitor, int64_t *ret_first_ns);

/**
 * Wake the tick thread to look at its sources now rather than at the next tick. Thread-safe and
 * async-signal-safe.
 */
void monitor_wake(struct tally_monitor *monitor);

#endif
