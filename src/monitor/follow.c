/* SPDX-License-Identifier: Apache-2.0 */
/* From what sources list to what is followed: tasks, their groups, their sandboxes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/fail.h"
#include "monitor/internal.h"
#include "source/ended.h"
#include "source/told.h"
#include "monitor/resume.h"

/* Tasks of the past that are kept at hand because somebody asked for them. */
#define FOUND_MAX 64

/* Roots of a process that are remembered besides those that live. */
#define ROOTS_REMEMBERED 256

void monitor_fault(struct tally_monitor *monitor, struct fault *said, const struct tally_error *err)
{
	pthread_mutex_lock(&monitor->lock);
	monitor->faults++;
	pthread_mutex_unlock(&monitor->lock);
	if (said->code == err->code && strcmp(said->message, err->message) == 0)
		return;
	said->code = err->code;
	snprintf(said->message, sizeof(said->message), "%s", err->message);
	log_say(&monitor->log, TALLY_LOG_WARN, "%s", err->message);
}

/* Faults of single objects are told apart by their text: no state is kept for them. */
static void fault_once(struct tally_monitor *monitor, const struct tally_error *err)
{
	monitor_fault(monitor, &(struct fault){0}, err);
}

/* What one listing needs to know. */
struct listing {
	struct tally_monitor *monitor;
	struct source *source;
};

static void watch_sandbox(struct tally_monitor *monitor, struct task *task, const char *sandbox)
{
	struct tally_error err;
	char *copy = NULL;
	uint32_t number = 0;
	bool watched = false;

	if ((!sandbox && !task->sandbox) ||
		(sandbox && task->sandbox && strcmp(sandbox, task->sandbox) == 0))
		return;
	if (task->has_disk)
		disk_unwatch(monitor->disk, task->disk);
	if (sandbox) {
		copy = strdup(sandbox);
		if (copy && disk_watch(monitor->disk, sandbox, &number, &err) == 0)
			watched = true;
		else if (copy) {
			tally_prefix(&err, err.code, "task %s", task->id);
			fault_once(monitor, &err);
		}
	}

	pthread_mutex_lock(&monitor->lock);
	free(task->sandbox);
	task->sandbox = copy;
	task->has_disk = watched;
	task->disk = number;
	task->holders_told = 0;
	pthread_mutex_unlock(&monitor->lock);
}

static struct process *update_process(
	struct tally_monitor *monitor, struct task *task, const struct source_process *told)
{
	struct process *process = task_process(task, told->name);

	if (!process)
		process = task_process_add(task, told->name);
	if (!process)
		return NULL;
	process->life = told->life;
	process->return_code = told->return_code;
	if (!process->seen || told->pid) {
		process->pid = told->pid;
		process->started_wall_ns = told->started_wall_ns;
	}
	process->ended_wall_ns = told->ended_wall_ns;
	process->seen = true;
	return process;
}

static int add_root(struct tally_monitor *monitor, struct process *process,
	const struct source_process *told, struct tally_error *err)
{
	struct collect_root root = {
		.pid = told->pid,
		.start_ns = told->start_ns,
		.cgroup_id = told->cgroup_id,
		.cgroup = told->cgroup,
		.subreaper = told->subreaper,
		.sign = told->sign,
		.family = told->family,
	};
	int r = 0;

	if (process->group == GROUP_NONE)
		r = collector_group_add(monitor->collector, &process->group, err);
	if (r == 0)
		r = collector_root_add(monitor->collector, process->group, &root, err);
	return r;
}

/* A root is tried once: one that is gone already will not come back under this identity. */
static void follow_root(struct tally_monitor *monitor, struct task *task, size_t index,
	const struct source_process *told)
{
	struct process *process = &task->processes[index];
	struct tally_error err;

	if ((!told->pid && !told->cgroup_id) || process_has_root(process, told))
		return;

	pthread_mutex_lock(&monitor->lock);
	int remembered = process_root_remember(process, told);
	pthread_mutex_unlock(&monitor->lock);
	if (remembered < 0)
		return;

	int r = add_root(monitor, process, told, &err);
	if (r == 0) {
		task->followed = true;
		task->roots_changed = true;
	} else if (r != -ESRCH) {
		tally_prefix(&err, r, "task %s/%s", task->id, process->name);
		fault_once(monitor, &err);
	} else {
		log_say(&monitor->log, TALLY_LOG_DEBUG, "task %s/%s: %s", task->id, process->name,
			err.message);
	}
}

static bool is_told(const struct source_task *told, const struct process *process, size_t root)
{
	for (size_t i = 0; i < told->process_count; i++)
		if (told->processes[i].pid == process->roots[root].pid &&
			told->processes[i].start_ns == process->roots[root].start_ns)
			return true;
	return false;
}

/*
 * Roots that a source tells no more will not come back. They are remembered all the same, for runs are
 * counted, but not without end where a task is made of what lives for a moment.
 */
static void forget_roots(
	struct tally_monitor *monitor, struct process *process, const struct source_task *told)
{
	size_t kept = 0;

	if (process->root_count < ROOTS_REMEMBERED + 2 * told->process_count)
		return;
	pthread_mutex_lock(&monitor->lock);
	for (size_t i = 0; i < process->root_count; i++)
		if (is_told(told, process, i))
			process->roots[kept++] = process->roots[i];
	process->roots_forgotten += process->root_count - kept;
	process->root_count = kept;
	pthread_mutex_unlock(&monitor->lock);
}

static void follow_processes(
	struct tally_monitor *monitor, struct task *task, const struct source_task *told)
{
	for (size_t i = 0; i < told->process_count; i++) {
		pthread_mutex_lock(&monitor->lock);
		struct process *process = update_process(monitor, task, &told->processes[i]);
		pthread_mutex_unlock(&monitor->lock);
		if (!process || life_ended(told->life))
			continue;
		forget_roots(monitor, process, told);
		follow_root(
			monitor, task, (size_t)(process - task->processes), &told->processes[i]);
	}
}

static struct task *find_or_add(struct listing *listing, const char *id)
{
	struct tally_monitor *monitor = listing->monitor;
	struct task *task;

	HASH_FIND_STR(monitor->tasks, id, task);
	if (task)
		return task;
	task = task_new(id, listing->source);
	if (!task)
		return NULL;
	task->resume = resumed_read(monitor->history, id);
	HASH_ADD_KEYPTR(hh, monitor->tasks, task->id, strlen(task->id), task);
	if (!task->hh.tbl) {
		task_free(task);
		return NULL;
	}
	return task;
}

static void update_life(struct task *task, const struct source_task *told, int64_t boot_ns)
{
	task->seen = true;
	task->life = told->life;
	task->started_wall_ns = told->started_wall_ns;
	task->ended_wall_ns = told->ended_wall_ns;
	if (!life_ended(told->life))
		task->ended_boot_ns = 0;
	else if (!task->ended_boot_ns)
		task->ended_boot_ns = boot_ns;
	for (size_t i = 0; i < task->process_count; i++)
		task->processes[i].seen = false;
}

/* Once: the source will name it in every listing. */
static void refuse_claim(struct listing *listing, struct task *task)
{
	struct tally_error err;

	if (task->refused == listing->source)
		return;
	task->refused = listing->source;
	tally_refuse(&err, -EEXIST,
		"task %s of source %s is ignored: source %s claims that id; rename one of them",
		task->id, listing->source->ops->name, task->owner->ops->name);
	fault_once(listing->monitor, &err);
}

/* Under lock. What was told before is kept where there is no memory for what is told now. */
static void keep_told(struct task *task, const struct source_task *told)
{
	struct source_task *copy = told_has_more(told) ? told_copy(told) : NULL;

	if (!copy)
		return;
	free(task->told);
	task->told = copy;
}

static void take_listed(void *context, const struct source_task *told)
{
	struct listing *listing = context;
	struct tally_monitor *monitor = listing->monitor;

	pthread_mutex_lock(&monitor->lock);
	struct task *task = find_or_add(listing, told->id);
	if (task && source_has_ended(task->owner))
		task->owner = listing->source;
	bool ours = task && task->owner == listing->source;
	if (ours) {
		update_life(task, told, clock_boot_ns());
		keep_told(task, told);
	}
	pthread_mutex_unlock(&monitor->lock);

	if (task && !ours)
		refuse_claim(listing, task);
	if (!ours)
		return;
	watch_sandbox(monitor, task, told->sandbox);
	follow_processes(monitor, task, told);
	monitor_take_cgroup(monitor, task, told->cgroup);
}

/* A task that its source does not name any more is over, and nobody said how. */
static void end_unlisted(struct listing *listing)
{
	struct task *task, *next;

	pthread_mutex_lock(&listing->monitor->lock);
	HASH_ITER (hh, listing->monitor->tasks, task, next) {
		if (task->owner != listing->source || task->seen || task->ended_boot_ns)
			continue;
		task->ended_boot_ns = clock_boot_ns();
		if (!life_ended(task->life)) {
			task->life = TALLY_LIFE_LOST;
			task->ended_wall_ns = clock_wall_ns();
		}
	}
	pthread_mutex_unlock(&listing->monitor->lock);
}

static void forget_seen(struct listing *listing)
{
	struct task *task, *next;

	HASH_ITER (hh, listing->monitor->tasks, task, next)
		if (task->owner == listing->source)
			task->seen = false;
}

static void take_reaped(
	void *context, const char *id, const char *name, pid_t pid, const struct rusage *usage)
{
	struct tally_monitor *monitor = context;
	struct task *task;

	HASH_FIND_STR(monitor->tasks, id, task);
	struct process *process = task ? task_process(task, name) : NULL;
	if (process && process->group != GROUP_NONE)
		collector_reaped(monitor->collector, process->group, pid, usage);
}

static void refresh_source(struct tally_monitor *monitor, struct watched_source *watched)
{
	struct listing listing = {monitor, watched->source};
	struct tally_error err;
	int r = source_refresh(watched->source, &err);

	if (r < 0) {
		tally_prefix(&err, r, "source %s", watched->source->ops->name);
		monitor_fault(monitor, &watched->said, &err);
		return;
	}
	watched->said.code = 0;
	if (r > 0 || !watched->listed) {
		watched->listed = true;
		forget_seen(&listing);
		source_list(watched->source, take_listed, &listing);
		end_unlisted(&listing);
	}
	source_reaped(watched->source, take_reaped, monitor);
}

void monitor_refresh_sources(struct tally_monitor *monitor)
{
	for (size_t i = 0; i < monitor->source_count; i++)
		refresh_source(monitor, &monitor->sources[i]);
}

void monitor_unfollow(struct tally_monitor *monitor, struct task *task)
{
	for (size_t i = 0; i < task->process_count; i++) {
		if (task->processes[i].group == GROUP_NONE)
			continue;
		resumed_retire(&task->resume, &task->processes[i]);
		collector_group_remove(monitor->collector, task->processes[i].group);
		task->processes[i].group = GROUP_NONE;
	}
	task->followed = false;
}

static void forget(struct tally_monitor *monitor, struct task *task)
{
	if (pthread_rwlock_trywrlock(&monitor->drop_lock) != 0)
		return; /* A query is under way: the next tick will do. */
	if (task->history)
		history_task_drop(monitor->history, task->history);
	pthread_rwlock_unlock(&monitor->drop_lock);

	pthread_mutex_lock(&monitor->lock);
	HASH_DEL(monitor->tasks, task);
	pthread_mutex_unlock(&monitor->lock);
	if (task->has_disk)
		disk_unwatch(monitor->disk, task->disk);
	task_free(task);
}

/* Tasks of the past that somebody asked for. */
static void forget_found(struct tally_monitor *monitor)
{
	if (pthread_rwlock_trywrlock(&monitor->drop_lock) != 0)
		return;
	history_drop_found(monitor->history, FOUND_MAX);
	pthread_rwlock_unlock(&monitor->drop_lock);
}

void monitor_retire_tasks(struct tally_monitor *monitor, int64_t boot_ns)
{
	struct task *task, *next;

	forget_found(monitor);
	HASH_ITER (hh, monitor->tasks, task, next) {
		if (!task->ended_boot_ns)
			continue;

		/* What outlives its task still consumes: it is followed to its own end. */
		const struct tally_sample *now = &task->figures.now;
		bool alive = task->followed && tally_sample_has(now, TALLY_PIDS) &&
			     now->value[TALLY_PIDS] > 0;
		if (task->followed && !alive && boot_ns - task->ended_boot_ns >= END_GRACE_NS)
			monitor_unfollow(monitor, task);
		if (!task->followed && !task->seen &&
			boot_ns - task->ended_boot_ns > monitor->history_ns)
			forget(monitor, task);
	}
}
