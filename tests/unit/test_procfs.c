/* SPDX-License-Identifier: Apache-2.0 */
/* The procfs collector on real processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "collect/collector.h"

static void burn(int64_t ns)
{
	int64_t end = clock_process_cpu_ns() + ns;

	while (clock_process_cpu_ns() < end)
		;
}

/* A process that waits for one byte, burns, forks and reaps a child that burns, says so, waits. */
static pid_t start_tree(int go[2], int done[2])
{
	pid_t pid = fork();
	char byte;

	if (pid != 0)
		return pid;
	if (read(go[0], &byte, 1) != 1)
		_exit(1);
	burn(50 * NS_PER_MS);
	pid_t child = fork();
	if (child == 0) {
		burn(80 * NS_PER_MS);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	if (write(done[1], "x", 1) != 1 || read(go[0], &byte, 1) != 1)
		_exit(1);
	_exit(0);
}

static void counts_a_child_that_no_pass_has_seen(void **state)
{
	struct collector *collector;
	struct collect_root root = {0};
	int go[2], done[2];
	uint32_t group;
	int64_t cpu_ns;
	char byte;

	assert_int_equal(pipe(go) | pipe(done), 0);
	root.pid = start_tree(go, done);
	assert_int_equal(collector_open("procfs", NULL, &collector, NULL, NULL), 0);
	assert_int_equal(collector_group_add(collector, &group, NULL), 0);
	assert_int_equal(collector_root_add(collector, group, &root, NULL), 0);
	assert_int_equal(collector_pass(collector, NULL), 0);
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(read(done[0], &byte, 1), 1);
	assert_int_equal(collector_pass(collector, NULL), 0);

	const struct tally_sample *sample = collector_group(collector, group);
	assert_int_equal(tally_sample_cpu_ns(sample, &cpu_ns), 0);
	assert_in_range(cpu_ns, 110 * NS_PER_MS, 200 * NS_PER_MS);
	assert_int_equal(sample->value[TALLY_PIDS], 1);
	assert_true(tally_sample_has(sample, TALLY_STATE));
	assert_true(tally_sample_has(sample, TALLY_IO_WRITE));
	assert_true(sample->value[TALLY_RSS] > 0);

	assert_int_equal(write(go[1], "x", 1), 1);
	waitpid(root.pid, NULL, 0);
	assert_int_equal(collector_pass(collector, NULL), 0);
	int64_t after;
	assert_int_equal(tally_sample_cpu_ns(sample, &after), 0);
	assert_true(after >= cpu_ns);
	assert_int_equal(sample->value[TALLY_PIDS], 0);
	assert_false(tally_sample_has(sample, TALLY_STATE));
	collector_close(collector);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_a_child_that_no_pass_has_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
