/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/bpf/inside.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/fail.h"

/* A child may be forked while its parent is being adopted, and be met before it: look again. A
 * tree that outruns so many looks is one whose parents are gone already. */
#define ROUNDS 16

/* From one look at forgotten sets to the next. */
#define SWEEP_NS (10 * NS_PER_S)

static void reset_levels(struct bpf_collector *c)
{
	for (uint32_t i = 1; i < c->sets.count; i++) {
		memset(c->shared[i].level, 0, sizeof(c->shared[i].level));
		c->shared[i].seen = 0;
		c->shared[i].cut = 0;
	}
	c->news->members = 0;
	c->news->visited = 0;
}

static void say_lost(struct bpf_collector *c)
{
	log_say(c->log, TALLY_LOG_WARN,
		"bpf: %" PRIu64
		" threads could not be followed from their start on: no memory in the "
		"kernel, and more than %d at once",
		(uint64_t)c->news->lost - c->lost, STRAY_LIMIT);
	c->lost = c->news->lost;
}

static void begin(struct bpf_collector *c)
{
	struct tally_config *config = c->config;
	bool repair = c->news->lost > c->lost;
	uint32_t moved = c->news->moved;

	if (repair)
		say_lost(c);
	if (repair && !c->adopt)
		config->run++;
	c->adopt |= repair;
	c->check |= moved != c->moved;
	c->moved = moved;
	config->pass++;
	config->repair = repair;
	config->adopt = c->adopt;
	config->check = c->check;
}

/* One look with adoption on, until one finds nobody new. */
static int adopt_all(struct bpf_collector *c)
{
	for (int round = 0; round < ROUNDS; round++) {
		reset_levels(c);
		c->news->changed = 0;
		c->news->wanted = 0;
		c->news->strangers = 0;
		int r = bpf_run_pass(c);
		if (r < 0)
			return r;
		unsigned answered = c->news->wanted ? adopt_unions(c) : 0;
		if (!answered && !c->news->changed)
			break;
	}
	return 0;
}

static int look(struct bpf_collector *c)
{
	if (c->config->adopt || c->config->check)
		return adopt_all(c);
	reset_levels(c);
	return bpf_run_pass(c);
}

int pass_run(struct bpf_collector *c, struct tally_error *err)
{
	cgroups_settle(c);
	begin(c);
	c->dump.valid = false;
	int r = look(c);
	if (r < 0)
		return tally_fail(err, r, "cannot read the BPF task iterator");
	if (c->config->adopt)
		c->adopt = false;
	if (c->config->check)
		cgroups_adopted(c);
	c->config->adopt = c->config->check = 0;
	publish_groups(c);
	int64_t now_ns = clock_boot_ns();
	if (now_ns - c->swept_ns >= SWEEP_NS) {
		c->swept_ns = now_ns;
		adopt_sweep(c);
	}
	return 0;
}

/* Threads of a group that the last pass did not meet and that have not run for the last time. A
 * dead one can be reaped before it has left its CPU. */
static int64_t count_pending(const struct bpf_collector *c, uint32_t group)
{
	int64_t pending = 0;

	for (uint32_t i = 1; i < c->sets.count; i++)
		if (sets_have(&c->sets, i, group))
			pending += __atomic_load_n(&c->shared[i].open, __ATOMIC_RELAXED) -
				   (int64_t)c->shared[i].seen;
	return pending;
}

/* They end in the kernel while we sleep; that they do is seen without another pass. */
static void wait_for_pending(const struct bpf_collector *c, uint32_t group, int64_t deadline_ns)
{
	while (count_pending(c, group) > 0 && clock_boot_ns() < deadline_ns)
		nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
}

int pass_settle(
	struct bpf_collector *c, uint32_t group, int64_t timeout_ns, struct tally_error *err)
{
	int64_t deadline_ns = clock_boot_ns() + timeout_ns;

	for (;;) {
		int r = pass_run(c, err);

		if (r < 0 || count_pending(c, group) <= 0)
			return r;
		if (clock_boot_ns() >= deadline_ns)
			return tally_refuse(err, -ETIMEDOUT,
				"%" PRId64 " ended threads have not told their last figures yet",
				count_pending(c, group));
		wait_for_pending(c, group, deadline_ns);
	}
}
