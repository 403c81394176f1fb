/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups that are cgroups. Who is listed in the cgroup or below it belongs, and nobody else:
 * children belong because the kernel puts them in their parent's cgroup, not because of it.
 *
 *   in it when the cgroup was added   counts with what it consumed so far, as a root does
 *   forked in it since                counts from its birth
 *   moved in from elsewhere           counts from the first pass that sees it in
 *   moved out                         has left what it consumed here, and counts no more; should it
 *                                     be reaped by somebody who is in, that does not count either
 *
 * A process that is forked elsewhere and moves in before any pass has seen it counts from its birth.
 */
#include "collect/procfs.h"

struct entering {
	struct procfs *procfs;
	uint32_t group;
};

static void come_back(struct membership *membership)
{
	membership->left = false;
	membership->moved = true;
	membership->unset = membership->member->unset = true;
}

static void enter(void *context, pid_t pid)
{
	struct entering *entering = context;
	struct procfs *procfs = entering->procfs;
	struct group *group = &procfs->groups[entering->group];
	struct pid_entry *entry = pid_table_find(&procfs->members.table, pid);

	/* Born after the listing: the next pass will see it. */
	if (!entry || !procfs_is_seen(procfs, entry->seen))
		return;
	struct membership *m = entry->member ? member_in(entry->member, entering->group) : NULL;
	if (!m) {
		bool moved = entry->born != procfs->pass && !group->adopting;

		m = procfs_join(
			procfs, entry, entering->group, WHY_CGROUP, group->cgroup_since_ticks);
		if (!m)
			return;
		if (moved)
			come_back(m);
		/* cgroup.procs does not list parents first. */
		procfs->disordered = true;
	} else if (m->left) {
		come_back(m);
	}
	m->listed = procfs->pass;
	group->dirty = true;
}

void procfs_enter_cgroups(struct procfs *procfs)
{
	struct entering entering = {.procfs = procfs};

	for (; entering.group < procfs->collector.group_count; entering.group++) {
		struct group *group = &procfs->groups[entering.group];

		if (!procfs->collector.used[entering.group] || !group->cgroups)
			continue;
		group->cgroups_read = cgroup_tree_pids(group->cgroups, enter, &entering) == 0;
	}
}

/* The kernel does not list who has ended, but one that has cannot leave either. */
static bool has_left(const struct procfs *procfs, const struct membership *m)
{
	return m->why == WHY_CGROUP && !m->left && m->listed != procfs->pass && !m->member->gone &&
	       m->member->threads > 0;
}

static void leave(struct procfs *procfs, struct group *group)
{
	for (struct membership *m = group->first; m; m = m->next_in_group) {
		if (!has_left(procfs, m))
			continue;
		account_leave(&m->account, &m->member->usage, group->lost);
		m->left = true;
		group->dirty = true;
	}
}

void procfs_leave_cgroups(struct procfs *procfs)
{
	for (uint32_t i = 0; i < procfs->collector.group_count; i++)
		if (procfs->collector.used[i] && procfs->groups[i].cgroups_read)
			leave(procfs, &procfs->groups[i]);
}
