/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What a reader sees of one series: all stretches of its task over all resolutions, oldest first,
 * each to be decoded when it is wanted. Coarser resolutions end where finer ones begin.
 *
 * Opening takes the lock for a moment; loading takes it to copy times and decodes outside.
 */
#ifndef HISTORY_VIEW_H
#define HISTORY_VIEW_H

#include "history/internal.h"

/** A stretch of samples. */
struct view_entry {
	struct span span;
	struct sealed *sealed; /**< Pinned; NULL: the open rows. */
	unsigned tier;
};

struct view {
	struct view *next;
	struct history *history;
	uint32_t code;
	struct view_entry *entries;
	size_t count, capacity;
	struct bytes logs[TIERS]; /**< Copies of open rows. */
	uint32_t repeats[TIERS];
	int64_t hidden_ns[TIERS]; /**< Rows of this era up to here are past their retention. */
	uint32_t era;
	struct moment end[TIERS]; /**< Where finer resolutions begin. */

	/* Of the entry loaded: */
	size_t loaded;
	struct table table;
	struct block_scratch *scratch;
	struct tick ticks[TABLE_ROWS];
	int64_t boot_ns[TABLE_ROWS];
	struct row_set rows; /**< Rows to be seen in which the series is. */
	struct tally_sample samples[TABLE_ROWS];
};

/**
 * Open a view of a task.
 *
 * @process  NULL: its total.
 * @return   0; -ENOENT (never heard of the process); -ENOMEM.
 */
int view_open(
	struct history *history, struct history_task *task, const char *process, struct view **ret);

/** Close; takes NULL. */
void view_close(struct view *view);

/** Decode an entry. False when it is gone meanwhile, or is damaged: to be passed over. */
bool view_load(struct view *view, size_t entry);

/** Rebuild samples of the loaded entry into view->samples[from … to]. 0 or -ENOMEM. */
int view_samples(struct view *view, uint32_t code, unsigned from, unsigned to);

/** Last row of the loaded entry that is seen, before a row; -1: none. */
int view_row_before(const struct view *view, unsigned row);

#endif
