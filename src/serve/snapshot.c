/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/fail.h"
#include "monitor/monitor.h"

#define BLOCK_BYTES 65536

/* A task whose samples end further from the instant was not alive: twice the coarsest usual step. */
#define FAR_NS (120 * NS_PER_S)

/* Copied strings, in blocks that never move. */
struct snapshot_block {
	struct snapshot_block *next;
	size_t used, room;
	char bytes[];
};

/* Modes 0400 and 0500 in fs/proc/base.c, or a ptrace check on opening. */
static const enum tally_metric guarded[] = {
	TALLY_IO_READ,
	TALLY_IO_WRITE,
	TALLY_FDS,
	TALLY_PSS,
	TALLY_DISK,
	TALLY_DISK_FILES,
	TALLY_DISK_DELETED,
	TALLY_DISK_AGE,
};

void snapshot_done(struct snapshot *snapshot)
{
	struct snapshot_block *block = snapshot->strings, *next;

	for (; block; block = next) {
		next = block->next;
		free(block);
	}
	free(snapshot->tasks);
	free(snapshot->processes);
	*snapshot = (struct snapshot){0};
}

static bool block_add(struct snapshot *snapshot, size_t length)
{
	size_t room = length > BLOCK_BYTES ? length : BLOCK_BYTES;
	struct snapshot_block *block = malloc(sizeof(*block) + room);

	if (!block)
		return false;
	*block = (struct snapshot_block){.next = snapshot->strings, .room = room};
	snapshot->strings = block;
	return true;
}

static const char *keep(struct snapshot *snapshot, const char *text)
{
	struct snapshot_block *block = snapshot->strings;

	if (!text)
		return NULL;
	size_t length = strlen(text) + 1;
	if (!block || block->room - block->used < length) {
		if (!block_add(snapshot, length)) {
			snapshot->failed = true;
			return "";
		}
		block = snapshot->strings;
	}

	char *at = block->bytes + block->used;
	memcpy(at, text, length);
	block->used += length;
	return at;
}

/* Room for one more in an array that doubles. */
static bool make_room(
	struct snapshot *snapshot, void **array, size_t count, size_t *room, size_t size)
{
	if (count < *room)
		return true;

	size_t more = *room ? *room * 2 : 64;
	void *grown = reallocarray(*array, more, size);
	if (!grown) {
		snapshot->failed = true;
		return false;
	}
	*array = grown;
	*room = more;
	return true;
}

static void add_task(
	void *context, const struct tally_task_info *info, const struct tally_reading *reading)
{
	struct snapshot *s = context;

	if (!make_room(s, (void **)&s->tasks, s->task_count, &s->task_room, sizeof(*s->tasks)))
		return;

	struct snapshot_task *task = &s->tasks[s->task_count++];
	task->info = *info;
	task->info.id = keep(s, info->id);
	task->info.sandbox = keep(s, info->sandbox);
	task->reading = *reading;
	task->first = s->process_count;
	task->count = 0;
	task->past = false;
	task->gap_ns = 0;
}

static void add_process(
	void *context, const struct tally_process_info *info, const struct tally_reading *reading)
{
	struct snapshot *s = context;

	if (s->failed || !make_room(s, (void **)&s->processes, s->process_count, &s->process_room,
				 sizeof(*s->processes)))
		return;

	struct snapshot_process *process = &s->processes[s->process_count++];
	process->info = *info;
	process->info.name = keep(s, info->name);
	process->reading = *reading;
	process->past = false;
	s->tasks[s->task_count - 1].count++;
}

void snapshot_expect(struct snapshot *snapshot, size_t tasks, size_t processes)
{
	snapshot->tasks = calloc(tasks + 1, sizeof(*snapshot->tasks));
	snapshot->processes = calloc(processes + 1, sizeof(*snapshot->processes));
	snapshot->task_room = snapshot->tasks ? tasks + 1 : 0;
	snapshot->process_room = snapshot->processes ? processes + 1 : 0;
}

int snapshot_take(struct tally_monitor *monitor, const char *task, struct snapshot *ret,
	struct tally_error *err)
{
	int r = monitor_visit(monitor, task, add_task, add_process, ret, err);

	return r == 0 && ret->failed ? tally_fail(err, -ENOMEM, "cannot copy the figures") : r;
}

/* What ended after the instant had not ended then. */
static void revive(int64_t wall_ns, enum tally_life *life, int64_t *ended_wall_ns)
{
	if (*ended_wall_ns <= wall_ns)
		return;
	*ended_wall_ns = 0;
	*life = TALLY_LIFE_ACTIVE;
}

/* ---- the past ---- */

/* Names of processes, copied: the history must not be asked while it tells them. */
struct name_list {
	struct snapshot *snapshot;
	const char **at;
	size_t count, room;
};

static void add_name(void *context, const char *name)
{
	struct name_list *list = context;

	if (make_room(list->snapshot, (void **)&list->at, list->count, &list->room,
		    sizeof(*list->at)))
		list->at[list->count++] = keep(list->snapshot, name);
}

/* What is known now of a process of a task; only its name, if nothing is. */
static struct snapshot_process known_process(
	const struct snapshot *snapshot, const struct snapshot_task *task, const char *name)
{
	const struct snapshot_process *first = snapshot->processes + task->first;

	for (size_t i = 0; i < task->count; i++)
		if (strcmp(first[i].info.name, name) == 0)
			return first[i];
	return (struct snapshot_process){.info.name = name, .past = true};
}

/* @return whether the process was in the task's sample. */
static bool turn_process_back(struct tally_monitor *monitor, const struct snapshot_task *task,
	struct snapshot_process *process)
{
	const struct tally_sample *of = &task->reading.sample;
	int64_t gap_ns;

	if (monitor_past_sample(monitor, task->info.id, process->info.name, of->wall_ns,
		    &process->reading, &gap_ns, NULL) < 0 ||
		process->reading.sample.boot_ns != of->boot_ns)
		return false;
	revive(of->wall_ns, &process->info.life, &process->info.ended_wall_ns);
	return true;
}

/* The processes that were there make a new range. */
static void turn_processes_back(
	struct snapshot *s, struct tally_monitor *monitor, struct snapshot_task *task)
{
	struct name_list names = {.snapshot = s};
	size_t first = s->process_count;

	monitor_past_processes(monitor, task->info.id, add_name, &names);
	for (size_t i = 0; i < names.count; i++) {
		struct snapshot_process process = known_process(s, task, names.at[i]);

		if (turn_process_back(monitor, task, &process) &&
			make_room(s, (void **)&s->processes, s->process_count, &s->process_room,
				sizeof(*s->processes)))
			s->processes[s->process_count++] = process;
	}
	free(names.at);
	task->first = first;
	task->count = task->info.process_count = s->process_count - first;
}

static int64_t distance_of(const struct snapshot_task *task, int64_t wall_ns)
{
	int64_t away_ns = task->reading.sample.wall_ns - wall_ns;

	return away_ns < 0 ? -away_ns : away_ns;
}

static bool turn_task_back(
	struct snapshot_task *task, struct tally_monitor *monitor, int64_t wall_ns)
{
	if (monitor_past_sample(
		    monitor, task->info.id, NULL, wall_ns, &task->reading, &task->gap_ns, NULL) < 0)
		return false;
	revive(task->reading.sample.wall_ns, &task->info.life, &task->info.ended_wall_ns);
	return true;
}

static bool add_past_task(void *context, const char *id, int64_t first_ns, int64_t last_ns)
{
	struct snapshot *s = context;

	/* Those that are known came first; they are few against a search of each. */
	for (size_t i = 0; i < s->known; i++)
		if (strcmp(s->tasks[i].info.id, id) == 0)
			return true;
	if (make_room(s, (void **)&s->tasks, s->task_count, &s->task_room, sizeof(*s->tasks)))
		s->tasks[s->task_count++] =
			(struct snapshot_task){.info.id = keep(s, id), .past = true};
	return !s->failed;
}

/* Who was alive has a sample in the tick that is nearest to the instant, or, in a coarser
 * resolution, not much farther. */
static void keep_living(struct snapshot *snapshot, int64_t wall_ns)
{
	int64_t nearest_ns = FAR_NS;
	size_t kept = 0;

	for (size_t i = 0; i < snapshot->task_count; i++)
		if (distance_of(&snapshot->tasks[i], wall_ns) < nearest_ns)
			nearest_ns = distance_of(&snapshot->tasks[i], wall_ns);
	for (size_t i = 0; i < snapshot->task_count; i++) {
		const struct snapshot_task *task = &snapshot->tasks[i];
		int64_t distance_ns = distance_of(task, wall_ns);

		if (distance_ns <= FAR_NS && distance_ns <= nearest_ns + task->gap_ns / 2)
			snapshot->tasks[kept++] = *task;
	}
	snapshot->task_count = kept;
}

static int add_past(
	struct snapshot *snapshot, struct tally_monitor *monitor, const char *task, int64_t wall_ns)
{
	snapshot->known = snapshot->task_count;
	if (task) {
		add_past_task(snapshot, task, 0, 0);
		return 0;
	}
	return monitor_past_tasks(
		monitor, wall_ns - FAR_NS, wall_ns + FAR_NS, add_past_task, snapshot);
}

/* Within these times differences cannot overflow: from the year 1824 to 2116. */
static int64_t sensible(int64_t wall_ns)
{
	const int64_t most_ns = INT64_MAX / 2;

	return wall_ns > most_ns ? most_ns : wall_ns < -most_ns ? -most_ns : wall_ns;
}

int snapshot_turn_back(struct snapshot *snapshot, struct tally_monitor *monitor, const char *task,
	int64_t at_ns, struct tally_error *err)
{
	int64_t wall_ns = sensible(at_ns);
	size_t kept = 0;
	int r = add_past(snapshot, monitor, task, wall_ns);

	if (r < 0)
		return tally_fail(err, r, "cannot read the history");
	for (size_t i = 0; i < snapshot->task_count; i++)
		if (turn_task_back(&snapshot->tasks[i], monitor, wall_ns))
			snapshot->tasks[kept++] = snapshot->tasks[i];
	snapshot->task_count = kept;
	if (!task)
		keep_living(snapshot, wall_ns);
	for (size_t i = 0; i < snapshot->task_count; i++)
		turn_processes_back(snapshot, monitor, &snapshot->tasks[i]);
	return snapshot->failed ? tally_fail(err, -ENOMEM, "cannot copy the figures") : 0;
}

uint64_t snapshot_guarded(void)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < ARRAY_SIZE(guarded); i++)
		bits |= TALLY_BIT(guarded[i]);
	return bits;
}

static void mask(struct tally_sample *sample)
{
	for (size_t i = 0; i < ARRAY_SIZE(guarded); i++)
		if (tally_sample_has(sample, guarded[i]))
			tally_sample_unset(sample, guarded[i], TALLY_REASON_NOT_SHARED);
}

void snapshot_mask(struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->task_count; i++)
		mask(&snapshot->tasks[i].reading.sample);
	for (size_t i = 0; i < snapshot->process_count; i++)
		mask(&snapshot->processes[i].reading.sample);
}
