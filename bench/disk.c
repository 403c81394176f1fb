/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What it costs to know what sandboxes use. Each prints one JSON object:
 *
 *     disk make DIR DIRS FILES       make so many directories of so many files
 *     disk walk DIR                  walk once: CPU time, bytes, files
 *     disk one DIR                   track: first look, 10 s of rest, one changed file
 *     disk many DIR N SECONDS RATE INTERVAL SHARE
 *                                    N sandboxes DIR/0 …, so many changes a second, a look at each
 *                                    every INTERVAL seconds, with SHARE hundredths of a core
 *     disk hot DIR SECONDS RATE      one file written so many times a second
 *     disk compile DIR SECONDS       thousands of files made and removed, in DIR/in and DIR/out
 *
 * Elsewhere looks come once a second, 60 times as often as by default, and there is no budget, so
 * that what it would have to hold back is seen. What is measured is the CPU time of the disk worker
 * alone; what changes the files is another process.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "disk/disk.h"
#include "disk/ring.h"
#include "disk/walk.h"
#include "load/load.h"

/* -- trees ------------------------------------------------------------------------------------- */

static void make_file(int dir, const char *name, size_t size)
{
	static const char data[4096] = "x";
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0 || (size && write(fd, data, size) < 0))
		load_die("cannot make %s", name);
	close(fd);
}

/* Ten directories side by side on each of three levels, as many as are needed. */
static void make_tree(const char *path, long dirs, long files)
{
	char name[64];

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		load_die("cannot make %s", path);
	for (long i = 0; i < dirs; i++) {
		char dir[4096];

		snprintf(dir, sizeof(dir), "%s/%ld", path, i / 100);
		mkdir(dir, 0755);
		snprintf(dir, sizeof(dir), "%s/%ld/%ld", path, i / 100, i % 100);
		if (mkdir(dir, 0755) < 0)
			load_die("cannot make %s", dir);
		int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		for (long j = 0; j < files; j++) {
			snprintf(name, sizeof(name), "file-%ld", j);
			make_file(fd, name, j % 10 == 0 ? 4096 : 0);
		}
		close(fd);
	}
}

/* -- looks ------------------------------------------------------------------------------------- */

static struct disk *open_disk(long interval_seconds, long percent)
{
	struct disk_options options = {
		.interval_ns = interval_seconds * NS_PER_S, .share = (double)percent / 100};
	struct tally_error err;
	struct disk *disk;

	if (disk_open(&options, &disk, &err) < 0)
		load_die("%s", err.message);
	return disk;
}

static uint32_t watch(struct disk *disk, const char *path)
{
	struct tally_error err;
	uint32_t sandbox;

	if (disk_watch(disk, path, &sandbox, &err) < 0)
		load_die("%s", err.message);
	return sandbox;
}

static struct disk_reading wait_for(struct disk *disk, uint32_t sandbox, int64_t looks)
{
	struct disk_reading reading;

	for (;;) {
		disk_read(disk, sandbox, &reading);
		if (reading.looks >= looks)
			return reading;
		if (reading.code && reading.code != -EINPROGRESS)
			load_die("%s", reading.why);
		poll(NULL, 0, 10);
	}
}

static int64_t cpu_of(struct disk *disk)
{
	struct disk_status status;

	disk_status(disk, &status);
	return status.cpu_ns;
}

static void walk_once(const char *path)
{
	static struct scan_batch batch;
	struct tally_error err;
	struct walk *walk;
	int64_t cpu_ns = load_cpu_ns();

	/* As the worker does; the kernel's thread counts as one of this process. */
	batch.ring = ring_open();
	if (walk_open(path, &walk, &err) < 0)
		load_die("%s", err.message);
	while (walk_step(walk, &batch) > 0)
		;
	const struct walk_sum *sum = walk_sum(walk);
	printf("{\"cpu\": %.6f, \"bytes\": %lld, \"files\": %lld}\n",
		(double)(load_cpu_ns() - cpu_ns) / 1e9, (long long)sum->bytes,
		(long long)sum->files);
	walk_close(walk);
	ring_close(batch.ring);
}

/* What is written back late is looked at again for 40 s: first let all that settle. */
static void one_change(const char *path)
{
	struct disk *disk = open_disk(1, 100);
	uint32_t sandbox = watch(disk, path);
	struct disk_reading first = wait_for(disk, sandbox, 1), reading;
	int64_t cpu_ns = cpu_of(disk), first_ns = first.look_cpu_ns;
	char name[4096];

	poll(NULL, 0, 10000);
	int64_t rest_ns = cpu_of(disk) - cpu_ns;
	disk_read(disk, sandbox, &reading);
	snprintf(name, sizeof(name), "%s/0/7/file-1", path);
	int fd = open(name, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0 || fallocate(fd, 0, 0, 1 << 20) < 0)
		load_die("cannot change %s", name);
	close(fd);
	int64_t changed_ns = clock_boot_ns(), bytes = reading.bytes;
	while (reading.bytes == bytes) {
		poll(NULL, 0, 5);
		disk_read(disk, sandbox, &reading);
	}
	printf("{\"method\": \"%s\", \"first\": %.6f, \"rest\": %.6f, \"looks_at_rest\": 10, "
	       "\"seen_after\": %.3f, \"look\": %.6f}\n",
		reading.method, (double)first_ns / 1e9, (double)rest_ns / 1e9,
		(double)(clock_boot_ns() - changed_ns) / 1e9, (double)reading.look_cpu_ns / 1e9);
	disk_close(disk);
	if (truncate(name, 0) < 0)
		load_die("cannot change %s back", name);
}

/* -- loads ------------------------------------------------------------------------------------- */

/* Until it is ended: one change after the other, `rate` a second. */
static void change_files(const char *path, long sandboxes, long rate)
{
	unsigned random = 1;

	for (;;) {
		char name[4096];

		random = random * 1103515245 + 12345;
		snprintf(name, sizeof(name), "%s/%lu/0/%u/file-%u", path,
			(random >> 8) % (unsigned long)sandboxes, (random >> 16) % 100,
			(random >> 4) % 100);
		int fd = open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0 || write(fd, name, 100) < 0)
			load_die("cannot change %s", name);
		close(fd);
		usleep((useconds_t)(1000000 / rate));
	}
}

static long writes_done(int fd)
{
	struct stat stat;

	return fstat(fd, &stat) < 0 ? 0 : (long)stat.st_size;
}

/* A byte at a time, as often as asked: caught up with every millisecond. */
static void write_hot(const char *path, long rate)
{
	int64_t begun_ns = load_now_ns();
	char name[4096];

	snprintf(name, sizeof(name), "%s/hot", path);
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	for (long done = 0;; usleep(1000))
		for (; done < (load_now_ns() - begun_ns) / 1000 * rate / 1000000; done++)
			if (write(fd, "x", 1) != 1)
				load_die("cannot write %s", name);
}

/* Objects, temporary files and a product that is replaced, in the sandbox and beside it. */
static void compile(const char *path)
{
	for (long round = 0;; round++)
		for (int side = 0; side < 2; side++) {
			char dir[2048], name[4096], product[4096];

			snprintf(dir, sizeof(dir), "%s/%s/round-%ld", path, side ? "in" : "out",
				round);
			if (mkdir(dir, 0755) < 0)
				load_die("cannot make %s", dir);
			snprintf(product, sizeof(product), "%s/%s/product", path,
				side ? "in" : "out");
			for (int i = 0; i < 200; i++) {
				snprintf(name, sizeof(name), "%s/%d.o", dir, i);
				make_file(AT_FDCWD, name, 4096);
			}
			rename(name, product);
			for (int i = 0; i < 200; i++) {
				snprintf(name, sizeof(name), "%s/%d.o", dir, i);
				unlink(name);
			}
			rmdir(dir);
		}
}

/* A load that ended by itself was none. */
static void end(pid_t pid)
{
	if (waitpid(pid, NULL, WNOHANG) != 0)
		load_die("the load failed");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int64_t oldest(struct disk *disk, const uint32_t *sandboxes, long count)
{
	int64_t oldest_ns = INT64_MAX;

	for (long i = 0; i < count; i++) {
		struct disk_reading reading;

		disk_read(disk, sandboxes[i], &reading);
		if (reading.boot_ns < oldest_ns)
			oldest_ns = reading.boot_ns;
	}
	return clock_boot_ns() - oldest_ns;
}

/* The first walks are past; then the CPU time under the load, as a share of a core. */
static void measure(struct disk *disk, const uint32_t *sandboxes, long count, long seconds,
	double first_seconds, const char *hot)
{
	int64_t cpu_ns = cpu_of(disk), begun_ns = clock_boot_ns(), age_ns = 0;
	struct disk_reading reading;

	for (long i = 0; i < seconds; i++) {
		poll(NULL, 0, 1000);
		int64_t now_ns = oldest(disk, sandboxes, count);
		age_ns = now_ns > age_ns ? now_ns : age_ns;
	}
	double elapsed = (double)(clock_boot_ns() - begun_ns) / 1e9;
	int fd = hot ? open(hot, O_RDONLY | O_CLOEXEC) : -1;
	disk_read(disk, sandboxes[0], &reading);
	printf("{\"method\": \"%s\", \"share\": %.5f, \"oldest\": %.2f, \"writes\": %.0f, "
	       "\"first\": %.1f, \"rereads\": %lld}\n",
		reading.method, (double)(cpu_of(disk) - cpu_ns) / 1e9 / elapsed,
		(double)age_ns / 1e9, fd >= 0 ? (double)writes_done(fd) / elapsed : 0,
		first_seconds, (long long)reading.rereads);
}

static void run_many(
	const char *path, long count, long seconds, long rate, long interval, long percent)
{
	struct disk *disk = open_disk(interval, percent);
	int64_t begun_ns = clock_boot_ns();
	uint32_t *sandboxes = calloc((size_t)count, sizeof(*sandboxes));
	char name[4096];

	for (long i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%s/%ld", path, i);
		sandboxes[i] = watch(disk, name);
	}
	for (long i = 0; i < count; i++)
		wait_for(disk, sandboxes[i], 1);
	double first_seconds = (double)(clock_boot_ns() - begun_ns) / 1e9;
	pid_t pid = load_fork();
	if (pid == 0) {
		load_die_with(getppid());
		change_files(path, count, rate);
	}
	/* The first figures are as old as the first walks were long. */
	for (long i = 0; i < count; i++)
		wait_for(disk, sandboxes[i], 2);
	measure(disk, sandboxes, count, seconds, first_seconds, NULL);
	end(pid);
	disk_close(disk);
	free(sandboxes);
}

static void run_one(const char *path, const char *below, long seconds, long rate)
{
	struct disk *disk = open_disk(1, 100);
	char sandbox_path[4096], hot[4096];

	snprintf(sandbox_path, sizeof(sandbox_path), "%s%s", path, below);
	snprintf(hot, sizeof(hot), "%s/hot", path);
	uint32_t sandbox = watch(disk, sandbox_path);
	wait_for(disk, sandbox, 1);
	pid_t pid = load_fork();
	if (pid == 0) {
		load_die_with(getppid());
		if (rate)
			write_hot(path, rate);
		compile(path);
	}
	measure(disk, &sandbox, 1, seconds, 0, rate ? hot : NULL);
	end(pid);
	disk_close(disk);
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	if (strcmp(what, "make") == 0 && argc == 5)
		make_tree(argv[2], load_number("DIRS", argv[3], 1, 1000000),
			load_number("FILES", argv[4], 0, 1000000));
	else if (strcmp(what, "walk") == 0 && argc == 3)
		walk_once(argv[2]);
	else if (strcmp(what, "one") == 0 && argc == 3)
		one_change(argv[2]);
	else if (strcmp(what, "many") == 0 && argc == 8)
		run_many(argv[2], load_number("N", argv[3], 1, 10000),
			load_number("SECONDS", argv[4], 1, 600),
			load_number("RATE", argv[5], 1, 1000),
			load_number("INTERVAL", argv[6], 1, 3600),
			load_number("SHARE", argv[7], 1, 100));
	else if (strcmp(what, "hot") == 0 && argc == 5)
		run_one(argv[2], "", load_number("SECONDS", argv[3], 1, 600),
			load_number("RATE", argv[4], 1, 1000000));
	else if (strcmp(what, "compile") == 0 && argc == 4)
		run_one(argv[2], "/in", load_number("SECONDS", argv[3], 1, 600), 0);
	else
		load_die("usage: disk make|walk|one|many|hot|compile DIR …");
	return 0;
}
