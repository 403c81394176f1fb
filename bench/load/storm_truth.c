/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "load.h"
#include "storm.h"

/* Where cgroup v2 is found: alone, or beside v1. */
static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

static int open_file(const struct truth *truth, const char *name, int flags)
{
	char path[sizeof(truth->path) + 32];

	snprintf(path, sizeof(path), "%s/%s", truth->path, name);
	return open(path, flags | O_CLOEXEC);
}

/* The number that follows a word at the start of a line; -1 when it is not there. */
static int64_t read_figure(const struct truth *truth, const char *name, const char *key)
{
	char text[1024], *found;
	int fd = open_file(truth, name, O_RDONLY);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (got < 0)
		return -1;
	text[got] = '\0';
	found = strstr(text, key);
	return found ? strtoll(found + strlen(key), NULL, 10) : -1;
}

/*
 * cpu.stat of a v2 cgroup, there with or without the cpu controller:
 *
 *     usage_usec 5003211
 *     user_usec 3120000
 */
static int64_t read_usage_ns(const struct truth *truth)
{
	int64_t usec = read_figure(truth, "cpu.stat", "usage_usec ");

	return usec < 0 ? -1 : usec * 1000;
}

void truth_open(struct truth *truth)
{
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		snprintf(truth->path, sizeof(truth->path), "%s/load-storm-%d", mounts[i],
			(int)getpid());
		if (mkdir(truth->path, 0755) < 0)
			continue;
		if (read_usage_ns(truth) >= 0)
			return;
		rmdir(truth->path);
	}
	truth->path[0] = '\0';
}

void truth_join(const struct truth *truth)
{
	int fd;

	if (!truth->path[0])
		return;
	fd = open_file(truth, "cgroup.procs", O_WRONLY);
	if (fd < 0 || write(fd, "0", 1) != 1)
		load_die("cannot join %s", truth->path);
	close(fd);
}

int64_t truth_close(struct truth *truth)
{
	static const struct timespec pause_10ms = {.tv_nsec = 10000000};
	int64_t usage_ns;

	if (!truth->path[0])
		return -1;
	/* Bounded: every process of a storm ends by itself within a second of its end. */
	for (int i = 0; i < 500 && read_figure(truth, "cgroup.events", "populated ") != 0; i++)
		nanosleep(&pause_10ms, NULL);
	/* An exiting process leaves its cgroup a little before its last instant on a CPU. */
	nanosleep(&pause_10ms, NULL);
	usage_ns = read_usage_ns(truth);
	rmdir(truth->path);
	return usage_ns;
}
