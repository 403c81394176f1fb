/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/worker.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/clock.h"

/* Work without a look at anything else: bounds how late a small sandbox is behind a huge one. */
#define SLICE_NS (5 * NS_PER_MS)

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

/* Both are wishes: where the kernel refuses them, the budget alone has to do. */
static void be_idle(void)
{
	struct sched_param none = {0};
	int idle = IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0);

	pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, idle);
}

static void account(struct worker *worker, int64_t *ret_cpu_ns)
{
	int64_t cpu_ns = clock_thread_cpu_ns();

	*ret_cpu_ns = cpu_ns - worker->cpu_ns;
	atomic_fetch_add(&worker->disk->cpu_ns, *ret_cpu_ns);
	worker->cpu_ns = cpu_ns;
}

static bool slice_is_over(void *context)
{
	struct worker *worker = context;
	int64_t now_ns = clock_boot_ns();

	atomic_store(&worker->beat_ns, now_ns);
	return now_ns >= worker->slice_until_ns || atomic_load(&worker->disk->closing) ||
	       atomic_load(&atomic_load(&worker->sandbox)->gone);
}

/* True when the schedule is still this worker's. */
static bool work(struct worker *worker, struct sandbox *sandbox)
{
	int64_t now_ns = clock_boot_ns();
	uint64_t busy = atomic_load(&worker->state) + WORKER_STATES + WORKER_BUSY - WORKER_FREE;
	int64_t cpu_ns;

	atomic_store(&worker->sandbox, sandbox);
	worker->slice_until_ns = now_ns + SLICE_NS;
	atomic_store(&worker->beat_ns, now_ns);
	atomic_store(&worker->state, busy);
	sandbox_slice(sandbox, &worker->tools, slice_is_over, worker);
	account(worker, &cpu_ns);
	sandbox->spent_ns += cpu_ns;
	return atomic_compare_exchange_strong(
		&worker->state, &busy, busy - WORKER_BUSY + WORKER_FREE);
}

static void settle(struct disk *disk, struct sandbox *sandbox)
{
	sandbox->looking = sandbox->outcome == SLICE_MORE;
	if (sandbox->outcome == SLICE_MORE)
		return;
	sandbox->reading.look_cpu_ns = sandbox->spent_ns;
	shelf_put(&sandbox->shelf, &sandbox->reading);
	schedule_again(&disk->schedule, sandbox, clock_boot_ns());
	atomic_fetch_add(&disk->looks, sandbox->outcome == SLICE_FIGURE);
	if (disk->options.changed && !atomic_load(&sandbox->gone))
		disk->options.changed(disk->options.context);
}

static void take_incoming(struct disk *disk, int64_t now_ns)
{
	struct sandbox *sandbox = atomic_exchange(&disk->incoming, NULL);

	while (sandbox) {
		struct sandbox *next = sandbox->next_in;

		if (sandbox->stuck) {
			/* It never left the schedule: only the claim on it was out. */
			sandbox->stuck = false;
			settle(disk, sandbox);
		} else {
			schedule_add(&disk->schedule, sandbox, now_ns);
		}
		sandbox = next;
	}
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

/* One turn of the loop: work for a slice, or wait. True when the schedule is still ours. */
static bool take_turn(struct worker *worker)
{
	struct disk *disk = worker->disk;
	int64_t now_ns = clock_boot_ns();
	int64_t due_ns, cpu_ns;

	take_incoming(disk, now_ns);
	schedule_sweep(&disk->schedule, now_ns);

	struct sandbox *sandbox = schedule_next(&disk->schedule, now_ns, &due_ns);
	int64_t wait_ns = budget_wait_ns(&disk->budget, now_ns);
	if (!sandbox)
		wait_ns = due_ns == INT64_MAX ? INT64_MAX : due_ns - now_ns;
	if (wait_ns > 0) {
		wait_for(disk, wait_ns);
		return true;
	}
	int64_t before_ns = worker->cpu_ns;
	if (!work(worker, sandbox))
		return false;
	settle(disk, sandbox);
	account(worker, &cpu_ns);
	budget_spend(&disk->budget, worker->cpu_ns - before_ns);
	return true;
}

/* What was known stays, and grows older. */
static void tell_stuck(struct disk *disk, struct sandbox *sandbox)
{
	struct disk_reading reading;

	log_say(disk->options.log, TALLY_LOG_WARN,
		"the file system of sandbox %s does not answer; its disk usage is not known until it "
		"does",
		sandbox->path);
	shelf_take(&sandbox->shelf, &reading);
	if (reading.code == -EINPROGRESS)
		reading.code = -ETIMEDOUT;
	snprintf(reading.why, sizeof(reading.why), "the file system of %.90s does not answer",
		sandbox->path);
	shelf_put(&sandbox->shelf, &reading);
}

static void *run(void *argument)
{
	struct worker *worker = argument;
	struct disk *disk = worker->disk;
	bool ours = true;

	be_idle();
	if (worker->left)
		tell_stuck(disk, worker->left);
	while (ours && !atomic_load(&disk->closing))
		ours = take_turn(worker);
	if (ours) {
		signal_event(disk->ended_fd);
	} else {
		/* It was left: its sandbox goes back to whoever has the schedule now. */
		atomic_fetch_sub(&disk->stuck, 1);
		worker_hand_in(disk, worker->sandbox);
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
	atomic_fetch_add(&disk->references, 1);
	int r = pthread_create(&worker->thread, NULL, run, worker);
	if (r) {
		atomic_fetch_sub(&disk->references, 1);
		free(worker);
		return -r;
	}
	*ret = worker;
	return 0;
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
