/* SPDX-License-Identifier: Apache-2.0 */
#include "history/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdlib.h>

struct arena_chunk {
	struct arena_chunk *next; /* spare one */
	size_t size, used;
	uint32_t live;
	alignas(max_align_t) char room[];
};

static size_t aligned(size_t size)
{
	return (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
}

static size_t chunk_room(const struct arena *arena)
{
	return arena->chunk_bytes - sizeof(struct arena_chunk);
}

static struct arena_chunk *new_chunk(struct arena *arena, size_t size)
{
	struct arena_chunk *chunk = malloc(size);

	if (!chunk)
		return NULL;
	*chunk = (struct arena_chunk){.size = size};
	arena->bytes += size;
	return chunk;
}

static void give_back(struct arena *arena, struct arena_chunk *chunk)
{
	arena->bytes -= chunk->size;
	free(chunk);
}

static void put_spare(struct arena *arena, struct arena_chunk *chunk)
{
	chunk->next = arena->spare;
	arena->spare = chunk;
	arena->spare_bytes += chunk->size;
}

static struct arena_chunk *take_spare(struct arena *arena)
{
	struct arena_chunk *chunk = arena->spare;

	if (chunk) {
		arena->spare = chunk->next;
		arena->spare_bytes -= chunk->size;
		chunk->used = 0;
	}
	return chunk;
}

static bool fits(const struct arena *arena, size_t size)
{
	return arena->current &&
	       arena->current->size - sizeof(struct arena_chunk) - arena->current->used >= size;
}

static struct arena_chunk *begin_chunk(struct arena *arena)
{
	struct arena_chunk *chunk = take_spare(arena);

	if (!chunk)
		chunk = new_chunk(arena, arena->chunk_bytes);
	if (!chunk)
		return NULL;
	if (arena->current && arena->current->live == 0)
		put_spare(arena, arena->current);
	arena->current = chunk;
	return chunk;
}

void *arena_alloc(struct arena *arena, size_t size, struct arena_chunk **ret_chunk)
{
	struct arena_chunk *chunk = arena->current;

	size = aligned(size);
	if (size > chunk_room(arena))
		chunk = new_chunk(arena, size + sizeof(*chunk));
	else if (!fits(arena, size))
		chunk = begin_chunk(arena);
	if (!chunk)
		return NULL;

	void *at = chunk->room + chunk->used;
	chunk->used += size;
	chunk->live++;
	*ret_chunk = chunk;
	return at;
}

void arena_free(struct arena *arena, struct arena_chunk *chunk)
{
	assert(chunk->live > 0);
	if (--chunk->live > 0)
		return;
	if (chunk == arena->current)
		chunk->used = 0;
	else if (chunk->size == arena->chunk_bytes)
		put_spare(arena, chunk);
	else
		give_back(arena, chunk);
}

size_t arena_growth(const struct arena *arena, size_t size)
{
	size = aligned(size);
	if (size > chunk_room(arena))
		return size + sizeof(struct arena_chunk);
	return fits(arena, size) || arena->spare ? 0 : arena->chunk_bytes;
}

void arena_trim(struct arena *arena)
{
	struct arena_chunk *chunk;

	while ((chunk = take_spare(arena)))
		give_back(arena, chunk);
}

void arena_done(struct arena *arena)
{
	arena_trim(arena);
	if (arena->current)
		give_back(arena, arena->current);
	arena->current = NULL;
	assert(arena->bytes == 0);
}
