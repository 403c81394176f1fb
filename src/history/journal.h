/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The journal: what makes the open rows of the finest resolution survive a crash. For each tick the
 * store gets one entry of what it added; a task that goes on as it was is not even mentioned.
 *
 *     entry := op*
 *     op    := a varint: number of the task << 2 | kind, and for
 *              PAUSE  nothing: the task is not in this tick, nor in the next ones until it is
 *                     mentioned again
 *              ROW    varint length, bytes to append to the log of its rows (rows.h)
 *              WHOLE  varints: metrics, block number, first tick, last tick, repeats, 1 if silence
 *                     means that nothing changed, length; the whole log of its open rows
 *
 * An entry is complete when the tick had ended: then every task that was in the tick before, and is
 * not mentioned, repeats its last row.
 */
#ifndef HISTORY_JOURNAL_H
#define HISTORY_JOURNAL_H

#include "history/internal.h"

enum journal_op {
	JOURNAL_PAUSE,
	JOURNAL_ROW,
	JOURNAL_WHOLE,
};

/** Entries that wait for a store that does not take them; beyond, they are thrown away. */
#define JOURNAL_BYTES_MAX ((size_t)1 << 20)

/** Note what was appended to the finest lane of a task: history->said. */
void journal_row(struct history *history, struct history_task *task);

/** The tick under way is over. */
void journal_end_tick(struct history *history);

/** All open rows, whole, for a journal that has lost entries. False without memory. */
bool journal_whole(struct history *history, struct bytes *ret);

/** Walk entries as journal_end_tick() queues them. @return false at the end. */
bool journal_next(struct reader *entries, uint64_t *ret_tick, struct reader *ret_ops);

/** A task whose rows are being put together from a journal. */
struct journal_task {
	uint64_t task, number, first_tick, last_tick;
	uint32_t metrics, repeats;
	bool active;
	struct bytes log;
	UT_hash_handle hh;
};

/** Rows of a task that a journal has whole. @return false to stop. */
typedef bool journal_task_fn(void *context, const struct journal_task *task);

/** Entries put together. Zeroed but for the visitor it is empty. */
struct journal_replay {
	struct journal_task *tasks;
	journal_task_fn *done; /**< Called for rows that no later entry goes on with. */
	void *context;
	bool no_memory;
};

/** Take in one entry. False when it makes no sense, or without memory: those after it are void. */
bool journal_replay_entry(
	struct journal_replay *replay, uint64_t tick, bool complete, struct reader ops);

/** Hand over all rows, and free the replay. */
void journal_replay_end(struct journal_replay *replay);

#endif
