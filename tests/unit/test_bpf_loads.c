/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The BPF collector counts all CPU time of all ways to start, run and end processes: as much as the
 * kernel charges to the cgroup of each load.
 */
#include "watch.h"
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

extern char **environ;

static void reap_all(void)
{
	while (wait(NULL) > 0 || errno == EINTR)
		;
}

static pid_t spawn_child(void (*run)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		run();
		_exit(0);
	}
	return pid;
}

static void burn_3(void)
{
	burn_ms(3);
}

static void burn_10(void)
{
	burn_ms(10);
}

static void burn_100(void)
{
	burn_ms(100);
}

/* ---- storms ---- */

static void spawn_true(void)
{
	char *const argv[] = {(char[]){"true"}, NULL};
	pid_t pid;

	for (int i = 0; i < 300; i++)
		if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) == 0)
			waitpid(pid, NULL, 0);
}

static void ignore_children(void)
{
	signal(SIGCHLD, SIG_IGN);
	for (int i = 0; i < 200; i++)
		spawn_child(burn_3);
	reap_all();
}

static void be_parent_of_daemon(void)
{
	spawn_child(burn_3);
}

/* Each daemon holds the pipe open: its end of file is the last one's end. */
static void fork_daemons(void)
{
	int ends[2];
	char byte;

	if (pipe(ends) < 0)
		_exit(1);
	for (int i = 0; i < 150; i++)
		waitpid(spawn_child(be_parent_of_daemon), NULL, 0);
	close(ends[1]);
	if (read(ends[0], &byte, 1) != 0)
		_exit(1);
	sleep_ms(20);
}

static void be_busy_parent(void)
{
	for (int i = 0; i < 5; i++)
		waitpid(spawn_child(burn_10), NULL, 0);
}

static void fork_parents(void)
{
	for (int i = 0; i < 20; i++)
		spawn_child(be_busy_parent);
	reap_all();
}

static void nothing(void)
{
}

static void fork_2000(void)
{
	for (int i = 0; i < 2000; i++)
		waitpid(spawn_child(nothing), NULL, 0);
}

/* The fastest there is: nothing is copied. */
static void vfork_20000(void)
{
	for (int i = 0; i < 20000; i++) {
		pid_t pid = vfork();

		if (pid == 0)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
}

/* ---- threads ---- */

static void *burn_in_thread(void *ms)
{
	burn_ms((intptr_t)ms);
	return NULL;
}

static void start_threads(void)
{
	pthread_t threads[8];

	for (intptr_t i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, burn_in_thread, (void *)(5 + 10 * i));
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	burn_ms(20);
}

static void *exec_here(void *unused)
{
	burn_ms(30);
	execl("/bin/sh", "sh", "-c", "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done", NULL);
	_exit(1);
}

static void exec_in_thread(void)
{
	pthread_t thread;

	burn_ms(30);
	pthread_create(&thread, NULL, exec_here, NULL);
	pause();
}

static void *outlive_leader(void *unused)
{
	burn_ms(100);
	spawn_child(burn_100);
	reap_all();
	_exit(0);
}

static void end_leader_first(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, outlive_leader, NULL);
	pthread_exit(NULL);
}

/* ---- ways to fork ---- */

static void vfork_true(void)
{
	for (int i = 0; i < 200; i++) {
		pid_t pid = vfork();

		if (pid == 0) {
			execl("/bin/true", "true", NULL);
			_exit(1);
		}
		waitpid(pid, NULL, 0);
	}
}

/* A child of its parent, so not its own: it waits for it in another way. */
static void clone_parent(void)
{
	int ends[2];
	char byte;

	for (int i = 0; i < 5; i++) {
		if (pipe(ends) < 0)
			_exit(1);
		if (syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL) == 0) {
			burn_ms(30);
			_exit(0);
		}
		close(ends[1]);
		if (read(ends[0], &byte, 1) != 0)
			_exit(1);
		close(ends[0]);
	}
	sleep_ms(20);
}

static void new_namespace(void)
{
	for (int i = 0; i < 3; i++) {
		long pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);

		if (pid < 0)
			_exit(1);
		if (pid == 0) {
			waitpid(spawn_child(burn_100), NULL, 0);
			burn_ms(20);
			_exit(0);
		}
		waitpid((pid_t)pid, NULL, 0);
	}
}

static void be_traced(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	for (int i = 0; i < 5; i++) {
		burn_ms(20);
		raise(SIGSTOP);
	}
	spawn_child(burn_100);
	reap_all();
}

static void trace(void)
{
	pid_t pid = spawn_child(be_traced);
	int status;

	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status))
		ptrace(PTRACE_CONT, pid, NULL, NULL);
}

static struct load loads[] = {
	{"a_loop_of_true", spawn_true, 301},
	{"children_whose_end_is_ignored", ignore_children, 201},
	{"daemons_that_fork_twice", fork_daemons, 301},
	{"children_of_twenty_parents", fork_parents, 121},
	{"two_thousand_forks", fork_2000, 2001},
	{"twenty_thousand_vforks", vfork_20000, 20001},
	{"threads", start_threads, 1},
	{"an_exec_in_a_thread", exec_in_thread, 1},
	{"threads_that_outlive_their_leader", end_leader_first, 2},
	{"vfork_and_exec", vfork_true, 201},
	{"clone_parent", clone_parent, 6},
	{"a_new_pid_namespace", new_namespace, 7},
	{"a_traced_child", trace, 3},
};

static void counts(void **state)
{
	const struct load *load = *state;
	struct collector *c = open_bpf();
	struct watched w = {0};

	watched_start(&w, load->run);
	uint32_t group = follow(c, w.pid);
	watched_release(&w, c, group);
	watched_wait(&w, c);
	reap_all();
	assert_int_equal(collector_settle(c, group, 5 * NS_PER_S, NULL), 0);
	double percent = watched_percent(&w, c, group);
	remove_cgroup(w.cgroup);
	print_message("# %s: %.4f %% counted, %lld processes\n", load->name, percent,
		(long long)group_value(c, group, TALLY_PIDS_STARTED));
	assert_between(percent * 1000, 99900, 100100);
	assert_int_equal(group_value(c, group, TALLY_PIDS_STARTED), load->started);
	assert_int_equal(group_value(c, group, TALLY_RSS), 0);
	collector_close(c);
}

int main(void)
{
	struct CMUnitTest tests[sizeof(loads) / sizeof(loads[0])];

	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++)
		tests[i] = (struct CMUnitTest){
			.name = loads[i].name, .test_func = counts, .initial_state = &loads[i]};
	return cmocka_run_group_tests_name("bpf counts all CPU time of", tests, NULL, NULL);
}
