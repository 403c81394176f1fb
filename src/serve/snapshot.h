/* SPDX-License-Identifier: Apache-2.0 */
/**
 * All tasks and processes of a monitor as they stood at one instant, copied so that answers can be
 * written without holding up a tick.
 */
#ifndef SERVE_SNAPSHOT_H
#define SERVE_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <tally/monitor.h>
#include "base/attr.h"

/** A named process, as struct tally_process_info has it, with its figures. */
struct snapshot_process {
	struct tally_process_info info;
	struct tally_reading reading;
	bool past; /**< Only the history knows it: of the rest of the info there is but the name. */
};

/** A task, as struct tally_task_info has it, with its figures and its processes. */
struct snapshot_task {
	struct tally_task_info info;
	struct tally_reading reading;
	size_t first, count; /**< Its processes: a range of snapshot.processes. */
	bool past;	     /**< Only the history knows it: of the info there is but the id. */
	int64_t gap_ns;	     /**< Turned back: time since the sample before; 0: there is none. */
};

struct snapshot {
	struct snapshot_task *tasks;
	size_t task_count, task_room;
	struct snapshot_process *processes;
	size_t process_count, process_room;
	struct snapshot_block *strings;
	size_t known; /**< Tasks that the monitor knows come first: so many. */
	bool failed;  /**< Memory ran out on the way. */
};

/** Whether a life is over. */
static inline bool snapshot_life_ended(enum tally_life life)
{
	return life == TALLY_LIFE_SUCCESS || life == TALLY_LIFE_FAILED ||
	       life == TALLY_LIFE_KILLED || life == TALLY_LIFE_LOST;
}

/** Free; the snapshot is then empty. */
void snapshot_done(struct snapshot *snapshot);

#define CLEANUP_SNAPSHOT CLEANUP(snapshot_done)

/** Make room for what is expected, so that the monitor's lock is not held for growing. Only a hint. */
void snapshot_expect(struct snapshot *snapshot, size_t tasks, size_t processes);

/**
 * Copy what a monitor knows now.
 *
 * @task    Id of the only task to copy, or NULL for all.
 * @ret     A blank one; to be freed on failure, too.
 * @return  0, -ENOENT, -ENOMEM. Holds the monitor's lock while it copies.
 */
int snapshot_take(struct tally_monitor *monitor, const char *task, struct snapshot *ret,
	struct tally_error *err);

/**
 * Put the figures of an instant in the place of the newest, and add the tasks and processes that
 * only the history still knows: those that ended long ago, or before this observer was started.
 *
 * All tasks are sampled in one tick: a task whose nearest sample is farther away than the nearest of
 * all, by more than half the time between its samples, was not there, and is taken out. So is a
 * process that was not in its task's sample. States and pids are those of now, but for a task or
 * process that ended later: it was active.
 *
 * @task    Id of the only task, which is kept however far away its nearest sample is; NULL: all.
 * @return  0, or -ENOMEM. May read the disk.
 */
int snapshot_turn_back(struct snapshot *snapshot, struct tally_monitor *monitor, const char *task,
	int64_t at_ns, struct tally_error *err);

/**
 * The figures that /proc shows to the owner of a process alone, as TALLY_BIT: I/O, descriptors, PSS;
 * and disk usage, for a sandbox may be closed to others.
 */
uint64_t snapshot_guarded(void);

/** Make those absent, TALLY_REASON_NOT_SHARED. */
void snapshot_mask(struct snapshot *snapshot);

#endif
