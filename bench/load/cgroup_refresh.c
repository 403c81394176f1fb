/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What it costs to watch cgroups that do nothing.
 *
 *     cgroup_refresh MOUNT COUNT POLLS PACE_MS
 *
 * Makes COUNT cgroups below one of its own in the hierarchy of version 2 at MOUNT, opens the source on them,
 * and prints one JSON object: CPU time from opening to the first whole list, of each poll afterwards
 * when nothing has changed, and until one more cgroup is known.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "load.h"
#include "source/cgroup.h"

static char base[256];

static const char *cgroup(long number)
{
	static char path[300];

	snprintf(path, sizeof(path), "%s/bench-%05ld.service", base, number);
	return path;
}

static void make(long number)
{
	if (mkdir(cgroup(number), 0755) < 0)
		load_die("cannot make %s", cgroup(number));
}

static struct source *open_source(int64_t poll_ns)
{
	const struct cgroup_options options = {.poll_ns = poll_ns};
	struct source *source;
	struct tally_error err;
	char pattern[300];

	snprintf(pattern, sizeof(pattern), "%s/", base);
	if (cgroup_source_open(pattern, &options, &source, &err) < 0)
		load_die("%s", err.message);
	return source;
}

static int64_t refresh(struct source *source)
{
	struct tally_error err;
	int64_t cpu_ns = clock_thread_cpu_ns();

	if (source_refresh(source, &err) < 0)
		load_die("%s", err.message);
	return clock_thread_cpu_ns() - cpu_ns;
}

static int by_size(const void *a, const void *b)
{
	int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;

	return (one > other) - (one < other);
}

/* Heard, not polled. */
static int64_t measure_one_more(long count)
{
	struct source *source = open_source(3600 * NS_PER_S);
	struct pollfd fd = {.fd = source_fd(source), .events = POLLIN};

	refresh(source);
	make(count);
	if (poll(&fd, 1, 5000) != 1)
		load_die("a new cgroup is not heard of");
	int64_t cpu_ns = refresh(source);
	source_close(source);
	return cpu_ns;
}

int main(int argc, char **argv)
{
	if (argc != 5)
		load_die("usage: cgroup_refresh MOUNT COUNT POLLS PACE_MS");
	long count = load_number("COUNT", argv[2], 1, CGROUP_TASKS_MAX - 1);
	long polls = load_number("POLLS", argv[3], 1, 10000);
	long pace_ms = load_number("PACE_MS", argv[4], 0, 10000);
	int64_t *taken = calloc((size_t)polls, sizeof(*taken));

	snprintf(base, sizeof(base), "%.200s/tally-bench-%d", argv[1], (int)getpid());
	if (!taken || mkdir(base, 0755) < 0)
		load_die("cannot make %s", base);
	for (long i = 0; i < count; i++)
		make(i);
	int64_t start_ns = clock_thread_cpu_ns();
	struct source *source = open_source(1);
	refresh(source);
	start_ns = clock_thread_cpu_ns() - start_ns;
	size_t found = cgroup_source_count(source);
	for (long i = 0; i < polls; i++) {
		usleep((useconds_t)pace_ms * 1000);
		taken[i] = refresh(source);
	}
	source_close(source);
	int64_t more_ns = measure_one_more(count);
	for (long i = 0; i <= count; i++)
		rmdir(cgroup(i));
	rmdir(base);
	qsort(taken, (size_t)polls, sizeof(*taken), by_size);
	printf("{\"tasks\": %zu, \"start_cpu_ms\": %.2f, \"poll_cpu_ms_median\": %.2f, "
	       "\"poll_cpu_ms_max\": %.2f, \"one_more_cpu_ms\": %.3f}\n",
		found, (double)start_ns / 1e6, (double)taken[polls / 2] / 1e6,
		(double)taken[polls - 1] / 1e6, (double)more_ns / 1e6);
	free(taken);
	return 0;
}
