/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The ways to know what a sandbox uses, behind one interface. The first that serves a sandbox is
 * taken; when it gives up later, the next one is.
 *
 * All calls come from the worker and may block on the file system, for one step at a time.
 */
#ifndef DISK_METHOD_H
#define DISK_METHOD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <tally/error.h>
#include "base/log.h"
#include "disk/deleted.h"
#include "disk/fan.h"
#include "disk/outline.h"
#include "disk/scan.h"

/** What methods may use, over all sandboxes of a disk. */
struct disk_limits {
	size_t each_bytes; /**< Memory for one sandbox. */
	size_t all_bytes;
	_Atomic size_t used_bytes;
	_Atomic uint64_t bitten; /**< Times a limit made a method give up. */
	int64_t check_ns;	 /**< Between two full walks that check what is known otherwise. */
};

/** A sandbox, as a method is told of it. */
struct disk_site {
	const char *path;
	const struct log *log;
	struct disk_limits *limits;
};

/** What a worker has for all its work. */
struct disk_tools {
	struct scan_batch batch;
	_Alignas(8) char events[FAN_BUFFER];
	struct held_files held;
};

/** What one look found. */
struct disk_figure {
	int64_t bytes, files, partial; /**< As in struct disk_reading. */
	int64_t boot_ns;	       /**< When it was true. */
	int64_t drift_bytes, rereads;  /**< As in struct disk_reading. */
};

/** What a method keeps of one sandbox; embedded first in each. */
struct disk_job {
	const struct disk_method_ops *ops;
};

struct disk_method_ops {
	const char *name;
	const char *summary; /**< One line for `tally doctor`. */
	const char *remedy;  /**< What would restore it where its probe fails; NULL: it cannot. */

	/** Can it work on this machine? 0, or negative errno with the reason. */
	int (*probe)(struct tally_error *err);

	/**
	 * Take on a sandbox.
	 *
	 * @return  0; -EOPNOTSUPP (another method must serve this sandbox; the reason says why);
	 *          others: there is no such sandbox, whatever the method.
	 */
	int (*open)(const struct disk_site *site, struct disk_job **ret, struct tally_error *err);

	/**
	 * Do a step of a look; the first step after a figure begins the next look.
	 *
	 * @return  1: go on; 0: *ret is filled; -EOPNOTSUPP (it gives up: another method must take
	 *          over); others: the look failed, the next step begins another.
	 */
	int (*step)(struct disk_job *job, struct disk_tools *tools, struct disk_figure *ret,
		struct tally_error *err);

	/**
	 * Keep up between two looks, and between the steps of one; cheap. May be NULL.
	 *
	 * @return  When it wants to be called again at the latest, in nanoseconds from now.
	 */
	int64_t (*tend)(struct disk_job *job, struct disk_tools *tools);

	/**
	 * Add the heaviest directories, as of the last figure; reads nothing. May be NULL: it knows
	 * of none.
	 *
	 * @return  0; -EAGAIN (a look is under way); -ENOMEM.
	 */
	int (*outline)(struct disk_job *job, struct outline *ret);

	void (*close)(struct disk_job *job);
};

/** All methods, best first, NULL-terminated. */
extern const struct disk_method_ops *const disk_methods[];

#endif
