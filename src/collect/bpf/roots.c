/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "collect/bpf/inside.h"

int roots_init(struct root_table *roots, uint32_t limit)
{
	*roots = (struct root_table){.room = 64, .count = 1, .free = 1, .limit = limit};
	roots->slots = calloc(roots->room, sizeof(*roots->slots));
	return roots->slots ? 0 : -ENOMEM;
}

void roots_done(struct root_table *roots)
{
	free(roots->slots);
}

static bool grow(struct root_table *roots)
{
	uint32_t room = roots->room * 2;
	struct root_slot *slots = reallocarray(roots->slots, room, sizeof(*slots));

	if (!slots)
		return false;
	memset(slots + roots->room, 0, (room - roots->room) * sizeof(*slots));
	roots->slots = slots;
	roots->room = room;
	return true;
}

/* Clock ticks of /proc are the identity: two readings of one start may differ by one of them. */
static bool same(const struct root_slot *slot, pid_t pid, int64_t start_ns)
{
	return slot->users && slot->pid == pid && slot->start_ns == start_ns;
}

int roots_take(struct root_table *roots, pid_t pid, int64_t start_ns, uint32_t *ret)
{
	uint32_t slot = roots->free;

	for (uint32_t i = 1; i < roots->count; i++)
		if (same(&roots->slots[i], pid, start_ns)) {
			roots->slots[i].users++;
			*ret = i;
			return 0;
		}
	while (slot < roots->count && roots->slots[slot].users)
		slot++;
	if (slot >= roots->limit)
		return -ENOSPC;
	if (slot == roots->room && !grow(roots))
		return -ENOMEM;
	if (slot == roots->count)
		roots->count++;
	roots->free = slot + 1;
	struct root_slot *root = &roots->slots[slot];
	root->token = root->token ? root->token + ROOT_LIMIT : slot;
	root->users = 1;
	root->pid = pid;
	root->start_ns = start_ns;
	*ret = slot;
	return 0;
}

void roots_drop(struct root_table *roots, uint32_t slot)
{
	if (--roots->slots[slot].users == 0 && slot < roots->free)
		roots->free = slot;
}
