/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Counters that go on across a restart of the observer.
 *
 * What the last run knew of a process is its last sample and the identity of its root. Where that
 * root still runs, the collector's counters begin with what the living consumed so far, which the
 * last sample has too, beside what the dead had consumed: the total goes on from the larger of the
 * two. Where the root is gone, all of the last sample belongs to the dead, and is added. So a total
 * never falls; what members consumed while nobody watched may be missing from it.
 */
#ifndef MONITOR_RESUME_H
#define MONITOR_RESUME_H

#include "history/history.h"
#include "monitor/task.h"

/** What the last run knew of one process. */
struct resumed {
	char *process;
	pid_t pid;
	int64_t start_ns;
	struct tally_sample last;
	int64_t carry[TALLY_METRIC_COUNT]; /**< To add to what the collector says. */
	bool settled;			   /**< carry[] is known. */
	struct resumed *next;
};

/** Read what the last run knew of a task that appears; NULL when there is nothing. */
struct resumed *resumed_read(struct history *history, const char *id);

/** Free a list; takes NULL. */
void resumed_free(struct resumed *list);

/**
 * Add to a sample of a process what it consumed in runs before.
 *
 * @list     Of its task; may be NULL.
 * @process  Its name and roots.
 * @sample   Of its group; or cleared with TALLY_REASON_ENDED when it has none, and then only what
 *           was before is in it.
 * @return   Whether anything was known.
 */
bool resumed_add(struct resumed *list, const struct process *process, struct tally_sample *sample);

/**
 * Remember what a process consumed, for its group is about to be given back: should it come again,
 * its counters go on. Without memory they begin anew.
 */
void resumed_retire(struct resumed **list, const struct process *process);

/** Tell the history which roots a task's processes have. */
int resumed_keep(struct history *history, const struct task *task);

#endif
