/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Memory for things that end in about the order in which they began: they are laid end to end in
 * chunks, and a chunk is used anew once all in it have ended. No waste between them, no memory
 * asked for while the amount is steady, and the bytes taken are known exactly.
 *
 * Not thread-safe.
 */
#ifndef HISTORY_ARENA_H
#define HISTORY_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena_chunk;

/** Zeroed but for chunk_bytes it is empty. */
struct arena {
	struct arena_chunk *current, *spare;
	size_t chunk_bytes; /**< Size of a chunk; what is larger has one of its own. */
	size_t bytes;	    /**< Memory taken, spare chunks included. */
	size_t spare_bytes;
};

/**
 * Allocate, aligned for any type.
 *
 * @ret_chunk  What arena_free() wants.
 * @return     NULL without memory.
 */
void *arena_alloc(struct arena *arena, size_t size, struct arena_chunk **ret_chunk);

/** One thing in the chunk has ended. */
void arena_free(struct arena *arena, struct arena_chunk *chunk);

/** Memory that allocating this much would take on top. */
size_t arena_growth(const struct arena *arena, size_t size);

/** Give spare chunks back. */
void arena_trim(struct arena *arena);

/** Free it; everything in it has ended. */
void arena_done(struct arena *arena);

#endif
