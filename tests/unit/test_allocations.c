/* SPDX-License-Identifier: Apache-2.0 */
/* Once the set of processes is steady, a tick allocates nothing: neither the collector nor the sums
 * nor the history. Every call of the allocator in this program is counted here. */
#include "check.h"
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>
#include <tally/tally.h>

#define CHILDREN 20
#define TICKS	 300

/* The coarse resolutions of the history grow for a day and a month: now and then they need another
 * chunk of memory. That is one allocation in a hundred ticks; one per tick or per task would be 300. */
#define CHUNKS_MOST 6

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* Sanitizers have an allocator of their own. */
#else
#define SANITIZED 0
#endif

static atomic_long allocations;

#if !SANITIZED
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *pointer, size_t size);

void *malloc(size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_calloc(count, size);
}

void *realloc(void *pointer, size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_realloc(pointer, size);
}
#endif

static pid_t children[CHILDREN];

static int fork_children(void **state)
{
	for (int i = 0; i < CHILDREN; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			alarm(300);
			for (;;)
				pause();
		}
	}
	return 0;
}

static int end_children(void **state)
{
	for (int i = 0; i < CHILDREN; i++) {
		kill(children[i], SIGKILL);
		waitpid(children[i], NULL, 0);
	}
	return 0;
}

static void add_children(struct tally_monitor *monitor)
{
	struct tally_error err;
	char task[16];

	for (int i = 0; i < CHILDREN; i++) {
		snprintf(task, sizeof(task), "task%d", i);
		if (tally_monitor_add_pid(monitor, task, "main", children[i], &err) < 0)
			fail_msg("%s", err.message);
	}
}

static long allocations_of_ticks(struct tally_monitor *monitor)
{
	struct tally_error err;
	long before = atomic_load(&allocations);

	for (int i = 0; i < TICKS; i++)
		assert_int_equal(tally_monitor_tick(monitor, &err), 0);
	return atomic_load(&allocations) - before;
}

/* The history is kept short, so that it is full and steady soon: older samples make room. */
static void steady_ticks_allocate_nothing(const char *collector)
{
	struct tally_monitor_options options = {
		.collector = collector, .interval_ns = 10000000, .history_ns = 1000000000};
	struct tally_monitor *monitor;
	struct tally_error err;
	struct tally_status status;

	if (SANITIZED)
		skip_because("sanitizers have an allocator of their own");
	if (tally_monitor_new(&options, &monitor, &err) < 0)
		skip_because("%s", err.message);
	add_children(monitor);
	for (int i = 0; i < 600; i++)
		assert_int_equal(tally_monitor_tick(monitor, &err), 0);

	/* Others may start processes meanwhile, of which the collector has to know: the calmest of
	 * three looks counts. */
	long made = LONG_MAX;
	for (int look = 0; look < 3; look++) {
		long now = allocations_of_ticks(monitor);

		made = now < made ? now : made;
	}
	tally_monitor_status(monitor, &status);
	assert_int_equal(status.pids, CHILDREN);
	if (made > CHUNKS_MOST)
		fail_msg("%ld allocations in %d ticks under %s", made, TICKS, collector);
	tally_monitor_free(monitor);
}

static void under_procfs_steady_ticks_allocate_nothing(void **state)
{
	steady_ticks_allocate_nothing("procfs");
}

static void under_bpf_steady_ticks_allocate_nothing(void **state)
{
	steady_ticks_allocate_nothing("bpf");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			under_procfs_steady_ticks_allocate_nothing, fork_children, end_children),
		cmocka_unit_test_setup_teardown(
			under_bpf_steady_ticks_allocate_nothing, fork_children, end_children),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
