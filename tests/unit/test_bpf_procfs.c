/* SPDX-License-Identifier: Apache-2.0 */
/* The same load under both collectors at once: they tell the same truth, within what is said here. */
#include "puppet.h"

/* How far apart two figures of the same thing may lie, and why. */
struct tolerance {
	enum tally_metric metric;
	double share; /**< Of the larger one. */
	int64_t plus; /**< In the unit of the metric. */
	const char *why;
};

#define MS NS_PER_MS

/* clang-format off */
static const struct tolerance tolerances[] = {
	{TALLY_CPU_USER, 0.10, 40 * MS, "ticks of 4 ms say which mode, for each thread or for their sum"},
	{TALLY_CPU_SYSTEM, 0.10, 40 * MS, "the same"},
	{TALLY_RUN_QUEUE_WAIT, 0.05, 5 * MS, "procfs knows that of main threads"},
	{TALLY_RSS, 0, 4 * 64 * 3 * 4096, "/proc/PID/stat lacks what each CPU has not handed in"},
	{TALLY_SHARED, 0, 0, NULL},
	{TALLY_SWAP, 0, 0, NULL},
	{TALLY_VIRTUAL, 0, 0, NULL},
	{TALLY_IO_READ, 0, 0, NULL},
	{TALLY_IO_WRITE, 0, 0, NULL},
	{TALLY_MAJOR_FAULTS, 0, 0, NULL},
	{TALLY_MINOR_FAULTS, 0, 40, "those of the last moments of a process that is being reaped"},
	{TALLY_VOLUNTARY_SWITCHES, 0, 4, "the last ones of each dead thread"},
	{TALLY_INVOLUNTARY_SWITCHES, 0.1, 20, "the same"},
	{TALLY_PIDS, 0, 0, NULL},
	{TALLY_THREADS, 0, 0, NULL},
	{TALLY_FDS, 0, 0, NULL},
	{TALLY_PIDS_STARTED, 0, 0, NULL},
	{TALLY_NICE, 0, 0, NULL},
	{TALLY_STATE, 0, 0, NULL},
};
/* clang-format on */

struct both {
	struct collector *bpf, *procfs;
	uint32_t in_bpf, in_procfs;
};

static bool agree(const struct both *both, const struct tolerance *t)
{
	const struct tally_sample *b = collector_group(both->bpf, both->in_bpf);
	const struct tally_sample *p = collector_group(both->procfs, both->in_procfs);

	if (tally_sample_has(b, t->metric) != tally_sample_has(p, t->metric))
		return false;
	int64_t one = b->value[t->metric], other = p->value[t->metric];
	int64_t larger = one > other ? one : other, apart = llabs(one - other);
	return (double)apart <= t->share * (double)larger + (double)t->plus;
}

static void compare(const struct both *both, const struct tolerance *t)
{
	const char *key = tally_metrics[t->metric].key;
	const struct tally_sample *b = collector_group(both->bpf, both->in_bpf);
	const struct tally_sample *p = collector_group(both->procfs, both->in_procfs);
	long long one = b->value[t->metric], other = p->value[t->metric];

	if (tally_sample_has(b, t->metric) != tally_sample_has(p, t->metric))
		fail_msg("%s is absent for reason %d (bpf), %d (procfs)", key, b->reason[t->metric],
			p->reason[t->metric]);
	print_message("#   %-28s bpf %14lld  procfs %14lld\n", key, one, other);
	if (!agree(both, t))
		fail_msg("%s: bpf says %lld, procfs %lld", key, one, other);
}

static bool all_agree(const struct both *both)
{
	bool all = true;

	for (size_t i = 0; i < sizeof(tolerances) / sizeof(tolerances[0]); i++)
		all = all && agree(both, &tolerances[i]);
	return all;
}

/* What is being compared idles; but on a machine that is busy it may not have come to rest between two passes. */
static void compare_all(const struct both *both)
{
	for (int tries = 0; tries < 20; tries++) {
		pass(both->bpf);
		pass(both->procfs);
		if (all_agree(both))
			break;
		sleep_ms(50);
	}
	for (size_t i = 0; i < sizeof(tolerances) / sizeof(tolerances[0]); i++)
		compare(both, &tolerances[i]);
}

static void open_both(struct both *both)
{
	both->bpf = open_bpf();
	assert_int_equal(collector_open("procfs", NULL, &both->procfs, NULL, NULL), 0);
}

static void follow_both(struct both *both, pid_t pid)
{
	both->in_bpf = follow(both->bpf, pid);
	both->in_procfs = follow(both->procfs, pid);
	pass(both->bpf);
	pass(both->procfs);
}

static void close_both(struct both *both)
{
	collector_close(both->bpf);
	collector_close(both->procfs);
}

static void an_idle_tree_with_a_past(void **state)
{
	struct puppet puppet;
	struct both both;

	open_both(&both);
	puppet_start(&puppet);
	puppet_do(&puppet, NICE, 5);
	puppet_do(&puppet, BURN, 60);
	puppet_do(&puppet, WRITE, 512);
	puppet_do(&puppet, MAP, 20000);
	puppet_do(&puppet, OPEN, 100);
	puppet_do(&puppet, BEAR, 0);
	puppet_do(&puppet, THREAD, 0);
	follow_both(&both, puppet.pid);
	compare_all(&both);
	puppet_end(&puppet);
	close_both(&both);
}

static void a_tree_at_work(void **state)
{
	struct puppet puppet;
	struct both both;

	open_both(&both);
	puppet_start(&puppet);
	follow_both(&both, puppet.pid);
	for (int turn = 0; turn < 3; turn++) {
		puppet_do(&puppet, BURN, 150);
		puppet_do(&puppet, MAP, 3000);
		puppet_do(&puppet, SHARE, 2000);
		puppet_do(&puppet, WRITE, 256);
		puppet_do(&puppet, OPEN, 70);
		puppet_do(&puppet, BEAR, 0);
		compare_all(&both);
		assert_int_equal(group_value(both.bpf, both.in_bpf, TALLY_PIDS), turn + 2);
	}
	assert_true(group_value(both.bpf, both.in_bpf, TALLY_FDS) > 4 * 70);
	assert_true(group_value(both.bpf, both.in_bpf, TALLY_SHARED) > 3 * 2000 * 1024);
	puppet_end(&puppet);
	sleep_ms(50);
	pass(both.bpf);
	pass(both.procfs);
	compare(&both, &tolerances[0]);
	compare(&both, &tolerances[1]);
	close_both(&both);
}

/* Reaped children: procfs has them from their parents, in ticks. */
static void a_tree_that_reaps_its_children(void **state)
{
	struct puppet puppet;
	struct both both;

	open_both(&both);
	puppet_start(&puppet);
	follow_both(&both, puppet.pid);
	for (int i = 0; i < 10; i++)
		puppet_do(&puppet, BEAR_BUSY, 50);
	pass(both.bpf);
	pass(both.procfs);
	int64_t bpf = group_cpu_ns(both.bpf, both.in_bpf);
	int64_t procfs = group_cpu_ns(both.procfs, both.in_procfs);
	assert_between(bpf - procfs, -20 * MS, 20 * MS + 10 * 10 * MS);
	assert_int_equal(group_value(both.bpf, both.in_bpf, TALLY_PIDS_STARTED), 11);
	for (enum tally_metric metric = TALLY_RSS; metric < TALLY_PIDS_STARTED; metric++)
		for (size_t i = 0; i < sizeof(tolerances) / sizeof(tolerances[0]); i++)
			if (tolerances[i].metric == metric &&
				tally_metrics[metric].kind == TALLY_KIND_GAUGE)
				compare(&both, &tolerances[i]);
	puppet_end(&puppet);
	close_both(&both);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_tree_with_a_past),
		cmocka_unit_test(a_tree_at_work),
		cmocka_unit_test(a_tree_that_reaps_its_children),
	};

	return cmocka_run_group_tests_name("bpf and procfs agree on", tests, NULL, NULL);
}
