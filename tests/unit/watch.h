/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Loads with a truth: a process that is held until it is watched, in a cgroup of its own, which
 * the kernel charges with exactly what all that descends from it uses, whoever reaps it.
 */
#ifndef TESTS_WATCH_H
#define TESTS_WATCH_H

#include "check.h"
#include <fcntl.h>
#include <mntent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/file.h"
#include "base/parse.h"
#include "collect/collector.h"

struct load {
	const char *name; /**< What is proven by counting it. */
	void (*run)(void);
	int started; /**< Processes there are of it, its root included; 0: not compared. */
};

struct watched {
	pid_t pid;
	int go;
	char cgroup[256];
	int64_t base_truth_ns, base_cpu_ns; /**< When it is released. */
	struct rusage usage;		    /**< When it has ended. */
};

static inline void burn_ms(int64_t ms)
{
	int64_t end = clock_thread_cpu_ns() + ms * NS_PER_MS;

	while (clock_thread_cpu_ns() < end)
		;
}

static inline void sleep_ms(int64_t ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * NS_PER_MS}, NULL);
}

/* Where the v2 hierarchy is mounted; false: nowhere. */
static inline bool find_cgroups(char path[128])
{
	FILE *mounts = setmntent("/proc/mounts", "r");
	struct mntent *mount = NULL;

	while (mounts && (mount = getmntent(mounts)))
		if (strcmp(mount->mnt_type, "cgroup2") == 0)
			break;
	if (mount)
		snprintf(path, 128, "%s", mount->mnt_dir);
	if (mounts)
		endmntent(mounts);
	return mount;
}

/* Make a cgroup below another, or below the root of all when that is NULL. */
static inline void make_cgroup(const char *above, char path[256])
{
	static int number;
	char root[128];

	if (!above && !find_cgroups(root))
		skip_because("no cgroup v2 hierarchy is mounted");
	snprintf(path, 256, "%.120s/tally-test-%d-%d", above ? above : root, getpid(), number++);
	if (mkdir(path, 0755) < 0)
		skip_because("cannot make the cgroup %s: %s", path, strerror(errno));
}

/* It is emptied a moment after its last process has ended. */
static inline void remove_cgroup(const char *path)
{
	for (int i = 0; rmdir(path) < 0 && errno == EBUSY && i < 2000; i++)
		sleep_ms(1);
}

static inline bool enter_cgroup(const char *path)
{
	char procs[300];

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", path);
	int fd = open(procs, O_WRONLY | O_CLOEXEC);
	bool entered = fd >= 0 && write(fd, "0", 1) == 1;
	close(fd);
	return entered;
}

static inline uint64_t cgroup_id(const char *path)
{
	struct stat status;

	assert_int_equal(stat(path, &status), 0);
	return status.st_ino;
}

/* CPU time of all that ever ran in a cgroup. */
static inline int64_t cgroup_cpu_ns(const char *path)
{
	char name[300], text[4096];
	uint64_t value;

	snprintf(name, sizeof(name), "%s/cpu.stat", path);
	ssize_t length = file_read_at(AT_FDCWD, name, text, sizeof(text));
	struct cursor all = cursor_of(text, length > 0 ? (size_t)length : 0), line;
	while (cursor_line(&all, &line))
		if (cursor_literal(&line, "usage_usec") && cursor_u64(&line, &value))
			return (int64_t)value * 1000;
	fail_msg("%s has no usage_usec", name);
	return 0;
}

/* Start a load in a cgroup; it is held until watched_release(). */
static inline void watched_start_in(struct watched *w, void (*run)(void), const char *cgroup)
{
	int go[2], ready[2];
	char byte;

	snprintf(w->cgroup, sizeof(w->cgroup), "%s", cgroup);
	assert_int_equal(pipe2(go, O_CLOEXEC) | pipe2(ready, O_CLOEXEC), 0);
	w->pid = fork();
	if (w->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(go[1]);
		if (!enter_cgroup(cgroup) || write(ready[1], "r", 1) != 1 ||
			read(go[0], &byte, 1) != 1)
			_exit(99);
		close(go[0]);
		run();
		_exit(0);
	}
	close(go[0]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	w->go = go[1];
}

static inline void watched_start(struct watched *w, void (*run)(void))
{
	char path[256];

	make_cgroup(NULL, path);
	watched_start_in(w, run, path);
}

static inline int64_t group_cpu_ns(struct collector *c, uint32_t group)
{
	int64_t cpu_ns = -1;

	tally_sample_cpu_ns(collector_group(c, group), &cpu_ns);
	return cpu_ns;
}

static inline int64_t group_value(struct collector *c, uint32_t group, enum tally_metric metric)
{
	const struct tally_sample *sample = collector_group(c, group);

	return tally_sample_has(sample, metric) ? sample->value[metric] : -1;
}

/* A new group with that root. */
static inline uint32_t follow(struct collector *c, pid_t pid)
{
	struct collect_root root = {.pid = pid};
	struct tally_error err = {0};
	uint32_t group;

	if (collector_group_add(c, &group, &err) < 0 ||
		collector_root_add(c, group, &root, &err) < 0)
		fail_msg("%s", err.message);
	return group;
}

static inline void pass(struct collector *c)
{
	struct tally_error err = {0};

	if (collector_pass(c, &err) < 0)
		fail_msg("%s", err.message);
}

static inline void watched_release(struct watched *w, struct collector *c, uint32_t group)
{
	sleep_ms(20); /* it sleeps now: what it used so far is known */
	pass(c);
	w->base_truth_ns = cgroup_cpu_ns(w->cgroup);
	w->base_cpu_ns = group_cpu_ns(c, group);
	assert_int_equal(write(w->go, "g", 1), 1);
	close(w->go);
}

/* Wait for its end, taking passes meanwhile. */
static inline void watched_wait(struct watched *w, struct collector *c)
{
	int status;

	while (wait4(w->pid, &status, WNOHANG, &w->usage) == 0) {
		pass(c);
		sleep_ms(20);
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("the load ended with status %x", status);
}

/* How much of the truth was counted since the release. */
static inline double watched_percent(const struct watched *w, struct collector *c, uint32_t group)
{
	int64_t truth = cgroup_cpu_ns(w->cgroup) - w->base_truth_ns;

	return truth > 0 ? 100.0 * (double)(group_cpu_ns(c, group) - w->base_cpu_ns) / (double)truth
			 : 0;
}

static inline struct collector *open_bpf(void)
{
	struct collector *c;
	struct tally_error err = {0};

	if (collector_open("bpf", NULL, &c, NULL, &err) < 0)
		skip_because("%s", err.message);
	return c;
}

#endif
