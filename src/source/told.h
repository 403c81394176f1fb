/* SPDX-License-Identifier: Apache-2.0 */
/** What a source told of a task, kept beyond the listing. */
#ifndef SOURCE_TOLD_H
#define SOURCE_TOLD_H

#include <stdbool.h>
#include "source/source.h"

/** Whether more was told than every source tells: names, ports, runs, a definition. */
bool told_has_more(const struct source_task *task);

/**
 * Copy a task with all that it points to but its cgroup, in one piece of memory.
 *
 * @return  To be released with free(); NULL without memory.
 */
struct source_task *told_copy(const struct source_task *task);

#endif
