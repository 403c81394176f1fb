/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of this machine behind the runs of a task that run.
 *
 * First the pid as it stands; when that is not the process, a scan of the machine for those in pid
 * namespaces. Scans are numbered: a run waits for the first one that begins after it asked, for one
 * under way may have passed its process by already. All that ask meanwhile share that one. A process
 * that is not found is looked for again, ever more rarely: it may just have been setting its uid.
 */
#include <errno.h>
#include "base/attr.h"
#include "base/text.h"
#include "source/thermos.h"

/* CPU time of one slice of a scan: the tick must not wait for all of /proc. */
#define SLICE_NS (INT64_C(20) * 1000000)

/* So many times a run may ask for a scan. */
#define SCANS_MAX 6

/* The runner and the coordinators are Thermos itself: no process is one of them. */
static bool is_thermos(const struct thermos_state *state, pid_t pid)
{
	const struct thermos_runs *process, *next;

	if (pid == state->runner_pid)
		return true;
	HASH_ITER (hh, state->processes, process, next)
		if (thermos_last_run(process)->coordinator_pid == pid)
			return true;
	return false;
}

static struct pid_claim claim_of(const struct thermos_task *task, const struct thermos_run *run)
{
	struct thermos_owner owner = thermos_task_owner(task);

	return (struct pid_claim){
		.pid = run->pid,
		.start_wall_ns = run->start_ns,
		.any_uid = owner.any,
		.uids = {owner.uids[0], owner.uids[1]},
		.sandbox = task->sandbox,
	};
}

static void ask_for_scan(struct thermos_source *source, struct thermos_pin *pin)
{
	pin->scan = source->scan_begun + 1;
	source->scan_wanted = pin->scan;
}

/* 0 found; -EINPROGRESS: a scan will tell; others: it is not there, for the reason in err. */
static int find(struct thermos_source *source, const struct pid_claim *claim,
	struct thermos_pin *pin, struct tally_error *err)
{
	struct pid_found found;
	struct tally_error inside;
	int r = pid_find_here(source->finder, claim, &found, err);

	if (r != 0 && !pin->scan && pin->retry.tries < SCANS_MAX) {
		ask_for_scan(source, pin);
		return -EINPROGRESS;
	}
	if (r != 0 && pin->scan) {
		pin->scan = 0;
		int q = pid_find_inside(source->finder, claim, &found, &inside);
		if (q == -ENOTUNIQ)
			*err = inside;
		r = q == 0 ? 0 : r;
	}
	if (r == 0) {
		pin->pid = found.pid;
		pin->start_ns = found.start_ns;
	}
	return r;
}

/* Said at the second try, when it is no longer a race with its end or its beginning. */
static void say_lost(struct thermos_source *source, const struct thermos_task *task,
	const struct thermos_runs *process, const struct tally_error *err)
{
	char shown[256], name[256];

	if (thermos_last_run(process)->pin.retry.tries != 1)
		return;
	thermos_task_show(task, shown);
	text_show(name, sizeof(name), process->name);
	log_say(source->log, TALLY_LOG_WARN,
		"task %s: process %s is not counted: pid %d of its checkpoint is not it: %s", shown,
		name, (int)thermos_last_run(process)->pid, err->message);
}

static void pin_run(
	struct thermos_source *source, struct thermos_task *task, struct thermos_runs *process)
{
	struct thermos_run *run = thermos_last_run(process);
	struct thermos_pin *pin = &run->pin;
	struct pid_claim claim = claim_of(task, run);
	struct tally_error err = {.message = "it is Thermos' own"};
	int r = is_thermos(&task->state, run->pid) ? -ESTALE : find(source, &claim, pin, &err);

	if (r == -EINPROGRESS)
		return;
	if (r == 0) {
		source->changed = true;
		return;
	}
	say_lost(source, task, process, &err);
	thermos_retry_later(&pin->retry, source->poll);
}

static bool wants_pin(const struct thermos_source *source, const struct thermos_run *run)
{
	if (run->state != THERMOS_RUNNING || run->pin.pid)
		return false;
	if (run->pin.scan)
		return source->scan_done >= run->pin.scan;
	return thermos_retry_due(&run->pin.retry, source->poll);
}

void thermos_pin_task(struct thermos_source *source, struct thermos_task *task)
{
	struct thermos_runs *process, *next;

	HASH_ITER (hh, task->state.processes, process, next)
		if (wants_pin(source, thermos_last_run(process)))
			pin_run(source, task, process);
}

/* When a scan has finished, those who waited for it are looked at again. */
static void wake_waiting(struct thermos_source *source)
{
	struct thermos_task *task, *next;

	HASH_ITER (hh, source->tasks, task, next)
		if (task->in_active && !task->in_finished)
			thermos_pin_task(source, task);
}

void thermos_pin_scan(struct thermos_source *source)
{
	struct tally_error err;

	if (!pid_finder_scanning(source->finder)) {
		if (source->scan_wanted <= source->scan_begun)
			return;
		source->scan_begun++;
	}
	int r = pid_finder_scan(source->finder, SLICE_NS, &err);
	if (r < 0)
		log_say(source->log, TALLY_LOG_WARN, "%s: %s", source->source.ops->name,
			err.message);
	if (r != 0) {
		source->scan_done = source->scan_begun;
		wake_waiting(source);
	}
	if (pid_finder_scanning(source->finder) || source->scan_wanted > source->scan_begun)
		source->unfinished = true;
}
