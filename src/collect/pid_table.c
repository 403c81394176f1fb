/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/pid_table.h"

#include <errno.h>
#include <stdlib.h>

#define LEAST_CAPACITY 256

/* Pids come in runs: multiplication scatters them, so that two runs do not pile up. */
static size_t slot_of(const struct pid_table *table, pid_t pid)
{
	return (size_t)(((uint32_t)pid * UINT64_C(0x9e3779b97f4a7c15)) >> 32) &
	       (table->capacity - 1);
}

static size_t after(const struct pid_table *table, size_t slot)
{
	return (slot + 1) & (table->capacity - 1);
}

void pid_table_done(struct pid_table *table)
{
	free(table->slots);
	*table = (struct pid_table){0};
}

static struct pid_entry *place(struct pid_table *table, pid_t pid)
{
	size_t slot = slot_of(table, pid);

	while (table->slots[slot].pid)
		slot = after(table, slot);
	return &table->slots[slot];
}

int pid_table_reserve(struct pid_table *table, size_t more)
{
	size_t capacity = table->capacity ? table->capacity : LEAST_CAPACITY;
	struct pid_table wider = {.count = table->count};

	/* At most half full: probes stay short. Much emptier after a flood: it gives memory back. */
	while (capacity < (table->count + more) * 2)
		capacity *= 2;
	while (capacity > LEAST_CAPACITY && capacity > (table->count + more) * 32)
		capacity /= 2;
	if (capacity == table->capacity)
		return 0;
	wider.capacity = capacity;
	wider.slots = calloc(capacity, sizeof(*wider.slots));
	if (!wider.slots)
		return -ENOMEM;
	for (size_t i = 0; i < table->capacity; i++)
		if (table->slots[i].pid)
			*place(&wider, table->slots[i].pid) = table->slots[i];
	free(table->slots);
	*table = wider;
	return 0;
}

struct pid_entry *pid_table_find(const struct pid_table *table, pid_t pid)
{
	if (pid <= 0 || table->capacity == 0)
		return NULL;
	for (size_t slot = slot_of(table, pid); table->slots[slot].pid; slot = after(table, slot))
		if (table->slots[slot].pid == pid)
			return &table->slots[slot];
	return NULL;
}

struct pid_entry *pid_table_add(struct pid_table *table, pid_t pid)
{
	struct pid_entry *entry = place(table, pid);

	entry->pid = pid;
	table->count++;
	return entry;
}

/* The entries behind a freed slot move up, unless they would land before the slot they hash to. */
void pid_table_remove(struct pid_table *table, struct pid_entry *entry)
{
	size_t hole = (size_t)(entry - table->slots), mask = table->capacity - 1;

	for (size_t slot = after(table, hole); table->slots[slot].pid; slot = after(table, slot)) {
		size_t home = slot_of(table, table->slots[slot].pid);

		if (((slot - home) & mask) >= ((slot - hole) & mask)) {
			table->slots[hole] = table->slots[slot];
			hole = slot;
		}
	}
	table->slots[hole] = (struct pid_entry){0};
	table->count--;
}

void pid_table_sweep(struct pid_table *table, uint32_t pass)
{
	for (size_t slot = 0; slot < table->capacity; slot++)
		while (table->slots[slot].pid && table->slots[slot].seen != pass)
			pid_table_remove(table, &table->slots[slot]);
}

struct pid_entry *pid_table_next(const struct pid_table *table, struct pid_entry *entry)
{
	size_t slot = entry ? (size_t)(entry - table->slots) + 1 : 0;

	for (; slot < table->capacity; slot++)
		if (table->slots[slot].pid)
			return &table->slots[slot];
	return NULL;
}
