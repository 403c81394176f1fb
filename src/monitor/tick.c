/* SPDX-License-Identifier: Apache-2.0 */
/* One tick: sources, one pass over the machine, the sums, the history. */
#include <errno.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/fail.h"
#include "monitor/internal.h"
#include "monitor/resume.h"

/* Both clocks of one instant. */
struct instant {
	int64_t wall_ns, boot_ns;
};

static void put_disk_figures(
	const struct disk_reading *disk, int64_t boot_ns, struct tally_sample *sample)
{
	tally_sample_set(sample, TALLY_DISK, disk->bytes);
	tally_sample_set(sample, TALLY_DISK_FILES, disk->files);
	disk_deleted_put(disk, sample);
	tally_sample_set(
		sample, TALLY_DISK_AGE, boot_ns > disk->boot_ns ? boot_ns - disk->boot_ns : 0);
}

static void put_disk_reason(struct tally_sample *sample, enum tally_reason reason)
{
	tally_sample_unset(sample, TALLY_DISK, reason);
	tally_sample_unset(sample, TALLY_DISK_FILES, reason);
	tally_sample_unset(sample, TALLY_DISK_DELETED, reason);
	tally_sample_unset(sample, TALLY_DISK_AGE, reason);
}

void task_disk_put(struct tally_monitor *monitor, struct task *task, struct tally_sample *sample)
{
	struct disk_reading disk;

	if (!task->has_disk) {
		put_disk_reason(
			sample, task->sandbox ? TALLY_REASON_DISK_FAILED : TALLY_REASON_NO_SANDBOX);
		return;
	}
	disk_read(monitor->disk, task->disk, &disk);
	task->disk_method = disk.method;
	if (disk.code == 0)
		put_disk_figures(&disk, sample->boot_ns, sample);
	else
		put_disk_reason(sample, disk.code == -EINPROGRESS ? TALLY_REASON_DISK_PENDING
								  : TALLY_REASON_DISK_FAILED);
}

void monitor_take_disk(struct tally_monitor *monitor)
{
	struct task *task, *next;

	pthread_mutex_lock(&monitor->lock);
	HASH_ITER (hh, monitor->tasks, task, next)
		if (task->followed && task->figures.now.boot_ns)
			task_disk_put(monitor, task, &task->figures.now);
	pthread_mutex_unlock(&monitor->lock);
}

/* What a process consumed since its sample before, for the account of the machine. */
static int64_t cpu_rise(const struct figures *figures)
{
	int64_t cpu_ns;

	if (!figures->before_boot_ns || tally_sample_cpu_ns(&figures->now, &cpu_ns) < 0)
		return 0;
	return cpu_ns - figures->before_cpu_ns;
}

static void take_task(struct tally_monitor *monitor, struct task *task, struct instant at)
{
	struct tally_sample sum, part;

	tally_sample_start(&sum, at.wall_ns, at.boot_ns);
	for (size_t i = 0; i < task->process_count; i++) {
		struct process *process = &task->processes[i];

		if (process->group != GROUP_NONE)
			part = *collector_group(monitor->collector, process->group);
		else
			tally_sample_clear(&part, TALLY_REASON_ENDED);
		if (!resumed_add(task->resume, process, &part) && process->group == GROUP_NONE)
			continue;
		part.wall_ns = at.wall_ns;
		part.boot_ns = at.boot_ns;
		figures_take(&process->figures, &part);
		monitor->machine.task_cpu_ns += cpu_rise(&process->figures);
		tally_sample_add(&sum, &part);
	}
	task_disk_put(monitor, task, &sum);
	if (task->cgroup)
		cgroup_figures_put(task->cgroup, &sum);
	figures_take(&task->figures, &sum);
}

static void take_samples(struct tally_monitor *monitor, struct instant at)
{
	struct task *task, *next;

	HASH_ITER (hh, monitor->tasks, task, next)
		if (task->followed)
			take_task(monitor, task, at);
}

static bool record_room(struct tally_monitor *monitor, size_t count)
{
	if (count <= monitor->record_room)
		return true;

	struct history_process *grown =
		reallocarray(monitor->record, count, sizeof(*monitor->record));
	if (!grown)
		return false;
	monitor->record = grown;
	monitor->record_room = count;
	return true;
}

static int keep_task(struct tally_monitor *monitor, struct task *task, struct instant at,
	struct tally_error *err)
{
	size_t count = 0;

	if (!record_room(monitor, task->process_count))
		return tally_fail(err, -ENOMEM, "task %s: cannot keep its sample", task->id);
	for (size_t i = 0; i < task->process_count; i++)
		if (task->processes[i].figures.now.boot_ns == at.boot_ns)
			monitor->record[count++] = (struct history_process){
				task->processes[i].name, &task->processes[i].figures.now};

	struct history_record record = {
		at.wall_ns, at.boot_ns, &task->figures.now, monitor->record, count};
	int r = 0;
	if (!task->history)
		r = history_task(monitor->history, task->id, &task->history, err);
	if (r == 0 && task->roots_changed && resumed_keep(monitor->history, task) == 0)
		task->roots_changed = false;
	if (r == 0)
		r = history_append(monitor->history, task->history, &record, err);
	return r;
}

static void keep_samples(struct tally_monitor *monitor, struct instant at)
{
	struct task *task, *next;
	struct tally_error err;

	HASH_ITER (hh, monitor->tasks, task, next)
		if (task->followed && keep_task(monitor, task, at, &err) < 0)
			monitor_fault(monitor, &monitor->history_said, &err);
	history_commit(monitor->history);
}

static void account_machine(struct tally_monitor *monitor)
{
	int64_t busy_ns = machine_read_busy(monitor->procfs);

	if (monitor->machine.first_busy_ns < 0) {
		monitor->machine.first_busy_ns = busy_ns;
		monitor->machine.task_cpu_ns = 0;
	}
	monitor->machine.busy_ns = busy_ns;
}

int monitor_tick(struct tally_monitor *monitor, struct tally_error *err)
{
	int64_t cpu_ns = clock_thread_cpu_ns();

	monitor_refresh_sources(monitor);
	int r = collector_pass(monitor->collector, err);
	if (r < 0)
		return tally_prefix(err, r, "collector %s", monitor->collector->ops->name);

	monitor_read_cgroups(monitor);

	struct instant at = {clock_wall_ns(), clock_boot_ns()};
	pthread_mutex_lock(&monitor->lock);
	take_samples(monitor, at);
	account_machine(monitor);
	monitor->ticks++;
	monitor->last_tick_wall_ns = at.wall_ns;
	monitor->last_tick_boot_ns = at.boot_ns;
	collector_status(monitor->collector, &monitor->collected);
	pthread_mutex_unlock(&monitor->lock);

	keep_samples(monitor, at);
	monitor_tell_holders(monitor, at.boot_ns);
	monitor_retire_tasks(monitor, at.boot_ns);

	cpu_ns = clock_thread_cpu_ns() - cpu_ns;
	pthread_mutex_lock(&monitor->lock);
	monitor->tick_cpu_ns = cpu_ns;
	pthread_mutex_unlock(&monitor->lock);
	return 0;
}
