/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The source of pids that a user names: "pid:NAME=PID" or "pid:TASK/PROCESS=PID". One instance
 * holds all of them.
 *
 * The start of a pid is read when it is added, so that one recycled later is not mistaken for it.
 * Its end is told by a pidfd: a look at all of them is one system call that costs what has ended,
 * not what there is. An ended process stays listed, as lost: nobody but its parent learns how it
 * ended. Adding another pid under the name of an ended process continues that process.
 */
#ifndef SOURCE_PID_H
#define SOURCE_PID_H

#include "source/source.h"

/** Open one without any pid. @return 0, -ENOMEM, -EMFILE. */
int source_pid_open(struct source **ret);

/**
 * As source_pid_open(), with procfs mounted elsewhere: its pids may be another machine's, so that
 * their end is looked for there, at each refresh.
 */
int source_pid_open_at(const char *procfs, struct source **ret);

/**
 * Follow a pid as a named process of a task.
 *
 * @return  0; -EINVAL (an empty name; a thread that is no process); -ESRCH (no such pid); -EEXIST
 *          (it is that already); -ENOMEM.
 */
int source_pid_add(struct source *source, const char *task, const char *process, pid_t pid,
	struct tally_error *err);

#endif
