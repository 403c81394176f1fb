/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Reading a directory: its names with getdents64, their attributes with statx, in batches.
 *
 * Blocks on the file system for one batch at a time.
 */
#ifndef DISK_SCAN_H
#define DISK_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <sys/stat.h>

/** Names asked for at once: what one step reads at most. */
#define SCAN_BATCH 256

/** What statx() is asked for, and how: never follows a symlink nor mounts anything. */
#define SCAN_STAT_MASK	(STATX_TYPE | STATX_NLINK | STATX_INO | STATX_BLOCKS | STATX_CTIME)
#define SCAN_STAT_FLAGS (AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT)

/** One entry of a directory. */
struct scan_entry {
	const char *name; /**< Valid during the visit only; any bytes but '/' and NUL. */
	int code;	  /**< 0, or negative errno of statx(): `stat` is then not filled. */
	struct statx stat;
};

/** Room for a batch; one per worker, shared by all it reads. A zeroed one is ready. */
struct scan_batch {
	struct ring *ring; /**< Or NULL: name by name. */
	unsigned count;
	struct scan_entry entries[SCAN_BATCH];
};

/** A directory being read. A zeroed one with its descriptor set is at its start. */
struct scan {
	int dir;      /**< Not owned. */
	char *buffer; /**< Names not looked at yet; allocated when first needed. */
	size_t at, end;
	bool finished; /**< The kernel has no more names. */
};

/** @return  0 to go on, or a negative errno that ends the step and is its result. */
typedef int scan_entry_fn(void *context, const struct scan_entry *entry);

/**
 * Read the next batch of a directory; "." and ".." and names that vanished are left out.
 *
 * @return  1: there may be more; 0: that was all; negative errno.
 */
int scan_step(struct scan *scan, struct scan_batch *batch, scan_entry_fn *visit, void *context);

/** Fill in the attributes of the names in a batch, which are all of one directory. */
void scan_stat_batch(int dir, struct scan_batch *batch);

/** Name and inode number, as the directory has them; @return as scan_entry_fn. */
typedef int scan_name_fn(void *context, const char *name, uint64_t ino);

/** As scan_step(), but of names alone: nothing is asked of what they stand for. */
int scan_names_step(struct scan *scan, scan_name_fn *visit, void *context);

/** Go on with another directory. */
void scan_begin(struct scan *scan, int dir);

/** Are all the names that the kernel handed out looked at? The descriptor's offset is then exact. */
bool scan_is_even(const struct scan *scan);

/** Free the buffer. */
void scan_done(struct scan *scan);

/** Attributes of one name, never following a symlink nor mounting anything. 0 or negative errno. */
int scan_stat(int dir, const char *name, struct statx *ret);

/** Is this the root of a mount, or on another device than the directory it was found in? */
bool scan_is_elsewhere(const struct statx *stat, const struct statx *root);

#endif
