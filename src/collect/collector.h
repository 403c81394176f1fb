/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The collector interface: reads the figures of groups of pids from the kernel.
 *
 * A group is one named process of one task: a root, or several, and all that descends from them.
 * Groups are numbers; a collector knows nothing of tasks and names. Membership is the collector's
 * work and not its caller's, because where it is decided differs: procfs infers it from parents at
 * each pass, BPF marks children in the kernel at the instant of the fork.
 *
 * What a group's sample holds after a pass:
 *   counters  the total since the first root was added, what live members consumed before that
 *             included (dead children of theirs, from before, are not). They never fall, and go on
 *             when another root is added to the group.
 *   gauges    the sum over live members; zero, not absent, when none is left.
 *   info      of the oldest live root; absent, TALLY_REASON_ENDED, when none is left.
 * Values that could not be read are absent with the reason. Task-only metrics are absent with
 * TALLY_REASON_TASK_ONLY.
 *
 * A pid may be a member of several groups: it then counts in each.
 *
 * A collector is used by one thread at a time. Passes allocate nothing once the set of processes
 * is steady.
 */
#ifndef COLLECT_COLLECTOR_H
#define COLLECT_COLLECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <tally/error.h>
#include <tally/sample.h>
#include "base/log.h"

/** No group. */
#define GROUP_NONE UINT32_MAX

/** How a collector works. A zeroed one is the default. */
struct collect_options {
	const char *procfs; /**< Where procfs is mounted; NULL is "/proc". */
	bool pss;	    /**< Read pss_bytes, within a budget. */
	size_t fd_limit;    /**< Descriptors it may keep; 0: three quarters of RLIMIT_NOFILE. */
	const struct log *log;
};

/** What a group begins with. */
struct collect_root {
	pid_t pid;	  /**< Root pid, or 0 when the group is a cgroup. */
	int64_t start_ns; /**< Its start (CLOCK_BOOTTIME) for identity, 10 ms exact; 0: any. */
	uint64_t
		cgroup_id; /**< v2 cgroup whose members these are (inode of its directory), or 0. */
	const char *cgroup; /**< Path of that cgroup's directory, or NULL. */
	/**
	 * Pid of a subreaper that adopts this group's orphans, or 0: a pid without a known parent
	 * whose parent it is then belongs to the group. For the caller's own children, when all
	 * that it has are in groups with this subreaper.
	 */
	pid_t subreaper;
	/**
	 * Where groups share a subreaper: "NAME=VALUE", a variable of their environment by which
	 * the orphans of this one are known. One that bears no group's sign belongs to the first of
	 * them. NULL: none.
	 */
	const char *sign;
	/**
	 * Groups of one family other than 0 share no pid: a root leaves those that it was in,
	 * with what it consumes from then on, and a descendant belongs where its parent does.
	 */
	uint32_t family;
};

/** A live member, as the last pass saw it. */
struct collect_member {
	pid_t pid, parent;
	int64_t start_ns; /**< CLOCK_BOOTTIME. */
	const char *comm;
	const char *why;	   /**< "root", "child", "reparented", "cgroup". */
	int64_t cpu_ns, rss_bytes; /**< -1: unknown. */
};

typedef void collect_member_fn(void *context, const struct collect_member *member);

/** A descriptor of any process, member or not, of a file that has no name any more. */
struct collect_held {
	pid_t pid, thread; /**< The thread whose descriptor it is: mostly the first, the pid. */
	int fd;
	dev_t device; /**< Of the file system, as its superblock has it. */
	uint64_t inode;
	int64_t blocks, size; /**< As the inode has them: blocks not decided on yet are missing. */
};

/** @return  0, or a negative errno that ends the visit and is its result. */
typedef int collect_held_fn(void *context, const struct collect_held *held);

/** What a collector says of itself. */
struct collect_status {
	size_t pids;	  /**< Live members of all groups. */
	size_t strangers; /**< Live pids known to be in no group. */
	uint64_t limited; /**< Times a limit bit: descriptors, map entries. */
};

struct collector;

/** One collector; listed in preference order in collectors[]. */
struct collector_ops {
	const char *name;
	const char *summary; /**< One line for `tally doctor`. */

	/** Can it work here? 0, or negative errno with the reason and what would restore it. */
	int (*probe)(const struct collect_options *options, struct tally_error *err);
	int (*open)(const struct collect_options *options, struct collector **ret,
		struct tally_error *err);
	void (*close)(struct collector *collector);

	/** A group was added (collector.groups has room for it) or is about to be removed. */
	int (*group_add)(struct collector *collector, uint32_t group, struct tally_error *err);
	void (*group_remove)(struct collector *collector, uint32_t group);

	int (*root_add)(struct collector *collector, uint32_t group,
		const struct collect_root *root, struct tally_error *err);
	int (*pass)(struct collector *collector, struct tally_error *err);
	void (*members)(struct collector *collector, uint32_t group, collect_member_fn *visit,
		void *context);
	/** May be NULL. */
	void (*reaped)(
		struct collector *collector, uint32_t group, pid_t pid, const struct rusage *usage);
	/** May be NULL: nothing comes late. */
	int (*settle)(struct collector *collector, uint32_t group, int64_t timeout_ns,
		struct tally_error *err);
	void (*status)(struct collector *collector, struct collect_status *ret);
	/** May be NULL: it cannot tell. Thread-safe, other than all the others. */
	int (*held)(struct collector *collector, collect_held_fn *visit, void *context);
};

/** What all collectors have; embedded first in each. */
struct collector {
	const struct collector_ops *ops;
	struct tally_sample *groups; /**< Indexed by group. */
	bool *used;		     /**< Which groups exist. */
	uint32_t group_count;	     /**< Length of both. */
	uint32_t group_free;	     /**< No unused group is below this index. */
};

/** All collectors, best first, NULL-terminated. */
extern const struct collector_ops *const collectors[];

/**
 * Open a collector.
 *
 * @name        "auto" (the first that works), or the name of one.
 * @ret_reason  A line that says which was chosen and why; 256 bytes of the caller's, may be NULL.
 * @return      0, -ENOENT (no such collector), -ENOTSUP and others as its probe or open says.
 */
int collector_open(const char *name, const struct collect_options *options, struct collector **ret,
	char ret_reason[256], struct tally_error *err);

/** Close; takes NULL, returns NULL. */
struct collector *collector_close(struct collector *collector);

/** Add an empty group. Its number may be one that was removed before. */
int collector_group_add(struct collector *collector, uint32_t *ret, struct tally_error *err);

/** Forget a group, its members and its sample. */
void collector_group_remove(struct collector *collector, uint32_t group);

/**
 * Add a root to a group, with all that descends from it now.
 *
 * @return  0; -ESRCH (the pid is gone, or is another than start_ns says); -EACCES; -ENOMEM;
 *          -ENOTSUP (this collector cannot follow such a root).
 */
int collector_root_add(struct collector *collector, uint32_t group, const struct collect_root *root,
	struct tally_error *err);

/** Bring the samples of all groups up to date: one look at the machine, whatever their number. */
int collector_pass(struct collector *collector, struct tally_error *err);

/** Sample of a group as of the last pass. Its times are not set. */
const struct tally_sample *collector_group(const struct collector *collector, uint32_t group);

/** Visit the live members of a group, parents first. */
void collector_members(
	struct collector *collector, uint32_t group, collect_member_fn *visit, void *context);

/**
 * Tell that the caller has reaped a child of its own that belongs to a group, with what wait4()
 * said: nobody else can read its last nanoseconds. Call it after wait4(), between passes. A pid
 * that was never seen by a pass is counted by it too.
 */
void collector_reaped(
	struct collector *collector, uint32_t group, pid_t pid, const struct rusage *usage);

/**
 * Take a pass that has all that the ended members of a group consumed: the kernel may tell the last
 * part of it only a while after they were reaped (bpf: some 20 ms, in bad cases seconds).
 *
 * @timeout_ns  How long to wait for it.
 * @return      0; -ETIMEDOUT (a pass was taken, but something is still to come); as
 *              collector_pass(). Blocks, mostly asleep.
 */
int collector_settle(
	struct collector *collector, uint32_t group, int64_t timeout_ns, struct tally_error *err);

void collector_status(struct collector *collector, struct collect_status *ret);

/**
 * Visit all descriptors of the machine whose file has no name any more, as the kernel lists them.
 * Other than all other calls this may be made from any thread, beside them.
 *
 * @return  0; -ENOTSUP (this collector cannot: read /proc/PID/fd); others. Blocks for some 3 us
 *          for each descriptor there is, of whatever kind; never on a file system.
 */
int collector_held(struct collector *collector, collect_held_fn *visit, void *context);

#endif
