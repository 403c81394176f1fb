/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/worker.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/clock.h"
#include "disk/mounts.h"
#include "disk/ring.h"

/* Work without a look at anything else: bounds how late a small sandbox is behind a huge one. */
#define SLICE_NS (5 * NS_PER_MS)

enum {
	STARVED_TIMES = 20, /* A slice that takes so many times as long has waited. */
	HELD_ASKED = 8,	    /* What all processes hold is asked so often in an interval, at most. */
};
#define STARVED_NS (10 * NS_PER_S)

static void signal_event(int fd)
{
	uint64_t one = 1;
	ssize_t written = write(fd, &one, sizeof(one));

	/* The only failure is a full counter, which wakes as well. */
	(void)written;
}

void worker_wake(struct disk *disk)
{
	signal_event(disk->wake_fd);
}

void worker_hand_in(struct disk *disk, struct sandbox *sandbox)
{
	struct sandbox *first = atomic_load(&disk->incoming);

	do
		sandbox->next_in = first;
	while (!atomic_compare_exchange_weak(&disk->incoming, &first, sandbox));
	worker_wake(disk);
}

/* -- priority --------------------------------------------------------------------------------- */

/* Both are wishes: where the kernel refuses them, the budget alone has to do. */
static void be_idle(struct worker *worker)
{
	struct sched_param none = {0};
	int idle = IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0);

	worker->idle = pthread_setschedparam(pthread_self(), SCHED_IDLE, &none) == 0;
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, idle);
}

/*
 * On a machine that is always busy, idle priority may mean never. Its budget makes the worker
 * harmless without it, so it goes back to ordinary CPU priority, where it may, once its slices have
 * waited far longer than they worked.
 */
static void do_not_starve(struct worker *worker, int64_t wall_ns, int64_t cpu_ns)
{
	struct sched_param none = {0};

	if (!worker->idle)
		return;
	worker->starved_ns = wall_ns > STARVED_TIMES * SLICE_NS && cpu_ns < SLICE_NS
				     ? worker->starved_ns + wall_ns
				     : 0;
	if (worker->starved_ns < STARVED_NS)
		return;
	worker->idle = pthread_setschedparam(pthread_self(), SCHED_OTHER, &none) != 0;
	worker->starved_ns = 0;
}

/* -- work ------------------------------------------------------------------------------------- */

static int64_t account(struct worker *worker)
{
	int64_t cpu_ns = clock_thread_cpu_ns() + ring_cpu_ns(worker->tools.batch.ring);
	int64_t spent_ns = cpu_ns - worker->cpu_ns;

	atomic_fetch_add(&worker->disk->cpu_ns, spent_ns);
	worker->cpu_ns = cpu_ns;
	return spent_ns;
}

static bool slice_is_over(void *context)
{
	struct worker *worker = context;
	int64_t now_ns = clock_boot_ns();

	atomic_store(&worker->beat_ns, now_ns);
	return now_ns >= worker->slice_until_ns || atomic_load(&worker->disk->closing) ||
	       atomic_load(&atomic_load(&worker->sandbox)->gone);
}

static void look(struct worker *worker, struct sandbox *sandbox)
{
	int64_t begun_ns = clock_boot_ns();

	worker->slice_until_ns = begun_ns + SLICE_NS;
	sandbox_slice(sandbox, &worker->tools, slice_is_over, worker);
	worker->spent_ns = account(worker);
	sandbox->spent_ns += worker->spent_ns;
	do_not_starve(worker, clock_boot_ns() - begun_ns, worker->spent_ns);
}

static void tend(struct worker *worker, struct sandbox *sandbox)
{
	sandbox_tend(sandbox, &worker->tools);
}

static void outline(struct worker *worker, struct sandbox *sandbox)
{
	sandbox_outline(sandbox);
}

static void shut(struct worker *worker, struct sandbox *sandbox)
{
	sandbox_shut(sandbox);
}

/* Do something that may block in the sandbox's file system. Is the schedule still ours then? */
static bool be_busy(struct worker *worker, struct sandbox *sandbox,
	void (*work)(struct worker *worker, struct sandbox *sandbox))
{
	uint64_t busy = atomic_load(&worker->state) + WORKER_STATES + WORKER_BUSY - WORKER_FREE;

	atomic_store(&worker->sandbox, sandbox);
	atomic_store(&worker->beat_ns, clock_boot_ns());
	atomic_store(&worker->state, busy);
	work(worker, sandbox);
	return atomic_compare_exchange_strong(
		&worker->state, &busy, busy - WORKER_BUSY + WORKER_FREE);
}

static void settle(struct disk *disk, struct sandbox *sandbox)
{
	sandbox->looking = sandbox->outcome == SLICE_MORE;
	schedule_tended(sandbox, clock_boot_ns());
	if (sandbox->outcome == SLICE_MORE)
		return;
	sandbox->reading.look_cpu_ns = sandbox->spent_ns;
	shelf_put(&sandbox->shelf, &sandbox->reading);
	schedule_again(&disk->schedule, sandbox, clock_boot_ns());
	atomic_fetch_add(&disk->looks, sandbox->outcome == SLICE_FIGURE);
	if (disk->options.changed && !atomic_load(&sandbox->gone))
		disk->options.changed(disk->options.context);
}

/* -- silent file systems ---------------------------------------------------------------------- */

/* What was known stays, and grows older. */
static void tell_silent(struct sandbox *sandbox)
{
	struct disk_reading reading;

	shelf_take(&sandbox->shelf, &reading);
	if (reading.code == -EINPROGRESS)
		reading.code = -ETIMEDOUT;
	snprintf(reading.why, sizeof(reading.why), "the file system of %.90s does not answer",
		sandbox->path);
	shelf_put(&sandbox->shelf, &reading);
}

static bool is_neighbour(
	const struct disk *disk, const struct sandbox *sandbox, const char *text, size_t length)
{
	uint64_t mount = mounts_find(text, length, sandbox->path);

	for (const struct sandbox *s = disk->schedule.first; s && mount; s = s->next)
		if (s->stuck && mounts_find(text, length, s->path) == mount)
			return true;
	return false;
}

/* Whatever lies in the same mount would cost another worker. */
static void hold_neighbours(struct disk *disk)
{
	CLEANUP_FREE char *text = NULL;
	ssize_t length = mounts_read("/proc/self/mountinfo", &text);

	if (length < 0)
		return;
	for (struct sandbox *s = disk->schedule.first; s; s = s->next) {
		if (s->stuck || s->held || !is_neighbour(disk, s, text, (size_t)length))
			continue;
		s->held = true;
		tell_silent(s);
	}
}

/* It never left the schedule: only the claim on it was out. */
static void come_back(struct disk *disk, struct sandbox *sandbox)
{
	sandbox->stuck = false;
	settle(disk, sandbox);
	/* If another worker is stuck in their mount, the next one will be, and they are held again. */
	for (struct sandbox *s = disk->schedule.first; s; s = s->next)
		s->held = false;
}

static void take_incoming(struct disk *disk, int64_t now_ns)
{
	struct sandbox *sandbox = atomic_exchange(&disk->incoming, NULL);

	bool any = sandbox;

	while (sandbox) {
		struct sandbox *next = sandbox->next_in;

		if (sandbox->stuck) {
			come_back(disk, sandbox);
		} else {
			schedule_add(&disk->schedule, sandbox, now_ns);
		}
		sandbox = next;
	}
	if (any && atomic_load(&disk->stuck))
		hold_neighbours(disk);
}

static void wait_for(struct disk *disk, int64_t wait_ns)
{
	struct pollfd wake = {.fd = disk->wake_fd, .events = POLLIN};
	struct timespec timeout = {wait_ns / NS_PER_S, wait_ns % NS_PER_S};
	uint64_t count;

	if (ppoll(&wake, 1, wait_ns == INT64_MAX ? NULL : &timeout, NULL) > 0 &&
		read(disk->wake_fd, &count, sizeof(count)) < 0)
		return;
}

/* -- the loop --------------------------------------------------------------------------------- */

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* The queue of a tracker does not wait for the budget: what overflows costs more later. */
static bool tend_all(struct worker *worker, int64_t now_ns, int64_t *ret_due_ns)
{
	struct disk *disk = worker->disk;
	struct sandbox *sandbox;

	while ((sandbox = schedule_next_tend(&disk->schedule, now_ns, ret_due_ns))) {
		if (!be_busy(worker, sandbox, tend))
			return false;
		schedule_tended(sandbox, now_ns);
	}
	return true;
}

/* Somebody waits for it, and it is made once for each figure at most: the budget pays later. */
static bool outline_all(struct worker *worker)
{
	struct sandbox *sandbox;

	while ((sandbox = schedule_next_outline(&worker->disk->schedule)))
		if (!be_busy(worker, sandbox, outline))
			return false;
	return true;
}

static bool shut_gone(struct worker *worker)
{
	struct sandbox *sandbox;

	while ((sandbox = schedule_gone(&worker->disk->schedule))) {
		if (!be_busy(worker, sandbox, shut))
			return false;
		schedule_remove(&worker->disk->schedule, sandbox);
		sandbox_release(sandbox);
	}
	return true;
}

/* One turn of the loop: work for a slice, or wait. True when the schedule is still ours. */
static bool take_turn(struct worker *worker)
{
	struct disk *disk = worker->disk;
	int64_t now_ns = clock_boot_ns();
	int64_t due_ns, tend_due_ns;

	take_incoming(disk, now_ns);
	if (!shut_gone(worker) || !tend_all(worker, now_ns, &tend_due_ns) || !outline_all(worker))
		return false;

	struct sandbox *sandbox = schedule_next(&disk->schedule, now_ns, &due_ns);
	if (sandbox)
		due_ns = now_ns + budget_wait_ns(&disk->budget, now_ns);
	due_ns = least(due_ns, tend_due_ns);
	if (!sandbox || due_ns > now_ns) {
		wait_for(disk, due_ns == INT64_MAX ? INT64_MAX : due_ns - now_ns);
		return true;
	}
	budget_spend(&disk->budget, account(worker));
	if (!be_busy(worker, sandbox, look))
		return false;
	budget_spend(&disk->budget, worker->spent_ns);
	settle(disk, sandbox);
	return true;
}

/* -- beginning and end ------------------------------------------------------------------------ */

/* See disk_close(): while anyone asks, it waits. */
static int ask_held(void *context, disk_held_visit_fn *visit, void *visit_context)
{
	struct disk *disk = context;

	atomic_fetch_add(&disk->asking, 1);
	int r = atomic_load(&disk->closing)
			? -ECANCELED
			: disk->options.held(disk->options.held_context, visit, visit_context);
	atomic_fetch_sub(&disk->asking, 1);
	return r;
}

static void take_over(struct worker *worker)
{
	struct disk *disk = worker->disk;

	if (!worker->left)
		return;
	log_say(disk->options.log, TALLY_LOG_WARN,
		"the file system of sandbox %s does not answer; its disk usage is not known until it "
		"does",
		worker->left->path);
	tell_silent(worker->left);
	hold_neighbours(disk);
}

static void *run(void *argument)
{
	struct worker *worker = argument;
	struct disk *disk = worker->disk;
	bool ours = true;

	/* Somebody may wait for it: not with the lowest priorities yet. */
	worker->tools.batch.ring = ring_open();
	sem_post(&worker->ready);
	be_idle(worker);
	worker->tools.held = (struct held_files){
		.ask = disk->options.held ? ask_held : NULL,
		.context = disk,
		.procfs = disk->options.procfs,
		.fresh_ns = disk->options.interval_ns / HELD_ASKED,
	};
	take_over(worker);
	while (ours && !atomic_load(&disk->closing))
		ours = take_turn(worker);
	ring_close(worker->tools.batch.ring);
	held_files_done(&worker->tools.held);
	if (ours) {
		signal_event(disk->ended_fd);
	} else {
		/* It was left: its sandbox goes back to whoever has the schedule now. */
		atomic_fetch_sub(&disk->stuck, 1);
		worker_hand_in(disk, worker->sandbox);
		sem_destroy(&worker->ready);
		free(worker);
	}
	disk_release(disk);
	return NULL;
}

int worker_start(struct disk *disk, struct sandbox *left, struct worker **ret)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	if (!worker)
		return -ENOMEM;
	worker->disk = disk;
	worker->left = left;
	sem_init(&worker->ready, 0, 0);
	atomic_fetch_add(&disk->references, 1);
	/* Signals are for the threads of the program. */
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = pthread_create(&worker->thread, NULL, run, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r) {
		atomic_fetch_sub(&disk->references, 1);
		sem_destroy(&worker->ready);
		free(worker);
		return -r;
	}
	*ret = worker;
	return 0;
}

void worker_await(struct worker *worker)
{
	while (sem_wait(&worker->ready) < 0 && errno == EINTR)
		;
}

struct sandbox *worker_leave(struct worker *worker, int64_t stall_ns, int64_t now_ns)
{
	uint64_t state = atomic_load(&worker->state);

	if (state % WORKER_STATES != WORKER_BUSY ||
		now_ns - atomic_load(&worker->beat_ns) < stall_ns)
		return NULL;

	/* Once it is left it may come back at once, and free itself: read all before. */
	struct sandbox *sandbox = atomic_load(&worker->sandbox);
	pthread_t thread = worker->thread;
	struct disk *disk = worker->disk;
	atomic_fetch_add(&disk->stuck, 1);
	if (!atomic_compare_exchange_strong(
		    &worker->state, &state, state - WORKER_BUSY + WORKER_LEFT)) {
		atomic_fetch_sub(&disk->stuck, 1);
		return NULL;
	}
	pthread_detach(thread);
	/* Only the next worker reads it, which is not there yet. */
	sandbox->stuck = true;
	return sandbox;
}
