/* SPDX-License-Identifier: Apache-2.0 */
/** The history keeps what it was given, in order, within its limits, and finds it by time. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/clock.h"
#include "history/history.h"

#define S NS_PER_S

static struct history *open_history(int64_t retention_ns, int64_t interval_ns, size_t bytes)
{
	struct history_options options = {
		.retention_ns = retention_ns,
		.interval_ns = interval_ns,
		.bytes = bytes,
		.tiers = {{.retention_ns = -1}, {.retention_ns = -1}},
	};
	struct history *history = NULL;

	assert_int_equal(history_open(&options, &history, NULL), 0);
	return history;
}

static struct history_task *get_task(struct history *history, const char *id)
{
	struct history_task *task = NULL;

	assert_int_equal(history_task(history, id, &task, NULL), 0);
	return task;
}

static struct tally_sample sample_of(int64_t rss)
{
	struct tally_sample sample;

	tally_sample_clear(&sample, TALLY_REASON_PERMISSION);
	tally_sample_set(&sample, TALLY_RSS, rss);
	return sample;
}

/* A record of a total and of processes that hold rss + 1, rss + 2, … */
static int put(struct history *history, struct history_task *task, int64_t wall_ns, int64_t boot_ns,
	int64_t rss, size_t count, const char *const *names, struct tally_error *err)
{
	struct tally_sample total = sample_of(rss), parts[16];
	struct history_process processes[16];

	for (size_t i = 0; i < count; i++) {
		parts[i] = sample_of(rss + 1 + (int64_t)i);
		processes[i] = (struct history_process){.name = names[i], .sample = &parts[i]};
	}
	struct history_record record = {wall_ns, boot_ns, &total, processes, count};
	return history_append(history, task, &record, err);
}

static int64_t rss_at(
	struct history *history, struct history_task *task, const char *process, int64_t wall_ns)
{
	struct tally_sample sample;
	int r = history_nearest(history, task, process, wall_ns, &sample, NULL);

	if (r < 0)
		return r;
	assert_true(tally_sample_has(&sample, TALLY_RSS));
	assert_false(tally_sample_has(&sample, TALLY_SWAP));
	assert_int_equal(sample.reason[TALLY_SWAP], TALLY_REASON_PERMISSION);
	return sample.value[TALLY_RSS];
}

static void nearest_is_nearest_and_of_two_the_earlier(void **state)
{
	struct history *h = open_history(0, 0, 0);
	struct history_task *t = get_task(h, "t");

	assert_int_equal(rss_at(h, t, NULL, 0), -ENODATA);
	for (int i = 1; i <= 5; i++)
		assert_int_equal(put(h, t, i * 10 * S, i * 10 * S, i, 0, NULL, NULL), 0);
	assert_int_equal(rss_at(h, t, NULL, INT64_MIN), 1);
	assert_int_equal(rss_at(h, t, NULL, 14 * S), 1);
	assert_int_equal(rss_at(h, t, NULL, 15 * S), 1);
	assert_int_equal(rss_at(h, t, NULL, 15 * S + 1), 2);
	assert_int_equal(rss_at(h, t, NULL, 30 * S), 3);
	assert_int_equal(rss_at(h, t, NULL, INT64_MAX), 5);
	history_close(h);
}

static void the_sample_before_comes_along(void **state)
{
	struct history *h = open_history(0, 0, 0);
	struct history_task *t = get_task(h, "t");
	const char *web[] = {"web"};
	struct tally_sample sample, before;

	put(h, t, 10 * S, 1 * S, 1, 1, web, NULL);
	put(h, t, 20 * S, 2 * S, 2, 0, NULL, NULL);
	put(h, t, 30 * S, 3 * S, 3, 1, web, NULL);
	assert_int_equal(history_nearest(h, t, NULL, 30 * S, &sample, &before), 0);
	assert_int_equal(before.boot_ns, 2 * S);
	assert_int_equal(history_nearest(h, t, "web", 30 * S, &sample, &before), 0);
	assert_int_equal(before.boot_ns, 1 * S);
	assert_int_equal(before.wall_ns, 10 * S);
	assert_int_equal(history_nearest(h, t, NULL, 0, &sample, &before), 0);
	assert_int_equal(before.boot_ns, 0);
	history_close(h);
}

static void processes_come_and_go(void **state)
{
	struct history *h = open_history(0, 0, 0);
	struct history_task *t = get_task(h, "t");
	const char *both[] = {"web", "db"}, *one[] = {"db"};

	put(h, t, 10 * S, 10 * S, 100, 2, both, NULL);
	put(h, t, 20 * S, 20 * S, 200, 1, one, NULL);
	assert_int_equal(rss_at(h, t, "web", 20 * S), 101);
	assert_int_equal(rss_at(h, t, "db", 20 * S), 201);
	assert_int_equal(rss_at(h, t, "db", 10 * S), 102);
	assert_int_equal(rss_at(h, t, "nobody", 10 * S), -ENOENT);
	history_close(h);
}

static void an_older_sample_is_refused(void **state)
{
	struct history *h = open_history(0, 0, 0);
	struct history_task *t = get_task(h, "shop/1");
	struct tally_error err = {0};
	struct history_status status;

	assert_int_equal(put(h, t, 10 * S, 10 * S, 1, 0, NULL, &err), 0);
	assert_int_equal(put(h, t, 11 * S, 9 * S, 2, 0, NULL, &err), -EINVAL);
	assert_non_null(strstr(err.message, "shop/1"));
	assert_non_null(strstr(err.message, "1.000000000 s older"));
	assert_int_equal(put(h, t, 11 * S, 10 * S, 2, 0, NULL, &err), -EINVAL);
	history_status(h, &status);
	assert_int_equal(status.refused, 2);
	assert_int_equal(status.samples, 1);
	assert_int_equal(rss_at(h, t, NULL, 11 * S), 1);
	history_close(h);
}

static void a_name_given_twice_is_refused(void **state)
{
	struct history *h = open_history(0, 0, 0);
	struct history_task *t = get_task(h, "t");
	const char *twice[] = {"web", "db", "web"};
	struct tally_error err = {0};

	assert_int_equal(put(h, t, 1, 1, 1, 3, twice, &err), -EINVAL);
	assert_non_null(strstr(err.message, "twice"));
	assert_int_equal(rss_at(h, t, "web", 1), -ENOENT);
	history_close(h);
}

static void limits_are_refused_with_their_numbers(void **state)
{
	struct history_options long_one = {.retention_ns = 2000000 * S, .interval_ns = S};
	struct history_options short_one = {.retention_ns = S / 2, .interval_ns = S};
	struct history_options negative = {.retention_ns = -1};
	struct history *h = NULL;
	struct tally_error err = {0};

	assert_int_equal(history_open(&long_one, &h, &err), -EINVAL);
	assert_non_null(strstr(err.message, "2000000"));
	assert_non_null(strstr(err.message, "1000000"));
	assert_int_equal(history_open(&short_one, &h, &err), -EINVAL);
	assert_non_null(strstr(err.message, "0.500"));
	assert_int_equal(history_open(&negative, &h, &err), -EINVAL);
	assert_null(h);
}

static void the_retention_ends_samples(void **state)
{
	struct history *h = open_history(3 * S, S, 0);
	struct history_task *t = get_task(h, "t"), *ended = get_task(h, "ended");
	struct history_status status;

	put(h, ended, 1 * S, 1 * S, 77, 0, NULL, NULL);
	for (int i = 1; i <= 10; i++)
		put(h, t, i * S, i * S, i, 0, NULL, NULL);
	assert_int_equal(rss_at(h, t, NULL, 0), 8);
	assert_int_equal(rss_at(h, ended, NULL, 0), -ENODATA);
	for (int i = 11; i <= 1000; i++) {
		put(h, t, i * S, i * S, i, 0, NULL, NULL);
		assert_int_equal(rss_at(h, t, NULL, 0), i - 2);
	}
	history_status(h, &status);
	assert_true(status.samples <= 131); /* whole blocks make room */
	assert_int_equal(status.dropped, 0);
	history_close(h);
}

static void room_for_one_sample_is_enough(void **state)
{
	struct history *h = open_history(S, S, 0);
	struct history_task *t = get_task(h, "t");

	for (int i = 1; i <= 3; i++) {
		put(h, t, i * S, i * S, i, 0, NULL, NULL);
		assert_int_equal(rss_at(h, t, NULL, 0), i);
	}
	history_close(h);
}

static void the_limit_of_memory_holds_over_all_tasks(void **state)
{
	struct history *h = open_history(0, 0, 64 << 10);
	struct history_task *t[8];
	const char *names[] = {"a", "b", "c"};
	struct history_status status;

	for (int i = 0; i < 8; i++) {
		char id[8];

		snprintf(id, sizeof(id), "t%d", i);
		t[i] = get_task(h, id);
	}
	for (int tick = 1; tick <= 2000; tick++)
		for (int i = 0; i < 8; i++) {
			put(h, t[i], tick * S, tick * S, tick * 31337 * (i + 1),
				(size_t)(tick + i) % 4, names, NULL);
			history_status(h, &status);
			assert_true(status.bytes <= 64 << 10);
		}
	assert_true(status.dropped > 0);
	assert_int_equal(rss_at(h, t[3], NULL, INT64_MAX), (int64_t)2000 * 31337 * 4);
	assert_true(rss_at(h, t[3], NULL, 0) > 31337 * 4);
	history_close(h);
}

static void a_record_over_the_limit_is_refused(void **state)
{
	struct history *h = open_history(0, 0, 16);
	struct history_task *t = get_task(h, "t");
	struct tally_error err = {0};

	assert_int_equal(put(h, t, S, S, 1, 0, NULL, &err), -ENOMEM);
	assert_non_null(strstr(err.message, "16"));
	history_close(h);
}

static bool collect(void *context, const struct tally_sample *sample)
{
	int64_t **next = context;

	*(*next)++ = sample->value[TALLY_RSS];
	return true;
}

static bool stop_at_two(void *context, const struct tally_sample *sample)
{
	return ++*(int *)context < 2;
}

static void a_range_is_in_order_and_stops_when_told(void **state)
{
	struct history *h = open_history(0, 0, 0);
	struct history_task *t = get_task(h, "t");
	int64_t seen[16] = {0}, *next = seen;
	int visits = 0;

	for (int i = 1; i <= 9; i++)
		put(h, t, i * S, i * S, i, 0, NULL, NULL);
	assert_int_equal(history_range(h, t, NULL, 3 * S, 6 * S, collect, &next), 0);
	assert_int_equal(next - seen, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(seen[i], i + 3);
	assert_int_equal(history_range(h, t, NULL, INT64_MIN, INT64_MAX, stop_at_two, &visits), 0);
	assert_int_equal(visits, 2);
	assert_int_equal(history_range(h, t, "nobody", 0, 1, collect, &next), -ENOENT);
	history_close(h);
}

static void a_stepped_wall_clock_breaks_nothing(void **state)
{
	struct history *h = open_history(0, 0, 0);
	struct history_task *t = get_task(h, "t");
	int64_t seen[16] = {0}, *next = seen;

	put(h, t, 7200 * S, 1 * S, 1, 0, NULL, NULL);
	put(h, t, 7201 * S, 2 * S, 2, 0, NULL, NULL);
	put(h, t, 3600 * S, 3 * S, 3, 0, NULL, NULL); /* an hour back */
	put(h, t, 7201 * S, 4 * S, 4, 0, NULL, NULL); /* and forth */
	assert_int_equal(rss_at(h, t, NULL, 3600 * S), 3);
	assert_int_equal(rss_at(h, t, NULL, 7201 * S), 2);
	history_range(h, t, NULL, INT64_MIN, INT64_MAX, collect, &next);
	for (int i = 0; i < 4; i++)
		assert_int_equal(seen[i], i + 1);
	history_close(h);
}

static void a_dropped_task_is_forgotten(void **state)
{
	struct history *h = open_history(0, 0, 0);
	struct history_task *a = get_task(h, "a"), *b = get_task(h, "b");
	const char *web[] = {"web"};
	struct history_status status;

	assert_ptr_equal(get_task(h, "a"), a);
	assert_ptr_equal(history_find(h, "a"), a);
	for (int i = 1; i <= 4; i++) {
		put(h, a, i * S, i * S, 1, 1, web, NULL);
		put(h, b, i * S, i * S, 2, 1, web, NULL);
	}
	history_task_drop(h, a);
	assert_null(history_find(h, "a"));
	history_status(h, &status);
	assert_int_equal(status.tasks, 1);
	assert_int_equal(status.samples, 4);
	assert_int_equal(rss_at(h, b, "web", 0), 3);
	put(h, b, 5 * S, 5 * S, 2, 1, web, NULL);
	assert_int_equal(rss_at(h, b, NULL, INT64_MAX), 2);
	history_close(h);
}

static void count_name(void *context, const char *name)
{
	assert_true(strcmp(name, "web") == 0 || strcmp(name, "db") == 0);
	++*(int *)context;
}

static void processes_are_named_while_they_are_kept(void **state)
{
	struct history *h = open_history(3 * S, S, 0);
	struct history_task *t = get_task(h, "t");
	const char *both[] = {"web", "db"};
	int names = 0;

	put(h, t, 1 * S, 1 * S, 1, 2, both, NULL);
	put(h, t, 2 * S, 2 * S, 1, 1, both, NULL);
	history_processes(h, t, count_name, &names);
	assert_int_equal(names, 2);
	for (int i = 3; i < 10; i++)
		put(h, t, i * S, i * S, 1, 1, both, NULL);
	names = 0;
	history_processes(h, t, count_name, &names);
	assert_int_equal(names, 1);
	history_close(h);
}

static void a_full_history_allocates_nothing(void **state)
{
	struct history *h = open_history(60 * S, S, 0);
	struct history_task *t = get_task(h, "t");
	const char *names[] = {"a", "b", "c"};

	for (int i = 1; i <= 2000; i++)
		put(h, t, i * S, i * S, i, 3, names, NULL);

	size_t before = mallinfo2().uordblks;
	for (int i = 2001; i <= 4000; i++)
		put(h, t, i * S, i * S, i, 3, names, NULL);
	assert_int_equal(mallinfo2().uordblks, before);
	history_close(h);
}

struct seen_steps {
	int count;
	struct history_step at[8];
};

static bool see_step(void *context, const struct history_step *step)
{
	struct seen_steps *seen = context;

	assert_true(seen->count < 8);
	seen->at[seen->count++] = *step;
	return true;
}

static void steps_have_averages_maxima_and_what_rates_refer_to(void **state)
{
	struct history *h = open_history(0, 0, 0);
	struct history_task *t = get_task(h, "t");
	struct seen_steps seen = {0};

	for (int i = 1; i <= 30; i++)
		put(h, t, i * S, i * S, i % 10 == 7 ? 1000 : i, 0, NULL, NULL);
	assert_int_equal(history_steps(h, t, NULL, 10 * S, 25 * S, 10 * S, see_step, &seen), 0);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.at[0].samples, 10); /* 10 to 19 s */
	assert_int_equal(seen.at[0].sample.boot_ns, 19 * S);
	assert_int_equal(seen.at[0].sample.value[TALLY_RSS], (145 - 17 + 1000) / 10);
	assert_int_equal(seen.at[0].maximum.value[TALLY_RSS], 1000);
	assert_int_equal(seen.at[0].before.boot_ns, 9 * S);
	assert_int_equal(seen.at[1].samples, 6); /* 20 to 25 s */
	assert_int_equal(seen.at[1].maximum.value[TALLY_RSS], 25);
	assert_int_equal(seen.at[1].before.boot_ns, 19 * S);
	seen.count = 0;
	assert_int_equal(history_steps(h, t, NULL, INT64_MIN, 5 * S, 0, see_step, &seen), 0);
	assert_int_equal(seen.count, 5);
	assert_int_equal(seen.at[0].before.boot_ns, 0);
	history_close(h);
}

static bool see_task(void *context, const char *id, int64_t first_ns, int64_t last_ns)
{
	char *seen = context;

	assert_true(first_ns <= last_ns);
	strcat(strcat(seen, id), " ");
	return true;
}

static void tasks_are_found_by_when_they_were(void **state)
{
	struct history *h = open_history(0, 0, 0);
	struct history_task *early = get_task(h, "early"), *late = get_task(h, "late");
	char seen[64] = "";

	for (int i = 1; i <= 300; i++)
		put(h, i <= 100 ? early : late, i * S, i * S, i, 0, NULL, NULL);
	assert_int_equal(history_alive(h, 50 * S, 50 * S, see_task, seen), 0);
	assert_string_equal(seen, "early ");
	*seen = '\0';
	assert_int_equal(history_alive(h, 90 * S, 110 * S, see_task, seen), 0);
	assert_string_equal(seen, "early late ");
	*seen = '\0';
	assert_int_equal(history_alive(h, 250 * S, INT64_MAX, see_task, seen), 0);
	assert_string_equal(seen, "late ");
	history_close(h);
}

struct readers {
	struct history *history;
	struct history_task *task;
	atomic_bool stop;
};

static bool rises(void *context, const struct tally_sample *sample)
{
	int64_t *last = context;
	bool ok = sample->boot_ns > *last && sample->value[TALLY_RSS] == sample->boot_ns / S;

	*last = sample->boot_ns;
	return ok;
}

static void *read_all_the_time(void *argument)
{
	struct readers *r = argument;
	struct tally_sample sample;
	uintptr_t wrong = 0;

	while (!r->stop) {
		int64_t last = 0;
		struct history_status status;

		history_range(r->history, r->task, NULL, INT64_MIN, INT64_MAX, rises, &last);
		if (history_nearest(r->history, r->task, "a", INT64_MAX, &sample, NULL) == 0)
			wrong += sample.value[TALLY_RSS] != sample.boot_ns / S + 1;
		history_status(r->history, &status);
	}
	return (void *)wrong; /* NOLINT: a count, not an address */
}

static void readers_and_the_writer_share_it(void **state)
{
	struct readers r = {.history = open_history(50 * S, S, 0)};
	const char *names[] = {"a", "b"};
	pthread_t threads[3];

	r.task = get_task(r.history, "t");
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_all_the_time, &r), 0);
	for (int i = 1; i <= 3000; i++)
		put(r.history, r.task, i * S, i * S, i, 1 + (size_t)i % 2, names, NULL);
	r.stop = true;
	for (int i = 0; i < 3; i++) {
		void *wrong;

		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
	history_close(r.history);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nearest_is_nearest_and_of_two_the_earlier),
		cmocka_unit_test(the_sample_before_comes_along),
		cmocka_unit_test(processes_come_and_go),
		cmocka_unit_test(an_older_sample_is_refused),
		cmocka_unit_test(a_name_given_twice_is_refused),
		cmocka_unit_test(limits_are_refused_with_their_numbers),
		cmocka_unit_test(the_retention_ends_samples),
		cmocka_unit_test(room_for_one_sample_is_enough),
		cmocka_unit_test(the_limit_of_memory_holds_over_all_tasks),
		cmocka_unit_test(a_record_over_the_limit_is_refused),
		cmocka_unit_test(a_range_is_in_order_and_stops_when_told),
		cmocka_unit_test(a_stepped_wall_clock_breaks_nothing),
		cmocka_unit_test(a_dropped_task_is_forgotten),
		cmocka_unit_test(processes_are_named_while_they_are_kept),
		cmocka_unit_test(a_full_history_allocates_nothing),
		cmocka_unit_test(steps_have_averages_maxima_and_what_rates_refer_to),
		cmocka_unit_test(tasks_are_found_by_when_they_were),
		cmocka_unit_test(readers_and_the_writer_share_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
