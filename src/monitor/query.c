/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: from memory and history, never from the kernel, but for one case on demand. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/file.h"
#include "base/parse.h"
#include "monitor/internal.h"
#include "source/told.h"
#include <fcntl.h>

/* Under lock. */
static bool is_stale(const struct tally_monitor *monitor)
{
	return !atomic_load(&monitor->running) ||
	       clock_boot_ns() - monitor->last_tick_boot_ns > 3 * monitor->interval_ns;
}

/* Under lock. */
static struct task *find_task(
	struct tally_monitor *monitor, const char *id, struct tally_error *err)
{
	struct task *task;

	HASH_FIND_STR(monitor->tasks, id, task);
	if (!task)
		tally_refuse(err, -ENOENT,
			"there is no task '%.200s'; `tally show` lists those there are", id);
	return task;
}

/* The names of a task's active processes, for an error that helps. */
static void list_active(const struct task *task, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < task->process_count && used < size; i++)
		if (!life_ended(task->processes[i].life)) {
			int n = snprintf(text + used, size - used, "%s%s", used ? ", " : "",
				task->processes[i].name);
			used += n > 0 ? (size_t)n : 0;
		}
}

/* Under lock. */
static struct process *find_process(struct task *task, const char *name, struct tally_error *err)
{
	struct process *process = task_process(task, name);
	char active[256];

	if (process)
		return process;
	list_active(task, active, sizeof(active));
	tally_refuse(err, -ENOENT, "task %s has no process '%.100s'; active are: %s", task->id,
		name, active[0] ? active : "none");
	return NULL;
}

static int read_figures(struct tally_monitor *monitor, const struct figures *figures,
	const char *task, const char *process, struct tally_reading *ret, struct tally_error *err)
{
	if (!figures->now.boot_ns)
		return tally_refuse(err, -ENODATA, "%s%s%s has not been sampled yet", task,
			process ? "/" : "", process ? process : "");
	figures_read(figures, is_stale(monitor), ret);
	return 0;
}

TALLY_API
int tally_monitor_sample(struct tally_monitor *monitor, const char *id, struct tally_reading *ret,
	struct tally_error *err)
{
	int r = -ENOENT;

	pthread_mutex_lock(&monitor->lock);
	struct task *task = find_task(monitor, id, err);
	if (task)
		r = read_figures(monitor, &task->figures, id, NULL, ret, err);
	pthread_mutex_unlock(&monitor->lock);
	return r;
}

static int sample_process(struct tally_monitor *monitor, const char *id, const char *name,
	struct tally_reading *ret, struct tally_error *err)
{
	struct process *process = NULL;
	int r = -ENOENT;

	pthread_mutex_lock(&monitor->lock);
	struct task *task = find_task(monitor, id, err);
	if (task)
		process = find_process(task, name, err);
	if (process)
		r = read_figures(monitor, &process->figures, id, name, ret, err);
	pthread_mutex_unlock(&monitor->lock);
	return r;
}

TALLY_API
int tally_monitor_sample_process(struct tally_monitor *monitor, const char *id, const char *name,
	struct tally_reading *ret, struct tally_error *err)
{
	int r = sample_process(monitor, id, name, ret, err);

	if (r == -ENOENT) { /* Its source may know it by now. */
		pthread_mutex_lock(&monitor->tick_lock);
		monitor_refresh_sources(monitor);
		pthread_mutex_unlock(&monitor->tick_lock);
		r = sample_process(monitor, id, name, ret, err);
	}
	if (r == -ENODATA && tally_monitor_tick(monitor, err) == 0)
		r = sample_process(monitor, id, name, ret, err);
	return r;
}

/* Under tick_lock. Waits for the groups one after the other: they settle at the same time. */
static int settle(struct tally_monitor *monitor, struct task *task, int64_t deadline_ns,
	struct tally_error *err)
{
	int r = 0;

	for (size_t i = 0; i < task->process_count && (r == 0 || r == -ETIMEDOUT); i++) {
		int64_t left_ns = deadline_ns - clock_boot_ns();

		if (task->processes[i].group != GROUP_NONE)
			r = collector_settle(monitor->collector, task->processes[i].group,
				left_ns > 0 ? left_ns : 0, err);
	}
	return r;
}

TALLY_API
int tally_monitor_settle(
	struct tally_monitor *monitor, const char *id, int64_t timeout_ns, struct tally_error *err)
{
	int64_t deadline_ns = clock_boot_ns() + timeout_ns;
	int r = -ENOENT;

	pthread_mutex_lock(&monitor->tick_lock);
	monitor_refresh_sources(monitor);
	pthread_mutex_lock(&monitor->lock);
	struct task *task = find_task(monitor, id, err);
	pthread_mutex_unlock(&monitor->lock);
	if (task)
		r = settle(monitor, task, deadline_ns, err);
	if (r == 0 || r == -ETIMEDOUT) {
		int ticked = monitor_tick(monitor, r ? NULL : err);

		r = r ? r : ticked;
	}
	pthread_mutex_unlock(&monitor->tick_lock);
	return r;
}

/* The history of a task; takes drop_lock for reading, which end_query() gives back. */
static int begin_query(struct tally_monitor *monitor, const char *id, const char *process,
	struct history_task **ret, struct tally_error *err)
{
	int r = -ENOENT;

	pthread_rwlock_rdlock(&monitor->drop_lock);
	pthread_mutex_lock(&monitor->lock);
	struct task *task = find_task(monitor, id, err);
	if (task && (!process || find_process(task, process, err))) {
		*ret = task->history;
		r = task->history
			    ? 0
			    : tally_refuse(err, -ENODATA, "task %s has not been sampled yet", id);
	}
	pthread_mutex_unlock(&monitor->lock);
	if (r < 0)
		pthread_rwlock_unlock(&monitor->drop_lock);
	return r;
}

static void end_query(struct tally_monitor *monitor)
{
	pthread_rwlock_unlock(&monitor->drop_lock);
}

TALLY_API
int tally_monitor_sample_at(struct tally_monitor *monitor, const char *id, const char *process,
	int64_t wall_ns, struct tally_reading *ret, struct tally_error *err)
{
	struct history_task *history;
	struct tally_sample at, before;
	int r = begin_query(monitor, id, process, &history, err);

	if (r < 0)
		return r;
	r = history_nearest(monitor->history, history, process, wall_ns, &at, &before);
	end_query(monitor);
	if (r < 0)
		return tally_refuse(err, r, "%s%s%s has no sample in the history", id,
			process ? "/" : "", process ? process : "");

	*ret = (struct tally_reading){.sample = at};
	ret->has_cpu_rate =
		before.boot_ns && tally_sample_cpu_rate(&before, &at, &ret->cpu_rate) == 0;
	ret->stale = !atomic_load(&monitor->running);
	return 0;
}

TALLY_API
int tally_monitor_range(struct tally_monitor *monitor, const char *id, const char *process,
	int64_t since_ns, int64_t until_ns, tally_sample_fn *visit, void *context,
	struct tally_error *err)
{
	struct history_task *history;
	int r = begin_query(monitor, id, process, &history, err);

	if (r == -ENODATA)
		return 0;
	if (r < 0)
		return r;
	r = history_range(monitor->history, history, process, since_ns, until_ns, visit, context);
	end_query(monitor);
	return r == -ENOENT ? 0 : r;
}

/* Under lock. */
static void visit_task(const struct tally_monitor *monitor, const struct task *task,
	tally_task_fn *visit, void *context)
{
	struct tally_task_info info = {
		.id = task->id,
		.source = task->owner->ops->name,
		.sandbox = task->sandbox,
		.disk_method = task->disk_method,
		.life = task->life,
		.started_wall_ns = task->started_wall_ns,
		.ended_wall_ns = task->ended_wall_ns,
		.process_count = task->process_count,
		.followed = task->followed,
	};
	struct tally_reading reading;

	figures_read(&task->figures, is_stale(monitor), &reading);
	visit(context, &info, &reading);
}

TALLY_API
void tally_monitor_tasks(struct tally_monitor *monitor, tally_task_fn *visit, void *context)
{
	struct task *task, *next;

	pthread_mutex_lock(&monitor->lock);
	HASH_ITER (hh, monitor->tasks, task, next)
		visit_task(monitor, task, visit, context);
	pthread_mutex_unlock(&monitor->lock);
}

/* Under lock. */
static void visit_process(const struct tally_monitor *monitor, const struct process *process,
	tally_process_fn *visit, void *context)
{
	struct tally_process_info info = {
		.name = process->name,
		.life = process->life,
		.pid = process->pid,
		.started_wall_ns = process->started_wall_ns,
		.ended_wall_ns = process->ended_wall_ns,
		.return_code = process->return_code,
		.runs = (int)(process->root_count + process->roots_forgotten),
	};
	struct tally_reading reading;

	figures_read(&process->figures, is_stale(monitor), &reading);
	visit(context, &info, &reading);
}

/* Under lock. */
static void visit_whole(const struct tally_monitor *monitor, const struct task *task,
	tally_task_fn *visit_one, tally_process_fn *visit_part, void *context)
{
	visit_task(monitor, task, visit_one, context);
	for (size_t i = 0; i < task->process_count; i++)
		visit_process(monitor, &task->processes[i], visit_part, context);
}

int monitor_visit(struct tally_monitor *monitor, const char *id, tally_task_fn *visit_one,
	tally_process_fn *visit_part, void *context, struct tally_error *err)
{
	struct task *task = NULL, *next;

	pthread_mutex_lock(&monitor->lock);
	if (id)
		task = find_task(monitor, id, err);
	if (task)
		visit_whole(monitor, task, visit_one, visit_part, context);
	int r = id && !task ? -ENOENT : 0;
	if (!id)
		HASH_ITER (hh, monitor->tasks, task, next)
			visit_whole(monitor, task, visit_one, visit_part, context);
	pthread_mutex_unlock(&monitor->lock);
	return r;
}

struct source_task *monitor_told(struct tally_monitor *monitor, const char *id)
{
	struct source_task *copy = NULL;

	pthread_mutex_lock(&monitor->lock);
	const struct task *task = find_task(monitor, id, NULL);
	if (task && task->told)
		copy = told_copy(task->told);
	pthread_mutex_unlock(&monitor->lock);
	return copy;
}

TALLY_API
int tally_monitor_processes(struct tally_monitor *monitor, const char *id, tally_process_fn *visit,
	void *context, struct tally_error *err)
{
	pthread_mutex_lock(&monitor->lock);
	struct task *task = find_task(monitor, id, err);
	for (size_t i = 0; task && i < task->process_count; i++)
		visit_process(monitor, &task->processes[i], visit, context);
	pthread_mutex_unlock(&monitor->lock);
	return task ? 0 : -ENOENT;
}

/* A member on its way to the visitor: the collector knows no names. */
struct pid_visit {
	const char *process;
	tally_pid_fn *visit;
	void *context;
};

static void visit_member(void *context, const struct collect_member *member)
{
	const struct pid_visit *to = context;
	struct tally_pid_info info = {
		.process = to->process,
		.pid = member->pid,
		.parent = member->parent,
		.start_ns = member->start_ns,
		.comm = member->comm,
		.why = member->why,
		.cpu_ns = member->cpu_ns,
		.rss_bytes = member->rss_bytes,
	};

	to->visit(to->context, &info);
}

TALLY_API
int tally_monitor_pids(struct tally_monitor *monitor, const char *id, tally_pid_fn *visit,
	void *context, struct tally_error *err)
{
	pthread_mutex_lock(&monitor->tick_lock);
	pthread_mutex_lock(&monitor->lock);
	struct task *task = find_task(monitor, id, err);
	pthread_mutex_unlock(&monitor->lock);
	for (size_t i = 0; task && i < task->process_count; i++) {
		struct pid_visit to = {task->processes[i].name, visit, context};

		if (task->processes[i].group != GROUP_NONE)
			collector_members(
				monitor->collector, task->processes[i].group, visit_member, &to);
	}
	pthread_mutex_unlock(&monitor->tick_lock);
	return task ? 0 : -ENOENT;
}

/* /proc/self/statm: "size resident shared text lib data dt", in pages. */
static int64_t self_rss(void)
{
	char text[256];
	uint64_t resident;
	ssize_t length = file_read_at(AT_FDCWD, "/proc/self/statm", text, sizeof(text));
	struct cursor c = cursor_of(text, length > 0 ? (size_t)length : 0);

	if (!cursor_skip_words(&c, 1) || !cursor_u64(&c, &resident))
		return -1;
	return (int64_t)resident * sysconf(_SC_PAGESIZE);
}

static bool take_earliest(void *context, const char *id, int64_t first_ns, int64_t last_ns)
{
	int64_t *earliest_ns = context;

	if (*earliest_ns == 0 || first_ns < *earliest_ns)
		*earliest_ns = first_ns;
	return true;
}

int monitor_reach(struct tally_monitor *monitor, int64_t *ret_first_ns)
{
	*ret_first_ns = 0;
	return history_alive(monitor->history, INT64_MIN, INT64_MAX, take_earliest, ret_first_ns);
}

/* Under lock. */
static void count_followed(struct tally_monitor *monitor, struct tally_status *ret)
{
	struct task *task, *next;

	HASH_ITER (hh, monitor->tasks, task, next) {
		if (!task->followed)
			continue;
		ret->tasks++;
		ret->processes += task->process_count;
	}
	ret->pids = monitor->collected.pids;
	ret->collector_limited = monitor->collected.limited;
}

/* Under lock. What is in no task cannot be negative: the two clocks differ in resolution. */
static void account(const struct machine *machine, struct tally_status *ret)
{
	ret->machine_cpu_ns = ret->other_cpu_ns = -1;
	if (machine->first_busy_ns < 0 || machine->busy_ns < machine->first_busy_ns)
		return;
	ret->machine_cpu_ns = machine->busy_ns - machine->first_busy_ns;
	ret->other_cpu_ns = ret->machine_cpu_ns > machine->task_cpu_ns
				    ? ret->machine_cpu_ns - machine->task_cpu_ns
				    : 0;
}

TALLY_API
void tally_monitor_status(struct tally_monitor *monitor, struct tally_status *ret)
{
	struct history_status history;
	struct disk_status disk;

	*ret = (struct tally_status){
		.version = tally_version(),
		.collector = monitor->collector->ops->name,
		.collector_reason = monitor->collector_reason,
		.running = atomic_load(&monitor->running),
		.interval_ns = monitor->interval_ns,
		.disk_interval_ns = monitor->disk_interval_ns,
		.self_cpu_ns = clock_process_cpu_ns(),
		.self_rss_bytes = self_rss(),
	};
	disk_status(monitor->disk, &disk);
	ret->disk_sandboxes = disk.sandboxes;
	ret->disk_stuck = disk.stuck;
	ret->disk_looks = disk.looks;
	ret->disk_cpu_ns = disk.cpu_ns;
	history_status(monitor->history, &history);
	ret->history_bytes = history.bytes;
	ret->history_limit_bytes = history.bytes_limit;
	ret->history_dropped = history.dropped;
	ret->history_refused = history.refused;

	pthread_mutex_lock(&monitor->lock);
	ret->stale = is_stale(monitor);
	ret->ticks = monitor->ticks;
	ret->ticks_skipped = monitor->ticks_skipped;
	ret->last_tick_wall_ns = monitor->last_tick_wall_ns;
	ret->tick_cpu_ns = monitor->tick_cpu_ns;
	ret->faults = monitor->faults;
	count_followed(monitor, ret);
	account(&monitor->machine, ret);
	pthread_mutex_unlock(&monitor->lock);
}
