/* SPDX-License-Identifier: Apache-2.0 */
/* Phase 1 of a pass: list /proc, look at what is new, decide where it belongs. */
#include <errno.h>
#include <stdlib.h>
#include "collect/procfs.h"

/* Room for the newcomers, and for parents of theirs that were born after the listing. */
static int make_room(struct procfs *procfs)
{
	struct pid_table *table = &procfs->members.table;
	int r = pid_table_reserve(table, procfs->newcomer_count * 2 + 64);

	if (r < 0 || procfs->walk_capacity >= table->capacity)
		return r;
	void *walk = reallocarray(procfs->walk, table->capacity, sizeof(*procfs->walk));
	if (!walk)
		return -ENOMEM;
	procfs->walk = walk;
	procfs->walk_capacity = table->capacity;
	return 0;
}

/* The pid belongs to another process now: the member lives on until it is accounted for. */
static void cut_off(struct procfs *procfs, struct pid_entry *entry)
{
	if (entry->member)
		procfs_mark_gone(procfs, entry->member);
	*entry = (struct pid_entry){.pid = entry->pid};
}

/*
 * Is it still the process that the entry is of? A kept descriptor knows; without one, the start
 * time tells (a directory may get a new inode number when the kernel was short of memory).
 */
static bool same_process(struct procfs *procfs, const struct pid_entry *entry)
{
	const struct member *member = entry->member;

	if (entry->start_ticks != procfs->stat.start_ticks || (member && member->gone))
		return false;
	if (member && member->fd >= 0 && procfs->root.real)
		return proc_reread(&procfs->root, member->fd) >= 0;
	return true;
}

static struct pid_entry *entry_for(struct procfs *procfs, pid_t pid)
{
	struct pid_table *table = &procfs->members.table;
	struct pid_entry *entry = pid_table_find(table, pid);

	if (entry && !same_process(procfs, entry))
		cut_off(procfs, entry);
	if (!entry && table->count + 1 >= table->capacity)
		return NULL;
	if (!entry)
		entry = pid_table_add(table, pid);
	if (!entry->born)
		entry->born = procfs->pass;
	return entry;
}

static bool read_stat(struct procfs *procfs, pid_t pid)
{
	ssize_t length = proc_read(&procfs->root, pid, 0, "stat");

	return length > 0 && proc_parse_stat(procfs->root.text, (size_t)length, &procfs->stat) &&
	       procfs->stat.pid == pid;
}

struct pid_entry *procfs_look_at(struct procfs *procfs, pid_t pid, uint64_t inode)
{
	if (!read_stat(procfs, pid))
		return NULL;

	struct pid_entry *entry = entry_for(procfs, pid);
	if (!entry)
		return NULL;
	entry->parent = procfs->stat.parent;
	entry->session = procfs->stat.session;
	entry->start_ticks = procfs->stat.start_ticks;
	if (inode)
		entry->inode = inode;
	procfs_mark_seen(procfs, entry);
	return entry;
}

/*
 * The parent of a process, looked at when needed: it may come later in the listing, for pids
 * wrap, or have been born after it. A parent never starts after its child: a pid that did is
 * another process, and the child has been reparented since it was looked at.
 */
static struct pid_entry *parent_of(struct procfs *procfs, struct pid_entry *entry)
{
	for (int tries = 0; tries < 3 && entry->parent > 0; tries++) {
		struct pid_entry *parent = pid_table_find(&procfs->members.table, entry->parent);
		pid_t before = entry->parent;

		if (!parent || !procfs_is_seen(procfs, parent->seen))
			parent = procfs_look_at(procfs, entry->parent, 0);
		if (parent && parent != entry && parent->start_ticks <= entry->start_ticks)
			return parent;
		if (!procfs_look_at(procfs, entry->pid, entry->inode) || entry->parent == before)
			return NULL;
	}
	return NULL;
}

static struct member *member_of(struct procfs *procfs, struct pid_entry *entry)
{
	struct member *member = entry->member;

	if (member)
		return member;
	member = member_new(&procfs->members, entry);
	if (!member)
		return NULL;
	if (procfs->stat.pid == entry->pid)
		procfs_apply_stat(procfs, member, &procfs->stat);
	/* Its children may have been members before it. */
	if (entry->resolved)
		procfs->disordered = true;
	return member;
}

struct membership *procfs_join(struct procfs *procfs, struct pid_entry *entry, uint32_t group,
	enum why why, int64_t since_ticks)
{
	struct member *member = member_of(procfs, entry);
	struct membership *membership =
		member ? member_join(&procfs->members, member, group, why) : NULL;

	if (!membership) {
		procfs->out_of_memory = true;
		return NULL;
	}
	membership->since_ticks = since_ticks;
	membership->unset = member->unset = true;
	procfs_enlist(procfs, membership);
	if (member->known)
		procfs_set_bases(member);
	procfs->groups[group].started++;
	procfs->groups[group].dirty = true;
	return membership;
}

/* Whether a process that is looked at in this pass may be given the groups of another. */
static bool hands_down(const struct procfs *procfs, const struct membership *membership, bool fresh)
{
	return membership->why != WHY_CGROUP &&
	       (fresh || procfs->groups[membership->group].adopting);
}

/* In another group of the family. */
static bool is_elsewhere(const struct procfs *procfs, const struct pid_entry *entry, uint32_t group)
{
	return entry->member &&
	       procfs_in_family(procfs, entry->member, procfs->groups[group].family, group);
}

/*
 * It descends from the group but belongs to another of its family. It is kept as one that has left:
 * what it had must not count when somebody of the group reaps it.
 */
static void stay_out(struct procfs *procfs, struct membership *membership)
{
	procfs->groups[membership->group].started--;
	membership->left = membership->moved = true;
	membership->unset = membership->member->unset = true;
	if (membership->member->known)
		procfs_set_bases(membership->member);
}

static void inherit_from(
	struct procfs *procfs, struct pid_entry *entry, const struct member *from, enum why why)
{
	bool fresh = entry->resolved == 0;

	for (const struct membership *m = from->groups; m; m = m->next) {
		if (!hands_down(procfs, m, fresh) ||
			(entry->member && member_in(entry->member, m->group)))
			continue;
		bool shadow = m->left || is_elsewhere(procfs, entry, m->group);
		struct membership *joined =
			procfs_join(procfs, entry, m->group, why, m->since_ticks);
		if (shadow && joined)
			stay_out(procfs, joined);
	}
}

/*
 * Whom a guess put there hands down no more than that: an intermediate of a daemon is seen when it ends,
 * without an environment, and its child has the sign.
 */
static bool inherit_guess(
	struct procfs *procfs, struct pid_entry *entry, const struct pid_entry *from)
{
	const struct membership *guess = from->member->guessed ? from->member->groups : NULL;
	bool told;

	if (!guess || entry->resolved != 0)
		return false;
	uint32_t group = procfs_group_of_orphan(
		procfs, entry->pid, procfs->groups[guess->group].subreaper, &told);
	if (told)
		procfs_join(procfs, entry, group, WHY_REPARENTED, 0);
	return told;
}

static void inherit_all(
	struct procfs *procfs, struct pid_entry *entry, const struct pid_entry *from, enum why why)
{
	if (inherit_guess(procfs, entry, from))
		return;
	inherit_from(procfs, entry, from->member, why);
	if (entry->member && from->member->guessed && entry->resolved == 0)
		entry->member->guessed = true;
}

/*
 * A session is made by its leader, and only descendants of the leader can be in it: a process in
 * the session of a member is a descendant of it, whoever its parent is by now.
 */
static void inherit_from_session(struct procfs *procfs, struct pid_entry *entry)
{
	struct pid_entry *leader = pid_table_find(&procfs->members.table, entry->session);

	if (leader && leader != entry && leader->member && leader->session == leader->pid &&
		procfs_is_seen(procfs, leader->seen))
		inherit_all(procfs, entry, leader, WHY_REPARENTED);
}

static void inherit_from_subreaper(struct procfs *procfs, struct pid_entry *entry)
{
	bool told;
	uint32_t group = procfs_group_of_orphan(procfs, entry->pid, entry->parent, &told);

	if (group == GROUP_NONE)
		return;
	procfs_join(procfs, entry, group, WHY_REPARENTED, 0);
	if (entry->member)
		entry->member->guessed = !told && procfs->groups[group].sign;
}

static void inherit(struct procfs *procfs, struct pid_entry *entry, struct pid_entry *parent)
{
	if (parent && parent->member)
		inherit_all(procfs, entry, parent, WHY_CHILD);
	if (!entry->member || procfs->adopting)
		inherit_from_session(procfs, entry);
	if (!entry->member && procfs->subreapers > 0 && entry->resolved == 0)
		inherit_from_subreaper(procfs, entry);
	entry->resolved = procfs->pass;
}

static bool is_resolved(const struct procfs *procfs, const struct pid_entry *entry)
{
	return procfs->adopting ? entry->resolved == procfs->pass : entry->resolved != 0;
}

/* Decide where a process belongs: its ancestors first, from the oldest that is not decided. */
static void resolve(struct procfs *procfs, struct pid_entry *entry)
{
	size_t depth = 0;
	struct pid_entry *parent = NULL;

	while (entry && !is_resolved(procfs, entry) && depth < procfs->walk_capacity) {
		procfs->walk[depth++] = entry;
		parent = parent_of(procfs, entry);
		entry = parent;
	}
	while (depth > 0) {
		entry = procfs->walk[--depth];
		inherit(procfs, entry, parent);
		parent = entry;
	}
}

static void look_at_newcomers(struct procfs *procfs)
{
	for (size_t i = 0; i < procfs->newcomer_count; i++) {
		const struct newcomer *newcomer = &procfs->newcomers[i];
		struct pid_entry *entry = procfs_look_at(procfs, newcomer->pid, newcomer->inode);

		if (!entry)
			continue;
		procfs_prove_ranges(procfs, entry);
		resolve(procfs, entry);
	}
}

/* Roots were added: what descends from them now may have been known as strangers. */
static void adopt(struct procfs *procfs)
{
	for (struct pid_entry *e = NULL; (e = pid_table_next(&procfs->members.table, e));)
		if (procfs_is_seen(procfs, e->seen))
			resolve(procfs, e);
	for (uint32_t group = 0; group < procfs->collector.group_count; group++)
		procfs->groups[group].adopting = false;
	procfs->adopting = false;
}

int procfs_look(struct procfs *procfs)
{
	procfs->stat.pid = 0;
	int r = procfs_list(procfs);
	if (r == 0)
		r = make_room(procfs);
	if (r < 0)
		return r;
	look_at_newcomers(procfs);
	procfs->stat.pid = 0;
	if (procfs->adopting)
		adopt(procfs);
	if (procfs->cgroups > 0)
		procfs_enter_cgroups(procfs);
	return 0;
}
