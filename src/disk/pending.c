/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/pending.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	LEAST_ITEMS = 64,
	KEPT_ITEMS = 1024, /* Room for more is given back. */
};

static uint32_t *place_of(const struct pending *pending, uint32_t node, uint64_t name)
{
	uint32_t mask = pending->index_capacity - 1;
	uint32_t at = (uint32_t)(name ^ node * UINT32_C(0x9e3779b1)) & mask;

	for (; pending->index[at] != UINT32_MAX; at = (at + 1) & mask) {
		const struct pending_item *item = &pending->items[pending->index[at]];

		if (item->name == name && item->node == node)
			break;
	}
	return &pending->index[at];
}

/* The index is twice as large as the items: half of it stays empty. */
static int grow_items(struct pending *pending)
{
	uint32_t capacity = pending->capacity ? pending->capacity * 2 : LEAST_ITEMS;
	struct pending_item *items = reallocarray(pending->items, capacity, sizeof(*items));

	if (!items)
		return -ENOMEM;
	pending->items = items;

	uint32_t *index = malloc(2 * capacity * sizeof(*index));
	if (!index)
		return -ENOMEM;
	free(pending->index);
	pending->index = index;
	pending->index_capacity = 2 * capacity;
	pending->capacity = capacity;
	memset(index, 0xff, 2 * capacity * sizeof(*index));
	for (uint32_t i = 0; i < pending->count; i++)
		*place_of(pending, items[i].node, items[i].name) = i;
	return 0;
}

static int keep_text(struct pending *pending, const char *text, uint32_t *ret)
{
	size_t length = strlen(text) + 1;

	if (pending->text_used + length > PENDING_BYTES)
		return -ENOSPC;
	if (pending->text_used + length > pending->text_capacity) {
		size_t capacity = pending->text_capacity ? pending->text_capacity * 2 : 4096;
		char *texts = realloc(pending->texts, capacity);

		if (!texts)
			return -ENOMEM;
		pending->texts = texts;
		pending->text_capacity = capacity;
	}
	memcpy(pending->texts + pending->text_used, text, length);
	*ret = (uint32_t)pending->text_used;
	pending->text_used += length;
	return 0;
}

static void replace_ino(struct pending_item *item, uint64_t ino, uint64_t *ret_other)
{
	if (!ino || item->ino == ino)
		return;
	*ret_other = item->ino;
	item->ino = ino;
}

int pending_add(struct pending *pending, uint32_t node, uint64_t name, const char *text,
	uint64_t ino, uint64_t *ret_other)
{
	struct pending_item item = {.name = name, .ino = ino, .node = node};
	int r = 0;

	*ret_other = 0;

	if (pending->count == pending->capacity)
		r = pending->count < PENDING_MOST ? grow_items(pending) : -ENOSPC;
	if (r < 0)
		return r;

	uint32_t *place = place_of(pending, node, name);
	if (*place != UINT32_MAX) {
		replace_ino(&pending->items[*place], ino, ret_other);
		return 0;
	}
	r = keep_text(pending, text, &item.text);
	if (r < 0)
		return r;
	*place = pending->count;
	pending->items[pending->count++] = item;
	return 1;
}

static int by_node(const void *a, const void *b)
{
	uint32_t x = ((const struct pending_item *)a)->node;
	uint32_t y = ((const struct pending_item *)b)->node;

	return x < y ? -1 : x > y;
}

void pending_sort(struct pending *pending)
{
	if (pending->count)
		qsort(pending->items, pending->count, sizeof(*pending->items), by_node);
}

void pending_clear(struct pending *pending)
{
	if (pending->capacity > KEPT_ITEMS) {
		pending_done(pending);
		return;
	}
	pending->count = 0;
	pending->text_used = 0;
	if (pending->index)
		memset(pending->index, 0xff, pending->index_capacity * sizeof(*pending->index));
}

void pending_done(struct pending *pending)
{
	free(pending->items);
	free(pending->index);
	free(pending->texts);
	*pending = (struct pending){0};
}
