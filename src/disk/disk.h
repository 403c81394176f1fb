/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Disk usage of sandboxes, measured by one worker thread so that no walk ever holds up a tick.
 *
 * All calls are thread-safe and never block on the file system: figures are read from what the
 * worker published last. The worker runs at idle CPU and I/O priority and within a budget of CPU
 * time over all sandboxes. When a file system does not answer (a dead NFS server, a FUSE program
 * that hangs), the worker is left behind with that one sandbox and another takes over the rest.
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
	double share;	  /**< CPU the worker may use, in cores; 0 is 0.02, 1 or more: no limit. */
	int64_t stall_ns; /**< A step longer than this means that its file system hangs; 0: 30 s. */
	int64_t check_ns; /**< Between two full walks that check what is tracked; 0: 1 h. */
	size_t memory_bytes; /**< What trackers may remember, over all; 0: 64 MiB. */
	const char *methods; /**< Names of methods that may be used, by commas; NULL: all. */
};

/** What is known of a sandbox. */
struct disk_reading {
	int code;	 /**< 0; -EINPROGRESS: no figure yet; another negative errno: it failed. */
	int64_t bytes;	 /**< st_blocks * 512 of everything in it, hard links once (du -xsB1). */
	int64_t files;	 /**< Entries in it, the sandbox itself included. */
	int64_t partial; /**< Directories that could not be read: bytes is then a lower bound. */
	int64_t boot_ns; /**< CLOCK_BOOTTIME at which the figure was true. */
	const char *method;  /**< How it is known: "walk", … Static. */
	int64_t looks;	     /**< Figures taken so far. */
	int64_t drift_bytes; /**< What full walks found that tracking had missed, summed. */
	int64_t rereads; /**< Full walks of a tracker after its first: checks, and lost events. */
	int64_t look_cpu_ns; /**< CPU time the last one took. */
	char why[128]; /**< Why it failed, or why no cheaper method serves it; may be empty. */
};

/** The worker's own health and cost. */
struct disk_status {
	size_t sandboxes;
	size_t stuck;	/**< Workers left behind in a file system that does not answer. */
	uint64_t looks; /**< Figures taken. */
	int64_t cpu_ns; /**< CPU time of the workers so far. */
};

int disk_open(const struct disk_options *options, struct disk **ret, struct tally_error *err);

/**
 * Close; takes NULL, returns NULL. Blocks for the step of a walk under way, but never for a file
 * system that does not answer: a worker stuck in one frees what it holds when it comes back.
 */
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

void disk_status(struct disk *disk, struct disk_status *ret);

#endif
