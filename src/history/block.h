/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Blocks: tables (table.h) as they are kept, in memory and in the store. Lossless.
 *
 *     block   := version (a byte), varints: metrics, first tick, rows, series, length of the plain
 *                stream, length of the packed one (0: it is not packed); the stream, packed with
 *                zstd or not; bits
 *     stream  := ticks series* starts columns
 *     ticks   := a byte, 0: the ticks are successive; or 1, and for each row but the first a
 *                varint: ticks left out before it
 *     series  := varints: its code less that of the one before (folded), presences; where it is:
 *                a byte, 0: in all rows; or 1, its first row, and lengths of runs of rows (here,
 *                not here, …) up to the last row; its presences; a head (a byte) for each metric
 *     presence:= a varint, rows since the one before (the first row for the first), a varint, the
 *                metrics present exclusive-or those of the presence before it in the block, a byte
 *                of reason for each absent metric
 *     head    := how a column is coded:
 *                bits 0-1  its start: 0, a folded varint, one divided by 4096, one by 10 ms
 *                bits 2-3  its changes: none; sparse; dense; dense differences of differences
 *                bits 4-6  what all changes are divided by: see block_scales[]; 7: a varint says
 *                bit 7     changes are never negative, hence not folded
 *     columns := for each column with changes: the divisor, if a varint; if sparse: a varint, how
 *                many, and varints, the rows since the last one; else one for each row after the
 *                series' first. Then a byte, the commonest symbol, and the symbols less that one.
 *
 * A change is a symbol and bits: up to 15 it is its own symbol; above, the symbol says how many
 * bits it has and the first after the leading one, and the rest goes to the bits, past zstd, which
 * would find nothing in them. Symbols of all columns look alike once their commonest is 0.
 *
 * Reading is safe on hostile bytes. Whoever keeps blocks where they can rot adds a checksum.
 */
#ifndef HISTORY_BLOCK_H
#define HISTORY_BLOCK_H

#include "history/bytes.h"
#include "history/table.h"

#define BLOCK_VERSION 1

/** The most bytes that a stream may unpack to. */
#define BLOCK_STREAM_MAX ((size_t)16 << 20)

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
