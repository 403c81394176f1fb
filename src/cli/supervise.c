/* SPDX-License-Identifier: Apache-2.0 */
/* The time between the release of a command and its end. One thread that blocks on poll. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fail.h"
#include "base/text.h"
#include "cli/format.h"
#include "cli/procfile.h"
#include "cli/run.h"
#include "monitor/monitor.h"

/* From SIGTERM to SIGKILL once the time limit is reached, and between SIGKILLs. */
#define GRACE_NS (5 * NS_PER_S)

/* The live line comes after, and not more often than. */
#define LIVE_AFTER_NS NS_PER_S
#define LIVE_EVERY_NS (250 * NS_PER_MS)

/* What is blocked and read from a descriptor; SIGPIPE only so that a closed --json pipe is an error. */
static const int handled[] = {
	SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT, SIGTSTP, SIGCHLD, SIGPIPE};

/* What the loop remembers from one turn to the next. */
struct turn {
	int64_t kill_at_ns;	    /* When to send SIGKILL; 0: the limit was not reached. */
	int64_t shown_at_ns;	    /* When the live line was last drawn. */
	struct tally_sample before; /* The sample it was drawn from, for rates. */
};

int supervise_begin(struct run *run, struct tally_error *err)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(handled); i++)
		sigaddset(&set, handled[i]);
	sigprocmask(SIG_BLOCK, &set, &run->mask_before);
	signal(SIGCHLD, SIG_DFL); /* Ignored, it would reap our children before we can. */
	sigdelset(&set, SIGPIPE);
	run->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return run->signals < 0 ? tally_fail(err, -errno, "cannot make a signalfd") : 0;
}

/*
 * The terminal sends its signals to every process of its foreground group: to the command, too,
 * unless it has gone to a group of its own.
 */
static bool reached_command(const struct run *run, const struct signalfd_siginfo *info)
{
	if (info->ssi_code == SI_KERNEL)
		return getpgid(source_command_pid(run->source, 0)) == getpgrp();
	return (pid_t)info->ssi_pid == source_command_pid(run->source, 0);
}

/* As the shell expects of a job that is stopped: all of it stops. Resumes where it was. */
static void stop_ourselves(struct run *run)
{
	live_hide(&run->live);
	raise(SIGSTOP);
	if (run->many)
		procfile_handle(run, SIGCONT);
}

static void handle(struct run *run, const struct signalfd_siginfo *info)
{
	int signal = (int)info->ssi_signo;

	if (signal == SIGCHLD) {
		monitor_wake(run->monitor); /* Orphans that ended are reaped at once. */
		return;
	}
	if (run->ended_boot_ns) {
		run->interrupted |= signal == SIGINT || signal == SIGTERM || signal == SIGHUP ||
				    signal == SIGQUIT;
		return;
	}
	if (run->many)
		procfile_handle(run, signal);
	else if (!reached_command(run, info))
		source_command_signal(run->source, 0, signal);
	if (signal == SIGTSTP)
		stop_ourselves(run);
}

static void handle_all(struct run *run)
{
	struct signalfd_siginfo info;

	while (read(run->signals, &info, sizeof(info)) == sizeof(info))
		handle(run, &info);
}

static void keep_limit(struct run *run, struct turn *turn, int64_t now_ns)
{
	if (!run->options.time_limit_ns)
		return;
	if (run->many) {
		if (now_ns - run->begun_boot_ns < run->options.time_limit_ns)
			return;
		run->timed_out |= !run->many->stopping;
		procfile_stop(run);
		return;
	}
	if (!turn->kill_at_ns && now_ns - run->begun_boot_ns >= run->options.time_limit_ns) {
		run->timed_out = true;
		limit_signal(run, SIGTERM);
		turn->kill_at_ns = now_ns + GRACE_NS;
	} else if (turn->kill_at_ns && now_ns >= turn->kill_at_ns) {
		limit_signal(run, SIGKILL);
		turn->kill_at_ns = now_ns + GRACE_NS;
	}
}

static size_t put(char *text, size_t size, size_t used, const char *label, const char *value)
{
	int n = snprintf(text + used, used < size ? size - used : 0, "  %s%s", label, value);

	return used + (n > 0 ? (size_t)n : 0);
}

static size_t put_rate(char *text, size_t size, size_t used, const char *label,
	const struct turn *turn, const struct tally_sample *now, enum tally_metric metric)
{
	char value[FORMAT_SIZE];
	double rate;

	if (tally_sample_rate(&turn->before, now, metric, &rate) < 0)
		return used;
	return put(text, size, used, label, format_bytes_rate(value, rate));
}

static size_t put_gauge(char *text, size_t size, size_t used, const char *label,
	const struct tally_sample *now, enum tally_metric metric)
{
	char value[FORMAT_SIZE];

	if (!tally_sample_has(now, metric))
		return used;
	return put(text, size, used, label, format_metric(value, metric, now->value[metric]));
}

/* What is not known is left out: the report has the reasons. */
static void draw(struct run *run, struct turn *turn, int64_t now_ns)
{
	struct tally_reading now;
	char name[32], value[FORMAT_SIZE], text[256];
	size_t used;

	if (tally_monitor_sample(run->monitor, run->task, &now, NULL) < 0)
		return;
	text_show(name, sizeof(name), run->task);
	used = (size_t)snprintf(text, sizeof(text), "[%s]", name);
	used = put(
		text, sizeof(text), used, "", format_duration(value, now_ns - run->begun_boot_ns));
	if (now.has_cpu_rate)
		used = put(text, sizeof(text), used, "cpu ", format_cores(value, now.cpu_rate));
	used = put_gauge(text, sizeof(text), used, "memory ", &now.sample, TALLY_RSS);
	used = put_rate(text, sizeof(text), used, "read ", turn, &now.sample, TALLY_IO_READ);
	used = put_rate(text, sizeof(text), used, "write ", turn, &now.sample, TALLY_IO_WRITE);
	put_gauge(text, sizeof(text), used, "processes ", &now.sample, TALLY_PIDS);
	live_show(&run->live, text);
	if (now.sample.boot_ns - turn->before.boot_ns >= NS_PER_S)
		turn->before = now.sample;
}

static void keep_live(struct run *run, struct turn *turn, int64_t now_ns)
{
	if (!run->live.wanted || now_ns - run->begun_boot_ns < LIVE_AFTER_NS ||
		now_ns - turn->shown_at_ns < LIVE_EVERY_NS)
		return;
	turn->shown_at_ns = now_ns;
	draw(run, turn, now_ns);
}

/* Milliseconds that poll may block; the end of the command and signals wake it anyway. */
static int patience(const struct run *run, const struct turn *turn, int64_t now_ns)
{
	int64_t wait_ns = RECORD_TAKE / 2 * run->interval_ns;

	if (run->ended_boot_ns)
		wait_ns = 50 * NS_PER_MS; /* The last orphan is reaped by the tick thread. */
	else if (run->live.wanted)
		wait_ns = LIVE_EVERY_NS;
	if (run->many && procfile_due_ns(run) - now_ns < wait_ns)
		wait_ns = procfile_due_ns(run) - now_ns;
	if (run->options.time_limit_ns && !(run->many && run->many->stopping)) {
		int64_t at_ns = turn->kill_at_ns ? turn->kill_at_ns
						 : run->begun_boot_ns + run->options.time_limit_ns;

		wait_ns = at_ns - now_ns < wait_ns ? at_ns - now_ns : wait_ns;
	}
	return wait_ns <= 0 ? 0 : (int)(wait_ns / NS_PER_MS) + 1;
}

/* A sample of the root as a zombie: all it did, and nothing gone yet. Then it may go. */
static void end_root(struct run *run)
{
	run->ended_boot_ns = clock_boot_ns();
	tally_monitor_tick(run->monitor, NULL);
	source_command_allow_reap(run->source, 0);
	monitor_wake(run->monitor);
}

static bool over(struct run *run)
{
	struct command_state state;

	if (run->many)
		return procfile_over(run);
	source_command_state(run->source, 0, &state);
	if (state.ended && !run->ended_boot_ns)
		end_root(run);
	if (!run->ended_boot_ns)
		return false;
	return !run->options.wait || state.childless || run->interrupted;
}

void supervise(struct run *run)
{
	struct turn turn = {0};
	struct pollfd signals = {.fd = run->signals, .events = POLLIN};

	while (!over(run)) {
		int64_t now_ns = clock_boot_ns();

		keep_limit(run, &turn, now_ns);
		keep_live(run, &turn, now_ns);
		if (record_due(&run->record))
			record_take(&run->record, NULL);
		if (poll(&signals, 1, patience(run, &turn, now_ns)) > 0)
			handle_all(run);
	}
	live_hide(&run->live);
	finish(run);
}
