/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A watched sandbox: what callers share with the worker, and what the worker keeps of it.
 *
 * Three parties touch one, each its own fields: callers (atomics), the worker that holds the
 * schedule, and the worker that has claimed it for a slice, which may hang in its file system.
 */
#ifndef DISK_SANDBOX_H
#define DISK_SANDBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include "disk/method.h"
#include "disk/shelf.h"

/** How a slice ended. */
enum slice {
	SLICE_MORE,   /**< The look goes on in another slice. */
	SLICE_FIGURE, /**< sandbox.reading has a new figure. */
	SLICE_FAILED, /**< sandbox.reading says why there is none. */
};

struct sandbox {
	/* Anyone's. */
	atomic_int references;
	atomic_bool wanted; /**< A fresh figure was asked for. */
	atomic_bool gone;   /**< Not watched any more. */
	struct shelf shelf;
	struct deleted deleted;
	atomic_bool outline_wanted;	   /**< The heaviest directories were asked for. */
	_Atomic(struct outline *) outline; /**< As they were made last, for callers. */

	/* Set when made. */
	char *path;
	struct sandbox *next_in; /**< In the list of those handed in. */

	/* The schedule's. */
	struct sandbox *next;
	int64_t due_ns;
	int64_t tend_due_ns;
	bool looking; /**< A look is under way. */
	bool stuck;   /**< Claimed by a worker that was left behind. */
	bool held;    /**< On a mount in which a worker is stuck. */

	/* Of who has claimed it, then of the schedule. */
	struct disk_site site;
	unsigned methods; /**< Bit per method that may still be tried. */
	unsigned later;	  /**< Of those that had no room, and may have some later. */
	unsigned waited;  /**< Looks since then. */
	struct disk_job *job;
	bool counting; /**< The figure is there; what is held open is looked for. */
	struct disk_reading reading;
	int64_t tend_wait_ns; /**< What its method said last. */
	int64_t spent_ns;     /**< CPU time of the look under way, then of the last one. */
	enum slice outcome;
};

/** Make one, with one reference; the path of the site is copied. NULL: no memory. */
struct sandbox *sandbox_new(unsigned methods, const struct disk_site *site);

void sandbox_hold(struct sandbox *sandbox);

/** Give a reference back; the last frees it. Takes NULL. */
void sandbox_release(struct sandbox *sandbox);

/** When a slice must end: asked between steps. */
typedef bool slice_over_fn(void *context);

/** Add up the heaviest directories, and lay them out for callers. */
void sandbox_outline(struct sandbox *sandbox);

/** Let the method keep up. */
void sandbox_tend(struct sandbox *sandbox, struct disk_tools *tools);

/** Let go of all that is open in its file system. */
void sandbox_shut(struct sandbox *sandbox);

/** Work on a look for a slice; the outcome is in sandbox.outcome too. Blocks on the file system. */
enum slice sandbox_slice(
	struct sandbox *sandbox, struct disk_tools *tools, slice_over_fn *over, void *context);

#endif
