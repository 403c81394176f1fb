/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/table.h"

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
static uint32_t home(const struct table *table, uint64_t name)
{
	return (uint32_t)(((name >> (ENTRY_NAME_BITS - 32)) * table->capacity) >> 32);
}

static uint32_t next(const struct table *table, uint32_t at)
{
	return at + 1 == table->capacity ? 0 : at + 1;
}

static struct entry *place_of(const struct table *table, uint64_t name)
{
	uint32_t at = home(table, name);

	while (table->entries[at].kind && table->entries[at].name != name)
		at = next(table, at);
	return &table->entries[at];
}

struct entry *entry_table_find(const struct table *table, uint64_t name)
{
	if (!table->capacity)
		return NULL;

	struct entry *entry = place_of(table, name);
	return entry->kind ? entry : NULL;
}

static int grow(struct table *table)
{
	struct table larger = {.count = table->count};

	if (table->capacity > UINT32_MAX / 2)
		return -ENOMEM;
	larger.capacity =
		table->capacity ? table->capacity + (table->capacity + 1) / 2 : LEAST_CAPACITY;
	larger.entries = calloc(larger.capacity, sizeof(*larger.entries));
	if (!larger.entries)
		return -ENOMEM;
	for (uint32_t i = 0; i < table->capacity; i++)
		if (table->entries[i].kind)
			*place_of(&larger, table->entries[i].name) = table->entries[i];
	free(table->entries);
	*table = larger;
	return 0;
}

int entry_table_insert(struct table *table, struct entry entry)
{
	/* One place at least stays empty: searches end there. */
	if (table->count + 1 >= table->capacity - table->capacity / 8) {
		int r = grow(table);

		if (r < 0)
			return r;
	}
	*place_of(table, entry.name) = entry;
	table->count++;
	return 0;
}

static uint32_t distance(const struct table *table, uint32_t from, uint32_t to)
{
	return to >= from ? to - from : to + table->capacity - from;
}

/* Those behind it move up, so that no search ends early at the hole. */
void entry_table_remove(struct table *table, struct entry *entry)
{
	uint32_t hole = (uint32_t)(entry - table->entries);

	for (uint32_t at = next(table, hole); table->entries[at].kind; at = next(table, at)) {
		uint32_t from = home(table, table->entries[at].name);

		if (distance(table, from, at) >= distance(table, hole, at)) {
			table->entries[hole] = table->entries[at];
			hole = at;
		}
	}
	table->entries[hole] = (struct entry){0};
	table->count--;
}

size_t entry_table_bytes(const struct table *table)
{
	return table->capacity * sizeof(struct entry);
}

void entry_table_done(struct table *table)
{
	free(table->entries);
	*table = (struct table){0};
}
