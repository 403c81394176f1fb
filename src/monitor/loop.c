/* SPDX-License-Identifier: Apache-2.0 */
/* The tick thread: a plain loop that blocks on poll. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/clock.h"
#include "monitor/internal.h"

/* At most this many descriptors of sources wake the thread; the others wait for the tick. */
#define SOURCE_FDS_MAX 32

/* Warn of skipped ticks at most this often. */
#define BACKLOG_SAID_NS (60 * NS_PER_S)

struct loop {
	struct tally_monitor *monitor;
	struct pollfd fds[1 + SOURCE_FDS_MAX];
	int64_t next_ns; /* CLOCK_BOOTTIME of the next tick. */
	int64_t said_ns; /* When the backlog was last said; 0: never. */
};

static nfds_t gather_fds(struct loop *loop)
{
	struct tally_monitor *monitor = loop->monitor;
	nfds_t count = 1;

	loop->fds[0] = (struct pollfd){.fd = monitor->wake_fd, .events = POLLIN};
	pthread_mutex_lock(&monitor->tick_lock);
	for (size_t i = 0; i < monitor->source_count && count < ARRAY_SIZE(loop->fds); i++) {
		int fd = source_fd(monitor->sources[i].source);

		if (fd >= 0)
			loop->fds[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
	pthread_mutex_unlock(&monitor->tick_lock);
	return count;
}

/* Blocks until the next tick is due or something calls. @return true when something called. */
static bool wait_for_work(struct loop *loop)
{
	int64_t left_ns = loop->next_ns - clock_boot_ns();
	nfds_t count = gather_fds(loop);

	if (left_ns < 0)
		left_ns = 0;

	struct timespec timeout = {left_ns / NS_PER_S, left_ns % NS_PER_S};
	if (ppoll(loop->fds, count, &timeout, NULL) <= 0)
		return false;
	if (loop->fds[0].revents) {
		uint64_t calls;

		if (read(loop->monitor->wake_fd, &calls, sizeof(calls)) < 0 && errno != EAGAIN)
			return false;
	}
	return true;
}

/* Between ticks: new tasks are followed at once, new disk figures are shown at once. */
static void answer_call(struct tally_monitor *monitor)
{
	pthread_mutex_lock(&monitor->tick_lock);
	monitor_refresh_sources(monitor);
	monitor_take_disk(monitor);
	pthread_mutex_unlock(&monitor->tick_lock);
}

static void take_tick(struct tally_monitor *monitor)
{
	struct tally_error err;

	pthread_mutex_lock(&monitor->tick_lock);
	if (monitor_tick(monitor, &err) < 0)
		monitor_fault(monitor, &monitor->collector_said, &err);
	else
		monitor->collector_said.code = 0;
	pthread_mutex_unlock(&monitor->tick_lock);
}

/*
 * Ticks that could not be taken in time are left out, not piled up. Only our own slowness is a
 * backlog: a machine that was suspended has missed ticks, too, and nothing is wrong with it.
 */
static void plan_next(struct loop *loop, int64_t took_ns)
{
	struct tally_monitor *monitor = loop->monitor;
	int64_t now = clock_boot_ns(), interval = monitor->interval_ns;

	loop->next_ns += interval;
	if (loop->next_ns > now)
		return;

	int64_t missed = (now - loop->next_ns) / interval + 1;
	loop->next_ns += missed * interval;
	if (took_ns < interval)
		return;
	pthread_mutex_lock(&monitor->lock);
	monitor->ticks_skipped += (uint64_t)missed;
	uint64_t skipped = monitor->ticks_skipped;
	pthread_mutex_unlock(&monitor->lock);
	if (loop->said_ns && now - loop->said_ns < BACKLOG_SAID_NS)
		return;
	loop->said_ns = now;
	log_say(&monitor->log, TALLY_LOG_WARN,
		"a tick took %.3f s, longer than the interval of %.3f s: %" PRIu64
		" ticks skipped so far; lengthen --interval",
		(double)took_ns / 1e9, (double)interval / 1e9, skipped);
}

void *monitor_loop(void *argument)
{
	struct tally_monitor *monitor = argument;
	struct loop loop = {.monitor = monitor, .next_ns = clock_boot_ns()};

	prctl(PR_SET_NAME, "tally-tick");
	while (!atomic_load(&monitor->stopping)) {
		if (clock_boot_ns() < loop.next_ns) {
			if (wait_for_work(&loop) && !atomic_load(&monitor->stopping))
				answer_call(monitor);
			continue;
		}

		int64_t begun_ns = clock_boot_ns();
		take_tick(monitor);
		plan_next(&loop, clock_boot_ns() - begun_ns);
	}
	return NULL;
}
