/* SPDX-License-Identifier: Apache-2.0 */
/** Whatever is kept and asked, the history answers as a plain list of all samples would. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/clock.h"
#include "history/history.h"

#define S	  NS_PER_S
#define TASKS	  3
#define PROCESSES 4
#define LIST_MAX  4000

/* All samples of one series, in the order in which they came. */
struct list {
	size_t count;
	struct tally_sample at[LIST_MAX];
};

static struct list lists[TASKS][PROCESSES + 1]; /* the total, then processes */
static uint64_t random_state;

static uint64_t random_bits(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static unsigned below(unsigned limit)
{
	return (unsigned)(random_bits() % limit);
}

static const char *const names[PROCESSES] = {"web", "db", "cache", "cron"};

static void live(struct tally_sample *sample)
{
	for (unsigned m = 0; m < TALLY_METRIC_COUNT; m++)
		if (below(6) == 0)
			tally_sample_set(sample, m, sample->value[m] + below(100000));
	if (below(30) == 0)
		tally_sample_unset(sample, below(TALLY_METRIC_COUNT), below(TALLY_REASON_COUNT));
}

static void note(
	struct list *list, const struct tally_sample *sample, int64_t wall_ns, int64_t boot_ns)
{
	struct tally_sample *kept = &list->at[list->count++];

	*kept = *sample;
	kept->wall_ns = wall_ns;
	kept->boot_ns = boot_ns;
}

struct world {
	struct history *history;
	struct history_task *tasks[TASKS];
	struct tally_sample now[TASKS][PROCESSES];
	bool here[TASKS][PROCESSES];
	int64_t wall_ns, boot_ns;
};

static void tick_task(struct world *w, int task)
{
	struct history_process processes[PROCESSES];
	struct tally_sample total;
	struct history_record record = {w->wall_ns, w->boot_ns, &total, processes, 0};

	tally_sample_start(&total, w->wall_ns, w->boot_ns);
	for (int i = 0; i < PROCESSES; i++) {
		if (below(40) == 0)
			w->here[task][i] = !w->here[task][i];
		if (!w->here[task][i])
			continue;
		live(&w->now[task][i]);
		tally_sample_add(&total, &w->now[task][i]);
		processes[record.process_count++] =
			(struct history_process){.name = names[i], .sample = &w->now[task][i]};
		note(&lists[task][i + 1], &w->now[task][i], w->wall_ns, w->boot_ns);
	}
	note(&lists[task][0], &total, w->wall_ns, w->boot_ns);
	assert_int_equal(history_append(w->history, w->tasks[task], &record, NULL), 0);
}

/* One tick: time goes on, the wall clock sometimes steps, tasks sometimes miss it. */
static void tick(struct world *w)
{
	int64_t step = S - 1000000 + below(2000000) + (below(60) == 0 ? below(700) * S : 0);

	w->boot_ns += step;
	w->wall_ns += step;
	if (below(200) == 0)
		w->wall_ns += below(2) ? 3600 * S : -3600 * S;
	for (int task = 0; task < TASKS; task++)
		if (below(20) > 0)
			tick_task(w, task);
}

static void assert_same(const struct tally_sample *is, const struct tally_sample *was)
{
	assert_int_equal(is->wall_ns, was->wall_ns);
	assert_int_equal(is->boot_ns, was->boot_ns);
	assert_int_equal(is->present, was->present);
	for (unsigned m = 0; m < TALLY_METRIC_COUNT; m++)
		if (tally_sample_has(was, m))
			assert_int_equal(is->value[m], was->value[m]);
		else
			assert_int_equal(is->reason[m], was->reason[m]);
}

static int64_t apart(int64_t a, int64_t b)
{
	return a > b ? a - b : b - a;
}

/* The first sample of the list that is still within the retention. */
static size_t first_kept(const struct list *list, int64_t now_ns, int64_t retention_ns)
{
	size_t i = 0;

	while (i < list->count && now_ns - list->at[i].boot_ns >= retention_ns)
		i++;
	return i;
}

static void ask_nearest(struct world *w, int task, int process, int64_t retention_ns)
{
	const struct list *list = &lists[task][process];
	size_t first = first_kept(list, w->boot_ns, retention_ns), best = first;
	int64_t at = w->wall_ns + (below(3) ? -(int64_t)below(4000) : below(4000)) * S +
		     (int64_t)below(1000000000);
	struct tally_sample sample, before;
	int r = history_nearest(w->history, w->tasks[task], process ? names[process - 1] : NULL, at,
		&sample, &before);

	if (first == list->count) {
		assert_true(r == -ENODATA || r == -ENOENT);
		return;
	}
	assert_int_equal(r, 0);
	for (size_t i = first; i < list->count; i++)
		if (apart(list->at[i].wall_ns, at) < apart(list->at[best].wall_ns, at))
			best = i;
	assert_same(&sample, &list->at[best]);
	if (best > first)
		assert_same(&before, &list->at[best - 1]);
	else
		assert_int_equal(before.boot_ns, 0);
}

struct expected {
	const struct list *list;
	size_t next;
	int64_t since_ns, until_ns;
	unsigned left;
};

static void pass_over(struct expected *e)
{
	while (e->next < e->list->count && (e->list->at[e->next].wall_ns < e->since_ns ||
						   e->list->at[e->next].wall_ns > e->until_ns))
		e->next++;
}

static bool compare(void *context, const struct tally_sample *sample)
{
	struct expected *e = context;

	pass_over(e);
	assert_true(e->next < e->list->count);
	assert_same(sample, &e->list->at[e->next++]);
	return --e->left > 0;
}

static void ask_range(struct world *w, int task, int process, int64_t retention_ns)
{
	const struct list *list = &lists[task][process];
	struct expected e = {
		.list = list,
		.next = first_kept(list, w->boot_ns, retention_ns),
		.since_ns = w->wall_ns - (int64_t)below(3000) * S,
		.until_ns = w->wall_ns + (1000 - (int64_t)below(2000)) * S,
		.left = below(4) ? UINT32_MAX : 1 + below(100),
	};
	int r = history_range(w->history, w->tasks[task], process ? names[process - 1] : NULL,
		e.since_ns, e.until_ns, compare, &e);

	pass_over(&e);
	if (r < 0)
		assert_int_equal(r, -ENOENT);
	else
		assert_true(e.left == 0 || e.next == list->count);
}

static void live_through(unsigned seed, unsigned ticks, int64_t retention_ns)
{
	struct history_options options = {
		.retention_ns = retention_ns,
		.tiers = {{.retention_ns = -1}, {.retention_ns = -1}},
	};
	struct world w = {.wall_ns = 1700000000 * S, .boot_ns = 1000 * S};
	static const char *const ids[TASKS] = {"a", "task/b", "c"};

	memset(lists, 0, sizeof(lists));
	random_state = 0x9e3779b97f4a7c15 + seed;
	assert_int_equal(history_open(&options, &w.history, NULL), 0);
	for (int i = 0; i < TASKS; i++) {
		assert_int_equal(history_task(w.history, ids[i], &w.tasks[i], NULL), 0);
		for (int p = 0; p < PROCESSES; p++)
			tally_sample_clear(&w.now[i][p], TALLY_REASON_NOT_SAMPLED);
	}
	for (unsigned i = 0; i < ticks; i++) {
		tick(&w);
		ask_nearest(&w, (int)below(TASKS), (int)below(PROCESSES + 1), retention_ns);
		ask_range(&w, (int)below(TASKS), (int)below(PROCESSES + 1), retention_ns);
	}
	history_close(w.history);
}

static void random_questions_are_answered_as_by_a_list(void **state)
{
	for (unsigned seed = 0; seed < 6; seed++)
		live_through(seed, 1200, 100000 * S);
}

static void so_they_are_when_old_samples_make_room(void **state)
{
	for (unsigned seed = 100; seed < 106; seed++)
		live_through(seed, 1200, (20 + seed) * S);
}

/* Samples as they were taken, for checking what coarser ones are made of. */
static struct list plain, coarse;

static bool keep(void *context, const struct tally_sample *sample)
{
	coarse.at[coarse.count++] = *sample;
	return true;
}

/* Average of a gauge over the samples in (after, until]. */
static int64_t average(enum tally_metric metric, int64_t after, int64_t until)
{
	int64_t sum = 0, count = 0;

	for (size_t i = 0; i < plain.count; i++)
		if (plain.at[i].boot_ns > after && plain.at[i].boot_ns <= until) {
			sum += plain.at[i].value[metric];
			count++;
		}
	assert_true(count > 0);
	return sum / count;
}

static const struct tally_sample *plain_at(int64_t boot_ns)
{
	for (size_t i = 0; i < plain.count; i++)
		if (plain.at[i].boot_ns == boot_ns)
			return &plain.at[i];
	return NULL;
}

static void check_coarse(int64_t now_ns, int64_t retention_ns)
{
	int64_t last = INT64_MIN;
	size_t as_taken = 0;

	for (size_t i = 0; i < coarse.count; i++) {
		const struct tally_sample *is = &coarse.at[i], *was = plain_at(is->boot_ns);

		assert_non_null(was);
		assert_true(is->boot_ns > last);
		assert_int_equal(is->wall_ns, was->wall_ns);
		assert_int_equal(is->value[TALLY_CPU_USER], was->value[TALLY_CPU_USER]);
		if (now_ns - is->boot_ns < retention_ns) {
			assert_int_equal(is->value[TALLY_RSS], was->value[TALLY_RSS]);
			as_taken++;
		} else {
			assert_int_equal(is->boot_ns / (10 * S) + 1,
				(plain_at(is->boot_ns) + 1)->boot_ns / (10 * S));
			if (i > 0)
				assert_int_equal(is->value[TALLY_RSS],
					average(TALLY_RSS, last, is->boot_ns));
		}
		last = is->boot_ns;
	}
	assert_in_range(as_taken, retention_ns / S - 2, retention_ns / S + 1);
	assert_true(coarse.count - as_taken > 100);
}

static void what_is_older_is_coarser_but_exact(void **state)
{
	struct history_options options = {.retention_ns = 300 * S};
	struct tally_sample process, total;
	struct history *h = NULL;
	struct history_task *t = NULL;
	int64_t boot_ns = 77 * S;

	random_state = 5;
	plain.count = coarse.count = 0;
	tally_sample_clear(&process, TALLY_REASON_PERMISSION);
	assert_int_equal(history_open(&options, &h, NULL), 0);
	assert_int_equal(history_task(h, "t", &t, NULL), 0);
	for (int i = 0; i < 3000; i++, boot_ns += S + below(1000000)) {
		struct history_process part = {.name = "web", .sample = &process};
		struct history_record record = {
			1700000000 * S + boot_ns, boot_ns, &total, &part, 1};

		tally_sample_set(&process, TALLY_CPU_USER,
			process.value[TALLY_CPU_USER] + below(10) * 10000000);
		tally_sample_set(&process, TALLY_RSS, 4096 * (int64_t)below(100000));
		tally_sample_start(&total, 0, 0);
		tally_sample_add(&total, &process);
		note(&plain, &total, record.wall_ns, boot_ns);
		assert_int_equal(history_append(h, t, &record, NULL), 0);
	}
	boot_ns = plain.at[plain.count - 1].boot_ns;
	assert_int_equal(history_range(h, t, NULL, INT64_MIN, INT64_MAX, keep, NULL), 0);
	check_coarse(boot_ns, 300 * S);
	coarse.count = 0;
	assert_int_equal(history_range(h, t, "web", INT64_MIN, INT64_MAX, keep, NULL), 0);
	check_coarse(boot_ns, 300 * S);
	history_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_questions_are_answered_as_by_a_list),
		cmocka_unit_test(so_they_are_when_old_samples_make_room),
		cmocka_unit_test(what_is_older_is_coarser_but_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
