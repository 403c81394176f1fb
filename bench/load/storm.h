/* SPDX-License-Identifier: Apache-2.0 */
/** A fork storm: its modes, and the truth about what it consumed. */
#ifndef STORM_H
#define STORM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** What all processes of a storm see: one page of shared memory. */
struct storm {
	long count;	/**< Rounds to make, all workers together; 0: until the end. */
	int64_t end_ns; /**< CLOCK_MONOTONIC; no round begins after it. */
	int workers;
	_Atomic long rounds;	     /**< Begun so far. */
	_Atomic long processes;	     /**< Made so far, where the mode knows. */
	_Atomic int64_t unreaped_ns; /**< CPU that processes nobody reaps said they had used. */
	_Atomic int64_t unmarked_ns; /**< CPU used before the cgroup was joined. */
};

/** One kind of storm. */
struct storm_mode {
	const char *name;
	const char *summary;
	bool reaped; /**< The tree reaps all it makes: rusage of its root is then complete. */
	bool counts; /**< The number of processes is known. */
	/** One worker: makes rounds while storm_goes_on(), then returns. */
	void (*work)(struct storm *storm);
};

extern const struct storm_mode storm_modes[];
extern const int storm_mode_count;

/** Whether another round may begin; takes it from the count. */
bool storm_goes_on(struct storm *storm);

/**
 * A cgroup v2 of its own in which the storm runs. The kernel then adds up the CPU time of every
 * process in it by itself (usage_usec of cpu.stat), however it ends and whoever reaps it, so that
 * the truth does not depend on anything that is being measured.
 */
struct truth {
	char path[256]; /**< Empty when no cgroup could be made: then rusage has to do. */
};

/** Make the cgroup; quietly none where that is not allowed. */
void truth_open(struct truth *truth);

/** Move the calling process into it; what it forks follows. */
void truth_join(const struct truth *truth);

/** Wait until nobody is left in it and read its CPU time; -1 without cgroup. Removes it. */
int64_t truth_close(struct truth *truth);

#endif
