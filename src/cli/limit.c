/* SPDX-License-Identifier: Apache-2.0 */
/* Ending what runs longer than it may: the roots, and all that descends from them. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/parse.h"
#include "cli/run.h"
#include "source/identity.h"

struct target {
	pid_t pid;
	int64_t start_ns;
};

struct targets {
	struct target *at;
	size_t count;
};

static void add_target(void *context, const struct tally_pid_info *info)
{
	struct targets *targets = context;
	struct target *grown = reallocarray(targets->at, targets->count + 1, sizeof(*grown));

	if (!grown)
		return;
	targets->at = grown;
	grown[targets->count++] = (struct target){info->pid, info->start_ns};
}

/* Start times of /proc are exact to a clock tick. */
static bool same_start(int64_t a_ns, int64_t b_ns)
{
	int64_t tick_ns = NS_PER_S / sysconf(_SC_CLK_TCK);

	return a_ns - b_ns < tick_ns && b_ns - a_ns < tick_ns;
}

/* The descriptor is opened before the start time is compared: it cannot become another's after. */
static void signal_target(const struct target *target, int signal)
{
	CLEANUP_CLOSE int pidfd = pidfd_open(target->pid, 0);
	int64_t start_ns;

	if (pidfd < 0 || identity_start_ns("/proc", target->pid, &start_ns) < 0 ||
		!same_start(start_ns, target->start_ns))
		return;
	pidfd_send_signal(pidfd, signal, NULL, 0);
	if (signal == SIGTERM)
		pidfd_send_signal(pidfd, SIGCONT, NULL, 0); /* What is stopped would not hear it. */
}

static bool is_target(const struct targets *targets, pid_t pid)
{
	for (size_t i = 0; i < targets->count; i++)
		if (targets->at[i].pid == pid)
			return true;
	return false;
}

/* "812 (name) S 1 …": the parent is the field behind the state. */
static bool is_our_child(const char *stat, size_t length)
{
	const char *name_end = memrchr(stat, ')', length);
	uint64_t parent;

	if (!name_end)
		return false;
	struct cursor c = cursor_of(name_end + 1, length - (size_t)(name_end + 1 - stat));
	return cursor_skip_words(&c, 1) && cursor_u64(&c, &parent) && (pid_t)parent == getpid();
}

/*
 * What no pass has seen before it lost its parents is our child by now, for we are a subreaper: we
 * have no other children than the task's. It cannot be reaped, and its pid given to somebody else,
 * without being looked at again.
 */
static void signal_child(const struct targets *but, int proc, const char *pid, int signal)
{
	char path[NAME_MAX + 8], text[1024];
	uint64_t number;

	snprintf(path, sizeof(path), "%s/stat", pid);
	if (!parse_u64(pid, 1, INT_MAX, &number) || is_target(but, (pid_t)number))
		return;
	CLEANUP_CLOSE int pidfd = pidfd_open((pid_t)number, 0);
	ssize_t length = pidfd < 0 ? -1 : file_read_at(proc, path, text, sizeof(text));
	if (length > 0 && is_our_child(text, (size_t)length))
		pidfd_send_signal(pidfd, signal, NULL, 0);
}

static void signal_children(const struct targets *but, int signal)
{
	CLEANUP_DIR DIR *proc = opendir("/proc");
	const struct dirent *entry;

	while (proc && (entry = readdir(proc)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			signal_child(but, dirfd(proc), entry->d_name, signal);
}

void limit_signal(struct run *run, int signal)
{
	struct targets targets = {0};

	tally_monitor_tick(run->monitor, NULL);
	tally_monitor_pids(run->monitor, run->task, add_target, &targets, NULL);
	for (size_t i = 0; i < targets.count; i++)
		signal_target(&targets.at[i], signal);
	signal_children(&targets, signal); /* Whatever the pass made of them. */
	free(targets.at);
}
