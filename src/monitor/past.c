/* SPDX-License-Identifier: Apache-2.0 */
/* The past, of tasks that are long forgotten too: what the history has, in memory or in the store. */
#include <errno.h>
#include "base/fail.h"
#include "monitor/internal.h"

/*
 * Handles are good for as long as drop_lock is held for reading, which end() gives back; also where
 * there is no such task.
 */
static struct history_task *begin(
	struct tally_monitor *monitor, const char *id, struct tally_error *err)
{
	pthread_rwlock_rdlock(&monitor->drop_lock);
	struct history_task *task = history_find(monitor->history, id);
	if (!task)
		tally_refuse(err, -ENOENT,
			"there is no task '%.200s' now, nor in the history; `tally show` lists those "
			"there are",
			id);
	return task;
}

static void end(struct tally_monitor *monitor)
{
	pthread_rwlock_unlock(&monitor->drop_lock);
}

static int fail(const char *task, const char *process, int code, struct tally_error *err)
{
	if (code == -ENOENT)
		return tally_refuse(err, code, "task %s has no process '%.100s' in the history",
			task, process ? process : "");
	if (code == -ENODATA)
		return tally_refuse(err, code, "%s%s%s has no sample in the history", task,
			process ? "/" : "", process ? process : "");
	return tally_fail(err, code, "cannot read the history of %s", task);
}

int monitor_past_sample(struct tally_monitor *monitor, const char *task, const char *process,
	int64_t wall_ns, struct tally_reading *ret, int64_t *ret_gap_ns, struct tally_error *err)
{
	struct tally_sample at, before;
	struct history_task *past = begin(monitor, task, err);
	int r = past ? history_nearest(monitor->history, past, process, wall_ns, &at, &before)
		     : -ENOENT;

	end(monitor);
	if (r < 0)
		return past ? fail(task, process, r, err) : r;
	*ret = (struct tally_reading){.sample = at, .stale = !atomic_load(&monitor->running)};
	ret->has_cpu_rate =
		before.boot_ns && tally_sample_cpu_rate(&before, &at, &ret->cpu_rate) == 0;
	*ret_gap_ns = before.boot_ns ? at.boot_ns - before.boot_ns : 0;
	return 0;
}

int monitor_past_points(struct tally_monitor *monitor, const char *task, const char *process,
	int64_t since_ns, int64_t until_ns, history_point_fn *visit, void *context,
	struct tally_error *err)
{
	struct history_task *past = begin(monitor, task, err);
	uint64_t lost;
	int r = past ? history_points(monitor->history, past, process, since_ns, until_ns, visit,
			       context, &lost)
		     : -ENOENT;

	end(monitor);
	return r < 0 && past ? fail(task, process, r, err) : r;
}

int monitor_past_extent(struct tally_monitor *monitor, const char *task, const char *process,
	struct history_extent *ret, struct tally_error *err)
{
	struct history_task *past = begin(monitor, task, err);
	int r = past ? history_extent(monitor->history, past, process, ret) : -ENOENT;

	end(monitor);
	return r < 0 && past ? fail(task, process, r, err) : r;
}

int monitor_past_tasks(struct tally_monitor *monitor, int64_t since_ns, int64_t until_ns,
	history_alive_fn *visit, void *context)
{
	return history_alive(monitor->history, since_ns, until_ns, visit, context);
}

void monitor_past_processes(struct tally_monitor *monitor, const char *task,
	void (*visit)(void *context, const char *name), void *context)
{
	struct history_task *past = begin(monitor, task, NULL);

	if (past)
		history_processes(monitor->history, past, visit, context);
	end(monitor);
}
