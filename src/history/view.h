/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What a reader sees of one series: all stretches of its task over all resolutions, in memory and in
 * the store, oldest first, each to be decoded when it is wanted. Coarser resolutions end where finer
 * ones begin.
 *
 * Opening takes the history's lock for a moment, and asks the store outside it; loading takes it to
 * copy times, and decodes outside.
 */
#ifndef HISTORY_VIEW_H
#define HISTORY_VIEW_H

#include "history/internal.h"

/** A stretch of samples. */
struct view_entry {
	struct span span;
	unsigned tier;
	uint32_t code;	       /**< Of the series in it. */
	struct sealed *sealed; /**< In memory, pinned. */
	uint64_t task;	       /**< In the store: its task; 0 for what is in memory. */
};

/** Code of the series in what one row of the store's tasks has. */
struct view_code {
	uint64_t task;
	uint32_t code;
};

struct view {
	struct view *next;
	struct history *history;
	char *task_name;
	const char *process; /**< NULL: the total. */
	struct view_entry *entries;
	size_t count, capacity;
	struct sealed **pins;
	size_t pin_count, pin_capacity;
	struct view_code *codes;
	size_t code_count, code_capacity;
	struct bytes logs[TIERS]; /**< Copies of open rows. */
	uint32_t repeats[TIERS];
	uint64_t task;		   /**< Number of the task in memory. */
	uint64_t in_memory[TIERS]; /**< Its stretches from this number on are in memory. */
	int64_t hidden_ns[TIERS];  /**< Rows of this era up to here are past their retention. */
	uint32_t era;
	struct moment end[TIERS]; /**< Where finer resolutions begin. */
	int error;

	/* Of the entry loaded: */
	size_t loaded;
	struct bytes block;
	struct table table;
	struct block_scratch *scratch;
	struct tick_chunk chunk; /**< Times read last from the store. */
	unsigned chunk_tier;
	uint64_t chunk_number; /**< UINT64_MAX: none. */
	struct tick ticks[TABLE_ROWS];
	int64_t boot_ns[TABLE_ROWS];
	struct row_set rows; /**< Rows to be seen in which the series is. */
	struct tally_sample samples[TABLE_ROWS];
};

/**
 * Open a view of a task.
 *
 * @process  NULL: its total. Must stay until the view is closed.
 * @return   0; -ENOENT (never heard of the process); -ENOMEM.
 */
int view_open(
	struct history *history, struct history_task *task, const char *process, struct view **ret);

/** Close; takes NULL. */
void view_close(struct view *view);

/** Decode an entry. False when it is gone meanwhile, or is damaged: to be passed over. */
bool view_load(struct view *view, size_t entry);

/**
 * Rebuild samples of the loaded entry.
 *
 * @maxima  Those of the maxima that coarser resolutions have, instead.
 * @ret     By row of the table: filled are [from … to].
 * @return  0, -ENOMEM, -ENOENT (it has no maxima).
 */
int view_samples(
	struct view *view, bool maxima, unsigned from, unsigned to, struct tally_sample *ret);

/** Last row of the loaded entry that is seen, before a row; -1: none. */
int view_row_before(const struct view *view, unsigned row);

#endif
