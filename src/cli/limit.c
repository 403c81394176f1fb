/* SPDX-License-Identifier: Apache-2.0 */
/* Ending what runs longer than it may: the root, and all that descends from it. */
#include <stdlib.h>
#include <sys/pidfd.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/clock.h"
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
	pidfd_send_signal(pidfd, SIGCONT, NULL, 0); /* What is stopped would not hear it. */
}

void limit_signal(struct run *run, int signal)
{
	struct targets targets = {0};

	tally_monitor_tick(run->monitor, NULL);
	tally_monitor_pids(run->monitor, run->task, add_target, &targets, NULL);
	for (size_t i = 0; i < targets.count; i++)
		signal_target(&targets.at[i], signal);
	free(targets.at);
	source_command_signal(run->source, signal); /* Whatever the pass made of it. */
}
