/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of the processes of a Procfile, from their release until nothing of them is left.
 *
 * One ends when its command fails, or when its command succeeds and nothing that descends from it lives
 * any more: a command that puts a daemon into the background and exits goes on as that daemon.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "cli/procfile.h"
#include "monitor/monitor.h"

#define GRACE_NS (10 * NS_PER_S)

/*
 * Passes in a row that find nothing living before it is believed. A pass over /proc misses who is forked
 * behind it by one that has ended before it comes there, as daemons are.
 */
#define EMPTY_PASSES 3

/* Between two SIGKILLs: something may have been forked meanwhile. */
#define KILL_AGAIN_NS (200 * NS_PER_MS)

static void say(struct run *run, size_t i, const char *text)
{
	if (!run->options.quiet)
		prefix_say(run->many->prefix, i, text);
}

void procfile_stop(struct run *run)
{
	struct procfile_run *many = run->many;
	int64_t grace_ns = run->options.grace_ns ? run->options.grace_ns : GRACE_NS;

	if (many->stopping)
		return;
	many->stopping = true;
	many->kill_at_ns = clock_boot_ns() + grace_ns;
	say(run, SIZE_MAX, "ending all processes: SIGTERM");
	limit_signal(run, SIGTERM);
}

static void kill_all(struct run *run, int64_t now_ns)
{
	if (!run->many->killed)
		say(run, SIZE_MAX, "ending what is left: SIGKILL");
	run->many->killed = true;
	run->many->kill_at_ns = now_ns + KILL_AGAIN_NS;
	limit_signal(run, SIGKILL);
}

static bool is_end(int signal)
{
	return signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT;
}

void procfile_handle(struct run *run, int signal)
{
	struct procfile_run *many = run->many;

	if (!is_end(signal)) {
		limit_signal(run, signal == SIGTSTP ? SIGSTOP : signal);
		return;
	}
	if (many->told)
		many->kill_at_ns = clock_boot_ns(); /* Impatience. */
	many->told = signal;
	procfile_stop(run);
}

/* What the last tick counted of a process. */
struct living {
	const char *name;
	int64_t pids;
};

static void count_living(
	void *context, const struct tally_process_info *info, const struct tally_reading *reading)
{
	struct living *living = context;

	if (strcmp(info->name, living->name) == 0 && tally_sample_has(&reading->sample, TALLY_PIDS))
		living->pids = reading->sample.value[TALLY_PIDS];
}

static int64_t living_of(const struct run *run, size_t i)
{
	struct living living = {.name = run->many->names[i]};

	tally_monitor_processes(run->monitor, run->task, count_living, &living, NULL);
	return living.pids;
}

/* A sample of it as a zombie: all it did; and one without it: what it left behind. */
static void end_root(struct run *run, size_t i, const struct command_state *state)
{
	struct part *part = &run->many->parts[i];

	part->root_ended = true;
	part->exit_code = state->exit_code;
	part->signal = state->signal;
	tally_monitor_tick(run->monitor, NULL);
	source_command_allow_reap(run->source, i);
	tally_monitor_tick(run->monitor, NULL);
}

static void say_left(struct run *run, size_t i, int64_t pids)
{
	char text[128];

	run->many->parts[i].left = true;
	snprintf(text, sizeof(text), "went into the background; %lld of its processes live%s",
		(long long)pids, pids == 1 ? "s" : "");
	say(run, i, text);
}

static void end_part(struct run *run, size_t i)
{
	struct procfile_run *many = run->many;
	struct part *part = &many->parts[i];
	char text[128];

	part->ended = true;
	if (many->first == many->count && !many->stopping)
		many->first = i;
	if (part->signal)
		snprintf(text, sizeof(text), "ended by SIG%s",
			sigabbrev_np(part->signal) ? sigabbrev_np(part->signal) : "?");
	else
		snprintf(text, sizeof(text), "ended, exit %d", part->exit_code);
	say(run, i, text);
}

/* Whether nothing of it lives, once its root has ended; a failure is an end, whatever it left. */
static bool is_over(struct run *run, size_t i)
{
	struct part *part = &run->many->parts[i];

	if (part->exit_code != 0)
		return true;
	int64_t pids = living_of(run, i);
	if (pids > 0) {
		part->empty_passes = 0;
		if (!part->left && !run->many->stopping)
			say_left(run, i, pids);
		return false;
	}
	if (++part->empty_passes >= EMPTY_PASSES)
		return true;
	tally_monitor_tick(run->monitor, NULL);
	return false;
}

static void look_at(struct run *run, size_t i)
{
	struct part *part = &run->many->parts[i];
	struct command_state state;

	if (!part->root_ended) {
		source_command_state(run->source, i, &state);
		if (!state.ended)
			return;
		end_root(run, i, &state);
	}
	if (is_over(run, i))
		end_part(run, i);
}

/* Every child of ours has been reaped: no descendant of any process lives. */
static bool is_childless(const struct run *run)
{
	struct command_state state;

	source_command_state(run->source, 0, &state);
	return state.childless;
}

static void close_all(struct run *run)
{
	for (size_t i = 0; i < run->many->count; i++)
		if (!run->many->parts[i].ended)
			end_part(run, i);
	run->ended_boot_ns = clock_boot_ns();
}

bool procfile_over(struct run *run)
{
	struct procfile_run *many = run->many;
	int64_t now_ns = clock_boot_ns();
	bool roots_ended = true, ended = true, some = false;

	for (size_t i = 0; i < many->count; i++) {
		if (!many->parts[i].ended)
			look_at(run, i);
		roots_ended &= many->parts[i].root_ended;
		ended &= many->parts[i].ended;
		some |= many->parts[i].ended;
	}
	if (roots_ended && is_childless(run)) {
		close_all(run);
		return true;
	}
	if (ended || (some && !run->options.keep_going) || prefix_broken(many->prefix))
		procfile_stop(run);
	if (many->stopping && now_ns >= many->kill_at_ns)
		kill_all(run, now_ns);
	return false;
}

int64_t procfile_due_ns(const struct run *run)
{
	const struct procfile_run *many = run->many;
	/* That nobody reads us any more is seen by looking. */
	int64_t now_ns = clock_boot_ns(), soon_ns = now_ns + 50 * NS_PER_MS;
	int64_t due_ns = now_ns + 500 * NS_PER_MS;
	bool some = many->stopping;

	if (many->stopping && many->kill_at_ns < due_ns)
		due_ns = many->kill_at_ns;
	/* The last of those left behind is reaped by the tick thread, which tells nobody. */
	for (size_t i = 0; i < many->count; i++)
		some |= many->parts[i].root_ended && !many->parts[i].ended;
	return some && soon_ns < due_ns ? soon_ns : due_ns;
}

/*
 * As the one that ended first, whose end ended the others. With --keep-going, or when we were told to
 * end: as the first that failed.
 */
static const struct part *decisive(const struct procfile_run *many)
{
	if (many->first < many->count && many->parts[many->first].exit_code != 0)
		return &many->parts[many->first];
	for (size_t i = 0; !many->stopping && i < many->count; i++)
		if (many->parts[i].exit_code != 0)
			return &many->parts[i];
	return many->first < many->count ? &many->parts[many->first] : NULL;
}

void procfile_state(const struct run *run, struct command_state *ret)
{
	const struct procfile_run *many = run->many;
	const struct part *part = decisive(many);

	source_command_state(run->source, 0, ret);
	ret->core = false;
	ret->exit_code = part ? part->exit_code : -1;
	ret->signal = part ? part->signal : 0;
	if (many->told) {
		ret->exit_code = -1;
		ret->signal = many->told;
	}
}
