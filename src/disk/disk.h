/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Disk usage of sandboxes, measured by one worker thread so that no walk ever holds up a tick.
 *
 * All calls are thread-safe and never block on the file system.
 */
#ifndef DISK_DISK_H
#define DISK_DISK_H

#include <stddef.h>
#include <stdint.h>
#include <tally/error.h>
#include "base/log.h"

struct disk;

/** How the worker works; zero is the default. */
struct disk_options {
	int64_t interval_ns; /**< Between two looks at one sandbox; 0 is 60 s. */
	void (*changed)(
		void *context); /**< Called by the worker when a result arrived; may be NULL. */
	void *context;
	const struct log *log;
};

/** What is known of a sandbox. */
struct disk_reading {
	int code;	 /**< 0; -EINPROGRESS: no figure yet; another negative errno: it failed. */
	int64_t bytes;	 /**< st_blocks * 512 of everything in it, hard links once (du -xsB1). */
	int64_t files;	 /**< Entries in it, the sandbox itself included. */
	int64_t partial; /**< Directories that could not be read: bytes is then a lower bound. */
	int64_t boot_ns; /**< CLOCK_BOOTTIME at which the figure was true. */
	const char *method; /**< How it is known: "walk", … Static. */
};

int disk_open(const struct disk_options *options, struct disk **ret, struct tally_error *err);

/** Close; takes NULL, returns NULL. Blocks for the slice of a walk under way. */
struct disk *disk_close(struct disk *disk);

/**
 * Watch a sandbox.
 *
 * @path    Absolute; a symlink is not followed.
 * @ret     A number for the calls below, 0 or more.
 * @return  0; -EINVAL (relative, or the root of the file system); -ENOMEM.
 */
int disk_watch(struct disk *disk, const char *path, uint32_t *ret, struct tally_error *err);

void disk_unwatch(struct disk *disk, uint32_t sandbox);

/** Read the newest figure. */
void disk_read(struct disk *disk, uint32_t sandbox, struct disk_reading *ret);

/** Ask for a fresh figure as soon as may be, its interval notwithstanding. */
void disk_refresh(struct disk *disk, uint32_t sandbox);

#endif
