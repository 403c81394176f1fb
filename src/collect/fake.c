/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/fake.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "collect/registry.h"

struct fake *fake_of(struct collector *collector)
{
	return (struct fake *)collector;
}

static int probe(const struct collect_options *options, struct tally_error *err)
{
	return 0;
}

static int fake_ops_open(
	const struct collect_options *options, struct collector **ret, struct tally_error *err)
{
	struct fake *fake = calloc(1, sizeof(*fake));

	if (!fake)
		return tally_fail(err, -ENOMEM, "cannot open a collector");
	*ret = &fake->collector;
	return 0;
}

static void fake_close(struct collector *collector)
{
	free(fake_of(collector));
}

static int group_add(struct collector *collector, uint32_t group, struct tally_error *err)
{
	if (group >= FAKE_GROUPS)
		return tally_refuse(err, -ENOMEM, "a fake collector has %d groups", FAKE_GROUPS);

	struct fake_group *fake = &fake_of(collector)->groups[group];
	*fake = (struct fake_group){0};
	tally_sample_clear(&fake->next, TALLY_REASON_ENDED);
	for (int i = 0; i < TALLY_METRIC_COUNT; i++)
		if (tally_metrics[i].aggregate == TALLY_AGGREGATE_TASK)
			tally_sample_unset(&fake->next, i, TALLY_REASON_TASK_ONLY);
		else if (tally_metrics[i].kind != TALLY_KIND_INFO)
			tally_sample_set(&fake->next, i, 0);
	return 0;
}

static void group_remove(struct collector *collector, uint32_t group)
{
	fake_of(collector)->groups[group] = (struct fake_group){0};
}

static int root_add(struct collector *collector, uint32_t group, const struct collect_root *root,
	struct tally_error *err)
{
	struct fake *fake = fake_of(collector);
	struct fake_group *its = &fake->groups[group];

	if (fake->root_error)
		return tally_fail(err, fake->root_error, "cannot follow pid %d", (int)root->pid);
	its->roots[its->root_count++ % ARRAY_SIZE(its->roots)] = *root;
	return 0;
}

static int pass(struct collector *collector, struct tally_error *err)
{
	struct fake *fake = fake_of(collector);
	struct timespec time = {fake->pass_ns / NS_PER_S, fake->pass_ns % NS_PER_S};

	fake->passes++;
	if (fake->pass_ns)
		nanosleep(&time, NULL);
	if (fake->pass_error)
		return tally_fail(err, fake->pass_error, "cannot list the processes");
	for (uint32_t group = 0; group < collector->group_count && group < FAKE_GROUPS; group++)
		if (collector->used[group])
			collector->groups[group] = fake->groups[group].next;
	return 0;
}

static void members(
	struct collector *collector, uint32_t group, collect_member_fn *visit, void *context)
{
	const struct fake_group *fake = &fake_of(collector)->groups[group];

	for (size_t i = 0; i < fake->member_count; i++)
		visit(context, &fake->members[i]);
}

static void reaped(
	struct collector *collector, uint32_t group, pid_t pid, const struct rusage *usage)
{
	struct fake_group *fake = &fake_of(collector)->groups[group];

	fake->reaped = pid;
	fake->usage = *usage;
}

static void status(struct collector *collector, struct collect_status *ret)
{
	*ret = fake_of(collector)->status;
}

const struct collector_ops collector_fake = {
	.name = "fake",
	.summary = "says what a test told it to",
	.probe = probe,
	.open = fake_ops_open,
	.close = fake_close,
	.group_add = group_add,
	.group_remove = group_remove,
	.root_add = root_add,
	.pass = pass,
	.members = members,
	.reaped = reaped,
	.status = status,
};

int fake_open(struct collector **ret, struct tally_error *err)
{
	int r = collector_fake.open(NULL, ret, err);

	if (r == 0)
		(*ret)->ops = &collector_fake;
	return r;
}

void fake_set(struct collector *collector, uint32_t group, enum tally_metric metric, int64_t value)
{
	tally_sample_set(&fake_of(collector)->groups[group].next, metric, value);
}

void fake_unset(struct collector *collector, uint32_t group, enum tally_metric metric,
	enum tally_reason reason)
{
	tally_sample_unset(&fake_of(collector)->groups[group].next, metric, reason);
}
