/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Parsers of the files of /proc/PID: pure functions of (buffer, length), for hostile input.
 *
 * Each leaves *ret untouched and returns false when the text is not what the kernel writes.
 * Numbers that do not fit 63 bits make a text malformed.
 */
#ifndef COLLECT_PROC_PARSE_H
#define COLLECT_PROC_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** Room for the name of a process: TASK_COMM_LEN of the kernel. */
#define PROC_COMM_SIZE 16

/** What /proc/PID/stat says, in its own units (man 5 proc_pid_stat). */
struct proc_stat {
	pid_t pid;
	char comm[PROC_COMM_SIZE]; /**< Any bytes but NUL; cut. */
	char state;		   /**< A letter: R S D Z T t X I P. */
	pid_t parent, session;
	int64_t minor_faults, children_minor_faults;
	int64_t major_faults, children_major_faults;
	int64_t user_ticks, system_ticks; /**< Of all its threads, dead ones too. */
	int64_t children_user_ticks, children_system_ticks; /**< Of children it has reaped. */
	int64_t nice;
	int64_t threads;
	int64_t start_ticks; /**< After boot, CLOCK_BOOTTIME. */
	int64_t virtual_bytes;
	int64_t rss_pages;
};

/** Parse /proc/PID/stat. The name may hold spaces, parentheses and newlines. */
bool proc_parse_stat(const char *text, size_t length, struct proc_stat *ret);

/** What /proc/PID/status adds. -1: the line is not there (a zombie has no memory lines). */
struct proc_status {
	int64_t parent, threads;
	int64_t virtual_bytes, rss_bytes; /**< VmSize, VmRSS. */
	int64_t shared_bytes;		  /**< RssFile + RssShmem; since Linux 4.5. */
	int64_t swap_bytes;		  /**< VmSwap. */
	int64_t voluntary, involuntary;	  /**< Context switches of this one thread. */
	char state;			  /**< 0: the line is not there. */
};

/** Parse /proc/PID/status. False when not one of the lines is there. */
bool proc_parse_status(const char *text, size_t length, struct proc_status *ret);

/** Parse /proc/PID/io: bytes fetched from and sent to storage, reaped children's included. */
bool proc_parse_io(
	const char *text, size_t length, int64_t *ret_read_bytes, int64_t *ret_write_bytes);

/** Parse /proc/PID/schedstat, of one thread: time on a CPU, time waiting for one; nanoseconds. */
bool proc_parse_schedstat(
	const char *text, size_t length, int64_t *ret_run_ns, int64_t *ret_wait_ns);

/** Parse /proc/PID/smaps_rollup: the line "Pss:". */
bool proc_parse_pss(const char *text, size_t length, int64_t *ret_bytes);

/** Parse a pid, as the name of a directory or a line of cgroup.procs. 0: it is none. */
pid_t proc_parse_pid(const char *text, size_t length);

#endif
