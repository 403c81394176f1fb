/* SPDX-License-Identifier: Apache-2.0 */
/** The tasks of a monitor as JSON. */
#ifndef CLI_TASKS_JSON_H
#define CLI_TASKS_JSON_H

#include <jansson.h>
#include "monitor/monitor.h"

/**
 * {"time": …, "tasks": [{"task", "source", "life", "sandbox", KEYs, "processes": [{"process", "life",
 * "pid", KEYs}], "missing": {…}}]}. Beside the keys of the metric table, whose "state" is the
 * scheduling state of the root pid, "life" says whether a task or process is active.
 *
 * @task     Only this one, or NULL for all.
 * @process  Only this one of it, or NULL for all.
 * @pids     Adds to each task "pids": [{"pid", "parent", "process", "why", …}].
 * @return   New reference, or NULL without memory.
 */
json_t *tasks_json(struct tally_monitor *monitor, const char *task, const char *process, bool pids);

/** The ids of tasks, copied: tally_monitor_pids() is asked task by task. */
struct task_ids {
	char **at;
	size_t count;
};

/** Copy them. @only  This one, or NULL for all. @return 0 or -ENOMEM; release in both cases. */
int task_ids_take(struct task_ids *ids, struct tally_monitor *monitor, const char *only);

void task_ids_done(struct task_ids *ids);

#endif
