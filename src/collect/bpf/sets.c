/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/bpf/sets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int sets_init(struct set_table *table, uint32_t limit)
{
	*table = (struct set_table){.limit = limit, .room = 64, .count = 1, .free = 1};
	table->items = calloc(table->room, sizeof(*table->items));
	return table->items ? 0 : -ENOMEM;
}

void sets_done(struct set_table *table)
{
	for (uint32_t i = 0; i < table->count; i++)
		free(table->items[i].groups);
	free(table->items);
	*table = (struct set_table){0};
}

static int grow(struct set_table *table)
{
	uint32_t room = table->room * 2;
	struct set *items = reallocarray(table->items, room, sizeof(*items));

	if (!items)
		return -ENOMEM;
	memset(items + table->room, 0, (room - table->room) * sizeof(*items));
	table->items = items;
	table->room = room;
	return 0;
}

/* The lowest number that is not in use. */
static int take_number(struct set_table *table, uint32_t *ret)
{
	uint32_t number = table->free;

	while (number < table->count && table->items[number].used)
		number++;
	if (number >= table->limit)
		return -ENOSPC;
	if (number == table->room && grow(table) < 0)
		return -ENOMEM;
	if (number == table->count)
		table->count++;
	table->free = number + 1;
	*ret = number;
	return 0;
}

int sets_make(struct set_table *table, const uint32_t *groups, uint32_t count, uint32_t *ret)
{
	uint32_t number;
	uint32_t *copy = malloc(count * sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	int r = take_number(table, &number);
	if (r < 0) {
		free(copy);
		return r;
	}
	memcpy(copy, groups, count * sizeof(*copy));
	table->items[number] = (struct set){.groups = copy, .count = count, .used = true};
	*ret = number;
	return 1;
}

int sets_find(struct set_table *table, const uint32_t *groups, uint32_t count, uint32_t *ret)
{
	if (count == 0) {
		*ret = 0;
		return 0;
	}
	for (uint32_t i = 1; i < table->count; i++) {
		const struct set *set = &table->items[i];

		if (set->used && set->count == count &&
			memcmp(set->groups, groups, count * sizeof(*groups)) == 0) {
			*ret = i;
			return 0;
		}
	}
	return sets_make(table, groups, count, ret);
}

bool sets_have(const struct set_table *table, uint32_t set, uint32_t group)
{
	for (uint32_t i = 0; i < table->items[set].count; i++)
		if (table->items[set].groups[i] == group)
			return true;
	return false;
}

uint32_t sets_unite(const struct set_table *table, uint32_t a, uint32_t b, uint32_t *all)
{
	const struct set *one = &table->items[a], *other = &table->items[b];
	uint32_t i = 0, j = 0, count = 0;

	while (i < one->count || j < other->count) {
		bool first =
			j == other->count || (i < one->count && one->groups[i] <= other->groups[j]);

		if (first && j < other->count && one->groups[i] == other->groups[j])
			j++;
		all[count++] = first ? one->groups[i++] : other->groups[j++];
	}
	return count;
}

uint32_t sets_rest(const struct set_table *table, uint32_t a, uint32_t b, uint32_t *rest)
{
	const struct set *other = &table->items[b];
	uint32_t count = 0;

	for (uint32_t i = 0; i < other->count; i++)
		if (!sets_have(table, a, other->groups[i]))
			rest[count++] = other->groups[i];
	return count;
}

static void drop_from(struct set *set, uint32_t group)
{
	for (uint32_t i = 0; i < set->count; i++)
		if (set->groups[i] == group) {
			set->count--;
			memmove(set->groups + i, set->groups + i + 1,
				(set->count - i) * sizeof(*set->groups));
			return;
		}
}

void sets_drop(struct set_table *table, uint32_t group)
{
	for (uint32_t i = 1; i < table->count; i++)
		drop_from(&table->items[i], group);
}

void sets_free(struct set_table *table, uint32_t set)
{
	free(table->items[set].groups);
	table->items[set] = (struct set){0};
	if (set < table->free)
		table->free = set;
}
