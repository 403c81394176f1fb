/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Chunks of ticks as the store keeps them:
 *
 *     packed := a varint, length of what is coded; coded (coder.h); bits
 *     coded  := for each tick, folded: how far boot_ns is from where the intervals before let it be
 *               expected (the first: from 0); how much wall_ns less boot_ns has changed
 *
 * Reading is safe on hostile bytes.
 */
#ifndef HISTORY_TICKS_PACK_H
#define HISTORY_TICKS_PACK_H

#include "history/bytes.h"
#include "history/ticks.h"

/** The most bytes of a packed chunk. */
#define TICKS_PACKED_MAX ((size_t)CHUNK_TICKS * 2 * 24 + 64)

/** Pack a chunk. @to  Has room for TICKS_PACKED_MAX bytes. */
void ticks_pack(const struct tick_chunk *chunk, struct bytes *to);

/** Unpack `count` ticks into a chunk. @return false when these bytes are none. */
bool ticks_unpack(struct reader packed, struct tick_chunk *ret);

#endif
