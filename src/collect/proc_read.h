/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Reading procfs below a root that is a parameter: the real one, or a tree of plain files.
 *
 * Nothing here allocates after proc_root_open(). A process that has vanished is -ESRCH, whatever
 * the kernel called it. One thread at a time uses a root: the buffers are its own.
 */
#ifndef COLLECT_PROC_READ_H
#define COLLECT_PROC_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <tally/error.h>

/** A mounted procfs, and what it can do. */
struct proc_root {
	int fd;		 /**< The directory. */
	bool real;	 /**< The kernel's own: a kept descriptor answers ESRCH after the end. */
	bool fd_counts;	 /**< st_size of PID/fd is the number of descriptors (since Linux 6.2). */
	bool run_times;	 /**< PID/schedstat holds figures (CONFIG_SCHED_INFO). */
	bool ranged;	 /**< A part of the processes can be listed: proc_list_range(). */
	int loadavg;	 /**< Kept descriptor of loadavg, or -1. */
	int64_t offset;	 /**< Position of a pid in the directory, less the pid. */
	int64_t tick_ns; /**< Unit of the times in stat. */
	int64_t page_bytes;
	char *text;    /**< Buffer of the last proc_read(), proc_reread(). */
	char *entries; /**< Buffer of directory entries. */
};

/** Size of proc_root.text: stat and status stay far below it. */
#define PROC_TEXT_SIZE 8192

/**
 * Open the directory of a procfs.
 *
 * @return  0, or negative errno with a message: it cannot be opened, or is no directory.
 */
int proc_root_open(const char *path, struct proc_root *ret, struct tally_error *err);

/** Close and free. A zeroed root with fd -1 is taken too. */
void proc_root_close(struct proc_root *root);

/** Open a file of a process, or of one thread of it when tid is not 0. @return fd or -errno. */
int proc_open(const struct proc_root *root, pid_t pid, pid_t tid, const char *file);

/** Read a file of a process into root->text. @return its length, or negative errno. */
ssize_t proc_read(const struct proc_root *root, pid_t pid, pid_t tid, const char *file);

/** Read a kept descriptor from its start into root->text. As proc_read(). */
ssize_t proc_reread(const struct proc_root *root, int fd);

/** Whether the directory of a process is there: tells a missing file from a vanished process. */
bool proc_exists(const struct proc_root *root, pid_t pid);

/** Number of open descriptors of a process (of a thread's table when tid is not 0), or -errno. */
int64_t proc_count_fds(const struct proc_root *root, pid_t pid, pid_t tid);

/** Receives one process or thread, with the inode number of its directory. */
typedef void proc_list_fn(void *context, pid_t pid, uint64_t inode);

/** List all processes. @return 0 or negative errno. Learns whether proc_list_range() works. */
int proc_list(struct proc_root *root, proc_list_fn *visit, void *context);

/**
 * Pid that was given out last, or negative errno where it cannot be known: /proc/loadavg has it
 * as its last word, for the pid namespace of the reader.
 */
pid_t proc_last_pid(const struct proc_root *root);

/**
 * List the processes with a pid above `after` up to `last`.
 *
 * Where the position of a pid in the directory is the pid plus a constant, as on every Linux so
 * far, what was forked since an instant is listed without the thousands that were there before:
 * listing one costs nearly as much as reading a file of it. Call only when root->ranged.
 */
int proc_list_range(
	const struct proc_root *root, pid_t after, pid_t last, proc_list_fn *visit, void *context);

/** List the threads of a process. @return 0 or negative errno. */
int proc_list_threads(const struct proc_root *root, pid_t pid, proc_list_fn *visit, void *context);

#endif
