/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/members.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <tally/sample.h>
#include <unistd.h>

static void close_fd(struct members *members, struct member *member)
{
	if (member->fd < 0)
		return;
	close(member->fd);
	member->fd = -1;
	members->fds--;
}

static void free_threads(struct member *member)
{
	if (!member->many)
		return;
	free(member->many->list);
	free(member->many);
	member->many = NULL;
}

static void release(struct members *members, struct member *member)
{
	close_fd(members, member);
	free_threads(member);
	while (member->groups) {
		struct membership *membership = member->groups;

		member->groups = membership->next;
		membership->next = members->free_memberships;
		members->free_memberships = membership;
	}
	member->next_free = members->free_members;
	members->free_members = member;
}

void members_done(struct members *members)
{
	for (size_t i = 0; i < members->count; i++)
		release(members, members->order[i]);
	for (struct member *m = members->free_members, *next; m; m = next) {
		next = m->next_free;
		free(m);
	}
	for (struct membership *m = members->free_memberships, *next; m; m = next) {
		next = m->next;
		free(m);
	}
	free(members->order);
	free(members->spare);
	pid_table_done(&members->table);
	*members = (struct members){0};
}

static int order_grow(struct members *members)
{
	if (members->count < members->capacity)
		return 0;

	size_t capacity = members->capacity ? members->capacity * 2 : 64;
	void *order = reallocarray(members->order, capacity, sizeof(*members->order));
	if (!order)
		return -ENOMEM;
	members->order = order;
	members->capacity = capacity;
	return 0;
}

static struct member *take_member(struct members *members)
{
	struct member *member = members->free_members;

	if (!member)
		return malloc(sizeof(*member));
	members->free_members = member->next_free;
	return member;
}

struct member *member_new(struct members *members, struct pid_entry *entry)
{
	struct member *member = order_grow(members) < 0 ? NULL : take_member(members);

	if (!member)
		return NULL;
	*member = (struct member){
		.pid = entry->pid,
		.parent_pid = entry->parent,
		.session = entry->session,
		.start_ticks = entry->start_ticks,
		.seen = entry->seen,
		.fd = -1,
	};
	memset(member->reason, TALLY_REASON_NOT_SAMPLED, sizeof(member->reason));
	members->order[members->count++] = member;
	entry->member = member;
	return member;
}

struct membership *member_in(const struct member *member, uint32_t group)
{
	struct membership *membership = member->groups;

	while (membership && membership->group != group)
		membership = membership->next;
	return membership;
}

static struct membership *take_membership(struct members *members)
{
	struct membership *membership = members->free_memberships;

	if (!membership)
		return malloc(sizeof(*membership));
	members->free_memberships = membership->next;
	return membership;
}

struct membership *member_join(
	struct members *members, struct member *member, uint32_t group, enum why why)
{
	struct membership *membership = take_membership(members);

	if (!membership)
		return NULL;
	*membership = (struct membership){
		.member = member,
		.group = group,
		.why = (uint8_t)why,
		.next = member->groups,
	};
	member->groups = membership;
	return membership;
}

void member_link(struct members *members, struct member *member, bool living)
{
	struct pid_entry *entry = pid_table_find(&members->table, member->parent_pid);
	struct member *parent = entry ? entry->member : NULL;

	if (parent == member || (parent && parent->gone && living))
		parent = NULL;
	member->parent = parent;
	member->linked = true;
}

static void unlink_from_gone(struct members *members)
{
	for (size_t i = 0; i < members->count; i++) {
		struct member *member = members->order[i];

		if (!member->parent || !member->parent->gone)
			continue;
		member->parent = NULL;
		member->linked = false;
	}
}

static void drop_entry(struct members *members, struct member *member)
{
	struct pid_entry *entry = pid_table_find(&members->table, member->pid);

	if (entry && entry->member == member)
		pid_table_remove(&members->table, entry);
}

void members_compact(struct members *members)
{
	size_t kept = 0;

	unlink_from_gone(members);

	for (size_t i = 0; i < members->count; i++) {
		struct member *member = members->order[i];

		if (!member->gone) {
			members->order[kept++] = member;
			continue;
		}
		drop_entry(members, member);
		release(members, member);
	}
	members->count = kept;
}

/* Put a member behind its ancestors; `stack` has room for all. */
static void place(struct member *member, uint32_t pass, struct member **stack, size_t limit,
	struct member **order, size_t *count)
{
	size_t depth = 0;

	/* Parents in a circle exist in broken trees only; `placed` ends the walk there too. */
	for (; member && member->placed != pass && depth < limit; member = member->parent) {
		member->placed = pass;
		stack[depth++] = member;
	}
	while (depth > 0)
		order[(*count)++] = stack[--depth];
}

/* Room for the new order and for a line of ancestors; kept for the next time. */
static int reserve_spare(struct members *members)
{
	if (members->spare_capacity >= members->capacity)
		return 0;
	void *spare = reallocarray(members->spare, 2 * members->capacity, sizeof(*members->order));
	if (!spare)
		return -ENOMEM;
	members->spare = spare;
	members->spare_capacity = members->capacity;
	return 0;
}

int members_reorder(struct members *members, uint32_t pass)
{
	size_t count = 0;
	int r = reserve_spare(members);

	if (r < 0)
		return r;
	for (size_t i = 0; i < members->count; i++)
		member_link(members, members->order[i], false);
	for (size_t i = 0; i < members->count; i++)
		place(members->order[i], pass, members->spare + members->spare_capacity,
			members->count, members->spare, &count);
	memcpy(members->order, members->spare, count * sizeof(*members->order));
	return 0;
}

void member_leave(struct members *members, struct member *member, uint32_t group)
{
	for (struct membership **at = &member->groups; *at; at = &(*at)->next) {
		struct membership *membership = *at;

		if (membership->group != group)
			continue;
		*at = membership->next;
		membership->next = members->free_memberships;
		members->free_memberships = membership;
		return;
	}
}

void member_retire(struct members *members, struct member *member)
{
	struct pid_entry *entry = pid_table_find(&members->table, member->pid);

	if (entry && entry->member == member)
		entry->member = NULL;
	member->gone = true;
}
