/* SPDX-License-Identifier: Apache-2.0 */
/* The last figures of a command that has ended: some of them are told late. */
#include <poll.h>
#include "base/clock.h"
#include "cli/run.h"
#include "monitor/monitor.h"

/* How long the report waits for a last look at the sandbox, and how often it asks. */
#define DISK_PATIENCE_NS (2 * NS_PER_S)
#define DISK_ASK_MS	 5

/* How long it waits for what the dead had consumed, and first asks again after. */
#define DEAD_PATIENCE_NS NS_PER_S
#define DEAD_ASK_MS	 5

/* What wait4() says is rounded; so much less than that is as much. */
#define DEAD_TOLERANCE_NS (20 * NS_PER_US)

/* Whether the newest sample knows the sandbox as the command left it. */
static bool disk_is_fresh(const struct run *run)
{
	struct tally_reading now;

	return tally_monitor_sample(run->monitor, run->task, &now, NULL) == 0 &&
	       tally_sample_has(&now.sample, TALLY_DISK_AGE) &&
	       now.sample.boot_ns - now.sample.value[TALLY_DISK_AGE] >= run->ended_boot_ns;
}

/* A sandbox too large for our patience is told as it was when it was last looked at. */
static void look_at_disk(struct run *run)
{
	int64_t until_ns = clock_boot_ns() + DISK_PATIENCE_NS;

	if (!run->sandbox || monitor_refresh_disk(run->monitor, run->task) < 0)
		return;
	while (!disk_is_fresh(run) && clock_boot_ns() < until_ns)
		poll(NULL, 0, DISK_ASK_MS);
}

/* What has been waited for has been counted, too. */
static bool dead_are_counted(const struct run *run)
{
	struct tally_reading now;
	struct command_state state;
	int64_t cpu_ns;

	source_command_state(run->source, &state);
	if (tally_monitor_sample(run->monitor, run->task, &now, NULL) < 0 ||
		tally_sample_cpu_ns(&now.sample, &cpu_ns) < 0)
		return true;
	return cpu_ns + state.waited_cpu_ns / 1000 + DEAD_TOLERANCE_NS >= state.waited_cpu_ns;
}

/*
 * The kernel frees the dead, and tells BPF what they had consumed, when no CPU can look at them any
 * more (RCU): mostly some 10 ms after they were reaped.
 */
static void count_the_dead(struct run *run)
{
	int64_t until_ns = clock_boot_ns() + DEAD_PATIENCE_NS;

	for (int ms = DEAD_ASK_MS; !dead_are_counted(run) && clock_boot_ns() < until_ns; ms *= 2) {
		poll(NULL, 0, ms);
		tally_monitor_tick(run->monitor, NULL);
	}
}

void finish(struct run *run)
{
	look_at_disk(run);
	tally_monitor_stop(run->monitor);
	tally_monitor_tick(run->monitor, NULL);
	count_the_dead(run);
}
