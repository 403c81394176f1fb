/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of tasks that are cgroups. */
#include <errno.h>
#include "base/fail.h"
#include "monitor/internal.h"

/*
 * A cgroup whose processes did not run has hardly changed: memory may still be taken from it, and a
 * limit be set, so that it is read in one of so many ticks.
 */
#define TURNS 16

static int take(struct tally_monitor *monitor, struct task *task, const struct source_cgroup *told,
	struct tally_error *err)
{
	const struct cgroup_place place = {told->unified, told->memory, told->cpu};

	return task->cgroup ? cgroup_figures_move(task->cgroup, &place, err)
			    : cgroup_figures_open(
				      &place, &monitor->cgroup_descriptors, &task->cgroup, err);
}

void monitor_take_cgroup(
	struct tally_monitor *monitor, struct task *task, const struct source_cgroup *told)
{
	struct tally_error err;

	if (!told || task->cgroup_id == told->id)
		return;
	task->cgroup_id = told->id; /* Tried once: one that is gone will not come back. */
	int r = take(monitor, task, told, &err);
	if (r == 0) {
		cgroup_figures_read(task->cgroup, true);
	} else if (r != -ENOENT) {
		tally_prefix(&err, r, "task %s", task->id);
		monitor_fault(monitor, &(struct fault){0}, &err);
	}
}

/* CPU time of its groups after the pass; -1: unknown. */
static int64_t consumed(const struct tally_monitor *monitor, const struct task *task)
{
	int64_t sum_ns = 0, cpu_ns;

	for (size_t i = 0; i < task->process_count; i++) {
		uint32_t group = task->processes[i].group;

		if (group == GROUP_NONE)
			continue;
		if (tally_sample_cpu_ns(collector_group(monitor->collector, group), &cpu_ns) < 0)
			return -1;
		sum_ns += cpu_ns;
	}
	return sum_ns;
}

void monitor_read_cgroups(struct tally_monitor *monitor)
{
	struct task *task, *next;
	uint64_t turn = monitor->ticks;

	HASH_ITER (hh, monitor->tasks, task, next) {
		if (!task->followed || !task->cgroup)
			continue;
		int64_t cpu_ns = consumed(monitor, task);
		bool due = ++turn % TURNS == 0;

		if (due || cpu_ns < 0 || cpu_ns != task->cgroup_cpu_ns)
			cgroup_figures_read(task->cgroup, due);
		task->cgroup_cpu_ns = cpu_ns;
	}
}
