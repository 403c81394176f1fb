/* SPDX-License-Identifier: Apache-2.0 */
/** The kernel's thread that asks for names works where the caller does. */
#include "check.h"
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>
#include "disk/ring.h"
#include "disk/scan.h"

/* The only CPU of each thread of io_uring in this process; -1: there is none, -2: on several. */
static int cpu_of_workers(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	int found = -1;

	assert_non_null(tasks);
	while ((entry = readdir(tasks))) {
		char path[300], name[32] = "";
		cpu_set_t set;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		FILE *file = fopen(path, "re");
		if (!file)
			continue;
		if (fgets(name, sizeof(name), file) && strncmp(name, "iou-wrk-", 8) == 0) {
			assert_int_equal(
				sched_getaffinity(atoi(entry->d_name), sizeof(set), &set), 0);
			found = -2;
			for (int cpu = 0; CPU_COUNT(&set) == 1 && cpu < CPU_SETSIZE; cpu++)
				found = CPU_ISSET(cpu, &set) ? cpu : found;
		}
		fclose(file);
	}
	closedir(tasks);
	return found;
}

static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
}

static void read_names(struct ring *ring, int dir)
{
	static const char *const names[] = {".", "..", "not there"};
	static struct scan_batch batch;

	batch.count = 3;
	for (unsigned i = 0; i < batch.count; i++)
		batch.entries[i] = (struct scan_entry){.name = names[i], .code = 1};
	assert_true(ring_stat_batch(ring, dir, &batch));
	assert_int_equal(batch.entries[0].code, 0);
	assert_int_equal(batch.entries[1].code, 0);
	assert_int_equal(batch.entries[2].code, -ENOENT);
	assert_true(S_ISDIR(batch.entries[0].stat.stx_mode));
}

static void the_kernels_thread_follows_its_caller(void **state)
{
	cpu_set_t before;
	int cpus[2], count = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE && count < 2; cpu++)
		if (CPU_ISSET(cpu, &before))
			cpus[count++] = cpu;
	struct ring *ring = ring_open();
	if (!ring || count < 2) {
		ring_close(ring);
		skip_because("a ring does not pay here, or there is one processor");
	}
	int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 4; i++) {
		stay_on(cpus[i % 2]);
		read_names(ring, dir);
		assert_int_equal(cpu_of_workers(), cpus[i % 2]);
	}
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);

	/* While it is asked, the caller stays where it is; afterwards it may go where it might. */
	cpu_set_t after;
	read_names(ring, dir);
	assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
	assert_true(CPU_EQUAL(&before, &after));
	close(dir);
	ring_close(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kernels_thread_follows_its_caller),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
