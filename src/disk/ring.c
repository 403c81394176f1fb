/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/ring.h"

#include <dirent.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/file.h"
#include "disk/scan.h"

/* Since Linux 6.0 and 6.1: completions are taken in when they are asked for, without interrupts. */
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif

enum {
	TRIES = 3,
	CALLS = 200,
	DEAR_NS = 400, /* Of a system call that does nothing: 50 to 150 on a machine of its own. */
};

struct ring {
	int fd;
	int cpu;      /* That the kernel's thread is bound to. */
	pid_t thread; /* That one; 0: not looked for yet; -1: not found. */
	bool used;    /* It exists. */
	int64_t cpu_ns;
	char *map; /* Both queues. */
	size_t map_size;
	struct io_uring_sqe *sqes;
	size_t sqes_size;
	struct io_uring_cqe *cqes;
	unsigned *sq_tail, *sq_array, *cq_head, *cq_tail;
	unsigned sq_mask, cq_mask;
};

static int64_t price_of_call(void)
{
	int64_t least_ns = INT64_MAX;

	for (int i = 0; i < TRIES; i++) {
		int64_t begun_ns = clock_boot_ns();

		for (int k = 0; k < CALLS; k++)
			syscall(SYS_getppid);
		int64_t took_ns = clock_boot_ns() - begun_ns;
		least_ns = took_ns < least_ns ? took_ns : least_ns;
	}
	return least_ns / CALLS;
}

static bool map_queues(struct ring *ring, const struct io_uring_params *p)
{
	size_t sq_size = p->sq_off.array + p->sq_entries * sizeof(unsigned);
	size_t cq_size = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);

	if (!(p->features & IORING_FEAT_SINGLE_MMAP))
		return false;
	ring->map_size = sq_size > cq_size ? sq_size : cq_size;
	ring->map = mmap(NULL, ring->map_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		ring->fd, IORING_OFF_SQ_RING);
	ring->sqes_size = p->sq_entries * sizeof(struct io_uring_sqe);
	ring->sqes = mmap(NULL, ring->sqes_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		ring->fd, IORING_OFF_SQES);
	if (ring->map == MAP_FAILED || ring->sqes == MAP_FAILED)
		return false;
	ring->sq_tail = (unsigned *)(ring->map + p->sq_off.tail);
	ring->sq_array = (unsigned *)(ring->map + p->sq_off.array);
	ring->sq_mask = *(unsigned *)(ring->map + p->sq_off.ring_mask);
	ring->cq_head = (unsigned *)(ring->map + p->cq_off.head);
	ring->cq_tail = (unsigned *)(ring->map + p->cq_off.tail);
	ring->cq_mask = *(unsigned *)(ring->map + p->cq_off.ring_mask);
	ring->cqes = (struct io_uring_cqe *)(ring->map + p->cq_off.cqes);
	return true;
}

static bool only(int cpu, cpu_set_t *ret)
{
	if (cpu < 0 || cpu >= CPU_SETSIZE)
		return false;
	CPU_ZERO(ret);
	CPU_SET(cpu, ret);
	return true;
}

/*
 * The kernel names its threads by the one that they work for, as the whole machine numbers it: in
 * a namespace of pids that is not what we know, and the only one there is must be ours. Where /proc
 * is of another namespace, its numbers would be strangers'. -1: not found.
 */
static pid_t find_thread(void)
{
	DIR *tasks = opendir("/proc/self/task");
	char path[300], ours[32], name[32];
	struct dirent *entry;
	pid_t exact = -1, last = -1;
	bool at_home = false;
	int count = 0;

	snprintf(ours, sizeof(ours), "iou-wrk-%d\n", (int)gettid());
	while (tasks && (entry = readdir(tasks))) {
		pid_t tid = (pid_t)atoi(entry->d_name);

		snprintf(path, sizeof(path), "%s/comm", entry->d_name);
		ssize_t length = file_read_at(dirfd(tasks), path, name, sizeof(name) - 1);
		name[length > 0 ? length : 0] = '\0';
		at_home |= tid == gettid();
		if (strncmp(name, ours, strlen("iou-wrk-")) != 0)
			continue;
		last = tid;
		count++;
		exact = strcmp(name, ours) == 0 ? tid : exact;
	}
	if (tasks)
		closedir(tasks);
	if (!at_home)
		return -1;
	return exact > 0 || count != 1 ? exact : last;
}

static bool move_thread(struct ring *ring, const cpu_set_t *set)
{
	if (!ring->thread)
		ring->thread = find_thread();
	if (ring->thread > 0 && sched_setaffinity(ring->thread, sizeof(*set), set) < 0)
		ring->thread = -1;
	return ring->thread > 0;
}

/*
 * The kernel's own way of binding is for threads that it makes later: one that works already is
 * moved by its number. From another processor than the caller's, every name costs a wakeup and the
 * lines of both caches: three times as much, and more than no ring at all.
 */
static bool bind_to(struct ring *ring, int cpu)
{
	cpu_set_t set;

	if (cpu == ring->cpu)
		return true;
	if (!only(cpu, &set) || (ring->used && !move_thread(ring, &set)) ||
		syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_IOWQ_AFF, &set,
			sizeof(set)))
		return false;
	ring->cpu = cpu;
	return true;
}

static bool set_up(struct ring *ring)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
	unsigned workers[2] = {1, 1};

	ring->fd = (int)syscall(SYS_io_uring_setup, SCAN_BATCH, &p);
	return ring->fd >= 0 && map_queues(ring, &p) &&
	       syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_IOWQ_MAX_WORKERS, workers,
		       2) == 0 &&
	       bind_to(ring, sched_getcpu());
}

struct ring *ring_open(void)
{
	struct ring *ring = price_of_call() < DEAR_NS ? NULL : calloc(1, sizeof(*ring));

	if (!ring)
		return NULL;
	ring->cpu = -1;
	ring->map = MAP_FAILED;
	ring->sqes = MAP_FAILED;
	return set_up(ring) ? ring : ring_close(ring);
}

struct ring *ring_close(struct ring *ring)
{
	if (!ring)
		return NULL;
	if (ring->map != MAP_FAILED)
		munmap(ring->map, ring->map_size);
	if (ring->sqes != MAP_FAILED)
		munmap(ring->sqes, ring->sqes_size);
	if (ring->fd >= 0)
		close(ring->fd);
	free(ring);
	return NULL;
}

int64_t ring_cpu_ns(const struct ring *ring)
{
	return ring ? ring->cpu_ns : 0;
}

static void submit_one(
	struct ring *ring, unsigned at, int dir, struct scan_batch *batch, unsigned i)
{
	struct scan_entry *entry = &batch->entries[i];
	unsigned place = (at + i) & ring->sq_mask;
	struct io_uring_sqe *sqe = &ring->sqes[place];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_STATX;
	sqe->fd = dir;
	sqe->addr = (uintptr_t)entry->name;
	sqe->len = SCAN_STAT_MASK;
	sqe->off = (uintptr_t)&entry->stat;
	sqe->statx_flags = SCAN_STAT_FLAGS;
	sqe->user_data = i;
	ring->sq_array[place] = place;
}

static unsigned take_completions(struct ring *ring, struct scan_batch *batch)
{
	unsigned head = *ring->cq_head;
	unsigned tail = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
	unsigned count = tail - head;

	for (; head != tail; head++) {
		const struct io_uring_cqe *cqe = &ring->cqes[head & ring->cq_mask];

		batch->entries[cqe->user_data].code = cqe->res;
	}
	__atomic_store_n(ring->cq_head, head, __ATOMIC_RELEASE);
	return count;
}

static int enter(const struct ring *ring, unsigned submit, unsigned wait)
{
	unsigned flags = wait ? IORING_ENTER_GETEVENTS : 0;

	return (int)syscall(SYS_io_uring_enter, ring->fd, submit, wait, flags, NULL, 0);
}

/*
 * What was submitted must complete before this returns: the kernel writes to the batch. False only
 * when nothing was.
 *
 * Whoever waits in the ring is woken for every name, which costs as much as the answer. So the
 * processor is yielded instead: when we are back, the kernel's thread, which shares it, has mostly
 * answered all, or waits for the disk.
 */
static bool submit_and_wait(struct ring *ring, struct scan_batch *batch)
{
	unsigned count = batch->count, submitted = 0, completed = 0;

	while (completed < count) {
		int r = enter(ring, count - submitted, submitted ? count - completed : 0);

		if (r < 0 && !submitted && errno != EINTR && errno != EAGAIN && errno != EBUSY)
			return false;
		if (r > 0 && !submitted)
			sched_yield();
		if (r > 0)
			submitted += (unsigned)r;
		completed += take_completions(ring, batch);
	}
	return true;
}

static bool stat_batch(struct ring *ring, int dir, struct scan_batch *batch)
{
	unsigned tail = *ring->sq_tail;
	int64_t wall_ns = clock_boot_ns();
	int64_t others_ns = clock_process_cpu_ns() - clock_thread_cpu_ns();

	for (unsigned i = 0; i < batch->count; i++)
		submit_one(ring, tail, dir, batch, i);
	__atomic_store_n(ring->sq_tail, tail + batch->count, __ATOMIC_RELEASE);
	if (!submit_and_wait(ring, batch)) {
		__atomic_store_n(ring->sq_tail, tail, __ATOMIC_RELEASE);
		return false;
	}
	ring->used = true;
	/* Of all threads but this: at most what there is to one processor. */
	others_ns = clock_process_cpu_ns() - clock_thread_cpu_ns() - others_ns;
	wall_ns = clock_boot_ns() - wall_ns;
	ring->cpu_ns += others_ns < wall_ns ? others_ns : wall_ns;
	return true;
}

/*
 * Whoever waits for the kernel's thread is woken on a processor that idles: then every name costs
 * the lines of both caches, and the next batch begins elsewhere. So we stay where that thread is.
 */
bool ring_stat_batch(struct ring *ring, int dir, struct scan_batch *batch)
{
	cpu_set_t before, here;

	if (!bind_to(ring, sched_getcpu()) || !only(ring->cpu, &here) ||
		sched_getaffinity(0, sizeof(before), &before) < 0 ||
		sched_setaffinity(0, sizeof(here), &here) < 0)
		return false;

	bool done = stat_batch(ring, dir, batch);
	sched_setaffinity(0, sizeof(before), &before);
	return done;
}
