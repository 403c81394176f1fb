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
#include <sys/types.h>
#include <tally/error.h>
#include "base/log.h"
#include "disk/outline.h"

struct disk;

/** A descriptor of any process, of a file that has no name any more. */
struct disk_held {
	pid_t pid, thread; /**< The thread whose descriptor it is: mostly the first, the pid. */
	int fd;
	dev_t device;
	uint64_t ino;
	int64_t blocks, size; /**< As the inode has them: blocks may lag. */
};

/** @return  0, or a negative errno that ends the visit. */
typedef int disk_held_visit_fn(void *context, const struct disk_held *held);

/**
 * Visit what all processes of the machine hold. Called by workers, one at a time, never after
 * disk_close() has returned.
 *
 * @return  0, or negative errno: it cannot be told.
 */
typedef int disk_held_fn(void *context, disk_held_visit_fn *visit, void *visit_context);

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
	disk_held_fn *held;  /**< Lists what is held open without a name; NULL: /proc is read. */
	void *held_context;
	const char *procfs; /**< Where procfs is mounted, valid as long as the disk; NULL: /proc. */
};

/** What is known of a sandbox. */
struct disk_reading {
	int code;	 /**< 0; -EINPROGRESS: no figure yet; another negative errno: it failed. */
	int64_t bytes;	 /**< st_blocks * 512 of everything in it, hard links once (du -xsB1). */
	int64_t files;	 /**< Entries in it, the sandbox itself included. */
	int64_t partial; /**< Directories that could not be read: bytes is then a lower bound. */
	int64_t boot_ns; /**< CLOCK_BOOTTIME at which the figure was true. */
	const char *method;	/**< How it is known: "walk", … Static. */
	bool knows_directories; /**< That method does: disk_outline() may be called. */
	int64_t looks;		/**< Figures taken so far. */
	int64_t drift_bytes;	/**< What full walks found that tracking had missed, summed. */
	int64_t rereads; /**< Full walks of a tracker after its first: checks, and lost events. */
	int64_t look_cpu_ns; /**< CPU time the last one took. */
	/**
	 * Of the two below: 0; -EINPROGRESS (it is not known yet which processes there are); -EACCES
	 * (the descriptors of some may not be read); -E2BIG, -ENOMEM; another negative errno.
	 */
	int deleted_code;
	int64_t deleted_bytes; /**< Of files without a name, that processes hold open. */
	int64_t deleted_files;
	char why[128]; /**< Why it failed, or why no cheaper method serves it; may be empty. */
};

/** A process of a task, that may hold files open. */
struct disk_holder {
	pid_t pid;
	int64_t start_ns; /**< CLOCK_BOOTTIME, 10 ms exact; 0: whoever has that pid. */
	uint32_t tag;	  /**< Of the caller's, given back in struct disk_deleted. */
};

/** A descriptor of a file that has no name any more. */
struct disk_deleted {
	uint32_t holder; /**< Tag of the holder. */
	pid_t pid;
	int fd;
	uint64_t ino;
	int64_t bytes, size; /**< st_blocks * 512; st_size. */
	const char *name;    /**< That it had, whole; NULL: not known. Valid during the visit. */
};

typedef void disk_deleted_fn(void *context, const struct disk_deleted *deleted);

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

/**
 * Tell which processes a task has: the next looks find what they hold open without a name.
 *
 * @return  0 or -ENOMEM.
 */
int disk_hold(struct disk *disk, uint32_t sandbox, const struct disk_holder *holders, size_t count);

/**
 * Visit the descriptors that the last look found, the heaviest first; 256 at most.
 *
 * @ret_left_out  How many more there were.
 */
void disk_deleted(struct disk *disk, uint32_t sandbox, disk_deleted_fn *visit, void *context,
	int64_t *ret_left_out);

/**
 * Copy the heaviest directories of a sandbox, as of its newest figure. Never blocks: what is not
 * added up yet is asked for.
 *
 * @ret     Emptied; free what is in it with outline_done().
 * @return  0; -EAGAIN (it was asked for: come again); -EINPROGRESS (there is no figure yet);
 *          -EOPNOTSUPP (the method knows of no directories); -ENOMEM; another code of a reading.
 */
int disk_outline(struct disk *disk, uint32_t sandbox, struct outline *ret);

void disk_status(struct disk *disk, struct disk_status *ret);

#endif
