/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The worker thread, and how another takes its place.
 *
 * A worker is free or busy. Free, it alone holds the schedule, and touches no file system. Busy,
 * it holds nothing but the one sandbox it works on. So when it does not come back from a file
 * system, a caller that notices takes the schedule from it, with one compare-and-swap from busy to
 * left, and gives it to a new worker. The old one, should it come back, finds that it was left,
 * hands its sandbox in as it does a new one, and ends.
 */
#ifndef DISK_WORKER_H
#define DISK_WORKER_H

#include <pthread.h>
#include <semaphore.h>
#include "disk/budget.h"
#include "disk/disk.h"
#include "disk/schedule.h"

/** The lowest bits of worker.state; above them, how often it was busy: no busy spell is like another. */
enum worker_state {
	WORKER_FREE,
	WORKER_BUSY,
	WORKER_LEFT,
	WORKER_STATES,
};

struct worker {
	struct disk *disk;
	pthread_t thread;
	sem_t ready;	      /**< It has opened its tools. */
	bool idle;	      /**< It has the lowest priorities. */
	int64_t starved_ns;   /**< Waited for a processor, in slices, of late. */
	struct sandbox *left; /**< What the worker before is stuck in, or NULL. */
	_Atomic uint64_t state;
	_Atomic int64_t beat_ns;	   /**< When the step under way began. */
	_Atomic(struct sandbox *) sandbox; /**< The one it works on. */
	int64_t slice_until_ns;
	int64_t cpu_ns;	  /**< CPU time of the thread, as already accounted for. */
	int64_t spent_ns; /**< Of it, in the last slice. */
	struct disk_tools tools;
};

struct disk {
	struct disk_options options;
	atomic_int references;
	atomic_bool closing;
	atomic_int asking; /**< Workers that are in options.held. */
	int wake_fd;	   /**< eventfd: something for the worker. */
	int ended_fd;	   /**< eventfd: the worker that has the schedule has ended. */
	_Atomic(struct sandbox *) incoming; /**< New ones, and those a left worker returns. */
	_Atomic uint64_t looks;
	_Atomic int64_t cpu_ns;
	atomic_int stuck;
	struct disk_limits limits;

	/* Of the free worker. */
	struct schedule schedule;
	struct budget budget;

	/* Of the callers. */
	pthread_mutex_t callers; /**< Never taken by a worker. */
	struct sandbox **table;	 /**< By number; NULL: free. */
	uint32_t table_length;
	unsigned methods; /**< Bit per method that may be used. */
	struct worker *worker;
	bool said_stuck;
};

/** Begin a worker that takes over the schedule; @left is the sandbox that the last one is stuck in. */
int worker_start(struct disk *disk, struct sandbox *left, struct worker **ret);

/** Wait for a worker that was just started to have its tools: a filter of system calls may come next. */
void worker_await(struct worker *worker);

/** Something is there for the worker. */
void worker_wake(struct disk *disk);

/** Hand a sandbox to the worker, with its reference. */
void worker_hand_in(struct disk *disk, struct sandbox *sandbox);

/**
 * Take the schedule from a worker that has been in one step for longer than stall_ns, by now.
 *
 * @return  NULL: it was not; or the sandbox that it is stuck in, which is valid until the next
 *          worker begins. The one that was left frees itself when it comes back.
 */
struct sandbox *worker_leave(struct worker *worker, int64_t stall_ns, int64_t now_ns);

/** Give a reference to the disk back; the last frees it. */
void disk_release(struct disk *disk);

#endif
