/* SPDX-License-Identifier: Apache-2.0 */
#include "history/ticks.h"

#include <stdlib.h>
#include <string.h>

static bool grow(struct ticks *ticks)
{
	size_t capacity = ticks->capacity ? ticks->capacity * 2 : 32;
	void *chunks = reallocarray(ticks->chunks, capacity, sizeof(*ticks->chunks));

	if (!chunks)
		return false;
	ticks->bytes += (capacity - ticks->capacity) * sizeof(*ticks->chunks);
	ticks->chunks = chunks;
	ticks->capacity = capacity;
	return true;
}

static struct tick_chunk *begin_chunk(struct ticks *ticks, uint32_t era)
{
	struct tick_chunk *chunk = ticks->spare;

	if (ticks->count == ticks->capacity && !grow(ticks))
		return NULL;
	if (!chunk) {
		chunk = malloc(sizeof(*chunk));
		if (!chunk)
			return NULL;
		ticks->bytes += sizeof(*chunk);
	}
	ticks->spare = NULL;
	chunk->era = era;
	chunk->count = 0;
	chunk->stored = false;
	if (ticks->count == 0)
		ticks->first = ticks->next / CHUNK_TICKS;
	ticks->chunks[ticks->count++] = chunk;
	return chunk;
}

void ticks_skip_chunk(struct ticks *ticks)
{
	ticks->next = (ticks->next + CHUNK_TICKS - 1) / CHUNK_TICKS * CHUNK_TICKS;
}

bool ticks_add(struct ticks *ticks, uint32_t era, struct tick tick, uint64_t *ret)
{
	struct tick_chunk *chunk = ticks->count ? ticks->chunks[ticks->count - 1] : NULL;

	if (chunk && chunk->era != era)
		ticks_skip_chunk(ticks);
	if (ticks->next % CHUNK_TICKS == 0 || !chunk)
		chunk = begin_chunk(ticks, era);
	if (!chunk)
		return false;
	chunk->at[chunk->count++] = tick;
	chunk->stored = false;
	*ret = ticks->next++;
	return true;
}

struct tick_chunk *ticks_chunk(const struct ticks *ticks, uint64_t number)
{
	uint64_t place = number / CHUNK_TICKS - ticks->first;

	if (number / CHUNK_TICKS < ticks->first || place >= ticks->count)
		return NULL;
	return number % CHUNK_TICKS < ticks->chunks[place]->count ? ticks->chunks[place] : NULL;
}

bool ticks_copy(const struct ticks *ticks, uint64_t first, size_t count, struct tick *ret)
{
	for (size_t i = 0; i < count; i++) {
		const struct tick_chunk *chunk = ticks_chunk(ticks, first + i);

		if (!chunk)
			return false;
		ret[i] = chunk->at[(first + i) % CHUNK_TICKS];
	}
	return true;
}

/* Ticks of a chunk rise in boot_ns: how many are before an instant. */
static uint32_t count_before(const struct tick_chunk *chunk, int64_t boot_ns)
{
	uint32_t low = 0, high = chunk->count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (chunk->at[middle].boot_ns < boot_ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool ticks_find(
	const struct ticks *ticks, struct moment before, uint64_t *ret, struct tick *ret_tick)
{
	for (size_t i = ticks->count; i-- > 0;) {
		const struct tick_chunk *chunk = ticks->chunks[i];
		uint32_t count;

		if (chunk->era > before.era)
			continue;
		if (chunk->era < before.era)
			return false;
		count = count_before(chunk, before.boot_ns);
		if (count > 0) {
			*ret = (ticks->first + i) * CHUNK_TICKS + count - 1;
			*ret_tick = chunk->at[count - 1];
			return true;
		}
	}
	return false;
}

void ticks_drop(struct ticks *ticks, uint64_t number)
{
	size_t drop = 0;

	while (drop + 1 < ticks->count && (ticks->first + drop + 1) * CHUNK_TICKS <= number) {
		if (ticks->spare) {
			ticks->bytes -= sizeof(*ticks->spare);
			free(ticks->spare);
		}
		ticks->spare = ticks->chunks[drop++];
	}
	if (drop == 0)
		return;
	memmove(ticks->chunks, ticks->chunks + drop,
		(ticks->count - drop) * sizeof(*ticks->chunks));
	ticks->count -= drop;
	ticks->first += drop;
}

void ticks_done(struct ticks *ticks)
{
	for (size_t i = 0; i < ticks->count; i++)
		free(ticks->chunks[i]);
	free(ticks->spare);
	free(ticks->chunks);
	*ticks = (struct ticks){0};
}
