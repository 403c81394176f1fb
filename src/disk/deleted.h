/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Files without a name that the processes of a task hold open: what df sees and du does not.
 *
 * The worker looks for them in steps, after each figure of a sandbox. Which descriptors there are
 * the kernel lists at once for the whole machine (struct disk_options.held); where it does not, the
 * descriptors of each process are read from /proc/PID/fd. What a file holds is asked of the file
 * itself in both cases: an inode alone lags behind delayed allocation.
 *
 * A file counts when it has no name left (stx_nlink is 0) and lies in the file system of the
 * sandbox; each once, however many descriptors there are. Memory files (memfd_create), pipes and
 * devices lie elsewhere. What is mapped, but not open, is not seen.
 */
#ifndef DISK_DELETED_H
#define DISK_DELETED_H

#include <stdatomic.h>
#include <stdbool.h>
#include "disk/disk.h"

/** Descriptors that are listed for one sandbox: the heaviest. */
#define DELETED_LISTED 256

/** Where descriptors come from; one per worker. A zeroed one reads /proc. */
struct held_files {
	disk_held_fn *ask; /**< May be NULL. */
	void *context;
	const char *procfs; /**< NULL: /proc. */
	int64_t fresh_ns;   /**< An answer younger than this is used again. */
	struct disk_held *items;
	size_t count, room;
	int64_t asked_ns; /**< CLOCK_BOOTTIME; 0: never. */
};

void held_files_done(struct held_files *files);

struct holders;
struct deleted_list;
struct deleted_look;

/** What is known of one sandbox. A zeroed one has heard of no processes. */
struct deleted {
	_Atomic(struct holders *) told;	     /**< By callers: newer than those of the worker. */
	_Atomic(struct deleted_list *) list; /**< What the last look found, for callers. */

	/* The worker's. */
	struct holders *holders;
	struct deleted_look *look; /**< Under way, or NULL. */
};

/** What a look found. */
struct deleted_sum {
	int code; /**< As disk_reading.deleted_code. */
	int64_t bytes, files;
};

/** Tell which processes there are. Thread-safe. @return 0 or -ENOMEM. */
int deleted_tell(struct deleted *deleted, const struct disk_holder *holders, size_t count);

/**
 * Begin a look.
 *
 * @return  1: it needs steps; 0: *ret is filled already.
 */
int deleted_begin(struct deleted *deleted, const char *sandbox, struct deleted_sum *ret);

/** Look at some descriptors. @return 1: go on; 0: *ret is filled. */
int deleted_step(struct deleted *deleted, struct held_files *files, struct deleted_sum *ret);

/** Give a look up, if one is under way. */
void deleted_stop(struct deleted *deleted);

/**
 * Visit what the last look found, the heaviest first. One caller at a time, beside the worker.
 *
 * @ret_left_out  Descriptors that were found, but are not listed.
 */
void deleted_visit(
	struct deleted *deleted, disk_deleted_fn *visit, void *context, int64_t *ret_left_out);

void deleted_done(struct deleted *deleted);

#endif
