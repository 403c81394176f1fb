/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A walk through a sandbox, in steps: what it uses, exactly as `du -xsB1` counts it.
 *
 * Hard links count once, other mounts (bind mounts too) are not entered, symlinks are not
 * followed, sparse files count their blocks, directories count theirs. Directories that cannot be
 * read are counted as partial; what vanishes underneath is left out.
 *
 * Memory is bounded whatever the tree: 32 descriptors, the names of directories still to be
 * entered (a few MiB), 24 bytes per inode with several names up to a limit. Depth and length of
 * paths do not matter.
 *
 * Used by one thread at a time.
 */
#ifndef DISK_WALK_H
#define DISK_WALK_H

#include <stdint.h>
#include <tally/error.h>
#include "disk/outline.h"
#include "disk/scan.h"

struct walk;

struct walk_sum {
	int64_t bytes;	 /**< stx_blocks * 512. */
	int64_t files;	 /**< Entries, the sandbox itself included. */
	int64_t partial; /**< Directories of which something could not be read. */
};

/** Open the sandbox and get ready. Errors as of site_open(), -ENOMEM. */
int walk_open(const char *path, struct walk **ret, struct tally_error *err);

/**
 * Read a batch of entries, or enter or leave a directory.
 *
 * @return  1: go on; 0: the walk is complete; -ENOMEM.
 */
int walk_step(struct walk *walk, struct scan_batch *batch);

/**
 * Have the heaviest directories remembered, from the beginning; *outline is empty and stays the
 * caller's. A file with several names counts in the directory where it is met first.
 */
void walk_outline(struct walk *walk, struct outline *outline);

/** What was counted so far. */
const struct walk_sum *walk_sum(const struct walk *walk);

/** Takes NULL, returns NULL. */
struct walk *walk_close(struct walk *walk);

#endif
