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
	json_t *processes; /* Of the task visited last. */
};

static json_t *seconds_or_null(int64_t ns)
{
	return ns ? json_real((double)ns / 1e9) : json_null();
}

static bool life_over(enum tally_life life)
{
	return life == TALLY_LIFE_SUCCESS || life == TALLY_LIFE_FAILED ||
	       life == TALLY_LIFE_KILLED || life == TALLY_LIFE_LOST;
}

static void put_times(json_t *object, int64_t started_wall_ns, int64_t ended_wall_ns)
{
	json_object_set_new(object, "started", seconds_or_null(started_wall_ns));
	json_object_set_new(object, "ended", seconds_or_null(ended_wall_ns));
}

/* The scheduling state of one pid would say little of a task: its "state" is its life. */
static void put_task_figures(
	json_t *task, const struct tally_task_info *info, const struct tally_reading *reading)
{
	json_t *missing = sample_json_missing(&reading->sample, true);

	reading_json_put(reading, true, task);
	json_object_set_new(task, "state", json_text(tally_life_name(info->life)));
	json_object_del(missing, "state");
	json_object_set_new(task, "missing", missing);
}

static void add_task(
	void *context, const struct tally_task_info *info, const struct tally_reading *reading)
{
	struct building *building = context;
	json_t *task;

	task = json_object();
	building->processes = json_array();
	json_object_set_new(task, "task", json_text(info->id));
	json_object_set_new(task, "source", json_text(info->source));
	json_object_set_new(task, "state", json_null()); /* Its place; see put_task_figures(). */
	json_object_set_new(task, "sandbox", json_text(info->sandbox));
	json_object_set_new(task, "disk_method", json_text(info->disk_method));
	put_times(task, info->started_wall_ns, info->ended_wall_ns);
	json_object_set_new(task, "time", seconds_or_null(reading->sample.wall_ns));
	put_task_figures(task, info, reading);
	json_object_set_new(task, "processes", building->processes);
	json_array_append_new(building->tasks, task);
}

static void add_process(
	void *context, const struct tally_process_info *info, const struct tally_reading *reading)
{
	struct building *building = context;
	json_t *process;

	if (building->process && strcmp(building->process, info->name) != 0)
		return;
	process = json_object();
	json_object_set_new(process, "process", json_text(info->name));
	json_object_set_new(process, "pid", info->pid ? json_integer(info->pid) : json_null());
	json_object_set_new(process, "life", json_text(tally_life_name(info->life)));
	put_times(process, info->started_wall_ns, info->ended_wall_ns);
	json_object_set_new(process, "return_code",
		life_over(info->life) ? json_integer(info->return_code) : json_null());
	json_object_set_new(process, "runs", json_integer(info->runs));
	reading_json_put(reading, false, process);
	json_object_set_new(process, "missing", sample_json_missing(&reading->sample, false));
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
	json_object_set_new(pid, "process", json_text(info->process));
	json_object_set_new(pid, "pid", json_integer(info->pid));
	json_object_set_new(pid, "parent", json_integer(info->parent));
	json_object_set_new(pid, "comm", json_text(info->comm));
	json_object_set_new(pid, "why", json_text(info->why));
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
			json_object_set_new(task, "members", pids.pids);
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
	monitor_visit(monitor, task, add_task, add_process, &building, NULL);
	if (pids)
		add_pids(monitor, &building);
	json_object_set_new(all, "tasks", building.tasks);
	return all;
}

static void copy_id(
	void *context, const struct tally_task_info *info, const struct tally_reading *reading)
{
	struct task_ids *ids = context;
	char **grown = reallocarray(ids->at, ids->count + 1, sizeof(char *));
	char *id = grown ? strdup(info->id) : NULL;

	if (grown)
		ids->at = grown;
	if (id)
		ids->at[ids->count++] = id;
	else
		ids->failed = true;
}

static void skip_process(
	void *context, const struct tally_process_info *info, const struct tally_reading *reading)
{
}

int task_ids_take(struct task_ids *ids, struct tally_monitor *monitor, const char *only)
{
	*ids = (struct task_ids){0};
	monitor_visit(monitor, only, copy_id, skip_process, ids, NULL);
	return ids->failed ? -ENOMEM : 0;
}

void task_ids_done(struct task_ids *ids)
{
	for (size_t i = 0; i < ids->count; i++)
		free(ids->at[i]);
	free(ids->at);
}
