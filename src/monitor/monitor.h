/* SPDX-License-Identifier: Apache-2.0 */
/** What the rooms above may do with a monitor besides the public API. */
#ifndef MONITOR_MONITOR_H
#define MONITOR_MONITOR_H

#include <tally/monitor.h>
#include "history/inspect.h"

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

/*
 * The past. These answer for tasks that the monitor has long forgotten, too, as far as the history
 * remembers them: in memory or in the store. Thread-safe; they may read the disk.
 */

/**
 * Read the sample nearest to an instant; as tally_monitor_sample_at() otherwise.
 *
 * @ret_gap_ns  How long after the one before it it was taken; 0: there is none.
 */
int monitor_past_sample(struct tally_monitor *monitor, const char *task, const char *process,
	int64_t wall_ns, struct tally_reading *ret, int64_t *ret_gap_ns, struct tally_error *err);

/** Visit samples of a range: as history_points(). @return 0, -ENOENT (no such task or process). */
int monitor_past_points(struct tally_monitor *monitor, const char *task, const char *process,
	int64_t since_ns, int64_t until_ns, history_point_fn *visit, void *context,
	struct tally_error *err);

/** How far a task or process reaches: as history_extent(). @return 0, -ENOENT, -ENODATA. */
int monitor_past_extent(struct tally_monitor *monitor, const char *task, const char *process,
	struct history_extent *ret, struct tally_error *err);

/** Visit the tasks that there were in a time of the wall clock: as history_alive(). */
int monitor_past_tasks(struct tally_monitor *monitor, int64_t since_ns, int64_t until_ns,
	history_alive_fn *visit, void *context);

/** Visit the names of all processes that the history knows of a task. */
void monitor_past_processes(struct tally_monitor *monitor, const char *task,
	void (*visit)(void *context, const char *name), void *context);

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
