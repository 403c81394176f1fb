/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/links.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST_CAPACITY = 64 };

/* Inode numbers come in runs; the multiplication spreads them over the high bits. */
static uint32_t home(const struct links *links, uint64_t ino)
{
	return (uint32_t)((ino * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (links->capacity - 1);
}

static uint32_t next(const struct links *links, uint32_t at)
{
	return (at + 1) & (links->capacity - 1);
}

/* The slot of an inode, or the empty one where it would be. */
static struct link *slot_of(const struct links *links, uint64_t ino)
{
	uint32_t at = home(links, ino);

	while (links->slots[at].names && links->slots[at].ino != ino)
		at = next(links, at);
	return &links->slots[at];
}

struct link *links_find(const struct links *links, uint64_t ino)
{
	if (!links->capacity)
		return NULL;

	struct link *link = slot_of(links, ino);
	return link->names ? link : NULL;
}

static int grow(struct links *links)
{
	struct links larger = *links;

	larger.capacity = links->capacity ? links->capacity * 2 : LEAST_CAPACITY;
	larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
	if (!larger.slots)
		return -1;
	for (uint32_t i = 0; i < links->capacity; i++)
		if (links->slots[i].names)
			*slot_of(&larger, links->slots[i].ino) = links->slots[i];
	free(links->slots);
	*links = larger;
	return 0;
}

struct link *links_add(struct links *links, uint64_t ino)
{
	struct link *link = links_find(links, ino);

	if (link)
		return link;
	if (links->limit && links->count >= links->limit)
		return NULL;
	if (links->count >= links->capacity / 4 * 3 && grow(links) < 0)
		return NULL;
	link = slot_of(links, ino);
	*link = (struct link){.ino = ino};
	links->count++;
	return link;
}

/* Those behind it move up, so that no search ends early at the hole. */
void links_remove(struct links *links, struct link *link)
{
	uint32_t hole = (uint32_t)(link - links->slots);

	for (uint32_t at = next(links, hole); links->slots[at].names; at = next(links, at)) {
		uint32_t from = home(links, links->slots[at].ino);
		uint32_t mask = links->capacity - 1;

		if (((at - from) & mask) >= ((at - hole) & mask)) {
			links->slots[hole] = links->slots[at];
			hole = at;
		}
	}
	links->slots[hole] = (struct link){0};
	links->count--;
}

size_t links_bytes(const struct links *links)
{
	return links->capacity * sizeof(struct link);
}

void links_done(struct links *links)
{
	free(links->slots);
	*links = (struct links){0};
}
