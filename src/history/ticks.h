/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The instants of samples. All tasks that a tick sampled share its two times, so these are kept
 * once a tick, under a number that rises, and samples bear the number.
 *
 * Chunks hold CHUNK_TICKS successive numbers each. A machine that boots anew begins a new era:
 * boot_ns starts over, and order is by (era, boot_ns). A chunk is of one era.
 *
 * Not thread-safe.
 */
#ifndef HISTORY_TICKS_H
#define HISTORY_TICKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHUNK_TICKS 128u

struct tick {
	int64_t wall_ns, boot_ns;
};

/** A place in time that never steps: of two, the greater is later. */
struct moment {
	uint32_t era;
	int64_t boot_ns;
};

static inline bool moment_before(struct moment a, struct moment b)
{
	return a.era != b.era ? a.era < b.era : a.boot_ns < b.boot_ns;
}

struct tick_chunk {
	uint32_t era, count;
	bool stored; /**< The store has it as it is. */
	struct tick at[CHUNK_TICKS];
};

/** Ticks; zeroed it is empty. */
struct ticks {
	struct tick_chunk **chunks; /**< Numbers from first * CHUNK_TICKS on. NULL: not there. */
	uint64_t first;
	size_t count, capacity;
	struct tick_chunk *spare;
	uint64_t next; /**< Number of the next tick. */
	size_t bytes;
};

/** Add a tick. @ret its number. @return false without memory. */
bool ticks_add(struct ticks *ticks, uint32_t era, struct tick tick, uint64_t *ret);

/** The next tick begins a chunk. */
void ticks_skip_chunk(struct ticks *ticks);

/** Chunk that holds a tick, or NULL when it was dropped. */
struct tick_chunk *ticks_chunk(const struct ticks *ticks, uint64_t number);

/** Copy successive ticks. @return false when any of them was dropped. */
bool ticks_copy(const struct ticks *ticks, uint64_t first, size_t count, struct tick *ret);

/** Last tick before an instant of an era. @return false when there is none. */
bool ticks_find(
	const struct ticks *ticks, struct moment before, uint64_t *ret, struct tick *ret_tick);

/** Drop the chunks that hold only ticks below a number. */
void ticks_drop(struct ticks *ticks, uint64_t number);

void ticks_done(struct ticks *ticks);

#endif
