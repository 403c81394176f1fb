/* SPDX-License-Identifier: Apache-2.0 */
/* Phase 3 of a pass: account for the vanished, add up the groups. */
#include <stddef.h>
#include <string.h>
#include <tally/sample.h>
#include "base/attr.h"
#include "collect/procfs.h"

/* Where the counters of a sample come from. */
static const struct {
	enum tally_metric metric;
	int figure; /* What makes it absent; -1: nothing. */
} counters[COUNT_ALL] = {
	[COUNT_USER] = {TALLY_CPU_USER, -1},
	[COUNT_SYSTEM] = {TALLY_CPU_SYSTEM, -1},
	[COUNT_MINOR] = {TALLY_MINOR_FAULTS, -1},
	[COUNT_MAJOR] = {TALLY_MAJOR_FAULTS, -1},
	[COUNT_READ] = {TALLY_IO_READ, FIGURE_IO},
	[COUNT_WRITE] = {TALLY_IO_WRITE, FIGURE_IO},
	[COUNT_WAIT] = {TALLY_RUN_QUEUE_WAIT, FIGURE_WAIT},
	[COUNT_VOLUNTARY] = {TALLY_VOLUNTARY_SWITCHES, FIGURE_SWITCHES},
	[COUNT_INVOLUNTARY] = {TALLY_INVOLUNTARY_SWITCHES, FIGURE_SWITCHES},
};

/* And the gauges. */
static const struct {
	enum tally_metric metric;
	int figure;
	size_t offset;
} gauges[] = {
	{TALLY_RSS, -1, offsetof(struct member, rss_bytes)},
	{TALLY_VIRTUAL, -1, offsetof(struct member, virtual_bytes)},
	{TALLY_THREADS, -1, offsetof(struct member, threads)},
	{TALLY_SHARED, FIGURE_MEMORY, offsetof(struct member, shared_bytes)},
	{TALLY_SWAP, FIGURE_MEMORY, offsetof(struct member, swap_bytes)},
	{TALLY_FDS, FIGURE_FDS, offsetof(struct member, fds)},
	{TALLY_PSS, FIGURE_PSS, offsetof(struct member, pss_bytes)},
};

#define GAUGE_COUNT ARRAY_SIZE(gauges)

static struct membership *active_in(const struct member *member, uint32_t group)
{
	struct membership *membership =
		member && !member->accounted ? member_in(member, group) : NULL;

	return membership && !membership->left ? membership : NULL;
}

/* What a member had consumed that could never be read, and that nobody reaped, stays unknown. */
static void keep_reasons(struct group *group, const struct member *member)
{
	for (int i = 0; i < COUNT_ALL; i++) {
		int figure = counters[i].figure;

		if (figure >= 0 && (member->reason[figure] == TALLY_REASON_PERMISSION ||
					   member->reason[figure] == TALLY_REASON_KERNEL))
			group->reason[figure] = member->reason[figure];
	}
}

/* Should the caller say later that it has reaped it, this is what is counted already. */
static void remember_ghost(
	struct procfs *procfs, const struct member *member, const struct membership *m)
{
	struct ghost *ghost = &procfs->ghosts[procfs->ghost_next++ % GHOST_COUNT];

	*ghost = (struct ghost){.pid = member->pid, .group = m->group};
	for (int i = 0; i < COUNT_ALL; i++)
		ghost->gave[i] = member->usage.total[i];
	for (int i = 0; i < COUNT_REAPED; i++)
		ghost->gave[i] += m->account.fresh.total[i] + m->account.old.total[i];
	memcpy(ghost->below, m->account.below, sizeof(ghost->below));
}

/* Whose reaping brings what it had to the group; of two that stayed out and vanished together, the
 * parent hands on what the child had. */
static struct membership *heir_of(const struct member *member, const struct membership *m)
{
	struct membership *active = active_in(member->parent, m->group);

	if (active || !m->left || !member->parent || !member->parent->gone)
		return active;
	return member_in(member->parent, m->group);
}

static void account_for(struct procfs *procfs, struct member *member)
{
	for (struct membership *m = member->groups; m; m = m->next) {
		struct group *group = &procfs->groups[m->group];
		struct membership *parent = heir_of(member, m);

		group->dirty = true;
		if (m->left)
			account_stay_out(&m->account, &member->usage);
		account_vanish(&m->account, &member->usage, member->growth,
			parent ? &parent->account : NULL, group->lost);
		if (parent || m->left)
			continue;
		keep_reasons(group, member);
		remember_ghost(procfs, member, m);
	}
	member->accounted = true;
}

/* Children before parents, so that all that vanished together arrives at who is left. */
void procfs_account_for_vanished(struct procfs *procfs)
{
	if (!procfs->any_gone)
		return;
	for (size_t i = procfs->members.count; i-- > 0;) {
		struct member *member = procfs->members.order[i];

		if (member->gone && !member->accounted)
			account_for(procfs, member);
	}
}

void procfs_enlist(struct procfs *procfs, struct membership *membership)
{
	struct group *group = &procfs->groups[membership->group];

	if (group->last)
		group->last->next_in_group = membership;
	else
		group->first = membership;
	group->last = membership;
	membership->next_in_group = NULL;
}

void procfs_relist(struct procfs *procfs)
{
	for (uint32_t i = 0; i < procfs->collector.group_count; i++) {
		procfs->groups[i].first = NULL;
		procfs->groups[i].last = NULL;
	}
	for (size_t i = 0; i < procfs->members.count; i++) {
		struct membership *m = procfs->members.order[i]->groups;

		for (; m; m = m->next)
			procfs_enlist(procfs, m);
	}
}

static void begin_sample(struct procfs *procfs, uint32_t number)
{
	struct tally_sample *sample = &procfs->collector.groups[number];
	const struct group *group = &procfs->groups[number];

	tally_sample_clear(sample, TALLY_REASON_TASK_ONLY);
	for (size_t i = 0; i < GAUGE_COUNT; i++)
		tally_sample_set(sample, gauges[i].metric, 0);
	for (int i = 0; i < COUNT_ALL; i++) {
		int figure = counters[i].figure;
		uint8_t reason = figure < 0 ? REASON_NONE : group->reason[figure];

		if (reason == REASON_NONE)
			tally_sample_set(sample, counters[i].metric, 0);
		else
			tally_sample_unset(sample, counters[i].metric, reason);
	}
	tally_sample_set(sample, TALLY_PIDS, 0);
	tally_sample_unset(sample, TALLY_NICE, TALLY_REASON_ENDED);
	tally_sample_unset(sample, TALLY_STATE, TALLY_REASON_ENDED);
	if (!procfs->pss)
		tally_sample_unset(sample, TALLY_PSS, TALLY_REASON_NOT_ASKED);
}

/* An unknown part makes the sum unknown. */
static void mark_unknown(
	struct tally_sample *sample, const struct member *member, int metric, int figure)
{
	if (figure >= 0 && member->reason[figure] != REASON_NONE &&
		tally_sample_has(sample, metric))
		tally_sample_unset(sample, metric, member->reason[figure]);
}

static void add_gauges(struct tally_sample *sample, const struct member *member)
{
	for (size_t i = 0; i < GAUGE_COUNT; i++) {
		const char *at = (const char *)member + gauges[i].offset;

		mark_unknown(sample, member, gauges[i].metric, gauges[i].figure);
		if (tally_sample_has(sample, gauges[i].metric))
			sample->value[gauges[i].metric] += *(const int64_t *)(const void *)at;
	}
	sample->value[TALLY_PIDS]++;
}

/* Of the oldest root; a group that is a cgroup has none: of its oldest member. */
static void add_info(struct tally_sample *sample, const struct group *group,
	const struct member *member, const struct membership *m)
{
	bool root = m->why == WHY_ROOT || group->cgroups;

	if (!root || tally_sample_has(sample, TALLY_STATE))
		return;
	tally_sample_set(sample, TALLY_NICE, member->nice);
	tally_sample_set(sample, TALLY_STATE, member->state);
}

static void add_member(struct procfs *procfs, uint32_t number, struct membership *m,
	int64_t live[COUNT_ALL], bool *ret_pending)
{
	struct tally_sample *sample = &procfs->collector.groups[number];
	struct group *group = &procfs->groups[number];
	struct member *member = m->member;

	if (account_pending(&m->account))
		account_settle(&m->account, member->growth, group->lost);
	member->pending |= account_pending(&m->account);
	*ret_pending |= account_pending(&m->account);
	if (m->left)
		return;
	for (int i = 0; i < COUNT_ALL; i++) {
		live[i] += account_share(&m->account, &member->usage, i);
		mark_unknown(sample, member, counters[i].metric, counters[i].figure);
	}
	add_gauges(sample, member);
	add_info(sample, group, member, m);
}

/* A counter never falls: what was told is the least. */
static void tell(struct procfs *procfs, uint32_t number, int64_t live[COUNT_ALL])
{
	struct tally_sample *sample = &procfs->collector.groups[number];
	struct group *group = &procfs->groups[number];

	for (int i = 0; i < COUNT_ALL; i++)
		live[i] += group->lost[i];
	cpu_raise(live, group->told);
	for (int i = 0; i < COUNT_ALL; i++) {
		if (i >= COUNT_MODES && live[i] > group->told[i])
			group->told[i] = live[i];
		if (tally_sample_has(sample, counters[i].metric))
			tally_sample_set(sample, counters[i].metric, group->told[i]);
	}
	tally_sample_set(sample, TALLY_PIDS_STARTED, group->started);
}

static void sum_group(struct procfs *procfs, uint32_t number)
{
	struct group *group = &procfs->groups[number];
	int64_t live[COUNT_ALL] = {0};
	bool pending = false;
	struct membership **at = &group->first;

	begin_sample(procfs, number);
	group->last = NULL;
	for (struct membership *m; (m = *at);) {
		if (m->member->gone) {
			*at = m->next_in_group;
			continue;
		}
		add_member(procfs, number, m, live, &pending);
		group->last = m;
		at = &m->next_in_group;
	}
	tell(procfs, number, live);
	/* What vanished in this pass is settled in the next. */
	group->dirty = pending;
}

void procfs_sum_dirty(struct procfs *procfs)
{
	for (uint32_t i = 0; i < procfs->collector.group_count; i++)
		if (procfs->collector.used[i] && procfs->groups[i].dirty)
			sum_group(procfs, i);
}

void procfs_sum(struct procfs *procfs)
{
	if (procfs->cgroups > 0)
		procfs_leave_cgroups(procfs);
	procfs_account_for_vanished(procfs);
	procfs_sum_dirty(procfs);
}
