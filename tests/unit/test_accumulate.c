/* SPDX-License-Identifier: Apache-2.0 */
/* The live-sum rule, without a kernel: by hand, and against a kernel made of random events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "collect/accumulate.h"

#define MS   INT64_C(1000000)
#define TICK (10 * MS)

static const int64_t still[COUNT_REAPED];

/* A process with CPU time and faults of its own, shown in ticks, and none of children. */
static struct usage used(int64_t user_ns, int64_t faults)
{
	struct usage usage = {0};

	usage.total[COUNT_USER] = user_ns;
	usage.shown[COUNT_USER] = user_ns / TICK * TICK;
	usage.total[COUNT_MINOR] = faults;
	return usage;
}

static void exact_time_is_split_in_the_proportion_of_ticks(void **state)
{
	int64_t split[COUNT_MODES] = {0, 0};

	cpu_split(7 * MS, (int64_t[]){0, 0}, split);
	assert_int_equal(split[COUNT_USER], 7 * MS);
	assert_int_equal(split[COUNT_SYSTEM], 0);

	cpu_split(45 * MS, (int64_t[]){30 * MS, 10 * MS}, split);
	assert_int_equal(split[COUNT_USER] + split[COUNT_SYSTEM], 45 * MS);
	assert_int_equal(split[COUNT_USER], 45 * MS * 3 / 4);
}

static void neither_mode_falls_and_the_sum_stays_true(void **state)
{
	int64_t told[COUNT_MODES] = {0, 0};

	cpu_raise((int64_t[]){19 * MS, 0}, told);
	cpu_raise((int64_t[]){10 * MS, 21 * MS}, told);
	assert_int_equal(told[COUNT_USER], 19 * MS);
	assert_int_equal(told[COUNT_SYSTEM], 12 * MS);
	cpu_raise((int64_t[]){1 * MS, 2 * MS}, told);
	assert_int_equal(told[COUNT_USER] + told[COUNT_SYSTEM], 31 * MS);
}

static void ticks_count_where_exact_time_lags(void **state)
{
	int64_t split[COUNT_MODES] = {0, 0};

	cpu_split(0, (int64_t[]){20 * MS, 30 * MS}, split);
	assert_int_equal(split[COUNT_USER], 20 * MS);
	assert_int_equal(split[COUNT_SYSTEM], 30 * MS);
}

static void dead_children_from_before_the_adoption_do_not_count(void **state)
{
	struct usage usage = used(50 * MS, 100);
	struct account account;

	usage.reaped[COUNT_USER] = 30 * MS;
	usage.reaped[COUNT_MINOR] = 60;
	account_adopt(&account, &usage);
	assert_int_equal(account_share(&account, &usage, COUNT_USER), 20 * MS);
	assert_int_equal(account_share(&account, &usage, COUNT_MINOR), 40);
}

static void who_moves_in_counts_from_then_on(void **state)
{
	struct usage usage = used(50 * MS, 100);
	struct account account;

	usage.total[COUNT_VOLUNTARY] = 9;
	account_join(&account, &usage);
	for (int i = 0; i < COUNT_ALL; i++)
		assert_int_equal(account_share(&account, &usage, i), 0);
	usage.total[COUNT_USER] += 5 * MS;
	assert_int_equal(account_share(&account, &usage, COUNT_USER), 5 * MS);
}

static void a_reaped_child_counts_once(void **state)
{
	struct account parent = {0}, child = {0};
	struct usage parents = used(0, 10), its = used(30 * MS, 50);
	int64_t lost[COUNT_ALL] = {0}, growth[COUNT_REAPED] = {0};

	account_vanish(&child, &its, still, &parent, lost);
	/* It ran on for a little and had more faults before its parent reaped it. */
	growth[COUNT_USER] = 40 * MS;
	growth[COUNT_MINOR] = 55;
	parents.total[COUNT_USER] += 40 * MS;
	parents.total[COUNT_MINOR] += 55;
	account_settle(&parent, growth, lost);
	assert_int_equal(account_share(&parent, &parents, COUNT_USER), 40 * MS);
	assert_int_equal(account_share(&parent, &parents, COUNT_MINOR), 65);
	account_settle(&parent, (int64_t[COUNT_REAPED]){0}, lost);
	assert_int_equal(account_share(&parent, &parents, COUNT_USER), 40 * MS);
	assert_int_equal(lost[COUNT_USER], 0);
}

static void a_child_reaped_after_its_parent_was_read_counts_once(void **state)
{
	struct account parent = {0}, child = {0};
	struct usage parents = used(0, 10), its = used(30 * MS, 50);
	int64_t lost[COUNT_ALL] = {0}, growth[COUNT_REAPED] = {0};

	account_vanish(&child, &its, still, &parent, lost);
	account_settle(&parent, growth, lost);
	assert_int_equal(account_share(&parent, &parents, COUNT_USER), 30 * MS);
	growth[COUNT_USER] = 30 * MS;
	growth[COUNT_MINOR] = 50;
	parents.total[COUNT_USER] += 30 * MS;
	parents.total[COUNT_MINOR] += 50;
	account_settle(&parent, growth, lost);
	assert_int_equal(account_share(&parent, &parents, COUNT_USER), 30 * MS);
	assert_int_equal(account_share(&parent, &parents, COUNT_MINOR), 60);
	assert_int_equal(lost[COUNT_USER], 0);
}

static void a_child_that_nobody_reaped_is_not_forgotten(void **state)
{
	struct account parent = {0}, child = {0};
	struct usage parents = used(0, 10), its = used(4 * MS, 50);
	int64_t lost[COUNT_ALL] = {0}, growth[COUNT_REAPED] = {0};

	its.total[COUNT_WRITE] = 4096;
	its.total[COUNT_WAIT] = 77;
	account_vanish(&child, &its, still, &parent, lost);
	account_settle(&parent, growth, lost);
	assert_int_equal(account_share(&parent, &parents, COUNT_USER), 4 * MS);
	assert_int_equal(account_share(&parent, &parents, COUNT_WRITE), 4096);
	account_settle(&parent, growth, lost);
	assert_int_equal(account_share(&parent, &parents, COUNT_USER), 0);
	assert_int_equal(lost[COUNT_USER], 4 * MS);
	assert_int_equal(lost[COUNT_MINOR], 50);
	assert_int_equal(lost[COUNT_WRITE], 4096);
	assert_int_equal(lost[COUNT_WAIT], 77);
	assert_false(account_pending(&parent));
}

/* Less than a tick: the parent's ticks cannot tell whether it was reaped; its faults can. */
static void faults_tell_what_ticks_cannot(void **state)
{
	struct account parent = {0}, child = {0};
	struct usage its = used(6 * MS, 50);
	int64_t lost[COUNT_ALL] = {0}, growth[COUNT_REAPED] = {0};

	its.total[COUNT_READ] = 8192;
	account_vanish(&child, &its, still, &parent, lost);
	growth[COUNT_MINOR] = 50;
	account_settle(&parent, growth, lost);
	account_settle(&parent, (int64_t[COUNT_REAPED]){0}, lost);
	assert_int_equal(lost[COUNT_USER], 0);
	assert_int_equal(lost[COUNT_READ], 0);
}

static void of_two_children_one_reaped_the_other_is_kept(void **state)
{
	struct account parent = {0}, child = {0};
	struct usage reaped = used(200 * MS, 100), ignored = used(100 * MS, 100);
	int64_t lost[COUNT_ALL] = {0}, growth[COUNT_REAPED] = {0};

	account_vanish(&child, &ignored, still, &parent, lost);
	account_vanish(&child, &reaped, still, &parent, lost);
	growth[COUNT_USER] = 200 * MS;
	growth[COUNT_MINOR] = 100;
	account_settle(&parent, growth, lost);
	account_settle(&parent, (int64_t[COUNT_REAPED]){0}, lost);
	assert_int_equal(lost[COUNT_USER], 100 * MS);
	assert_int_equal(lost[COUNT_MINOR], 100);
}

static void an_orphan_is_lost_at_once(void **state)
{
	struct account child = {0};
	struct usage its = used(30 * MS, 50);
	int64_t lost[COUNT_ALL] = {0};

	account_vanish(&child, &its, still, NULL, lost);
	assert_int_equal(lost[COUNT_USER], 30 * MS);
	assert_int_equal(lost[COUNT_MINOR], 50);
}

static void a_grandchild_goes_up_with_its_parent(void **state)
{
	struct account top = {0}, middle = {0}, bottom = {0};
	struct usage tops = used(0, 1), middles = used(20 * MS, 20), bottoms = used(30 * MS, 30);
	int64_t lost[COUNT_ALL] = {0}, growth[COUNT_REAPED] = {0};

	account_vanish(&bottom, &bottoms, still, &middle, lost);
	account_vanish(&middle, &middles, still, &top, lost);
	growth[COUNT_USER] = 50 * MS;
	growth[COUNT_MINOR] = 50;
	tops.total[COUNT_USER] += 50 * MS;
	tops.total[COUNT_MINOR] += 50;
	account_settle(&top, growth, lost);
	account_settle(&top, (int64_t[COUNT_REAPED]){0}, lost);
	assert_int_equal(account_share(&top, &tops, COUNT_USER) + lost[COUNT_USER], 50 * MS);
}

/* What a child had reaped before it was adopted arrives at its parent, and is not the group's. */
static void the_base_of_a_reaped_child_is_taken_off_its_parent(void **state)
{
	struct account parent = {0}, child;
	struct usage parents = used(0, 1), its = used(50 * MS, 60);
	int64_t lost[COUNT_ALL] = {0}, growth[COUNT_REAPED] = {0};

	its.reaped[COUNT_USER] = 20 * MS;
	its.reaped[COUNT_MINOR] = 10;
	account_adopt(&child, &its);
	account_vanish(&child, &its, still, &parent, lost);
	growth[COUNT_USER] = 50 * MS;
	growth[COUNT_MINOR] = 60;
	parents.total[COUNT_USER] += 50 * MS;
	parents.total[COUNT_MINOR] += 60;
	account_settle(&parent, growth, lost);
	account_settle(&parent, (int64_t[COUNT_REAPED]){0}, lost);
	assert_int_equal(account_share(&parent, &parents, COUNT_USER) + lost[COUNT_USER], 30 * MS);
	assert_int_equal(account_share(&parent, &parents, COUNT_MINOR) + lost[COUNT_MINOR], 51);
}

static void who_moves_out_leaves_what_it_had(void **state)
{
	struct account account = {0};
	struct usage usage = used(50 * MS, 60);
	int64_t lost[COUNT_ALL] = {0};

	account_leave(&account, &usage, lost);
	assert_int_equal(lost[COUNT_USER], 50 * MS);
	assert_int_equal(account_share(&account, &usage, COUNT_USER), 0);
}

static void what_wait4_says_replaces_what_passes_saw(void **state)
{
	struct account account = {0};
	struct usage usage = used(50 * MS, 60);
	int64_t lost[COUNT_ALL] = {0}, totals[COUNT_ALL] = {0}, growth[COUNT_REAPED] = {0};

	totals[COUNT_USER] = 30 * MS;
	totals[COUNT_SYSTEM] = 31 * MS;
	totals[COUNT_MINOR] = 70;
	account_reap(&account, &usage, totals, growth, lost);
	/* User time cannot fall, but the sum is what wait4() says. */
	assert_int_equal(lost[COUNT_USER], 50 * MS);
	assert_int_equal(lost[COUNT_SYSTEM], 11 * MS);
	assert_int_equal(lost[COUNT_MINOR], 70);
	assert_int_equal(account_share(&account, &usage, COUNT_USER), 0);
}

static void switches_of_dead_children_are_in_wait4_too(void **state)
{
	struct account parent = {0}, child = {0};
	struct usage parents = {0}, its = {0};
	int64_t lost[COUNT_ALL] = {0}, totals[COUNT_ALL] = {0}, growth[COUNT_REAPED] = {0};

	parents.total[COUNT_VOLUNTARY] = 10;
	its.total[COUNT_VOLUNTARY] = 5;
	account_vanish(&child, &its, still, &parent, lost);
	assert_int_equal(lost[COUNT_VOLUNTARY], 5);
	totals[COUNT_VOLUNTARY] = 17;
	account_reap(&parent, &parents, totals, growth, lost);
	assert_int_equal(lost[COUNT_VOLUNTARY], 17);
}

static void another_split_of_the_same_time_is_not_more_time(void **state)
{
	struct account parent = {0}, child = {0};
	struct usage parents = used(900 * 1000, 10), its = used(32 * MS, 60);
	int64_t lost[COUNT_ALL] = {0}, totals[COUNT_ALL] = {0}, growth[COUNT_REAPED] = {0};

	its.shown[COUNT_USER] = 30 * MS;
	account_vanish(&child, &its, still, &parent, lost);
	/* The pass took the parent's own 0.9 ms for user time, wait4() takes it for system time. */
	totals[COUNT_USER] = 30 * MS;
	totals[COUNT_SYSTEM] = 3 * MS;
	totals[COUNT_MINOR] = 70;
	growth[COUNT_USER] = totals[COUNT_USER] - parents.total[COUNT_USER];
	growth[COUNT_SYSTEM] = totals[COUNT_SYSTEM];
	growth[COUNT_MINOR] = 60;
	account_reap(&parent, &parents, totals, growth, lost);
	assert_int_equal(lost[COUNT_USER] + lost[COUNT_SYSTEM], 33 * MS);
}

/*
 * A kernel of random events. Processes run, fork, end, are reaped or not; in between, at any point,
 * the collector reads one of them. The figures are true ones, shown as the kernel shows them.
 */
#define PROCESSES 64

struct process {
	bool alive, ended, followed, vanished;
	bool lingers; /* Reaped, and not out of /proc yet: state X. */
	bool missed;  /* By the read of this pass. */
	int parent;   /* -1: init, which is in no group. */
	bool ignores; /* Its children are not reaped by it. */
	int64_t user_ns, system_ns, faults, io;
	int64_t children_user_ns, children_system_ns, children_faults;
	/* the collector's */
	struct usage usage;
	int64_t growth[COUNT_REAPED];
	struct account account;
};

struct world {
	struct process process[PROCESSES];
	int count;
	int64_t truth[COUNT_READ]; /* All that its processes ever consumed. */
	int64_t lost[COUNT_ALL];
	bool calm;    /* Nothing happens by itself. */
	bool passing; /* A pass is under way. */
	unsigned seed;
};

static int below(struct world *world, int limit)
{
	return (int)(((unsigned)rand_r(&world->seed) >> 4) % (unsigned)limit);
}

static void run(struct world *world, struct process *p)
{
	int64_t user_ns = below(world, 30) * MS / 3, system_ns = below(world, 12) * MS / 5;
	int64_t faults = 1 + below(world, 20);

	p->user_ns += user_ns;
	p->system_ns += system_ns;
	p->faults += faults;
	p->io += below(world, 3) * 4096;
	world->truth[COUNT_USER] += user_ns;
	world->truth[COUNT_SYSTEM] += system_ns;
	world->truth[COUNT_MINOR] += faults;
}

static void fork_one(struct world *world, int parent)
{
	if (world->count == PROCESSES)
		return;
	struct process *child = &world->process[world->count++];
	*child = (struct process){.alive = true, .parent = parent, .ignores = !below(world, 4)};
	run(world, child);
}

static void reap(struct world *world, int number)
{
	struct process *p = &world->process[number];
	struct process *parent = p->parent < 0 ? NULL : &world->process[p->parent];

	p->alive = p->lingers = world->passing && !below(world, 3);
	p->ended = false;
	if (!parent || parent->ignores)
		return;
	parent->children_user_ns += p->user_ns + p->children_user_ns;
	parent->children_system_ns += p->system_ns + p->children_system_ns;
	parent->children_faults += p->faults + p->children_faults;
	parent->io += p->io;
}

/* Its children get the parent that init is; those that have ended are reaped by it. */
static void end(struct world *world, int number)
{
	struct process *p = &world->process[number];

	p->ended = true;
	for (int i = 0; i < world->count; i++) {
		struct process *child = &world->process[i];

		if (!child->alive || child->lingers || child->parent != number)
			continue;
		child->parent = -1;
		if (child->ended)
			reap(world, i);
	}
	if (p->parent < 0 || world->process[p->parent].ignores)
		reap(world, number);
}

static void happen(struct world *world)
{
	int number = below(world, world->count);
	struct process *p = &world->process[number];

	if (!p->alive || p->lingers || world->calm)
		return;
	if (p->ended) {
		if (below(world, 2))
			reap(world, number);
		return;
	}
	int what = below(world, 10);
	if (what < 5)
		run(world, p);
	else if (what < 8)
		fork_one(world, number);
	else if (number != 0)
		end(world, number);
}

static void set_reaped(struct process *p, int count, int64_t now)
{
	p->growth[count] = now - p->usage.reaped[count];
	p->usage.reaped[count] = now;
}

static void read_one(struct process *p)
{
	int64_t own[COUNT_MODES] = {p->user_ns / TICK * TICK, p->system_ns / TICK * TICK};
	int64_t children[COUNT_MODES] = {
		p->children_user_ns / TICK * TICK, p->children_system_ns / TICK * TICK};
	int64_t cpu_ns[COUNT_MODES];

	cpu_split(p->user_ns + p->system_ns, own, cpu_ns);
	for (int i = 0; i < COUNT_MODES; i++) {
		set_reaped(p, i, children[i]);
		p->usage.total[i] = cpu_ns[i] + children[i];
		p->usage.shown[i] = own[i] + children[i];
	}
	set_reaped(p, COUNT_MINOR, p->children_faults);
	p->usage.total[COUNT_MINOR] = p->faults + p->children_faults;
	set_reaped(p, COUNT_READ, p->io);
	p->usage.total[COUNT_READ] = p->io;
}

/* One pass, with events between any two of its steps. Parents have lower numbers. */
static void pass(struct world *world)
{
	bool listed[PROCESSES];

	world->passing = true;
	for (int i = 0; i < world->count; i++) {
		listed[i] = world->process[i].alive;
		world->process[i].followed |= listed[i];
		if (!below(world, 3))
			happen(world);
	}
	for (int i = 0; i < world->count; i++) {
		struct process *p = &world->process[i];

		if (!below(world, 2))
			happen(world);
		memset(p->growth, 0, sizeof(p->growth));
		if (p->followed && !p->vanished && p->alive && !p->lingers)
			read_one(p);
		p->missed = !p->alive || p->lingers;
	}
	for (int i = world->count - 1; i >= 0; i--) {
		struct process *p = &world->process[i];
		struct process *parent = p->parent < 0 ? NULL : &world->process[p->parent];

		if (!p->followed || p->vanished || !p->missed)
			continue;
		p->vanished = true;
		account_vanish(&p->account, &p->usage, p->growth,
			parent && parent->followed ? &parent->account : NULL, world->lost);
	}
	for (int i = 0; i < world->count; i++) {
		struct process *p = &world->process[i];

		if (p->followed && !p->vanished)
			account_settle(&p->account, p->growth, world->lost);
		if (p->lingers)
			p->alive = p->lingers = false;
	}
	world->passing = false;
}

static int64_t total_of(const struct world *world, int count)
{
	int64_t total = world->lost[count];

	for (int i = 0; i < world->count; i++) {
		const struct process *p = &world->process[i];

		if (p->followed && !p->vanished)
			total += account_share(&p->account, &p->usage, count);
	}
	return total;
}

static int64_t cpu_of(const struct world *world)
{
	return total_of(world, COUNT_USER) + total_of(world, COUNT_SYSTEM);
}

/* Each live process hides less than a tick of each mode of its children. */
static int64_t hidden(const struct world *world)
{
	int64_t hidden_ns = 0;

	for (int i = 0; i < world->count; i++)
		if (world->process[i].alive)
			hidden_ns += 2 * TICK;
	return hidden_ns;
}

static void check(const struct world *world, int64_t *faults_before, int64_t *cpu_before)
{
	int64_t faults = total_of(world, COUNT_MINOR), cpu_ns = cpu_of(world);

	assert_true(faults <= world->truth[COUNT_MINOR]);
	assert_true(cpu_ns <= world->truth[COUNT_USER] + world->truth[COUNT_SYSTEM]);
	assert_true(faults >= *faults_before);
	assert_true(cpu_ns >= *cpu_before - hidden(world));
	*faults_before = faults;
	*cpu_before = cpu_ns;
}

/* What is unknowable: what ran after it was last read, and what no pass has seen, unreaped. */
static void whatever_the_order_nothing_doubles_and_nothing_falls(void **state)
{
	for (unsigned seed = 1; seed <= 3000; seed++) {
		struct world world = {.seed = seed, .count = 1};
		int64_t faults = 0, cpu_ns = 0;

		world.process[0] = (struct process){.alive = true, .parent = -1};
		for (int i = 0; i < 12; i++) {
			pass(&world);
			check(&world, &faults, &cpu_ns);
			for (int k = below(&world, 20); k > 0; k--)
				happen(&world);
		}
	}
}

/* When nobody ignores children and no parent dies before them, all must be there in the end. */
static void in_a_tree_that_reaps_everything_is_counted(void **state)
{
	for (unsigned seed = 1; seed <= 1000; seed++) {
		struct world world = {.seed = seed, .count = 1, .calm = true};

		world.process[0] = (struct process){.alive = true, .parent = -1};
		for (int i = 0; i < 10; i++) {
			pass(&world);
			for (int k = below(&world, 20); k > 0; k--) {
				int number = below(&world, world.count);

				if (!world.process[number].alive)
					continue;
				run(&world, &world.process[number]);
				fork_one(&world, number);
				world.process[world.count - 1].ignores = false;
			}
			for (int k = world.count - 1; k > 0; k--) {
				bool leaf = true;

				for (int j = 1; j < world.count; j++)
					leaf &= !world.process[j].alive ||
						world.process[j].parent != k;
				if (world.process[k].alive && leaf && below(&world, 2))
					reap(&world, k);
			}
		}
		pass(&world);
		pass(&world);
		assert_int_equal(total_of(&world, COUNT_MINOR), world.truth[COUNT_MINOR]);
		int64_t truth = world.truth[COUNT_USER] + world.truth[COUNT_SYSTEM];
		assert_in_range(truth - cpu_of(&world), 0, hidden(&world));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exact_time_is_split_in_the_proportion_of_ticks),
		cmocka_unit_test(neither_mode_falls_and_the_sum_stays_true),
		cmocka_unit_test(ticks_count_where_exact_time_lags),
		cmocka_unit_test(dead_children_from_before_the_adoption_do_not_count),
		cmocka_unit_test(who_moves_in_counts_from_then_on),
		cmocka_unit_test(a_reaped_child_counts_once),
		cmocka_unit_test(a_child_reaped_after_its_parent_was_read_counts_once),
		cmocka_unit_test(a_child_that_nobody_reaped_is_not_forgotten),
		cmocka_unit_test(faults_tell_what_ticks_cannot),
		cmocka_unit_test(of_two_children_one_reaped_the_other_is_kept),
		cmocka_unit_test(an_orphan_is_lost_at_once),
		cmocka_unit_test(a_grandchild_goes_up_with_its_parent),
		cmocka_unit_test(the_base_of_a_reaped_child_is_taken_off_its_parent),
		cmocka_unit_test(who_moves_out_leaves_what_it_had),
		cmocka_unit_test(what_wait4_says_replaces_what_passes_saw),
		cmocka_unit_test(switches_of_dead_children_are_in_wait4_too),
		cmocka_unit_test(another_split_of_the_same_time_is_not_more_time),
		cmocka_unit_test(whatever_the_order_nothing_doubles_and_nothing_falls),
		cmocka_unit_test(in_a_tree_that_reaps_everything_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
