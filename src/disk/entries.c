/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/entries.h"

#include <errno.h>
#include <stdlib.h>

enum { LEAST_CAPACITY = 4 };

struct entry entry_make(uint64_t name, uint64_t ino, enum entry_kind kind, uint64_t value)
{
	return (struct entry){
		.name = name,
		.ino_low = ino & 0xff,
		.ino_high = (ino & ENTRY_INO_MASK) >> 8,
		.kind = kind,
		.value = value < ENTRY_VALUE_MOST ? value : ENTRY_VALUE_MOST - 1,
	};
}

/* The upper 32 bits of the hash, scaled to the capacity, which is no power of two. */
static uint32_t home(const struct entries *all, uint64_t name)
{
	return (uint32_t)(((name >> (ENTRY_NAME_BITS - 32)) * all->capacity) >> 32);
}

static uint32_t next(const struct entries *all, uint32_t at)
{
	return at + 1 == all->capacity ? 0 : at + 1;
}

static struct entry *place_of(const struct entries *all, uint64_t name)
{
	uint32_t at = home(all, name);

	while (all->entries[at].kind && all->entries[at].name != name)
		at = next(all, at);
	return &all->entries[at];
}

struct entry *entries_find(const struct entries *all, uint64_t name)
{
	if (!all->capacity)
		return NULL;

	struct entry *entry = place_of(all, name);
	return entry->kind ? entry : NULL;
}

static int grow(struct entries *all)
{
	struct entries larger = {.count = all->count};

	if (all->capacity > UINT32_MAX / 2)
		return -ENOMEM;
	larger.capacity = all->capacity ? all->capacity + (all->capacity + 1) / 2 : LEAST_CAPACITY;
	larger.entries = calloc(larger.capacity, sizeof(*larger.entries));
	if (!larger.entries)
		return -ENOMEM;
	for (uint32_t i = 0; i < all->capacity; i++)
		if (all->entries[i].kind)
			*place_of(&larger, all->entries[i].name) = all->entries[i];
	free(all->entries);
	*all = larger;
	return 0;
}

int entries_insert(struct entries *all, struct entry entry)
{
	/* One place at least stays empty: searches end there. */
	if (all->count + 1 >= all->capacity - all->capacity / 8) {
		int r = grow(all);

		if (r < 0)
			return r;
	}
	*place_of(all, entry.name) = entry;
	all->count++;
	return 0;
}

static uint32_t distance(const struct entries *all, uint32_t from, uint32_t to)
{
	return to >= from ? to - from : to + all->capacity - from;
}

/* Those behind it move up, so that no search ends early at the hole. */
void entries_remove(struct entries *all, struct entry *entry)
{
	uint32_t hole = (uint32_t)(entry - all->entries);

	for (uint32_t at = next(all, hole); all->entries[at].kind; at = next(all, at)) {
		uint32_t from = home(all, all->entries[at].name);

		if (distance(all, from, at) >= distance(all, hole, at)) {
			all->entries[hole] = all->entries[at];
			hole = at;
		}
	}
	all->entries[hole] = (struct entry){0};
	all->count--;
}

size_t entries_bytes(const struct entries *all)
{
	return all->capacity * sizeof(struct entry);
}

void entries_done(struct entries *all)
{
	free(all->entries);
	*all = (struct entries){0};
}
