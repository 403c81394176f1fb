/* SPDX-License-Identifier: Apache-2.0 */
/** What the parts of `tally show` share. */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include "monitor/monitor.h"

/** What is shown: all, a task, or one process of a task. */
struct wanted {
	const char *task;    /**< NULL: all. */
	const char *process; /**< NULL: all. */
};

/** Print a table of tasks and their processes, and why figures are absent. @return 0, -ENOMEM */
int show_tasks(struct tally_monitor *monitor, const struct wanted *wanted);

/** Print a table of the live pids, and why they belong. @return 0, -ENOMEM */
int show_pids(struct tally_monitor *monitor, const struct wanted *wanted);

#endif
