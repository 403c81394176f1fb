/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The least that reading /proc can cost: the CPU figures of every process, once a second.
 *
 *     bare_stat open|keep SECONDS
 *
 * "open" opens, reads and closes /proc/PID/stat of each process each second; "keep" opens it once
 * and then only reads it again. Both list /proc each second. Nothing is joined, kept or shown:
 * this is not a monitor, it is the floor under all monitors that read /proc.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "load.h"

#define MAX_PID (4 * 1024 * 1024)

/* Descriptor of each pid's stat plus one; 0 is none. Untouched pages of it cost nothing. */
static int kept[MAX_PID + 1];
static uint64_t sum, processes;

static int open_stat(int pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/*
 * pid (comm) state ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt utime stime
 * cutime cstime priority nice threads itrealvalue starttime vsize rss …
 */
static void take(char *text, ssize_t length)
{
	char *at;

	if (length <= 0)
		return;
	text[length] = '\0';
	at = strrchr(text, ')');
	if (!at)
		return;
	at += 4; /* ") S " */
	for (int field = 4; field <= 24; field++)
		sum += strtoull(at, &at, 10);
	processes++;
}

static void read_opened(int pid)
{
	char text[1024];
	int fd = open_stat(pid);

	if (fd < 0)
		return;
	take(text, read(fd, text, sizeof(text) - 1));
	close(fd);
}

static void read_kept(int pid)
{
	char text[1024];
	ssize_t got;

	if (!kept[pid])
		kept[pid] = open_stat(pid) + 1;
	if (!kept[pid]) { /* Out of descriptors: as the other way. */
		read_opened(pid);
		return;
	}
	got = pread(kept[pid] - 1, text, sizeof(text) - 1, 0);
	take(text, got);
	if (got <= 0) { /* ESRCH: it has gone. A new one of this pid is met in the next round. */
		close(kept[pid] - 1);
		kept[pid] = 0;
	}
}

static void pass(void (*read_one)(int pid))
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	if (!proc)
		load_die("cannot list /proc");
	while ((entry = readdir(proc))) {
		long pid = isdigit((unsigned char)entry->d_name[0]) ? atol(entry->d_name) : 0;

		if (pid > 0 && pid <= MAX_PID)
			read_one((int)pid);
	}
	closedir(proc);
}

int main(int argc, char **argv)
{
	bool keep = argc == 3 && strcmp(argv[1], "keep") == 0;
	struct timespec next;
	long seconds;

	if (argc != 3 || (!keep && strcmp(argv[1], "open") != 0)) {
		fprintf(stderr, "usage: bare_stat open|keep SECONDS\n");
		return 2;
	}
	seconds = load_number("SECONDS", argv[2], 1, 3600);
	clock_gettime(CLOCK_MONOTONIC, &next);
	for (long i = 0; i < seconds; i++) {
		pass(keep ? read_kept : read_opened);
		next.tv_sec++;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	printf("%llu reads, checksum %llu\n", (unsigned long long)processes,
		(unsigned long long)sum);
	return 0;
}
