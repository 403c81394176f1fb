/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Looking through a whole store: every block decoded, every checksum made again, everything
 * counted. Reads only, whoever writes meanwhile: it sees the store as it was at one instant.
 */
#ifndef HISTORY_SURVEY_H
#define HISTORY_SURVEY_H

#include "history/store.h"

/** What one resolution has. */
struct survey_tier {
	int64_t step_ns, retention_ns; /**< As the last writer kept it; step 0: as taken. */
	uint64_t blocks, block_bytes;
	uint64_t rows;		   /**< Instants of tasks. */
	uint64_t values;	   /**< Figures that are known, maxima included. */
	int64_t first_ns, last_ns; /**< Wall clock; 0 when it has no blocks. */
};

/** What a store has. */
struct survey {
	uint64_t bytes; /**< Of its files together. */
	uint64_t tasks; /**< Ids. */
	uint64_t processes;
	uint64_t chunks;	  /**< Of times. */
	uint64_t journal_entries; /**< Ticks that are not in blocks yet. */
	uint64_t damaged;	  /**< Things found damaged. */
	uint64_t later;		  /**< Blocks of a later version. */
	unsigned tier_count;
	struct survey_tier tiers[TIERS];
};

/** Told of each damaged thing: what, of which task, of when. */
typedef void survey_fn(void *context, const char *line);

/**
 * Look through a store.
 *
 * @deep    Look at the tables of SQLite, too, page by page.
 * @tell    May be NULL.
 * @ret     Filled on success, damage or not.
 * @return  0, or what store_open() and queries return.
 *
 * Takes about as long as reading the file; a second for some hundred megabytes.
 */
int survey_store(const char *path, bool deep, survey_fn *tell, void *context, struct survey *ret,
	struct tally_error *err);

/**
 * Delete what ended before an instant of the wall clock, and give the space back to the file system.
 *
 * @ret_blocks  How many blocks were deleted.
 * @return      0; -ENOENT (there is no such file); -EBUSY (somebody writes it); others of the store.
 */
int survey_prune(
	const char *path, int64_t before_ns, uint64_t *ret_blocks, struct tally_error *err);

#endif
