/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Blocks: tables (table.h) as they are kept, in memory and in the store. Lossless.
 *
 *     block   := version (a byte), varints: metrics, first tick, rows, series, length of what is
 *                coded; coded, by decisions that learn (coder.h); bits, that are not worth it
 *     coded   := ticks series*
 *     ticks   := are they successive? If not, for each row but the first: ticks left out before it
 *     series  := its code less that of the one before; is it in all rows? If not, its first row,
 *                and lengths of runs of rows (here, not here, …) up to the last row; how many
 *                presences, and those; a column for each metric
 *     presence:= rows since the one before (the first row for the first); for each metric, is it
 *                there? If not, is the reason that of the last time? If not, the reason
 *     column  := its start: 0, a number, one to be multiplied by 4096, or by 10 ms; its changes:
 *                none, sparse, dense, dense differences of differences, dense differences from a
 *                level. If there are any: what all are to be multiplied by (see block_scales[], or a
 *                number); are they signed? The level. If sparse: how many, and for each the rows
 *                since the last one; else there is one for each row after the series' first. The
 *                commonest length, and the lengths, by how far they are from that one
 *
 * A number, and a change, is its length in bits, which is coded, and those below the leading one,
 * which are not: nothing would be found in them. Signed ones are folded. What was decided for a
 * metric of one series is expected for that metric of the next. Lengths of all columns look alike
 * from their commonest one, so each column begins with what those before have learnt.
 *
 * Reading is safe on hostile bytes. Whoever keeps blocks where they can rot adds a checksum.
 */
#ifndef HISTORY_BLOCK_H
#define HISTORY_BLOCK_H

#include "history/bytes.h"
#include "history/table.h"

#define BLOCK_VERSION 2

/** No block is larger. */
#define BLOCK_SIZE_MAX ((size_t)16 << 20)

/** Working memory of block_write() and block_read(); used by one thread at a time. */
struct block_scratch;

/** @return NULL without memory. */
struct block_scratch *block_scratch_new(void);
struct block_scratch *block_scratch_free(struct block_scratch *scratch);

/**
 * Write a table as a block.
 *
 * @ret     Set to the block; it belongs to the scratch and is valid until its next use.
 * @return  0 or -ENOMEM.
 */
int block_write(struct block_scratch *scratch, const struct table *table, struct reader *ret);

/**
 * Read a block into a table.
 *
 * @return  0; -EBADMSG (this is no block, or a damaged one); -ENOTSUP (of a later version);
 *          -ENOMEM.
 */
int block_read(struct block_scratch *scratch, const void *block, size_t length, struct table *ret);

#endif
