/* SPDX-License-Identifier: Apache-2.0 */
/** Real processes for tests of collectors: they do what they are told, when they are told. */
#ifndef TESTS_PROCESSES_H
#define TESTS_PROCESSES_H

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"

/** Use CPU time, in user mode mostly. */
static inline void burn(int64_t ns)
{
	int64_t end = clock_process_cpu_ns() + ns;

	while (clock_process_cpu_ns() < end)
		for (volatile int i = 0; i < 20000; i++)
			;
}

/** A child and the two pipes it is led by. */
struct actor {
	pid_t pid;
	int orders, reports;
};

/** What a child does: it may call actor_wait() and actor_tell(), and returns its exit code. */
typedef int actor_fn(struct actor *self);

/** In the child: wait until the test says go on. */
static inline void actor_wait(struct actor *self)
{
	char byte;

	if (read(self->orders, &byte, 1) != 1)
		_exit(99);
}

/** In the child: tell the test that a point is reached. */
static inline void actor_tell(struct actor *self)
{
	if (write(self->reports, "x", 1) != 1)
		_exit(98);
}

/** Start a child. It dies with the test. */
static inline struct actor actor_start(actor_fn *act)
{
	int orders[2], reports[2];
	struct actor actor;

	if (pipe2(orders, O_CLOEXEC) < 0 || pipe2(reports, O_CLOEXEC) < 0)
		abort();
	actor.pid = fork();
	if (actor.pid < 0)
		abort();
	if (actor.pid == 0) {
		struct actor self = {.orders = orders[0], .reports = reports[1]};

		close(orders[1]);
		close(reports[0]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(act(&self));
	}
	close(orders[0]);
	close(reports[1]);
	actor.orders = orders[1];
	actor.reports = reports[0];
	return actor;
}

/** In the test: let the child go on. */
static inline void actor_go(const struct actor *actor)
{
	if (write(actor->orders, "x", 1) != 1)
		abort();
}

/** In the test: wait for the child's word. */
static inline void actor_hear(const struct actor *actor)
{
	char byte;

	if (read(actor->reports, &byte, 1) != 1)
		abort();
}

/** Wait until a child has ended, and leave it a zombie. */
static inline void wait_until_ended(pid_t pid)
{
	siginfo_t info;

	while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
		;
}

/** Reap a child. */
static inline struct rusage reap(pid_t pid)
{
	struct rusage usage = {0};

	while (wait4(pid, NULL, 0, &usage) < 0 && errno == EINTR)
		;
	return usage;
}

/** Forget a child that has been reaped. */
static inline void actor_leave(struct actor *actor)
{
	close(actor->orders);
	close(actor->reports);
}

/** End a child, wherever it is, and forget it. */
static inline void actor_kill(struct actor *actor)
{
	kill(actor->pid, SIGKILL);
	reap(actor->pid);
	actor_leave(actor);
}

static inline int64_t rusage_cpu_ns(const struct rusage *usage)
{
	return (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * NS_PER_S +
	       (usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * NS_PER_US;
}

#endif
