/* SPDX-License-Identifier: Apache-2.0 */
/* A steady set of processes costs no allocation: every call of the allocator is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include "collect/procfs.h"
#include "check.h"
#include "processes.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTED 0
#else
#define COUNTED 1
#endif

static unsigned calls;

#if COUNTED

/* glibc's own allocator, under the names by which it can be reached when ours is in front. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *pointer, size_t size);

void *malloc(size_t size)
{
	calls++;
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	calls++;
	return __libc_calloc(count, size);
}

void *realloc(void *pointer, size_t size)
{
	calls++;
	return __libc_realloc(pointer, size);
}
#endif

#define ACTORS 40

static int wake_now_and_then(struct actor *self)
{
	for (;;) {
		burn(NS_PER_MS / 4);
		usleep(3000);
	}
	return 0;
}

static int sleep_for_good(struct actor *self)
{
	pause();
	return 0;
}

static void steady_passes_allocate_nothing(void **state)
{
	if (!COUNTED)
		skip_because("the sanitizer has an allocator of its own");
	struct collect_options options = {.pss = true};
	struct collector *collector;
	struct actor actors[ACTORS];
	uint32_t group;

	assert_int_equal(collector_open("procfs", &options, &collector, NULL, NULL), 0);
	for (int i = 0; i < ACTORS; i++) {
		actors[i] = actor_start(i % 8 ? sleep_for_good : wake_now_and_then);
		assert_int_equal(collector_group_add(collector, &group, NULL), 0);
		struct collect_root root = {.pid = actors[i].pid};
		assert_int_equal(collector_root_add(collector, group, &root, NULL), 0);
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(collector_pass(collector, NULL), 0);

	/* Other processes of this machine may come meanwhile, and grow the table once. */
	unsigned allocating = 0, reading = 0;
	for (int i = 0; i < 20; i++) {
		unsigned before = calls;
		int64_t cpu_ns = collector_group(collector, 0)->value[TALLY_CPU_USER];

		usleep(5000);
		assert_int_equal(collector_pass(collector, NULL), 0);
		allocating += calls != before;
		reading += collector_group(collector, 0)->value[TALLY_CPU_USER] != cpu_ns;
	}
	assert_true(reading > 0);
	assert_in_range(allocating, 0, 1);
	for (int i = 0; i < ACTORS; i++)
		actor_kill(&actors[i]);
	collector_close(collector);
}

/* Processes that come and go use the memory of those that went. */
static void coming_and_going_uses_memory_again(void **state)
{
	if (!COUNTED)
		skip_because("the sanitizer has an allocator of its own");
	struct collector *collector;
	struct actor actor = actor_start(sleep_for_good);
	struct collect_root root = {.pid = actor.pid};
	unsigned before = 0;
	uint32_t group;

	assert_int_equal(collector_open("procfs", NULL, &collector, NULL, NULL), 0);
	for (int i = 0; i < 30; i++) {
		struct actor passing = actor_start(sleep_for_good);

		root.pid = passing.pid;
		if (i == 10)
			before = calls;
		assert_int_equal(collector_group_add(collector, &group, NULL), 0);
		assert_int_equal(collector_root_add(collector, group, &root, NULL), 0);
		assert_int_equal(collector_pass(collector, NULL), 0);
		actor_kill(&passing);
		assert_int_equal(collector_pass(collector, NULL), 0);
		collector_group_remove(collector, group);
	}
	assert_in_range(calls - before, 0, 3);
	actor_kill(&actor);
	collector_close(collector);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steady_passes_allocate_nothing),
		cmocka_unit_test(coming_and_going_uses_memory_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
