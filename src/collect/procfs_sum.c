/* SPDX-License-Identifier: Apache-2.0 */
/* Phase 3 of a pass: account for the vanished, add up the groups. */
#include <string.h>
#include <tally/sample.h>
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

#define GAUGE_COUNT (sizeof(gauges) / sizeof(gauges[0]))

static struct membership *active_in(const struct member *member, uint32_t group)
{
	struct membership *membership = member ? member_in(member, group) : NULL;

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

static void account_for(struct procfs *procfs, struct member *member)
{
	for (struct membership *m = member->groups; m; m = m->next) {
		struct group *group = &procfs->groups[m->group];
		struct membership *parent = active_in(member->parent, m->group);

		if (m->left)
			account_join(&m->account, &member->usage);
		account_vanish(
			&m->account, &member->usage, parent ? &parent->account : NULL, group->lost);
		if (!parent && !m->left)
			keep_reasons(group, member);
	}
}

/* Children before parents, so that all that vanished together arrives at who is left. */
static void account_for_vanished(struct procfs *procfs)
{
	for (size_t i = procfs->members.count; i-- > 0;)
		if (procfs->members.order[i]->gone)
			account_for(procfs, procfs->members.order[i]);
}

static void start_group(struct procfs *procfs, uint32_t group)
{
	struct tally_sample *sample = &procfs->collector.groups[group];

	memset(procfs->groups[group].live, 0, sizeof(procfs->groups[group].live));
	tally_sample_clear(sample, TALLY_REASON_TASK_ONLY);
	for (size_t i = 0; i < GAUGE_COUNT; i++)
		tally_sample_set(sample, gauges[i].metric, 0);
	for (int i = 0; i < COUNT_ALL; i++) {
		int figure = counters[i].figure;
		uint8_t reason = figure < 0 ? REASON_NONE : procfs->groups[group].reason[figure];

		tally_sample_set(sample, counters[i].metric, 0);
		if (reason != REASON_NONE)
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

static void add_member(struct procfs *procfs, struct member *member, struct membership *m)
{
	struct tally_sample *sample = &procfs->collector.groups[m->group];
	struct group *group = &procfs->groups[m->group];

	if (account_pending(&m->account))
		account_settle(&m->account, member->growth, group->lost);
	if (m->left)
		return;
	for (int i = 0; i < COUNT_ALL; i++) {
		group->live[i] += account_share(&m->account, &member->usage, i);
		mark_unknown(sample, member, counters[i].metric, counters[i].figure);
	}
	add_gauges(sample, member);
	if (m->why == WHY_ROOT && !tally_sample_has(sample, TALLY_STATE)) {
		tally_sample_set(sample, TALLY_NICE, member->nice);
		tally_sample_set(sample, TALLY_STATE, member->state);
	}
}

/* A counter never falls: what was told is the least. */
static void tell(struct procfs *procfs, uint32_t number)
{
	struct tally_sample *sample = &procfs->collector.groups[number];
	struct group *group = &procfs->groups[number];

	for (int i = 0; i < COUNT_ALL; i++) {
		int64_t now = group->lost[i] + group->live[i];

		if (now > group->told[i])
			group->told[i] = now;
		if (tally_sample_has(sample, counters[i].metric))
			tally_sample_set(sample, counters[i].metric, group->told[i]);
	}
	tally_sample_set(sample, TALLY_PIDS_STARTED, group->started);
}

void procfs_sum(struct procfs *procfs)
{
	const struct collector *collector = &procfs->collector;

	account_for_vanished(procfs);
	for (uint32_t group = 0; group < collector->group_count; group++)
		if (collector->used[group])
			start_group(procfs, group);
	for (size_t i = 0; i < procfs->members.count; i++) {
		struct member *member = procfs->members.order[i];

		if (member->gone)
			continue;
		for (struct membership *m = member->groups; m; m = m->next)
			add_member(procfs, member, m);
		memset(member->growth, 0, sizeof(member->growth));
	}
	for (uint32_t group = 0; group < collector->group_count; group++)
		if (collector->used[group])
			tell(procfs, group);
}
