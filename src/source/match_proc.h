/* SPDX-License-Identifier: Apache-2.0 */
/** The facts of a process that rules may look at, read from /proc when they do. */
#ifndef SOURCE_MATCH_PROC_H
#define SOURCE_MATCH_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/log.h"
#include "source/match_rule.h"

/** Bytes of a command line that are looked at. */
#define MATCH_CMDLINE_MAX 16384

/** The kernel's name of a process, with the NUL. */
#define MATCH_COMM_SIZE 64

struct match_proc;

/** @return 0 or negative errno. */
int match_proc_new(const char *procfs, const struct log *log, struct match_proc **ret,
	struct tally_error *err);

/** Takes NULL, returns NULL. */
struct match_proc *match_proc_free(struct match_proc *proc);

typedef void match_pid_fn(void *context, pid_t pid, uint64_t inode);

/** List all processes, with the inode numbers of their folders. @return 0 or negative errno. */
int match_proc_list(struct match_proc *proc, match_pid_fn *visit, void *context);

/** What tells processes apart, and programs in one. */
struct match_glance {
	pid_t parent;
	int64_t start_ns; /**< CLOCK_BOOTTIME. */
	bool kernel;	  /**< A kernel thread. */
	char comm[MATCH_COMM_SIZE];
};

/** Read its stat. @return 0; -ESRCH (gone); others. */
int match_proc_glance(struct match_proc *proc, pid_t pid, struct match_glance *ret);

/**
 * Read the other facts that rules need.
 *
 * @comm, @parent  Known already; the parent's may be NULL.
 * @ret            Strings are the reader's, until the next call. What cannot be read is NULL; that an
 *                 executable may not be is said once.
 */
void match_proc_read(struct match_proc *proc, pid_t pid, const struct match_rules *rules,
	const char *comm, const char *parent, struct match_facts *ret);

/** Device and inode of its executable, as one number; 0: it may not be known. */
uint64_t match_proc_program(struct match_proc *proc, pid_t pid);

#endif
