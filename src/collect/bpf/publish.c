/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/bpf/inside.h"

#include <string.h>
#include <unistd.h>
#include "base/attr.h"

/* Counters and levels that are metrics as they are. CPU time is apart: it has two. */
static const struct {
	enum tally_metric metric;
	int count;
} counters[] = {
	{TALLY_RUN_QUEUE_WAIT, COUNT_WAIT},
	{TALLY_IO_READ, COUNT_READ},
	{TALLY_IO_WRITE, COUNT_WRITE},
	{TALLY_MAJOR_FAULTS, COUNT_MAJOR},
	{TALLY_MINOR_FAULTS, COUNT_MINOR},
	{TALLY_VOLUNTARY_SWITCHES, COUNT_VOLUNTARY},
	{TALLY_INVOLUNTARY_SWITCHES, COUNT_INVOLUNTARY},
	{TALLY_PIDS_STARTED, COUNT_STARTED},
};

static const struct {
	enum tally_metric metric;
	int level;
	bool pages;
} levels[] = {
	{TALLY_RSS, LEVEL_RSS, true},
	{TALLY_SHARED, LEVEL_SHARED, true},
	{TALLY_SWAP, LEVEL_SWAP, true},
	{TALLY_VIRTUAL, LEVEL_VIRTUAL, true},
	{TALLY_PIDS, LEVEL_PIDS, false},
	{TALLY_THREADS, LEVEL_THREADS, false},
	{TALLY_FDS, LEVEL_FDS, false},
};

static void add_counts(struct group_state *group, const struct tally_set *shared)
{
	for (int i = 0; i < COUNTS; i++)
		group->count[i] += shared->count[i];
}

static void add_set(struct bpf_collector *c, uint32_t number)
{
	const struct tally_set *shared = &c->shared[number];
	const struct set *set = &c->sets.items[number];

	for (uint32_t i = 0; i < set->count; i++) {
		struct group_state *group = &c->groups[set->groups[i]];

		add_counts(group, shared);
		for (int j = 0; j < LEVELS; j++)
			group->level[j] += shared->level[j];
		group->cut |= shared->cut > 0;
	}
}

void publish_keep(struct bpf_collector *c, uint32_t number)
{
	const struct set *set = &c->sets.items[number];

	for (uint32_t i = 0; i < set->count; i++)
		for (int j = 0; j < COUNTS; j++)
			c->groups[set->groups[i]].base[j] += c->shared[number].count[j];
}

static int64_t before(const struct tally_sample *sample, enum tally_metric metric)
{
	return tally_sample_has(sample, metric) ? sample->value[metric] : 0;
}

/* Two reporters may have exchanged a value and not both added their part yet: what was shown once
 * is not taken back. */
static void set_rising(struct tally_sample *sample, enum tally_metric metric, int64_t value)
{
	int64_t shown = before(sample, metric);

	tally_sample_set(sample, metric, value > shown ? value : shown);
}

static void set_cpu(struct tally_sample *sample, int64_t cpu, int64_t system)
{
	int64_t user_shown = before(sample, TALLY_CPU_USER);
	int64_t system_shown = before(sample, TALLY_CPU_SYSTEM);

	if (cpu < user_shown + system_shown)
		cpu = user_shown + system_shown;
	if (system < system_shown)
		system = system_shown;
	if (system > cpu - user_shown)
		system = cpu - user_shown;
	tally_sample_set(sample, TALLY_CPU_SYSTEM, system);
	tally_sample_set(sample, TALLY_CPU_USER, cpu - system);
}

/* The oldest root that this pass has met; those that it has not are gone for good. */
static const struct tally_root *oldest_root(struct bpf_collector *c, struct group_state *group)
{
	uint32_t oldest = 0;

	for (uint32_t i = 0; i < group->root_count;) {
		uint32_t slot = group->roots[i];

		if (c->roots.shared[slot].pass != c->config->pass) {
			group->roots[i] = group->roots[--group->root_count];
			roots_drop(&c->roots, slot);
			continue;
		}
		if (!oldest || c->roots.slots[slot].start_ns < c->roots.slots[oldest].start_ns)
			oldest = slot;
		i++;
	}
	return oldest ? &c->roots.shared[oldest] : NULL;
}

/* "RSDTtXZPI" of get_task_state(): the highest bit set; TASK_IDLE is two bits. */
static int64_t state_letter(uint32_t state)
{
	const uint32_t idle = 0x402, reported = 0x7f;

	if (state == idle)
		return 'I';
	uint32_t bits = state & reported;
	return "RSDTtXZP"[bits ? 32 - __builtin_clz(bits) : 0];
}

static void set_info(
	struct bpf_collector *c, struct group_state *group, struct tally_sample *sample)
{
	const struct tally_root *root = oldest_root(c, group);

	if (!root) {
		tally_sample_unset(sample, TALLY_NICE, TALLY_REASON_ENDED);
		tally_sample_unset(sample, TALLY_STATE, TALLY_REASON_ENDED);
		return;
	}
	tally_sample_set(sample, TALLY_NICE, root->nice);
	tally_sample_set(sample, TALLY_STATE, state_letter(root->state));
}

static void set_figures(struct group_state *group, struct tally_sample *sample)
{
	int64_t page = sysconf(_SC_PAGESIZE);

	set_cpu(sample, group->count[COUNT_CPU], group->count[COUNT_SYSTEM]);
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		set_rising(sample, counters[i].metric, group->count[counters[i].count]);
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		tally_sample_set(sample, levels[i].metric,
			group->level[levels[i].level] * (levels[i].pages ? page : 1));
	if (group->cut)
		tally_sample_unset(sample, TALLY_FDS, TALLY_REASON_LIMIT);
}

static void publish(struct bpf_collector *c, uint32_t number)
{
	struct group_state *group = &c->groups[number];
	struct tally_sample *sample = &c->base.groups[number];

	if (group->limited) {
		tally_sample_clear(sample, TALLY_REASON_LIMIT);
	} else {
		set_figures(group, sample);
		tally_sample_unset(sample, TALLY_PSS,
			c->pss ? TALLY_REASON_COLLECTOR : TALLY_REASON_NOT_ASKED);
	}
	set_info(c, group, sample);
	for (int i = 0; i < TALLY_METRIC_COUNT; i++)
		if (tally_metrics[i].aggregate == TALLY_AGGREGATE_TASK)
			tally_sample_unset(sample, i, TALLY_REASON_TASK_ONLY);
}

void publish_groups(struct bpf_collector *c)
{
	for (uint32_t i = 0; i < c->base.group_count; i++)
		if (c->base.used[i]) {
			struct group_state *group = &c->groups[i];

			memcpy(group->count, group->base, sizeof(group->count));
			memset(group->level, 0, sizeof(group->level));
			group->cut = false;
		}
	for (uint32_t i = 1; i < c->sets.count; i++)
		if (c->sets.items[i].count)
			add_set(c, i);
	for (uint32_t i = 0; i < c->base.group_count; i++)
		if (c->base.used[i])
			publish(c, i);
}
