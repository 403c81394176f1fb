/* SPDX-License-Identifier: Apache-2.0 */
/** What tells whether a pid is the process that somebody wrote down: its start, its user. */
#ifndef SOURCE_FACTS_H
#define SOURCE_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** Facts of one process, all of the same one: its directory is held while they are read. */
struct process_facts {
	int64_t start_ns; /**< CLOCK_BOOTTIME: field 22 of stat. */
	bool kernel;	  /**< A kernel thread: PF_KTHREAD in field 9 of stat. */
	uid_t uid, euid;  /**< Uid of status. */
	pid_t inner;	  /**< In its innermost pid namespace: the last field of NSpid of status. */
	unsigned levels;  /**< Pid namespaces it is known in, the mount's own included. */
};

/**
 * Read the facts of a process.
 *
 * @procfs  Descriptor of where procfs is mounted.
 * @pid     Its number, as the name of its directory.
 * @return  0; -ESRCH (there is none); others as reading has them.
 */
int process_facts_read(int procfs, const char *pid, struct process_facts *ret);

/** The part of it that /proc/PID/status has. @return 0 or -EINVAL. */
int process_facts_parse_status(const char *text, size_t length, struct process_facts *facts);

#endif
