/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tasks_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "cli/json.h"
#include "model/model.h"

/* What is being built, and what of it is wanted. */
struct building {
	const char *task, *process; /* NULL: all. */
	json_t *tasks;
	json_t *processes; /* Of the task visited last; NULL when it is not wanted. */
};

static json_t *seconds_or_null(int64_t ns)
{
	return ns ? json_real((double)ns / 1e9) : json_null();
}

static void add_task(
	void *context, const struct tally_task_info *info, const struct tally_reading *reading)
{
	struct building *building = context;
	json_t *task;

	building->processes = NULL;
	if (building->task && strcmp(building->task, info->id) != 0)
		return;
	task = json_object();
	json_object_set_new(task, "task", json_text(info->id));
	json_object_set_new(task, "source", json_text(info->source));
	json_object_set_new(task, "life", json_text(tally_life_name(info->life)));
	json_object_set_new(task, "sandbox", json_text(info->sandbox));
	json_object_set_new(task, "started", seconds_or_null(info->started_wall_ns));
	json_object_set_new(task, "ended", seconds_or_null(info->ended_wall_ns));
	reading_json_put(reading, true, task);
	building->processes = json_array();
	json_object_set_new(task, "processes", building->processes);
	json_object_set_new(task, "missing", sample_json_missing(&reading->sample, true));
	json_array_append_new(building->tasks, task);
}

static void add_process(
	void *context, const struct tally_process_info *info, const struct tally_reading *reading)
{
	struct building *building = context;
	json_t *process;

	if (!building->processes ||
		(building->process && strcmp(building->process, info->name) != 0))
		return;
	process = json_object();
	json_object_set_new(process, "process", json_text(info->name));
	json_object_set_new(process, "life", json_text(tally_life_name(info->life)));
	json_object_set_new(process, "pid", info->pid ? json_integer(info->pid) : json_null());
	json_object_set_new(process, "started", seconds_or_null(info->started_wall_ns));
	json_object_set_new(process, "ended", seconds_or_null(info->ended_wall_ns));
	reading_json_put(reading, false, process);
	json_array_append_new(building->processes, process);
}

/* The pids of one task on their way into its array. */
struct pids_building {
	const char *process; /* NULL: all. */
	json_t *pids;
};

static json_t *known_or_null(int64_t value)
{
	return value >= 0 ? json_integer(value) : json_null();
}

static void add_pid(void *context, const struct tally_pid_info *info)
{
	struct pids_building *building = context;
	json_t *pid;

	if (building->process && strcmp(building->process, info->process) != 0)
		return;
	pid = json_object();
	json_object_set_new(pid, "pid", json_integer(info->pid));
	json_object_set_new(pid, "parent", json_integer(info->parent));
	json_object_set_new(pid, "process", json_text(info->process));
	json_object_set_new(pid, "why", json_text(info->why));
	json_object_set_new(pid, "name", json_text(info->comm));
	json_object_set_new(pid, "cpu_seconds",
		info->cpu_ns >= 0 ? json_real((double)info->cpu_ns / 1e9) : json_null());
	json_object_set_new(pid, "rss_bytes", known_or_null(info->rss_bytes));
	json_array_append_new(building->pids, pid);
}

/* Tasks come in one order always, so that the ids match the objects. */
static void add_pids(struct tally_monitor *monitor, const struct building *building)
{
	struct task_ids ids;
	size_t index;
	json_t *task;

	if (task_ids_take(&ids, monitor, building->task) == 0)
		json_array_foreach(building->tasks, index, task)
		{
			struct pids_building pids = {building->process, json_array()};

			if (index < ids.count)
				tally_monitor_pids(monitor, ids.at[index], add_pid, &pids, NULL);
			json_object_set_new(task, "pids", pids.pids);
		}
	task_ids_done(&ids);
}

json_t *tasks_json(struct tally_monitor *monitor, const char *task, const char *process, bool pids)
{
	struct building building = {task, process, json_array(), NULL};
	json_t *all = json_object();
	struct tally_status status;

	tally_monitor_status(monitor, &status);
	json_object_set_new(all, "time", seconds_or_null(status.last_tick_wall_ns));
	monitor_visit(monitor, NULL, add_task, add_process, &building, NULL);
	if (pids)
		add_pids(monitor, &building);
	json_object_set_new(all, "tasks", building.tasks);
	return all;
}

/* Ids on their way out of the monitor. */
struct copying {
	struct task_ids *ids;
	const char *only;
	bool failed;
};

static void copy_id(
	void *context, const struct tally_task_info *info, const struct tally_reading *reading)
{
	struct copying *copying = context;
	struct task_ids *ids = copying->ids;
	char *id;

	if (copying->only && strcmp(copying->only, info->id) != 0)
		return;
	char **grown = reallocarray(ids->at, ids->count + 1, sizeof(char *));
	if (grown)
		ids->at = grown;
	id = grown ? strdup(info->id) : NULL;
	if (id)
		ids->at[ids->count++] = id;
	else
		copying->failed = true;
}

int task_ids_take(struct task_ids *ids, struct tally_monitor *monitor, const char *only)
{
	struct copying copying = {ids, only, false};

	*ids = (struct task_ids){0};
	tally_monitor_tasks(monitor, copy_id, &copying);
	return copying.failed ? -ENOMEM : 0;
}

void task_ids_done(struct task_ids *ids)
{
	for (size_t i = 0; i < ids->count; i++)
		free(ids->at[i]);
	free(ids->at);
}
