/* SPDX-License-Identifier: Apache-2.0 */
/** The source of tests: it says what it was told to say. The smallest source there can be. */
#ifndef SOURCE_FIXED_H
#define SOURCE_FIXED_H

#include "source/source.h"

/** Open one without any task. @return 0 or -ENOMEM. */
int source_fixed_open(struct source **ret);

/** Say this from the next refresh() on. The tasks stay the caller's and are read at each list(). */
void source_fixed_set(struct source *source, const struct source_task *tasks, size_t count);

/** Let the next `count` calls of refresh() fail with a negative errno. */
void source_fixed_fail(struct source *source, int code, unsigned count);

/** Hand over one reaped child at the next reaped(). Strings stay the caller's until then. */
void source_fixed_reap(struct source *source, const char *task, const char *process, pid_t pid,
	const struct rusage *usage);

#endif
