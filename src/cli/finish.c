/* SPDX-License-Identifier: Apache-2.0 */
/* The last figures of a command that has ended: some of them are told late. */
#include <errno.h>
#include <poll.h>
#include "base/clock.h"
#include "cli/progress.h"
#include "cli/run.h"
#include "monitor/monitor.h"

/* How long the report waits for a last look at the sandbox, and how often it asks. */
#define DISK_PATIENCE_NS (2 * NS_PER_S)
#define DISK_ASK_MS	 5

/* How long it waits for what the dead had consumed: some 20 ms as a rule, seconds where many more
 * want to run than there are CPUs. */
#define DEAD_PATIENCE_NS (5 * NS_PER_S)

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
	struct progress progress;

	if (!run->sandbox || monitor_refresh_disk(run->monitor, run->task) < 0)
		return;
	progress_begin(&progress, STDERR_FILENO);
	progress.wanted &= !run->options.quiet;
	while (!disk_is_fresh(run) && clock_boot_ns() < until_ns) {
		poll(NULL, 0, DISK_ASK_MS);
		progress_tell(&progress, -1, "looking at the sandbox %.100s", run->sandbox);
	}
	progress_end(&progress);
}

void finish(struct run *run)
{
	look_at_disk(run);
	tally_monitor_stop(run->monitor);
	run->unsettled =
		tally_monitor_settle(run->monitor, run->task, DEAD_PATIENCE_NS, NULL) == -ETIMEDOUT;
}
