/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/task.h"

#include "monitor/resume.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool life_ended(enum tally_life life)
{
	return life == TALLY_LIFE_SUCCESS || life == TALLY_LIFE_FAILED ||
	       life == TALLY_LIFE_KILLED || life == TALLY_LIFE_LOST;
}

static void figures_init(struct figures *figures)
{
	*figures = (struct figures){0};
	tally_sample_clear(&figures->now, TALLY_REASON_NOT_SAMPLED);
}

struct task *task_new(const char *id, struct source *owner)
{
	struct task *task = calloc(1, sizeof(*task));

	if (!task)
		return NULL;
	task->id = strdup(id);
	if (!task->id) {
		free(task);
		return NULL;
	}
	task->owner = owner;
	figures_init(&task->figures);
	return task;
}

void task_free(struct task *task)
{
	if (!task)
		return;
	for (size_t i = 0; i < task->process_count; i++) {
		free(task->processes[i].name);
		free(task->processes[i].roots);
	}
	cgroup_figures_close(task->cgroup);
	resumed_free(task->resume);
	free(task->told);
	free(task->processes);
	free(task->sandbox);
	free(task->id);
	free(task);
}

struct process *task_process(struct task *task, const char *name)
{
	for (size_t i = 0; i < task->process_count; i++)
		if (strcmp(task->processes[i].name, name) == 0)
			return &task->processes[i];
	return NULL;
}

/* Room for one more in an array that doubles. */
static bool make_room(void **array, size_t count, size_t *room, size_t size)
{
	if (count < *room)
		return true;

	size_t more = *room ? *room * 2 : 1;
	void *grown = reallocarray(*array, more, size);
	if (!grown)
		return false;
	*array = grown;
	*room = more;
	return true;
}

struct process *task_process_add(struct task *task, const char *name)
{
	char *copy = strdup(name);

	if (!copy || !make_room((void **)&task->processes, task->process_count, &task->process_room,
			     sizeof(*task->processes))) {
		free(copy);
		return NULL;
	}

	struct process *process = &task->processes[task->process_count++];
	*process = (struct process){.name = copy, .group = GROUP_NONE};
	figures_init(&process->figures);
	return process;
}

bool process_has_root(const struct process *process, const struct source_process *root)
{
	for (size_t i = 0; i < process->root_count; i++)
		if (process->roots[i].pid == root->pid &&
			process->roots[i].start_ns == root->start_ns &&
			process->roots[i].cgroup_id == root->cgroup_id)
			return true;
	return false;
}

int process_root_remember(struct process *process, const struct source_process *root)
{
	if (!make_room((void **)&process->roots, process->root_count, &process->root_room,
		    sizeof(*process->roots)))
		return -ENOMEM;
	process->roots[process->root_count++] =
		(struct root){root->pid, root->start_ns, root->cgroup_id};
	return 0;
}

void figures_take(struct figures *figures, const struct tally_sample *sample)
{
	int64_t cpu_ns;

	figures->before_boot_ns = 0;
	if (figures->now.boot_ns && tally_sample_cpu_ns(&figures->now, &cpu_ns) == 0) {
		figures->before_boot_ns = figures->now.boot_ns;
		figures->before_cpu_ns = cpu_ns;
	}
	figures->now = *sample;
}

void figures_read(const struct figures *figures, bool stale, struct tally_reading *ret)
{
	int64_t cpu_ns, elapsed_ns = figures->now.boot_ns - figures->before_boot_ns;

	*ret = (struct tally_reading){.sample = figures->now, .stale = stale};
	if (figures->before_boot_ns && elapsed_ns > 0 &&
		tally_sample_cpu_ns(&figures->now, &cpu_ns) == 0 &&
		cpu_ns >= figures->before_cpu_ns) {
		ret->has_cpu_rate = true;
		ret->cpu_rate = (double)(cpu_ns - figures->before_cpu_ns) / (double)elapsed_ns;
	}
}
