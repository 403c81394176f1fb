/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Inside of the procfs collector. A pass has three phases:
 *
 *   look  procfs_list.c    list /proc, or what was forked since
 *         procfs_look.c    look at what is new, decide where it belongs
 *         procfs_cgroup.c  who is in the cgroups that are groups
 *         procfs_orphan.c  whose orphan it is, where groups share a subreaper
 *   read  procfs_read.c    read what members consume, parents before children: which files, when
 *         procfs_figures.c what those files mean
 *         procfs_threads.c figures that are kept per thread
 *         procfs_pss.c     the costly one
 *   sum   procfs_sum.c     account for the vanished, add up the groups that changed
 *
 * procfs_reap.c takes what wait4() said of children of the caller; procfs.c holds the operations
 * of the interface.
 */
#ifndef COLLECT_PROCFS_H
#define COLLECT_PROCFS_H

#include "collect/cgroup_tree.h"
#include "collect/collector.h"
#include "collect/members.h"
#include "collect/proc_read.h"

/** A group, beside its sample. */
struct group {
	struct membership *first; /**< Its members, parents first; those that have left too. */
	struct membership *last;
	bool dirty;	 /**< Its sample has to be made anew in this pass. */
	bool adopting;	 /**< A root was added: its descendants are taken in at the next pass. */
	pid_t subreaper; /**< Or 0. */
	char *sign;	 /**< A variable that its orphans have, or NULL. */
	uint32_t family; /**< Or 0. */
	struct cgroup_tree *cgroups; /**< Or NULL. */
	bool cgroups_read;	     /**< In this pass. */
	int64_t cgroup_since_ticks;  /**< When the cgroup was added. */

	int64_t lost[COUNT_ALL]; /**< Of vanished members. */
	int64_t told[COUNT_ALL]; /**< What its sample said last: it never says less. */
	int64_t started;
	uint8_t reason[FIGURE_COUNT]; /**< Figures of vanished members that nobody could read. */
};

/** A process that the listing found and the table does not know. */
struct newcomer {
	pid_t pid;
	uint64_t inode;
};

/** The last pid that was given out when a pass listed. */
struct range_end {
	pid_t last; /**< 0: unknown. */
	int64_t at_ns;
};

/** A member that vanished with nobody in its group to reap it, in case the caller has reaped it. */
struct ghost {
	pid_t pid;
	uint32_t group;
	int64_t gave[COUNT_ALL]; /**< What it had given to the group's total, and its base. */
	int64_t below[COUNT_ALL - COUNT_REAPED];
};

#define GHOST_COUNT 32

struct procfs {
	struct collector collector;
	struct proc_root root;
	struct members members;
	struct group *groups;
	size_t group_capacity;
	const struct log *log;
	uint32_t pass; /**< Number of this pass, from 1. */
	uint64_t limited;

	/* listing */
	struct newcomer *newcomers;
	size_t newcomer_count, newcomer_capacity;
	struct range_end ranges[2]; /**< Of the last pass, and of the one before. */
	uint32_t all_listed;	    /**< The last pass that listed all. */
	int64_t listed_all_ns;
	int64_t pid_max;
	bool ranges_failed; /**< They have missed a process: they are not used any more. */

	/* looking */
	struct pid_entry **walk; /**< Room for a line of ancestors. */
	size_t walk_capacity;
	bool out_of_memory;    /**< In this pass. */
	bool adopting;	       /**< Some group is. */
	bool disordered;       /**< A known process became a member: its children may precede it. */
	size_t subreapers;     /**< Groups that have one. */
	size_t cgroups;	       /**< Groups that are one. */
	struct proc_stat stat; /**< The last that was looked at. */

	/* reading */
	size_t fd_limit;
	size_t turn;	     /**< Index of the first idle member to refresh in this pass. */
	size_t turns;	     /**< How many. */
	size_t details_left; /**< Members whose details may still be read in this pass. */
	size_t threads_turn; /**< Index of the first member whose threads to look at. */
	size_t thread_reads_left;
	pid_t *tids;
	size_t tid_count, tid_capacity;
	bool pss;
	size_t pss_turn;
	int64_t pss_credit_ns, pss_at_ns;

	/* summing */
	bool any_gone;
	struct ghost ghosts[GHOST_COUNT]; /**< A ring. */
	size_t ghost_next;
};

/** A number of ticks or pages in its unit; what no process can have becomes a limit. */
int64_t procfs_times(int64_t value, int64_t factor);

/** Phase 1: look. @return 0 or negative errno. */
int procfs_look(struct procfs *procfs);

/** List what there is: fills newcomers, marks the known as seen. @return 0 or negative errno. */
int procfs_list(struct procfs *procfs);

/** A newcomer was looked at: should an earlier pass have listed it? */
void procfs_prove_ranges(struct procfs *procfs, const struct pid_entry *newcomer);

/** Mark a process as alive in this pass. */
void procfs_mark_seen(struct procfs *procfs, struct pid_entry *entry);

/** Whether a process was alive when it was last listed. */
static inline bool procfs_is_seen(const struct procfs *procfs, uint32_t seen)
{
	return seen >= procfs->all_listed;
}

/**
 * Look at one process: read its stat and bring its entry up to date.
 *
 * @inode   Of its directory, or 0 to leave what is known.
 * @return  NULL: it has vanished. procfs->stat holds its stat otherwise.
 */
struct pid_entry *procfs_look_at(struct procfs *procfs, pid_t pid, uint64_t inode);

/** Make a process a member of a group. NULL: no memory, which is noted. */
struct membership *procfs_join(struct procfs *procfs, struct pid_entry *entry, uint32_t group,
	enum why why, int64_t since_ticks);

/** The group that a process is in of a family, other than `but`; NULL: none. */
struct membership *procfs_in_family(
	const struct procfs *procfs, const struct member *member, uint32_t family, uint32_t but);

/**
 * The group that an orphan belongs to whom a subreaper has adopted, or GROUP_NONE.
 *
 * @ret_told  Whether its sign told so. One that is ending or executing has no environment that could
 *            be read, and one may have been started without: it is the first group's.
 */
uint32_t procfs_group_of_orphan(struct procfs *procfs, pid_t pid, pid_t subreaper, bool *ret_told);

/** Whether a process has a variable ("NAME=VALUE") in the environment it was started with. */
bool procfs_has_variable(struct procfs *procfs, pid_t pid, const char *variable);

/** Take in who is in the cgroups now. */
void procfs_enter_cgroups(struct procfs *procfs);

/** Let go who is not in them any more. After reading: what they did until now still counts. */
void procfs_leave_cgroups(struct procfs *procfs);

/** Phase 2: read all members. */
void procfs_read(struct procfs *procfs);

/** Read the threads of members that are due, within a budget. */
void procfs_read_threads(struct procfs *procfs);

/** Read proportional set sizes, within a budget. */
void procfs_read_pss(struct procfs *procfs);

/** Read and take over status, io and the number of descriptors. May find that it is gone. */
void procfs_read_details(struct procfs *procfs, struct member *member);

/** The part of procfs_read_details() that changes without its doing: memory. */
void procfs_read_status(struct procfs *procfs, struct member *member);

/** Take over what the schedstat of the main thread says. */
void procfs_apply_schedstat(struct member *member, int64_t run_ns, int64_t wait_ns);

/** Take over what a stat says of a member. */
void procfs_apply_stat(struct procfs *procfs, struct member *member, const struct proc_stat *stat);

/** Why a file of a member could not be read; marks it as gone when it is. */
uint8_t procfs_reason(struct procfs *procfs, struct member *member, ssize_t error);

/** Set the bases of accounts that wait for a member's first figures. */
void procfs_set_bases(struct member *member);

/** Have the samples of a member's groups made anew. */
static inline void procfs_mark_dirty(struct procfs *procfs, const struct member *member)
{
	for (const struct membership *m = member->groups; m; m = m->next)
		procfs->groups[m->group].dirty = true;
}

/** A member has vanished. */
static inline void procfs_mark_gone(struct procfs *procfs, struct member *member)
{
	member->gone = true;
	procfs->any_gone = true;
}

/** Phase 3: account for the vanished, and bring the samples of dirty groups up to date. */
void procfs_sum(struct procfs *procfs);

/** The first half of it. */
void procfs_account_for_vanished(struct procfs *procfs);

/** And the second. */
void procfs_sum_dirty(struct procfs *procfs);

/** Make the lists of all groups anew, in the order of the members. */
void procfs_relist(struct procfs *procfs);

/** Put a membership at the end of its group's list. */
void procfs_enlist(struct procfs *procfs, struct membership *membership);

/** collector_ops.reaped */
void procfs_reaped(
	struct collector *collector, uint32_t group, pid_t pid, const struct rusage *usage);

#endif
