/* SPDX-License-Identifier: Apache-2.0 */
/** What the writer and the reader of block.h share. */
#ifndef HISTORY_BLOCK_COLUMN_H
#define HISTORY_BLOCK_COLUMN_H

#include <zstd.h>
#include "history/bits.h"
#include "history/block.h"

#define START_OF(head)	 ((head)&3u)
#define CHANGES_OF(head) ((head) >> 2 & 3u)
#define SCALE_OF(head)	 ((head) >> 4 & 7u)
#define HEAD_UNSIGNED	 0x80u

enum block_start {
	START_ZERO,
	START_PLAIN,
	START_PAGES,
	START_TICKS,
};

enum block_changes {
	CHANGES_NONE,
	CHANGES_SPARSE,
	CHANGES_DENSE,
	CHANGES_DENSE_TWICE,
};

/** The unit of processor time in /proc/PID/stat. */
#define TICK_NS INT64_C(10000000)
#define PAGE	INT64_C(4096)

#define SCALE_VARINT 7u

/** Divisors with a number of their own; 0: not in use. */
static const uint64_t block_scales[SCALE_VARINT] = {
	1, 512, 4096, 10000000, 1000, 1000000, 1000000000};

struct block_scratch {
	ZSTD_CCtx *pack;
	ZSTD_DCtx *unpack;
	struct bytes stream, heads, columns, bits, block;
};

/** Values up to here are their own symbol. */
#define SYMBOL_DIRECT 16u
/** The largest symbol. */
#define SYMBOL_MAX (SYMBOL_DIRECT + (64 - 5) * 2 + 1)

/** Bits that follow a symbol. */
static inline unsigned symbol_bits(unsigned symbol)
{
	return symbol < SYMBOL_DIRECT ? 0 : (symbol - SYMBOL_DIRECT) / 2 + 3;
}

/** Symbol of a value. The bits that follow are its low ones. */
static inline unsigned symbol_of(uint64_t value)
{
	if (value < SYMBOL_DIRECT)
		return (unsigned)value;

	unsigned length = 64 - (unsigned)__builtin_clzll(value);
	return SYMBOL_DIRECT + (length - 5) * 2 + (unsigned)(value >> (length - 2) & 1);
}

/** The value without the bits that follow. */
static inline uint64_t symbol_base(unsigned symbol)
{
	if (symbol < SYMBOL_DIRECT)
		return symbol;
	return (UINT64_C(2) | ((symbol - SYMBOL_DIRECT) & 1)) << symbol_bits(symbol);
}

#endif
