/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Records as they were given, first in, first out over all tasks: the plain history.
 *
 * Every record is one piece of memory that holds its samples. Pieces of records that made room are
 * kept for the next ones of their size, so that a steady set of tasks allocates nothing.
 *
 * Not thread-safe: the history locks.
 */
#ifndef HISTORY_RING_H
#define HISTORY_RING_H

#include "base/hash.h"
#include "history/history.h"

/** The name of a process, shared by the records that have it. */
struct ring_name {
	uint64_t records;		/**< Records kept that have it. */
	const struct ring_record *last; /**< The last one it was put into. */
	UT_hash_handle hh;
	char text[];
};

/** One record; its samples lie behind it: the total, then those of names[]. */
struct ring_record {
	struct ring_record *newer; /**< The next of any task, or the next spare one. */
	struct ring_record *newer_of_task;
	struct history_task *task;
	uint32_t processes, capacity; /**< Number of processes; that there is room for. */
	struct ring_name **names;
	struct tally_sample *samples;
};

/** Part of a history_task: its records, oldest first. */
struct ring_task {
	struct ring_record *oldest, *newest;
	struct ring_name *names;
};

/** Room classes of spare records: exact up to here, powers of two beyond. */
#define RING_CLASSES 96

struct ring {
	struct ring_record *oldest, *newest;
	struct ring_record *spare[RING_CLASSES];
	int64_t retention_ns;
	size_t bytes, bytes_limit;
	uint64_t records, dropped;
};

/** The ring's part of a task; history.c knows how to find it. */
struct ring_task *history_task_ring(struct history_task *task);

/**
 * Keep a record. 0, -ENOMEM, or -EEXIST (a process is named twice); on failure the ring is as it was,
 * but for records that made room.
 */
int ring_append(struct ring *ring, struct history_task *task, const struct history_record *record);

/** Forget all records of a task. */
void ring_task_clear(struct ring *ring, struct history_task *task);

/** Free all records and spares. */
void ring_done(struct ring *ring);

/** Sample of a process (NULL: the total) in a record, or NULL. */
const struct tally_sample *ring_sample(
	const struct ring_record *record, const struct ring_name *name);

/** Find the name of a process that a kept record of the task has, or NULL. */
struct ring_name *ring_name_find(struct ring_task *task, const char *text);

#endif
