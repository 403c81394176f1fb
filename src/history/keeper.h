/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Keeps the store up to date: a thread that looks, under the history's lock, what the store does not
 * have yet, and writes it in one transaction without the lock. When the store does not take it,
 * that is said once, the history goes on in memory, and the thread tries again until it does.
 *
 * And readers' access to the store: one more connection, under a lock of its own.
 */
#ifndef HISTORY_KEEPER_H
#define HISTORY_KEEPER_H

#include "history/internal.h"
#include "history/store.h"

/** What there is to know of a store in use. */
struct keeper_status {
	uint64_t bytes, bytes_limit; /**< Of its files together. */
	uint64_t commits;
	uint64_t failures; /**< Writes that did not succeed. */
	bool failing;
	uint64_t damaged; /**< Rows and files found damaged. */
};

/**
 * Open the store of a history: repair it after a crash, read what it left, and, unless it is only
 * read, begin to write. As history_open().
 */
int keeper_open(
	struct history *history, const struct history_options *options, struct tally_error *err);

/** Write what is left and close. */
void keeper_close(struct history *history);

/** Something may have changed. Under the history's lock. */
void keeper_wake(struct history *history);

/** Wait until everything is written, or cannot be. 0 or -EAGAIN. Under the history's lock. */
int keeper_flush(struct history *history);

/** Whether a batch is being written: what it points to must stay. Under the history's lock. */
bool keeper_busy(const struct history *history);

/** Under the history's lock. */
void keeper_status(struct history *history, struct keeper_status *ret);

/** Take the readers' connection; NULL when there is none. Never with the history's lock held. */
struct store *keeper_lock_reader(struct history *history);

/** Give it back. @error: of a call to it; a damaged store is opened anew for the next reader. */
void keeper_unlock_reader(struct history *history, int error);

/* batch.c: what is to be written */

struct batch_task {
	struct history_task *task;
	bool put, put_roots;
	size_t roots_at, roots_length; /* in text */
};

struct batch_name {
	const struct history_task *task;
	struct name *name;
};

struct batch_block {
	struct sealed *sealed; /* pinned */
	const struct history_task *task;
};

struct batch_open {
	struct lane *lane;
	struct span span;
	uint32_t repeats;
	size_t log_at, log_length; /* in text */
};

struct batch_chunk {
	unsigned tier;
	uint64_t number;
	struct tick_chunk chunk;
};

/** Tasks, names and blocks are pointed to, and stay (keeper_busy()); what may change is copied. */
struct batch {
	struct batch_task *tasks;
	struct batch_name *names;
	struct batch_block *blocks;
	struct batch_open *opens;
	struct batch_chunk *chunks;
	size_t task_count, name_count, block_count, open_count, chunk_count;
	size_t task_capacity, name_capacity, block_capacity, open_capacity, chunk_capacity;
	struct bytes text, entries, whole;
	struct store_run run;
	uint64_t whole_tick;
	uint64_t cut_tick; /**< Journal entries below are no longer needed. */
	bool more;	   /**< There was more than a batch takes. */
};

/** What this run is, as of now. Under the history's lock. */
void batch_describe_run(const struct history *history, struct store_run *ret);

/** Fill a batch. Under the history's lock. False without memory. */
bool batch_collect(struct history *history, struct batch *batch);

/** Write it into an open transaction. */
int batch_write(struct batch *batch, struct store *store, struct block_scratch *scratch,
	struct table *table, struct tally_error *err);

/** The store has it: note that, and let go. Under the history's lock. */
void batch_stored(struct history *history, struct batch *batch);

/** The store has it not: let go. Under the history's lock. */
void batch_failed(struct history *history, struct batch *batch);

void batch_done(struct batch *batch);

/* recover.c */

/** Make blocks of a journal. @write: put them into the store; else into the memory of the history. */
int store_recover(
	struct history *history, struct store *store, bool write, struct tally_error *err);

/* resume.c */

/** Read what the last run knew of its tasks' processes; forget it if that was in another boot. */
int resume_read(
	struct history *history, struct store *store, bool same_boot, struct tally_error *err);

void resume_free(struct history *history);

#endif
