/* SPDX-License-Identifier: Apache-2.0 */
/** The source of pids named on a command line or by code. */
#ifndef SOURCE_PID_H
#define SOURCE_PID_H

#include "source/source.h"

/** Open the source without any pid. */
int source_pid_open(struct source **ret);

/**
 * Follow a running pid as a named process of a task.
 *
 * @return  0, -ESRCH (no such pid), -EINVAL (an empty name), -ENOMEM.
 */
int source_pid_add(struct source *source, const char *task, const char *process, pid_t pid,
	struct tally_error *err);

#endif
