/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/bpf/inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/fail.h"
#include "collect/registry.h"

static struct bpf_collector *of(struct collector *collector)
{
	return (struct bpf_collector *)collector;
}

static int probe(const struct collect_options *options, struct tally_error *err)
{
	return bpf_probe(err);
}

static void close_collector(struct collector *collector)
{
	struct bpf_collector *c = of(collector);

	bpf_unload(c);
	for (uint32_t i = 0; i < c->group_room; i++)
		free(c->groups[i].roots);
	free(c->groups);
	free(c->dump.threads);
	cgroups_done(&c->cgroups);
	roots_done(&c->roots);
	sets_done(&c->sets);
	free(c);
}

static int init(struct bpf_collector *c, const struct bpf_limits *limits, struct tally_error *err)
{
	int r = sets_init(&c->sets, limits->sets ? limits->sets : SET_LIMIT);

	if (r == 0)
		r = roots_init(&c->roots, limits->roots ? limits->roots : ROOT_LIMIT);
	if (r < 0)
		return tally_fail(err, r, "cannot open the BPF collector");
	r = bpf_load(c, limits, err);
	if (r < 0)
		return r;
	r = bpf_map_sets(c);
	if (r == 0)
		r = bpf_map_roots(c);
	return r < 0 ? tally_fail(err, r, "cannot map the memory of the BPF programs") : 0;
}

int bpf_open_limited(const struct collect_options *options, const struct bpf_limits *limits,
	struct collector **ret, struct tally_error *err)
{
	struct bpf_collector *c = calloc(1, sizeof(*c));

	if (!c)
		return tally_fail(err, -ENOMEM, "cannot open the BPF collector");
	c->log = options->log;
	c->procfs = options->procfs ? options->procfs : "/proc";
	c->pss = options->pss;
	int r = init(c, limits, err);
	if (r < 0) {
		close_collector(&c->base);
		return r;
	}
	*ret = &c->base;
	return 0;
}

static int open_collector(
	const struct collect_options *options, struct collector **ret, struct tally_error *err)
{
	return bpf_open_limited(options, &(struct bpf_limits){0}, ret, err);
}

static int make_room(struct bpf_collector *c)
{
	uint32_t room = c->base.group_count;

	if (room <= c->group_room)
		return 0;
	struct group_state *groups = reallocarray(c->groups, room, sizeof(*groups));
	if (!groups)
		return -ENOMEM;
	memset(groups + c->group_room, 0, (room - c->group_room) * sizeof(*groups));
	c->groups = groups;
	c->group_room = room;
	return 0;
}

static int group_add(struct collector *collector, uint32_t group, struct tally_error *err)
{
	struct bpf_collector *c = of(collector);
	uint32_t set;
	int r = make_room(c);

	if (r == 0)
		r = adopt_set(c, &group, 1, true, &set);
	if (r == -ENOSPC)
		return tally_refuse(err, r, "cannot follow one more process: %u are the limit",
			c->sets.limit - 1);
	if (r < 0)
		return tally_fail(err, r, "cannot follow one more process");
	c->sets.items[set].pinned = true;
	c->groups[group] = (struct group_state){.set = set};
	return 0;
}

/* Marks may hold sets of the group for as long as its members live; what they stand for then is
 * nothing, and the kernel program does not hand them on. */
static void group_remove(struct collector *collector, uint32_t group)
{
	struct bpf_collector *c = of(collector);
	struct group_state *state = &c->groups[group];

	cgroups_drop(c, group);
	c->sets.items[state->set].pinned = false;
	sets_drop(&c->sets, group);
	for (uint32_t i = 1; i < c->sets.count; i++)
		if (c->sets.items[i].used && !c->sets.items[i].count)
			c->shared[i].dead = 1;
	for (uint32_t i = 0; i < state->root_count; i++)
		roots_drop(&c->roots, state->roots[i]);
	free(state->roots);
	*state = (struct group_state){0};
}

static int root_add(struct collector *collector, uint32_t group, const struct collect_root *root,
	struct tally_error *err)
{
	struct bpf_collector *c = of(collector);
	struct group_state *state = &c->groups[group];
	enum group_kind kind = root->pid ? GROUP_TREE : GROUP_CGROUP;

	if (state->kind != GROUP_EMPTY && state->kind != kind)
		return tally_refuse(err, -ENOTSUP,
			"a process is followed by its pids or by its cgroups, not by both");
	int r = root->pid ? adopt_pid(c, group, root, err) : cgroups_add(c, group, root, err);
	if (r == 0)
		state->kind = kind;
	if (r == 0)
		state->family = root->family; /* The kernel asks for unions at the next pass. */
	return r;
}

static int pass(struct collector *collector, struct tally_error *err)
{
	return pass_run(of(collector), err);
}

static void members(
	struct collector *collector, uint32_t group, collect_member_fn *visit, void *context)
{
	members_visit(of(collector), group, visit, context);
}

static int settle(
	struct collector *collector, uint32_t group, int64_t timeout_ns, struct tally_error *err)
{
	return pass_settle(of(collector), group, timeout_ns, err);
}

static void status(struct collector *collector, struct collect_status *ret)
{
	struct bpf_collector *c = of(collector);

	ret->pids = c->news->members;
	ret->strangers = c->news->strangers;
	ret->limited = c->limited + c->news->lost;
}

static int held(struct collector *collector, collect_held_fn *visit, void *context)
{
	return held_list(of(collector)->held, visit, context);
}

const struct collector_ops collector_bpf = {
	.name = "bpf",
	.summary = "the kernel adds up what members use: exact, and nearly free",
	.probe = probe,
	.open = open_collector,
	.close = close_collector,
	.group_add = group_add,
	.group_remove = group_remove,
	.root_add = root_add,
	.pass = pass,
	.members = members,
	.settle = settle,
	.status = status,
	.held = held,
};
