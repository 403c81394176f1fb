/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What wait4() said of a child of the caller: its last nanoseconds, and those of all it had reaped.
 *
 * The child was a member as a rule. Its own children that vanished with it are accounted for first,
 * as a pass would have done; the figures of wait4() then are what the child's own would have grown
 * to, and its share ends with them.
 */
#include <string.h>
#include <sys/resource.h>
#include "base/clock.h"
#include "collect/procfs.h"

/* ru_inblock and ru_oublock count in these, whatever the device. */
#define BLOCK_BYTES 512

static int64_t ns_of(struct timeval time)
{
	return time.tv_sec * NS_PER_S + time.tv_usec * NS_PER_US;
}

static void totals_of(const struct rusage *usage, int64_t ret[COUNT_ALL])
{
	ret[COUNT_USER] = ns_of(usage->ru_utime);
	ret[COUNT_SYSTEM] = ns_of(usage->ru_stime);
	ret[COUNT_MINOR] = usage->ru_minflt;
	ret[COUNT_MAJOR] = usage->ru_majflt;
	ret[COUNT_READ] = usage->ru_inblock * BLOCK_BYTES;
	ret[COUNT_WRITE] = usage->ru_oublock * BLOCK_BYTES;
	ret[COUNT_WAIT] = 0;
	ret[COUNT_VOLUNTARY] = usage->ru_nvcsw;
	ret[COUNT_INVOLUNTARY] = usage->ru_nivcsw;
}

/* The pid that was reaped is gone: one that is there is another process, or never was ours. */
static bool is_alive(struct procfs *procfs, const struct member *member)
{
	struct proc_stat stat;

	if (member->fd >= 0)
		return proc_reread(&procfs->root, member->fd) >= 0;
	ssize_t length = proc_read(&procfs->root, member->pid, 0, "stat");
	return length > 0 && proc_parse_stat(procfs->root.text, (size_t)length, &stat) &&
	       stat.start_ticks == member->start_ticks;
}

/* Who below somebody who is gone has ended too? Parents come first in the order. */
static void find_vanished_below(struct procfs *procfs)
{
	for (size_t i = 0; i < procfs->members.count; i++) {
		struct member *below = procfs->members.order[i];

		if (below->gone || !below->parent || !below->parent->gone ||
			is_alive(procfs, below))
			continue;
		memset(below->growth, 0, sizeof(below->growth));
		procfs_mark_gone(procfs, below);
	}
}

static void reap_member(
	struct procfs *procfs, struct member *member, const int64_t totals[COUNT_ALL])
{
	int64_t growth[COUNT_REAPED];

	/* Its account is open for what ended below it, and closed after that. */
	member->gone = true;
	find_vanished_below(procfs);
	member->gone = false;
	procfs_account_for_vanished(procfs);
	for (int i = 0; i < COUNT_REAPED; i++)
		growth[i] =
			totals[i] > member->usage.total[i] ? totals[i] - member->usage.total[i] : 0;
	for (struct membership *m = member->groups; m; m = m->next) {
		account_reap(
			&m->account, &member->usage, totals, growth, procfs->groups[m->group].lost);
		procfs->groups[m->group].dirty = true;
	}
	procfs_mark_gone(procfs, member);
	member->accounted = true;
}

/* In the group that the caller says, or in the one that the passes had seen it in. */
static struct ghost *find_ghost(struct procfs *procfs, uint32_t group, pid_t pid)
{
	struct ghost *found = NULL;

	for (int i = 0; i < GHOST_COUNT; i++) {
		if (procfs->ghosts[i].pid != pid)
			continue;
		if (procfs->ghosts[i].group == group)
			return &procfs->ghosts[i];
		found = &procfs->ghosts[i];
	}
	return found;
}

/* A pass has found it missing already and has counted what it knew: count what that lacks. */
static void reap_ghost(struct procfs *procfs, struct ghost *ghost, const int64_t totals[COUNT_ALL])
{
	struct group *group = &procfs->groups[ghost->group];
	struct account account = {0};
	struct usage usage = {0};

	memcpy(usage.total, ghost->gave, sizeof(usage.total));
	memcpy(account.base, ghost->gave, sizeof(account.base));
	memcpy(account.below, ghost->below, sizeof(account.below));
	account_reap(&account, &usage, totals, (int64_t[COUNT_REAPED]){0}, group->lost);
	group->dirty = true;
	ghost->pid = 0;
}

/* It lived and died between two passes. */
static void reap_unseen(struct procfs *procfs, struct group *group, const int64_t totals[COUNT_ALL])
{
	for (int i = 0; i < COUNT_ALL; i++)
		group->lost[i] += totals[i];
	group->started++;
	group->dirty = true;
}

void procfs_reaped(
	struct collector *collector, uint32_t group, pid_t pid, const struct rusage *usage)
{
	struct procfs *procfs = (struct procfs *)collector;
	struct pid_entry *entry = pid_table_find(&procfs->members.table, pid);
	struct member *member = entry ? entry->member : NULL;
	struct ghost *ghost = find_ghost(procfs, group, pid);
	int64_t totals[COUNT_ALL];

	totals_of(usage, totals);
	if (member && !member->gone && !is_alive(procfs, member))
		reap_member(procfs, member, totals);
	else if (ghost)
		reap_ghost(procfs, ghost, totals);
	else
		reap_unseen(procfs, &procfs->groups[group], totals);
	procfs_sum_dirty(procfs);
}
