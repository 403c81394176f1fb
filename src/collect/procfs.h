/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Inside of the procfs collector. A pass has three phases, a file each:
 *
 *   procfs_look.c  list /proc, look at what is new, decide where it belongs
 *   procfs_read.c  read what members consume, parents before children: which files, and when
 *   procfs_sum.c   account for the vanished, add up the groups
 *
 * procfs_figures.c and procfs_threads.c know what the files mean, and procfs.c holds the operations
 * of the interface.
 */
#ifndef COLLECT_PROCFS_H
#define COLLECT_PROCFS_H

#include "collect/collector.h"
#include "collect/members.h"
#include "collect/proc_read.h"

/** A group, beside its sample. */
struct group {
	int64_t lost[COUNT_ALL]; /**< Of vanished members. */
	int64_t live[COUNT_ALL]; /**< Of the members as the last pass saw them. */
	int64_t told[COUNT_ALL]; /**< What its sample said last: it never says less. */
	int64_t started;
	pid_t subreaper;
	bool adopting; /**< A root was added: what descends from it is taken in at the next pass. */
	uint8_t reason[FIGURE_COUNT]; /**< Figures of vanished members that nobody could read. */
};

/** A process that the listing found and the table does not know. */
struct newcomer {
	pid_t pid;
	uint64_t inode;
};

struct procfs {
	struct collector collector;
	struct proc_root root;
	struct members members;
	struct group *groups;
	size_t group_capacity;
	const struct log *log;
	bool pss;
	uint32_t pass; /**< Number of this pass, from 1. */

	struct newcomer *newcomers;
	size_t newcomer_count, newcomer_capacity;
	struct pid_entry **walk; /**< Room for a line of ancestors. */
	size_t walk_capacity;
	bool out_of_memory;    /**< In this pass. */
	bool adopting;	       /**< Some group is. */
	bool disordered;       /**< A known process became a member: its children may precede it. */
	size_t subreapers;     /**< Groups that have one. */
	struct proc_stat stat; /**< The last that was looked at. */

	size_t fd_limit;
	size_t turn,
		turns; /**< Index of the first idle member to refresh in this pass; how many. */
	size_t details_left; /**< Members whose details may still be read in this pass. */
	size_t threads_turn; /**< Index of the first member whose threads to look at. */
	size_t thread_reads_left;
	pid_t *tids;
	size_t tid_count, tid_capacity;
	uint64_t limited;
};

/** Phase 1. @return 0 or negative errno. */
int procfs_look(struct procfs *procfs);

/**
 * Look at one process: read its stat and bring its entry up to date.
 *
 * @inode   Of its directory, or 0 to leave what is known.
 * @return  NULL: it has vanished. procfs->stat holds its stat otherwise.
 */
struct pid_entry *procfs_look_at(struct procfs *procfs, pid_t pid, uint64_t inode);

/** Make a process a member of a group. NULL: no memory, which is counted. */
struct membership *procfs_join(struct procfs *procfs, struct pid_entry *entry, uint32_t group,
	enum why why, int64_t since_ticks);

/** Phase 2: read all members. */
void procfs_read(struct procfs *procfs);

/** Read the threads of members that are due, within a budget. */
void procfs_read_threads(struct procfs *procfs);

/** Read and take over status, io and the number of descriptors. May find that it is gone. */
void procfs_read_details(struct procfs *procfs, struct member *member);

/** The part of procfs_read_details() that changes without its doing: memory. */
void procfs_read_status(struct procfs *procfs, struct member *member);

/** Take over what the schedstat of the main thread says. */
void procfs_apply_schedstat(struct member *member, int64_t run_ns, int64_t wait_ns);

/** Why a file of a member could not be read; marks it as gone when it is. */
uint8_t procfs_reason(struct procfs *procfs, struct member *member, ssize_t error);

/** Take over what a stat says of a member. */
void procfs_apply_stat(struct procfs *procfs, struct member *member, const struct proc_stat *stat);

/** Set the bases of accounts that wait for a member's first figures. */
void procfs_set_bases(struct member *member);

/** Phase 3: bring the samples of all groups up to date. */
void procfs_sum(struct procfs *procfs);

/** collector_ops.reaped */
void procfs_reaped(
	struct collector *collector, uint32_t group, pid_t pid, const struct rusage *usage);

#endif
