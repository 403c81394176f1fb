/* SPDX-License-Identifier: Apache-2.0 */
/** The tasks of a monitor as JSON. */
#ifndef CLI_TASKS_JSON_H
#define CLI_TASKS_JSON_H

#include <jansson.h>
#include "monitor/monitor.h"

/**
 * The object of `tally show --json`: {"time", "tasks": [{"task", "source", "state", "sandbox", KEYs,
 * "processes": [{"process", "pid", "life", KEYs, "missing"}], "missing"}]}, as the observer's
 * /api/v1/tasks has it. "state" of a task is its life; a process has "life" and, from the metric
 * table, the scheduling "state" of its root pid.
 *
 * @task     Only this one, or NULL for all.
 * @process  Only this one of it, or NULL for all.
 * @pids     Adds to each task "members": [{"process", "pid", "parent", "comm", "why", …}].
 * @return   New reference, or NULL without memory.
 */
json_t *tasks_json(struct tally_monitor *monitor, const char *task, const char *process, bool pids);

/** The ids of tasks, copied: tally_monitor_pids() is asked task by task. */
struct task_ids {
	char **at;
	size_t count;
	bool failed; /**< Memory ran out on the way. */
};

/** Copy them. @only  This one, or NULL for all. @return 0 or -ENOMEM; release in both cases. */
int task_ids_take(struct task_ids *ids, struct tally_monitor *monitor, const char *only);

void task_ids_done(struct task_ids *ids);

#endif
