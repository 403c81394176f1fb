/* SPDX-License-Identifier: Apache-2.0 */
/** What the rooms above may do with a monitor besides the public API. */
#ifndef MONITOR_MONITOR_H
#define MONITOR_MONITOR_H

#include <tally/monitor.h>
#include "disk/outline.h"
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
 * Put a source in the place of the one of that name, or add it where there is none. Tasks that both
 * name go on as they are; the others of the one before end.
 *
 * @source  Taken over, also on failure. NULL: none is wanted in its place.
 * @return  0 or -ENOMEM. Blocks for a tick under way.
 */
int monitor_replace_source(struct tally_monitor *monitor, const char *name, struct source *source,
	struct tally_error *err);

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

/** The heaviest directories of a sandbox, and how they are known. */
struct monitor_outline {
	char *sandbox;	    /**< Its path. */
	const char *method; /**< How its usage is known ("track", …). Static. */
	char why[128];	    /**< Why it is not known better, or stale; may be empty. */
	int64_t bytes, files, partial;
	int64_t boot_ns; /**< CLOCK_BOOTTIME at which all this was true. */
	bool has_dirs;	 /**< That method knows directories. */
	struct outline dirs;
};

/**
 * Read the heaviest directories of a task's sandbox, from what the disk worker knows: nothing is
 * read from the file system. Waits for a tick under way.
 *
 * @ret     Filled on success; release with monitor_outline_done().
 * @return  0, -ENOENT (no such task), -ENODATA (it has no sandbox), -EAGAIN (it is being added up,
 *          or the first walk has not ended: ask again), others: the sandbox cannot be read.
 */
int monitor_outline(struct tally_monitor *monitor, const char *task, struct monitor_outline *ret,
	struct tally_error *err);

void monitor_outline_done(struct monitor_outline *outline);

/** A descriptor of a task, of a file that has no name any more. */
struct monitor_deleted {
	const char *process; /**< Whose it is, or NULL. */
	pid_t pid;
	int fd;
	uint64_t inode;
	int64_t bytes, size; /**< st_blocks * 512; st_size. */
	const char *name;    /**< That it had; NULL: not known. Valid during the visit. */
};

typedef void monitor_deleted_fn(void *context, const struct monitor_deleted *file);

/** What all of them hold together: each file once. */
struct monitor_deleted_sum {
	int code;		  /**< 0, or negative errno: it is not known. */
	enum tally_reason reason; /**< Why, then. */
	int64_t bytes, files;
	int64_t left_out; /**< Descriptors that are not visited: only the heaviest are. */
	int64_t boot_ns;  /**< CLOCK_BOOTTIME of the look; 0: there was none. */
};

/**
 * Visit the files without a name that the processes of a task hold open, the heaviest first, as
 * the last look at its sandbox found them. Waits for a tick under way, never for a file system.
 *
 * @return  0, -ENOENT (no such task), -ENODATA (it has no sandbox that can be looked at).
 */
int monitor_deleted(struct tally_monitor *monitor, const char *task, monitor_deleted_fn *visit,
	void *context, struct monitor_deleted_sum *ret, struct tally_error *err);

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
