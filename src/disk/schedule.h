/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Which sandbox is looked at next. Pure: no clock, no file system.
 *
 * Looks under way share the budget by slices: every second slice goes to the look that has spent
 * least, so that a small sandbox never waits for a huge one, and the others to the one that has
 * been due longest, so that the huge one is done in the end. A sandbox whose look is dear is
 * looked at less often, so that it alone takes half of the budget at most.
 */
#ifndef DISK_SCHEDULE_H
#define DISK_SCHEDULE_H

#include <stddef.h>
#include "disk/sandbox.h"

struct schedule {
	struct sandbox *first;
	size_t count;
	int64_t interval_ns;
	double share;	 /**< As in struct budget. */
	uint64_t random; /**< State of the jitter; not 0. */
	bool turn;	 /**< Which of the two rules is next. */
};

/** Add a sandbox, due now; the reference is taken over. */
void schedule_add(struct schedule *schedule, struct sandbox *sandbox, int64_t now_ns);

/** One that is not watched any more, or NULL. */
struct sandbox *schedule_gone(struct schedule *schedule);

/** Take a sandbox out; its reference is the caller's. */
void schedule_remove(struct schedule *schedule, struct sandbox *sandbox);

/** The sandbox to look at now, or NULL; then *ret_due_ns is when there will be one. */
struct sandbox *schedule_next(struct schedule *schedule, int64_t now_ns, int64_t *ret_due_ns);

/** The sandbox to tend now, or NULL; then *ret_due_ns is when there will be one. */
struct sandbox *schedule_next_tend(struct schedule *schedule, int64_t now_ns, int64_t *ret_due_ns);

/** One whose heaviest directories were asked for, or NULL; it is not asked for any more then. */
struct sandbox *schedule_next_outline(struct schedule *schedule);

/** A sandbox was looked at or tended: when does its method want to be tended? */
void schedule_tended(struct sandbox *sandbox, int64_t now_ns);

/** A look has ended: when is the next? */
void schedule_again(struct schedule *schedule, struct sandbox *sandbox, int64_t now_ns);

/** Release all. */
void schedule_done(struct schedule *schedule);

#endif
