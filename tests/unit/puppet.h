/* SPDX-License-Identifier: Apache-2.0 */
/** A process that does what it is told, one thing at a time. */
#ifndef TESTS_PUPPET_H
#define TESTS_PUPPET_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include "watch.h"

struct puppet {
	pid_t pid;
	int wire;
};

enum deed {
	BURN,	     /**< Use so many ms of CPU. */
	BEAR,	     /**< Fork a child that lives until its parent ends; answers its pid. */
	BEAR_BUSY,   /**< Fork a child that burns for ms, and reap it. */
	THREAD,	     /**< Start a thread that burns for ms, and then sleeps. */
	THREAD_ENDS, /**< Start one that burns and ends; join it. */
	MAP,	     /**< Touch so many KiB of memory. */
	SHARE,	     /**< The same, shared. */
	WRITE,	     /**< Write so many KiB to a file that is gone then, and wait for the disk. */
	NICE,	     /**< Be nicer by so much. */
	OPEN,	     /**< Open so many descriptors. */
	ENTER,	     /**< Enter the cgroup whose path follows. */
	LEAVE,	     /**< End. */
};

struct order {
	enum deed deed;
	int amount;
	char path[256];
};

static atomic_int puppet_burnt;

static inline void *puppet_thread(void *ms)
{
	burn_ms((intptr_t)ms);
	atomic_fetch_add(&puppet_burnt, 1);
	for (;;)
		pause();
	return NULL;
}

/* The thread has done its part when this returns. */
static inline int puppet_begin_thread(intptr_t ms)
{
	int burnt = atomic_load(&puppet_burnt);
	pthread_t thread;
	int r = pthread_create(&thread, NULL, puppet_thread, (void *)ms);

	while (r == 0 && atomic_load(&puppet_burnt) == burnt)
		sleep_ms(1);
	return r;
}

static inline void *puppet_short_thread(void *ms)
{
	burn_ms((intptr_t)ms);
	return NULL;
}

static inline int puppet_bear(int ms)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		burn_ms(ms);
		if (ms)
			_exit(0);
		for (;;)
			pause();
	}
	if (ms)
		waitpid(pid, NULL, 0);
	return pid;
}

static inline void puppet_map(size_t kib, int kind)
{
	char *memory = mmap(NULL, kib * 1024, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS, -1, 0);

	if (memory != MAP_FAILED)
		memset(memory, 1, kib * 1024);
}

static inline int puppet_write(int kib)
{
	static char block[1024];
	FILE *file = tmpfile();

	for (int i = 0; file && i < kib; i++)
		fwrite(block, sizeof(block), 1, file);
	return file && fflush(file) == 0 && fsync(fileno(file)) == 0 ? fclose(file) : -1;
}

static inline int puppet_obey(const struct order *order)
{
	intptr_t amount = order->amount;
	pthread_t thread;

	switch (order->deed) {
	case BURN:
		burn_ms(amount);
		return 0;
	case BEAR:
		return puppet_bear(0);
	case BEAR_BUSY:
		return puppet_bear((int)amount);
	case THREAD:
		return puppet_begin_thread(amount);
	case THREAD_ENDS:
		pthread_create(&thread, NULL, puppet_short_thread, (void *)amount);
		return pthread_join(thread, NULL);
	case MAP:
		puppet_map((size_t)amount, MAP_PRIVATE);
		return 0;
	case SHARE:
		puppet_map((size_t)amount, MAP_SHARED);
		return 0;
	case WRITE:
		return puppet_write((int)amount);
	case NICE:
		return nice((int)amount) == amount ? 0 : -1;
	case OPEN:
		while (amount-- > 0)
			if (open("/dev/null", O_RDONLY) < 0)
				return -1;
		return 0;
	case ENTER:
		return enter_cgroup(order->path) ? 0 : -1;
	default:
		_exit(0);
	}
}

static inline void puppet_start(struct puppet *puppet)
{
	int wire[2];
	struct order order;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wire), 0);
	puppet->pid = fork();
	if (puppet->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (read(wire[1], &order, sizeof(order)) == sizeof(order)) {
			int answer = puppet_obey(&order);

			if (write(wire[1], &answer, sizeof(answer)) != sizeof(answer))
				break;
		}
		_exit(0);
	}
	close(wire[1]);
	puppet->wire = wire[0];
}

static inline int puppet_tell(struct puppet *puppet, const struct order *order)
{
	int answer;

	assert_int_equal(write(puppet->wire, order, sizeof(*order)), sizeof(*order));
	assert_int_equal(read(puppet->wire, &answer, sizeof(answer)), sizeof(answer));
	return answer;
}

/* Have it done, and done: it sleeps again when this returns. */
static inline int puppet_do(struct puppet *puppet, enum deed deed, int amount)
{
	int answer = puppet_tell(puppet, &(struct order){.deed = deed, .amount = amount});

	sleep_ms(20);
	return answer;
}

static inline void puppet_enter(struct puppet *puppet, const char *cgroup)
{
	struct order order = {.deed = ENTER};

	snprintf(order.path, sizeof(order.path), "%s", cgroup);
	assert_int_equal(puppet_tell(puppet, &order), 0);
	sleep_ms(20);
}

static inline void puppet_end(struct puppet *puppet)
{
	struct order order = {.deed = LEAVE};

	assert_int_equal(write(puppet->wire, &order, sizeof(order)), sizeof(order));
	close(puppet->wire);
	waitpid(puppet->pid, NULL, 0);
}

/* What forks and orders cost besides: more where each fork copies the tables of a sanitizer. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BESIDES_MS 90
#else
#define BESIDES_MS 50
#endif

/* CPU time counted, of something that burnt so many ms and did little else. */
#define assert_burnt(cpu_ns, ms)                                                                   \
	assert_between((cpu_ns) / NS_PER_US, (ms)*1000, ((ms) + BESIDES_MS) * 1000)

#endif
