/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The live-sum rule: what a group has consumed in all, from what its live members say now.
 *
 * The kernel adds what a process consumed to its parent's figures for children when the parent
 * reaps it. So a group's total is
 *
 *     the sum over live members of (own + children - base)
 *   + due:  what members that vanished had consumed, less what has since arrived at their parents
 *   + lost: what vanished and has arrived nowhere in the group
 *
 * base  is what a member's figures held at its adoption and that is not the group's: the children
 *       a process had reaped before it was watched, or all it did before it moved into a cgroup.
 * due   is kept with the parent of the vanished, as a cohort: those that were found missing in
 *       one pass. The growth of the parent's figures for children since the pass before is taken
 *       off it; once more at the next pass, for a child may be reaped after its parent was read
 *       and before it was looked for itself. What then is left has been reaped by nobody (SIGCHLD
 *       ignored) and is lost. Children nobody ever saw are in the growth alone.
 *
 * Because due is a difference and not a decision, the total neither falls nor doubles however the
 * reads and the reaping interleave, provided that parents are read before their children, and that a
 * child in state X is taken as vanished: it has been added to its parent, and is still to be seen.
 *
 * Figures of CPU time are kept twice: exact (nanoseconds where the kernel gives them) and as the
 * kernel shows them to parents (in ticks of 10 ms, rounded down). Page faults are exact in both
 * places, and every process has some: the part of a cohort's minor faults that did not arrive
 * tells which part of it was not reaped, and this decides for what ticks cannot separate.
 *
 * Pure: no I/O, no allocation, no clock.
 */
#ifndef COLLECT_ACCUMULATE_H
#define COLLECT_ACCUMULATE_H

#include <stdbool.h>
#include <stdint.h>

/** Counters of a process. Those before COUNT_REAPED reach the parent that reaps it. */
enum count {
	COUNT_USER,   /**< ns */
	COUNT_SYSTEM, /**< ns */
	COUNT_MINOR,
	COUNT_MAJOR,
	COUNT_READ, /**< Bytes. The kernel keeps no figure for children: it adds to the parent's own. */
	COUNT_WRITE, /**< Bytes, in the same way. */
	COUNT_REAPED,
	COUNT_WAIT = COUNT_REAPED, /**< ns */
	COUNT_VOLUNTARY,
	COUNT_INVOLUNTARY,
	COUNT_ALL
};

/** CPU modes: the first counters. */
#define COUNT_MODES 2

/** What a process had consumed when it was last read, with the children it had reaped. */
struct usage {
	int64_t total[COUNT_ALL];
	int64_t shown[COUNT_MODES]; /**< total[] of CPU time, as the kernel would show it. */
	/**
	 * The part that can grow by reaping: children's CPU time and faults; for I/O all there is.
	 */
	int64_t reaped[COUNT_REAPED];
};

/** Members that vanished in one pass, or what is left of them after an absorption. */
struct cohort {
	bool any;
	int64_t total[COUNT_REAPED];
	int64_t shown[COUNT_MODES];
};

/** What a member counts in one group. */
struct account {
	int64_t base[COUNT_ALL];
	/** What its children, now gone, had in the figures that parents are not given. */
	int64_t below[COUNT_ALL - COUNT_REAPED];
	struct cohort fresh; /**< Of this pass. */
	struct cohort old;   /**< Of the pass before, what had not arrived then. */
	int64_t due[COUNT_REAPED];
};

/**
 * CPU time of both modes from an exact sum, in the proportion of their ticks.
 *
 * @exact_ns  Sum of both; a lower bound, as the ticks are: the larger counts.
 * @ticks_ns  User and system time in whole ticks: neither result is less.
 *
 * The sum never falls when the arguments do not; one mode may, by less than a tick.
 */
void cpu_split(int64_t exact_ns, const int64_t ticks_ns[COUNT_MODES], int64_t ret[COUNT_MODES]);

/**
 * Bring told CPU times up to new ones: neither mode falls, and the sum of both is the larger of
 * what it was and what it is.
 */
void cpu_raise(const int64_t now[COUNT_MODES], int64_t told[COUNT_MODES]);

/** Begin an account for a member that is adopted while it runs: its dead children do not count. */
void account_adopt(struct account *account, const struct usage *usage);

/** Begin an account for a member that moves in from elsewhere: nothing so far counts. */
void account_join(struct account *account, const struct usage *usage);

/**
 * A member has vanished: hand what it consumed to the account of its parent.
 *
 * @growth  Of usage.reaped[] since the pass before: not zero when it vanished after it was read.
 * @parent  Account of its parent in the same group, or NULL: then it is lost at once.
 * @lost    Added to: COUNT_ALL values.
 */
void account_vanish(struct account *account, const struct usage *usage,
	const int64_t growth[COUNT_REAPED], struct account *parent, int64_t lost[COUNT_ALL]);

/**
 * Settle a member's cohorts against the growth of its figures. Once per pass, after all members
 * were read and the vanished handed over; `fresh` becomes `old`. Needed only when somebody
 * is pending.
 *
 * @growth  Of usage.reaped[] since the pass before.
 * @lost    Added to: COUNT_ALL values.
 */
void account_settle(
	struct account *account, const int64_t growth[COUNT_REAPED], int64_t lost[COUNT_ALL]);

/**
 * The member has been reaped by the caller, who knows its final figures. Its account is then closed.
 *
 * @totals  Final figures, with those of all that it reaped itself: COUNT_ALL values; one that is
 *          not known is 0.
 * @growth  Of totals since `usage` was read.
 * @lost    Added to: COUNT_ALL values. Never less than the member gave so far.
 */
void account_reap(struct account *account, const struct usage *usage,
	const int64_t totals[COUNT_ALL], const int64_t growth[COUNT_REAPED],
	int64_t lost[COUNT_ALL]);

/** As account_join(), of a member that has vanished: nothing that it or those below it had counts. */
void account_stay_out(struct account *account, const struct usage *usage);

/** The member has moved out of the group: what it gave so far stays there. Closes its account. */
void account_leave(struct account *account, const struct usage *usage, int64_t lost[COUNT_ALL]);

/** What a member gives to its group's total in one counter. */
int64_t account_share(const struct account *account, const struct usage *usage, enum count count);

/** Whether somebody who vanished is not settled yet. */
static inline bool account_pending(const struct account *account)
{
	return account->fresh.any || account->old.any;
}

#endif
