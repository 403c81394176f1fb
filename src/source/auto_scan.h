/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Tasks that can be told from processes alone: login sessions and daemons.
 *
 * A session is a process that leads one and has a terminal: "root@pts/0". A daemon is a child of init
 * without a terminal that has lived for a while; those of one name are one task, "sshd".
 */
#ifndef SOURCE_AUTO_SCAN_H
#define SOURCE_AUTO_SCAN_H

#include "source/source.h"

/** Further tasks, and processes of one task, are left out. */
#define AUTO_TASKS_MAX 512
#define AUTO_ROOTS_MAX 256

/** How old a child of init has to be. */
#define AUTO_DAEMON_NS (INT64_C(3) * 1000000000)

/** What the line of /proc/PID/stat tells of what a process is to its session. */
struct auto_facts {
	char comm[64]; /**< Fit to be shown. */
	int64_t parent, session, terminal;
	int64_t start_ns;
	bool kernel, dead;
};

/** @return 0 or -EINVAL. */
int auto_facts_parse(const char *stat, size_t length, struct auto_facts *ret);

/** "pts/0", "tty1", "ttyS0" of a device number, or "tty4:64". */
void auto_terminal_name(int64_t device, char name[32]);

/** Whether a process, by the text of /proc/PID/cgroup, is in a task of another kind. */
typedef bool auto_covered_fn(void *context, const char *text, size_t length);

struct auto_scan;

/** @return NULL without memory. */
struct auto_scan *auto_scan_new(const char *procfs, const struct log *log);

/** Takes NULL. */
void auto_scan_free(struct auto_scan *scan);

/**
 * Look at the processes there are.
 *
 * @covered  Those are left out.
 * @return   Whether there is anything to tell; negative errno.
 */
int auto_scan_look(
	struct auto_scan *scan, auto_covered_fn *covered, void *context, struct tally_error *err);

/** source_ops.list */
void auto_scan_list(struct auto_scan *scan, source_task_fn *visit, void *context);

#endif
