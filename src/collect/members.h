/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Members: the processes that belong to at least one group, and the sets of groups they are in.
 *
 * Membership is sticky: it ends with the process, or with the group. (In a group that is a cgroup
 * a process may leave; it is then kept as one that has left, for what it had must not be counted
 * again when its parent reaps it.) Members are kept in an order in which parents precede their
 * children: the live-sum rule needs them read in that order.
 *
 * Memory of members that ended is kept and used again: a steady set allocates nothing.
 */
#ifndef COLLECT_MEMBERS_H
#define COLLECT_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "collect/accumulate.h"
#include "collect/pid_table.h"
#include "collect/proc_parse.h"

/** Why a pid belongs to a group. */
enum why {
	WHY_ROOT,
	WHY_CHILD,	/**< Its parent belonged when it was forked. */
	WHY_REPARENTED, /**< The same, but its parent is another now. */
	WHY_CGROUP,
};

/** Figures that are read together, and can be absent together. */
enum figure {
	FIGURE_MEMORY,	 /**< shared, swap: status */
	FIGURE_SWITCHES, /**< Context switches: status of each thread */
	FIGURE_WAIT,	 /**< Run queue wait: schedstat of each thread */
	FIGURE_IO,
	FIGURE_FDS,
	FIGURE_PSS,
	FIGURE_COUNT
};

/** Instead of an enum tally_reason: the figure is known. */
#define REASON_NONE UINT8_MAX

/** A member's place in one group. */
struct membership {
	struct member *member;
	struct membership *next;	  /**< Of the same member. */
	struct membership *next_in_group; /**< Of the same group. */
	uint32_t group;
	uint8_t why;	 /**< enum why */
	bool left;	 /**< It has moved out of the cgroup: it counts no more. */
	bool moved;	 /**< It moved in from elsewhere: what it did before is not the group's. */
	bool unset;	 /**< account.base is not set yet: no figures were read so far. */
	uint32_t listed; /**< Pass whose cgroup.procs had it last. */
	int64_t since_ticks; /**< When the root above it was added: it was adopted if older. */
	struct account account;
};

/** What a thread had when it was last read. */
struct thread_figures {
	pid_t tid;
	bool counted; /**< Its switches were read. */
	int64_t run_ns, wait_ns, voluntary, involuntary;
};

/** The threads of a process that has had several. */
struct many_threads {
	struct thread_figures *list; /**< By tid. */
	size_t count, capacity;
	size_t next;		    /**< Where the round that is under way goes on; 0: none is. */
	struct thread_figures dead; /**< Of threads that ended. */
	bool without_times;	    /**< Some thread has no schedstat. */
};

/** A process that is followed. What a pass looks at while it is idle comes first. */
struct member {
	pid_t pid;
	uint32_t seen;		 /**< Pass whose listing had it last. */
	int fd;			 /**< Kept descriptor of schedstat or stat, or -1. */
	bool gone;		 /**< Vanished in this pass. */
	bool known;		 /**< Its stat was read at least once. */
	bool detailed;		 /**< Its other files were. */
	bool owed;		 /**< Its other files are due: the budget of a pass was spent. */
	bool linked;		 /**< `parent` was looked up. */
	bool quick;		 /**< The file to keep open is schedstat, not stat. */
	bool unproven;		 /**< fd was opened and its owner not confirmed by stat yet. */
	bool grew;		 /**< `growth` is not all zero. */
	bool unset;		 /**< One of its memberships is. */
	bool pending;		 /**< It may have reaped a member that vanished in the last pass. */
	bool threads_owed;	 /**< Its threads are due. */
	bool accounted;		 /**< It is gone, and its groups know. */
	bool denied;		 /**< No descriptor was left for it. */
	bool headless;		 /**< Its main thread has ended before others. */
	bool pss_asked;		 /**< Its pss was read, or refused. */
	bool guessed;		 /**< An orphan without a sign: its heirs are asked for theirs. */
	int64_t run_ns, wait_ns; /**< Schedstat of its main thread. */
	struct member *parent;	 /**< The member that is its parent, or NULL. */
	uint64_t stat_hash;

	struct membership *groups;
	pid_t parent_pid, session;
	pid_t face;	 /**< Thread that shows its memory when it is headless, or 0. */
	uint32_t placed; /**< For members_reorder(). */
	int64_t start_ticks;
	char state;
	char comm[PROC_COMM_SIZE];
	int64_t nice, threads, virtual_bytes, rss_bytes, shared_bytes, swap_bytes, pss_bytes, fds;
	uint8_t reason[FIGURE_COUNT];
	int64_t cpu_ns[COUNT_MODES]; /**< Of its own. */
	int64_t run_ns_all;	   /**< CPU time of all its threads as far as they were added up. */
	struct many_threads *many; /**< NULL: it never had more than one. */

	struct usage usage;
	int64_t growth[COUNT_REAPED]; /**< Of usage.reaped since the pass before. */
	struct member *next_free;
};

struct members {
	struct pid_table table;
	struct member **order; /**< Parents first. */
	size_t count, capacity;
	struct member **spare; /**< For members_reorder(). */
	size_t spare_capacity;
	size_t fds; /**< Descriptors kept by members. */
	struct member *free_members;
	struct membership *free_memberships;
};

/** Close all descriptors and free all. */
void members_done(struct members *members);

/** Make a process a member, last in order; its entry points to it. NULL: no memory. */
struct member *member_new(struct members *members, struct pid_entry *entry);

/** Its place in a group, also one it has left; NULL when it was never in it. */
struct membership *member_in(const struct member *member, uint32_t group);

/** Put a member in a group it is not in. NULL: no memory. The account is zero. */
struct membership *member_join(
	struct members *members, struct member *member, uint32_t group, enum why why);

/** Find its parent among the members; with `living`, only one that is not gone. */
void member_link(struct members *members, struct member *member, bool living);

/** Take a member out of a group; its membership must not be in the group's list any more. */
void member_leave(struct members *members, struct member *member, uint32_t group);

/** Cut a process that is in no group any more off its entry: it is a stranger, and gone. */
void member_retire(struct members *members, struct member *member);

/** Drop the members that are gone, and their entries, keeping the order. */
void members_compact(struct members *members);

/**
 * Restore the order after a process became a member later than its child; links all.
 *
 * @return  0 or -ENOMEM: the order is then what it was.
 */
int members_reorder(struct members *members, uint32_t pass);

#endif
