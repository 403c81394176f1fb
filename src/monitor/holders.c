/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between collector and disk: the collector knows which pids a task has, the disk worker looks for
 * files that they hold open without a name.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/fail.h"
#include "monitor/internal.h"

/* Pids are told so often within a disk interval, at most. */
#define TOLD_TIMES 4

/* Those of one task on their way. */
struct gathering {
	struct tally_monitor *monitor;
	size_t count;
	uint32_t process; /* Whose members are visited. */
	uint64_t hash;	  /* Of all, in whatever order. */
	bool failed;
};

static uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= UINT64_C(0x9e3779b97f4a7c15);
	x ^= x >> 29;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	return x ^ x >> 32;
}

static void gather(void *context, const struct collect_member *member)
{
	struct gathering *gathering = context;
	struct tally_monitor *monitor = gathering->monitor;

	if (gathering->count == monitor->holder_room) {
		size_t room = monitor->holder_room ? monitor->holder_room * 2 : 64;
		struct disk_holder *grown =
			reallocarray(monitor->holders, room, sizeof(*monitor->holders));

		if (!grown) {
			gathering->failed = true;
			return;
		}
		monitor->holders = grown;
		monitor->holder_room = room;
	}
	monitor->holders[gathering->count++] =
		(struct disk_holder){member->pid, member->start_ns, gathering->process};
	gathering->hash +=
		mix((uint64_t)member->start_ns ^ (uint64_t)member->pid << 32 ^ gathering->process);
}

/* A list that is as it was is not told again. */
static void tell_task(struct tally_monitor *monitor, struct task *task)
{
	struct gathering gathering = {.monitor = monitor, .hash = 1};

	for (uint32_t i = 0; i < task->process_count; i++) {
		gathering.process = i;
		if (task->processes[i].group != GROUP_NONE)
			collector_members(
				monitor->collector, task->processes[i].group, gather, &gathering);
	}
	if (gathering.failed || gathering.hash == task->holders_told)
		return;
	if (disk_hold(monitor->disk, task->disk, monitor->holders, gathering.count) == 0)
		task->holders_told = gathering.hash;
}

void monitor_tell_holders(struct tally_monitor *monitor, int64_t boot_ns)
{
	int64_t period_ns = monitor->disk_interval_ns / TOLD_TIMES;
	bool due = !monitor->holders_told_ns || boot_ns - monitor->holders_told_ns >= period_ns;
	struct task *task, *next;

	if (due)
		monitor->holders_told_ns = boot_ns;
	/* A new task is told of at once. */
	HASH_ITER (hh, monitor->tasks, task, next)
		if (task->has_disk && task->followed && (due || !task->holders_told))
			tell_task(monitor, task);
}

/* ---- what was found ---- */

struct deleted_visit {
	const struct task *task;
	monitor_deleted_fn *visit;
	void *context;
};

static void visit_deleted(void *context, const struct disk_deleted *deleted)
{
	const struct deleted_visit *to = context;
	struct monitor_deleted file = {
		.process = deleted->holder < to->task->process_count
				   ? to->task->processes[deleted->holder].name
				   : NULL,
		.pid = deleted->pid,
		.fd = deleted->fd,
		.inode = deleted->ino,
		.bytes = deleted->bytes,
		.size = deleted->size,
		.name = deleted->name,
	};

	to->visit(to->context, &file);
}

static enum tally_reason reason_of(const struct disk_reading *disk)
{
	if (disk->code == -EINPROGRESS)
		return TALLY_REASON_DISK_PENDING;
	if (disk->code < 0)
		return TALLY_REASON_DISK_FAILED;
	switch (disk->deleted_code) {
	case -EINPROGRESS:
		return TALLY_REASON_DISK_PENDING;
	case -EACCES:
	case -EPERM:
		return TALLY_REASON_PERMISSION;
	case -E2BIG:
	case -ENOMEM:
		return TALLY_REASON_LIMIT;
	default:
		return TALLY_REASON_DISK_FAILED;
	}
}

void disk_deleted_put(const struct disk_reading *disk, struct tally_sample *sample)
{
	if (disk->code == 0 && disk->deleted_code == 0)
		tally_sample_set(sample, TALLY_DISK_DELETED, disk->deleted_bytes);
	else
		tally_sample_unset(sample, TALLY_DISK_DELETED, reason_of(disk));
}

/* Under tick_lock. */
static void read_deleted(struct tally_monitor *monitor, const struct task *task,
	struct deleted_visit *to, struct monitor_deleted_sum *ret)
{
	struct disk_reading disk;

	disk_read(monitor->disk, task->disk, &disk);
	ret->code = disk.code ? disk.code : disk.deleted_code;
	ret->reason = reason_of(&disk);
	ret->bytes = disk.deleted_bytes;
	ret->files = disk.deleted_files;
	ret->boot_ns = disk.boot_ns;
	disk_deleted(monitor->disk, task->disk, visit_deleted, to, &ret->left_out);
}

/* Under tick_lock: else it could be unwatched meanwhile. */
static int find_with_disk(
	struct tally_monitor *monitor, const char *id, struct task **ret, struct tally_error *err)
{
	HASH_FIND_STR(monitor->tasks, id, *ret);
	if (!*ret)
		return tally_refuse(err, -ENOENT,
			"there is no task '%.200s'; `tally show` lists those there are", id);
	if (!(*ret)->sandbox)
		return tally_refuse(err, -ENODATA, "task %.200s has no sandbox", id);
	if (!(*ret)->has_disk)
		return tally_refuse(err, -ENODATA,
			"the sandbox of task %.200s cannot be looked at; the log says why", id);
	return 0;
}

int monitor_deleted(struct tally_monitor *monitor, const char *id, monitor_deleted_fn *visit,
	void *context, struct monitor_deleted_sum *ret, struct tally_error *err)
{
	struct deleted_visit to = {.visit = visit, .context = context};
	struct task *task;

	*ret = (struct monitor_deleted_sum){0};
	pthread_mutex_lock(&monitor->tick_lock);
	int r = find_with_disk(monitor, id, &task, err);
	if (r == 0) {
		to.task = task;
		read_deleted(monitor, task, &to, ret);
	}
	pthread_mutex_unlock(&monitor->tick_lock);
	return r;
}

/* ---- the heaviest directories ---- */

static int fail_outline(
	int r, const struct task *task, const struct disk_reading *disk, struct tally_error *err)
{
	switch (r) {
	case -EAGAIN:
		return tally_refuse(err, r,
			"the directories of task %.200s are being added up; ask again", task->id);
	case -EINPROGRESS:
		return tally_refuse(err, -EAGAIN,
			"the first walk of the sandbox of task %.200s has not ended yet; ask again",
			task->id);
	case -ENOMEM:
		return tally_fail(err, r, "task %.200s", task->id);
	default:
		return tally_refuse(err, r, "%s", disk->why);
	}
}

/* Under tick_lock. */
static int read_outline(struct tally_monitor *monitor, const struct task *task,
	struct monitor_outline *ret, struct tally_error *err)
{
	struct disk_reading disk;
	int r = disk_outline(monitor->disk, task->disk, &ret->dirs);

	disk_read(monitor->disk, task->disk, &disk);
	if (r < 0 && r != -EOPNOTSUPP)
		return fail_outline(r, task, &disk, err);
	ret->has_dirs = r == 0;
	ret->sandbox = strdup(task->sandbox);
	if (!ret->sandbox) {
		outline_done(&ret->dirs);
		return fail_outline(-ENOMEM, task, &disk, err);
	}
	ret->method = disk.method;
	ret->bytes = disk.bytes;
	ret->files = disk.files;
	ret->partial = disk.partial;
	ret->boot_ns = disk.boot_ns;
	memcpy(ret->why, disk.why, sizeof(ret->why));
	return 0;
}

int monitor_outline(struct tally_monitor *monitor, const char *id, struct monitor_outline *ret,
	struct tally_error *err)
{
	struct task *task;

	*ret = (struct monitor_outline){0};
	pthread_mutex_lock(&monitor->tick_lock);
	int r = find_with_disk(monitor, id, &task, err);
	if (r == 0)
		r = read_outline(monitor, task, ret, err);
	pthread_mutex_unlock(&monitor->tick_lock);
	return r;
}

void monitor_outline_done(struct monitor_outline *outline)
{
	outline_done(&outline->dirs);
	free(TAKE(outline->sandbox));
}
