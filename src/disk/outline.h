/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The heaviest directories of a sandbox, each with all below it: so many of them, whatever the
 * tree. What contains a heavy directory is heavier still, so that they hang together.
 */
#ifndef DISK_OUTLINE_H
#define DISK_OUTLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	OUTLINE_DIRS = 256,	  /* Remembered. */
	OUTLINE_DEPTH_MOST = 64,  /* Deeper ones count in those above them alone. */
	OUTLINE_PATH_SIZE = 4096, /* Likewise, of longer paths. */
};

struct outline_dir {
	char *path; /**< From the sandbox; "" is the sandbox itself. Any bytes. */
	unsigned depth;
	int64_t bytes, files; /**< Of all that is in it, itself included. */
};

/** A zeroed one is empty. Copied by value: then only one of the two may be used and freed. */
struct outline {
	struct outline_dir dirs[OUTLINE_DIRS];
	unsigned count;
	int64_t left_out; /**< Directories that are not in it. */
	int64_t looks;	  /**< Of the caller: of which figure it is. */
	int64_t boot_ns;  /**< Of the caller: when it was true. */
};

/** Would one of this weight be remembered? If not it is counted as left out. */
bool outline_wants(struct outline *outline, int64_t bytes, unsigned depth);

/** Remember one that is wanted, instead of the lightest; @path is copied. 0 or -ENOMEM. */
int outline_add(struct outline *outline, const char *path, const struct outline_dir *dir);

/** The heaviest first; no more may be added then. */
void outline_sort(struct outline *outline);

/** Copy what is in it. 0 or -ENOMEM: *ret is empty then. */
int outline_copy(const struct outline *outline, struct outline *ret);

/** Forget all. */
void outline_done(struct outline *outline);

#endif
