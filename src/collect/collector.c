/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/collector.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fail.h"
#include "collect/registry.h"

const struct collector_ops *const collectors[] = {
	&collector_bpf,
	&collector_procfs,
	NULL,
};

static const struct collector_ops *find(const char *name)
{
	for (size_t i = 0; collectors[i]; i++)
		if (strcmp(collectors[i]->name, name) == 0)
			return collectors[i];
	return NULL;
}

static int open_one(const struct collector_ops *ops, const struct collect_options *options,
	struct collector **ret, struct tally_error *err)
{
	int r = ops->probe(options, err);

	if (r == 0)
		r = ops->open(options, ret, err);
	if (r == 0)
		(*ret)->ops = ops;
	return r;
}

/* The first that works; the reason tells why the better ones do not. */
static int open_best(const struct collect_options *options, struct collector **ret, char *reason,
	struct tally_error *err)
{
	struct tally_error why = {0};
	int r = -ENOTSUP;

	for (size_t i = 0; collectors[i]; i++) {
		r = open_one(collectors[i], options, ret, err ? err : &why);
		if (r == 0 && i == 0)
			snprintf(reason, 256, "the best there is works here");
		if (r == 0)
			return 0;
		snprintf(reason, 256, "%s cannot be used: %.200s", collectors[i]->name,
			err ? err->message : why.message);
	}
	return r;
}

int collector_open(const char *name, const struct collect_options *options, struct collector **ret,
	char ret_reason[256], struct tally_error *err)
{
	static const struct collect_options defaults;
	char unwanted[256];
	char *reason = ret_reason ? ret_reason : unwanted;

	if (!options)
		options = &defaults;
	if (!name || strcmp(name, "auto") == 0)
		return open_best(options, ret, reason, err);

	const struct collector_ops *ops = find(name);
	if (!ops)
		return tally_refuse(err, -ENOENT,
			"there is no collector '%.40s'; `tally doctor` lists those there are",
			name);
	snprintf(reason, 256, "asked for by name");
	int r = open_one(ops, options, ret, err);
	return r < 0 ? tally_prefix(err, r, "collector %s", name) : 0;
}

struct collector *collector_close(struct collector *collector)
{
	if (!collector)
		return NULL;

	struct tally_sample *groups = collector->groups;
	bool *used = collector->used;
	collector->ops->close(collector);
	free(groups);
	free(used);
	return NULL;
}

static int grow(struct collector *collector)
{
	uint32_t count = collector->group_count ? collector->group_count * 2 : 16;
	struct tally_sample *groups = reallocarray(collector->groups, count, sizeof(*groups));

	if (!groups)
		return -ENOMEM;
	collector->groups = groups;

	bool *used = reallocarray(collector->used, count, sizeof(*used));
	if (!used)
		return -ENOMEM;
	memset(used + collector->group_count, 0, count - collector->group_count);
	collector->used = used;
	collector->group_count = count;
	return 0;
}

int collector_group_add(struct collector *collector, uint32_t *ret, struct tally_error *err)
{
	uint32_t group = collector->group_free;

	while (group < collector->group_count && collector->used[group])
		group++;
	if (group == collector->group_count && grow(collector) < 0)
		return tally_fail(err, -ENOMEM, "cannot follow one more process");
	tally_sample_clear(&collector->groups[group], TALLY_REASON_NOT_SAMPLED);

	int r = collector->ops->group_add(collector, group, err);
	if (r < 0)
		return r;
	collector->used[group] = true;
	collector->group_free = group + 1;
	*ret = group;
	return 0;
}

void collector_group_remove(struct collector *collector, uint32_t group)
{
	collector->ops->group_remove(collector, group);
	collector->used[group] = false;
	if (group < collector->group_free)
		collector->group_free = group;
}

int collector_root_add(struct collector *collector, uint32_t group, const struct collect_root *root,
	struct tally_error *err)
{
	return collector->ops->root_add(collector, group, root, err);
}

int collector_pass(struct collector *collector, struct tally_error *err)
{
	return collector->ops->pass(collector, err);
}

const struct tally_sample *collector_group(const struct collector *collector, uint32_t group)
{
	return &collector->groups[group];
}

void collector_members(
	struct collector *collector, uint32_t group, collect_member_fn *visit, void *context)
{
	collector->ops->members(collector, group, visit, context);
}

void collector_reaped(
	struct collector *collector, uint32_t group, pid_t pid, const struct rusage *usage)
{
	if (collector->ops->reaped)
		collector->ops->reaped(collector, group, pid, usage);
}

int collector_settle(
	struct collector *collector, uint32_t group, int64_t timeout_ns, struct tally_error *err)
{
	if (!collector->ops->settle)
		return collector->ops->pass(collector, err);
	return collector->ops->settle(collector, group, timeout_ns, err);
}

void collector_status(struct collector *collector, struct collect_status *ret)
{
	*ret = (struct collect_status){0};
	collector->ops->status(collector, ret);
}

int collector_held(struct collector *collector, collect_held_fn *visit, void *context)
{
	return collector->ops->held ? collector->ops->held(collector, visit, context) : -ENOTSUP;
}
