/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Which process of this machine a checkpoint means by a pid.
 *
 * A pid in a checkpoint is a claim, written by a process that a task's user may control, perhaps
 * long ago, perhaps inside a pid namespace. It is believed when a process exists
 *
 *   - that has this pid here; or else, that has it in its innermost pid namespace (the last field of
 *     NSpid in /proc/PID/status), and another one here;
 *   - whose start (field 22 of /proc/PID/stat) is within 10 s of the claimed one. The writer takes
 *     the time before it forks and writes it down once the program runs, which takes seconds on a
 *     machine that swaps; Thermos itself has always allowed 10 s. A wall clock that was stepped by
 *     more since then makes a process unknown;
 *   - whose real or effective uid is one that the claim may speak for;
 *   - that is no kernel thread.
 *
 * Several processes of one innermost pid (the same image started many times at once) are told apart
 * by their working directory, when it is the task's sandbox, then by the nearest start; when two
 * are equally near, to two clock ticks, neither is believed.
 *
 * What is found is a pid with its start time: an identity, which needs no second look.
 */
#ifndef SOURCE_THERMOS_PID_H
#define SOURCE_THERMOS_PID_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <tally/error.h>

/** How far apart the start in a checkpoint and that in /proc may be. */
#define THERMOS_START_TOLERANCE_NS (INT64_C(10) * 1000000000)

/** What a checkpoint claims. */
struct pid_claim {
	pid_t pid;
	int64_t start_wall_ns;
	bool any_uid;	     /**< The checkpoint does not say whose it is. */
	uid_t uids[2];	     /**< Whose it may be; twice the same when there is but one. */
	const char *sandbox; /**< Directory of this machine, or NULL. */
};

/** A process found. */
struct pid_found {
	pid_t pid;
	int64_t start_ns; /**< CLOCK_BOOTTIME. */
};

struct pid_finder;

/** @procfs  Where procfs is mounted. @return 0 or -ENOMEM. */
int pid_finder_new(const char *procfs, struct pid_finder **ret, struct tally_error *err);

/** Takes NULL, returns NULL. */
struct pid_finder *pid_finder_free(struct pid_finder *finder);

/**
 * Find the process that has the claimed pid here. Reads two files.
 *
 * @return  0; -ESRCH (there is no such pid); -ESTALE (it is another process: the message says why).
 */
int pid_find_here(struct pid_finder *finder, const struct pid_claim *claim, struct pid_found *ret,
	struct tally_error *err);

/**
 * Find the process that has the claimed pid inside a namespace, among those that the last finished
 * scan saw.
 *
 * @return  0; -ESRCH (none); -ENOTUNIQ (several, and nothing tells them apart).
 */
int pid_find_inside(struct pid_finder *finder, const struct pid_claim *claim, struct pid_found *ret,
	struct tally_error *err);

/**
 * Go on with a scan of /proc for processes in pid namespaces below ours; begins a new one when none
 * is under way. Costs some 20 µs per process of the machine, hence in slices.
 *
 * @slice_ns  CPU time that may be spent now.
 * @return    1 when the scan is finished; 0 when there is more to do; negative errno.
 */
int pid_finder_scan(struct pid_finder *finder, int64_t slice_ns, struct tally_error *err);

/** Whether a scan is under way. */
bool pid_finder_scanning(const struct pid_finder *finder);

#endif
