/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Many quiet processes, as a machine full of tasks has them.
 *
 *     load_tasks [--threads K] [--busy B] [--burn US] [--period MS] [--seconds S] TASKS PROCESSES
 *
 * Makes TASKS roots, each with PROCESSES-1 children, all asleep. When all are there it prints one
 * line NAME=PID for each root and then "ready". It ends, with all it made, after S seconds (600
 * unless told, never more than 3600), when its standard input ends, or when it is killed in
 * whatever way: each process dies with its parent.
 *
 *     --threads K  every process has K threads (1)
 *     --busy B     the first B processes of every task wake up and compute (0)
 *     --burn US    for so many microseconds of CPU time (100)
 *     --period MS  every so many milliseconds (1000)
 *
 * Only fork, no exec: a process costs the machine some 100 kB and 100 µs.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "load.h"

static struct shape {
	long tasks, processes, threads, busy, burn_us, period_ms, seconds;
} shape = {.threads = 1, .burn_us = 100, .period_ms = 1000, .seconds = 600};

static const struct option long_options[] = {
	{"threads", required_argument, NULL, 't'},
	{"busy", required_argument, NULL, 'b'},
	{"burn", required_argument, NULL, 'u'},
	{"period", required_argument, NULL, 'p'},
	{"seconds", required_argument, NULL, 's'},
	{0},
};

static void *sleep_forever(void *unused)
{
	for (;;)
		pause();
	return unused;
}

/* Threads that only sleep need next to no stack: 20,000 of them must fit. */
static void start_threads(void)
{
	pthread_attr_t small;
	pthread_t thread;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN);
	for (long i = 1; i < shape.threads; i++) {
		errno = pthread_create(&thread, &small, sleep_forever, NULL);
		if (errno)
			load_die("cannot start thread %ld", i);
	}
	pthread_attr_destroy(&small);
}

static void live(bool busy)
{
	struct timespec period = {shape.period_ms / 1000, shape.period_ms % 1000 * 1000000};

	while (busy) {
		nanosleep(&period, NULL);
		load_burn(shape.burn_us * 1000);
	}
	sleep_forever(NULL);
}

/* A process tells that it is there, then lives. The pipe is closed: nobody holds it open. */
static void be_process(long index, pid_t parent, int ready)
{
	load_die_with(parent);
	start_threads();
	if (write(ready, "", 1) != 1)
		_exit(1);
	close(ready);
	live(index < shape.busy);
}

static void be_root(pid_t parent, int ready)
{
	pid_t self = getpid();

	for (long i = 1; i < shape.processes; i++)
		if (load_fork() == 0)
			be_process(i, self, ready);
	be_process(0, parent, ready);
}

/* One byte from each process; the pipe ends early when one of them could not be made. */
static void await_all(int ready)
{
	long left = shape.tasks * shape.processes;
	char buffer[4096];

	while (left > 0) {
		ssize_t got = read(ready, buffer, sizeof(buffer));

		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0)
			errno = 0;
		if (got <= 0)
			load_die("%ld processes are missing: see pid_max, ulimit -u and pids.max",
				left);
		left -= got;
	}
}

static pid_t *make_all(void)
{
	pid_t self = getpid();
	pid_t *roots = calloc((size_t)shape.tasks, sizeof(*roots));
	int ready[2];

	if (!roots || pipe(ready) < 0)
		load_die("cannot begin");
	for (long i = 0; i < shape.tasks; i++) {
		roots[i] = load_fork();
		if (roots[i] == 0) {
			close(ready[0]);
			be_root(self, ready[1]);
		}
	}
	close(ready[1]);
	await_all(ready[0]);
	close(ready[0]);
	return roots;
}

static void print_roots(const pid_t *roots)
{
	for (long i = 0; i < shape.tasks; i++)
		printf("task-%04ld=%d\n", i, (int)roots[i]);
	printf("ready\n");
	fflush(stdout);
}

/* Until standard input ends or the time is over. What is written to it is ignored. */
static void hold(void)
{
	int64_t end = load_now_ns() + shape.seconds * INT64_C(1000000000);
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	char buffer[256];

	for (;;) {
		int64_t left_ms = (end - load_now_ns()) / 1000000;

		if (left_ms <= 0 || poll(&input, 1, (int)left_ms) == 0)
			return;
		if (read(STDIN_FILENO, buffer, sizeof(buffer)) <= 0)
			return;
	}
}

/* Roots are killed, their children die with them and come here to be reaped: no zombie stays. */
static void end_all(pid_t *roots)
{
	for (long i = 0; i < shape.tasks; i++)
		kill(roots[i], SIGKILL);
	while (wait(NULL) > 0 || errno == EINTR)
		;
	free(roots);
}

static void usage(void)
{
	fprintf(stderr, "usage: load_tasks [--threads K] [--busy B] [--burn US] [--period MS] "
			"[--seconds S] TASKS PROCESSES\n");
	exit(2);
}

static void parse(int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == 't')
			shape.threads = load_number("--threads", optarg, 1, 100000);
		else if (option == 'b')
			shape.busy = load_number("--busy", optarg, 0, 100000);
		else if (option == 'u')
			shape.burn_us = load_number("--burn", optarg, 1, 1000000);
		else if (option == 'p')
			shape.period_ms = load_number("--period", optarg, 1, 1000000);
		else if (option == 's')
			shape.seconds = load_number("--seconds", optarg, 1, 3600);
		else
			usage();
	}
	if (argc - optind != 2)
		usage();
	shape.tasks = load_number("TASKS", argv[optind], 1, 30000);
	shape.processes = load_number("PROCESSES", argv[optind + 1], 1, 30000);
}

int main(int argc, char **argv)
{
	pid_t *roots;

	parse(argc, argv);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGPIPE, SIG_IGN);
	roots = make_all();
	print_roots(roots);
	hold();
	end_all(roots);
	return 0;
}
