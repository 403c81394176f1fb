/* SPDX-License-Identifier: Apache-2.0 */
#include "history/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EXACT_CLASSES 64

/* Spare records are told apart by how many processes they have room for. */
static unsigned class_of(uint32_t processes)
{
	if (processes < EXACT_CLASSES)
		return processes;
	return EXACT_CLASSES + (32 - 6 - (unsigned)__builtin_clz(processes));
}

static uint32_t class_capacity(unsigned class)
{
	if (class < EXACT_CLASSES)
		return class;
	return (uint32_t)((UINT64_C(1) << (class - EXACT_CLASSES + 6)) - 1);
}

static size_t record_bytes(uint32_t capacity)
{
	return sizeof(struct ring_record) + capacity * sizeof(struct ring_name *) +
	       ((size_t)capacity + 1) * sizeof(struct tally_sample);
}

static size_t name_bytes(const char *text)
{
	return sizeof(struct ring_name) + strlen(text) + 1;
}

struct ring_name *ring_name_find(struct ring_task *task, const char *text)
{
	struct ring_name *name;

	HASH_FIND_STR(task->names, text, name);
	return name;
}

static struct ring_name *name_add(struct ring *ring, struct ring_task *task, const char *text)
{
	struct ring_name *name = calloc(1, name_bytes(text));

	if (!name)
		return NULL;
	strcpy(name->text, text);
	HASH_ADD_STR(task->names, text, name);
	if (!name->hh.tbl) {
		free(name);
		return NULL;
	}
	ring->bytes += name_bytes(text);
	return name;
}

static void name_release(struct ring *ring, struct ring_task *task, struct ring_name *name)
{
	if (name->records > 0)
		return;
	ring->bytes -= name_bytes(name->text);
	HASH_DEL(task->names, name);
	free(name);
}

static void release_names(struct ring *ring, struct ring_record *record)
{
	struct ring_task *task = history_task_ring(record->task);

	for (uint32_t i = 0; i < record->processes; i++) {
		record->names[i]->records--;
		record->names[i]->last = NULL;
		name_release(ring, task, record->names[i]);
	}
}

static void put_spare(struct ring *ring, struct ring_record *record)
{
	struct ring_record **spare = &ring->spare[class_of(record->capacity)];

	record->newer = *spare;
	*spare = record;
}

/* The oldest record of all is the oldest of its task, too. */
static void drop_oldest(struct ring *ring)
{
	struct ring_record *record = ring->oldest;
	struct ring_task *task = history_task_ring(record->task);

	ring->oldest = record->newer;
	if (!ring->oldest)
		ring->newest = NULL;
	task->oldest = record->newer_of_task;
	if (!task->oldest)
		task->newest = NULL;
	release_names(ring, record);
	put_spare(ring, record);
	ring->records--;
}

static void expire(struct ring *ring, int64_t now_ns)
{
	while (ring->oldest && now_ns - ring->oldest->samples->boot_ns >= ring->retention_ns)
		drop_oldest(ring);
}

static bool free_a_spare(struct ring *ring)
{
	for (unsigned class = RING_CLASSES; class -- > 0;) {
		struct ring_record *record = ring->spare[class];

		if (record) {
			ring->spare[class] = record->newer;
			ring->bytes -= record_bytes(record->capacity);
			free(record);
			return true;
		}
	}
	return false;
}

static struct ring_record *take_spare(struct ring *ring, unsigned class)
{
	struct ring_record *record = ring->spare[class];

	if (record)
		ring->spare[class] = record->newer;
	return record;
}

static struct ring_record *new_record(struct ring *ring, unsigned class)
{
	uint32_t capacity = class_capacity(class);
	struct ring_record *record = malloc(record_bytes(capacity));

	if (!record)
		return NULL;
	record->capacity = capacity;
	record->samples = (struct tally_sample *)(record + 1);
	record->names = (struct ring_name **)(record->samples + capacity + 1);
	ring->bytes += record_bytes(capacity);
	return record;
}

/* A spare of the right size; or else memory, for which spares and then old records make room. */
static struct ring_record *get_record(struct ring *ring, uint32_t processes)
{
	unsigned class = class_of(processes);
	size_t needed = record_bytes(class_capacity(class));

	if (needed > ring->bytes_limit)
		return NULL;
	for (;;) {
		struct ring_record *record = take_spare(ring, class);

		if (record)
			return record;
		if (ring->bytes + needed <= ring->bytes_limit)
			return new_record(ring, class);
		if (free_a_spare(ring))
			continue;
		if (!ring->oldest)
			return NULL;
		drop_oldest(ring);
		ring->dropped++;
	}
}

static int fill_names(
	struct ring *ring, struct ring_record *record, const struct history_record *given)
{
	struct ring_task *task = history_task_ring(record->task);

	for (size_t i = 0; i < given->process_count; i++) {
		const char *text = given->processes[i].name;
		struct ring_name *name = ring_name_find(task, text);

		if (!name)
			name = name_add(ring, task, text);
		if (!name)
			return -ENOMEM;
		if (name->last == record)
			return -EEXIST;
		name->last = record;
		name->records++;
		record->names[i] = name;
		record->processes++;
	}
	return 0;
}

static void set_sample(struct tally_sample *sample, const struct tally_sample *given,
	const struct history_record *record)
{
	*sample = *given;
	sample->wall_ns = record->wall_ns;
	sample->boot_ns = record->boot_ns;
}

static void link_record(struct ring *ring, struct ring_record *record)
{
	struct ring_task *task = history_task_ring(record->task);

	record->newer = record->newer_of_task = NULL;
	*(ring->newest ? &ring->newest->newer : &ring->oldest) = record;
	ring->newest = record;
	*(task->newest ? &task->newest->newer_of_task : &task->oldest) = record;
	task->newest = record;
	ring->records++;
}

int ring_append(struct ring *ring, struct history_task *task, const struct history_record *given)
{
	if (given->process_count >= UINT32_MAX / 2)
		return -ENOMEM;
	expire(ring, given->boot_ns);

	struct ring_record *record = get_record(ring, (uint32_t)given->process_count);
	if (!record)
		return -ENOMEM;
	record->task = task;
	record->processes = 0;

	int r = fill_names(ring, record, given);
	if (r < 0) {
		release_names(ring, record);
		put_spare(ring, record);
		return r;
	}
	set_sample(&record->samples[0], given->total, given);
	for (size_t i = 0; i < given->process_count; i++)
		set_sample(&record->samples[i + 1], given->processes[i].sample, given);
	link_record(ring, record);
	return 0;
}

const struct tally_sample *ring_sample(
	const struct ring_record *record, const struct ring_name *name)
{
	if (!name)
		return &record->samples[0];
	for (uint32_t i = 0; i < record->processes; i++)
		if (record->names[i] == name)
			return &record->samples[i + 1];
	return NULL;
}

void ring_task_clear(struct ring *ring, struct history_task *task)
{
	struct ring_record **link = &ring->oldest;

	ring->newest = NULL;
	while (*link) {
		struct ring_record *record = *link;

		if (record->task != task) {
			ring->newest = record;
			link = &record->newer;
			continue;
		}
		*link = record->newer;
		release_names(ring, record);
		put_spare(ring, record);
		ring->records--;
	}
	*history_task_ring(task) = (struct ring_task){0};
}

void ring_done(struct ring *ring)
{
	while (ring->oldest)
		drop_oldest(ring);
	while (free_a_spare(ring))
		;
}
