/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/file.h"
#include "source/command.h"
#include "source/registry.h"

static struct source *open_words(char *const *words)
{
	const struct command_process process = {.name = "p", .words = words};
	const struct command_options options = {
		.task = "t", .processes = &process, .process_count = 1};
	struct source *source = NULL;
	struct tally_error err;

	if (source_command_open(&options, &source, &err) < 0)
		fail_msg("%s", err.message);
	return source;
}

static struct source *open_shell(const char *script)
{
	char *words[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};

	return open_words(words);
}

/* Bounded: a command that does not end is a failure of the test. */
static struct command_state wait_ended(struct source *source)
{
	struct command_state state;

	for (int i = 0; i < 1000; i++) {
		source_command_state(source, 0, &state);
		if (state.ended)
			return state;
		poll(NULL, 0, 10);
	}
	fail_msg("the command did not end");
	return state;
}

static struct command_state wait_childless(struct source *source)
{
	struct command_state state;

	for (int i = 0; i < 1000; i++) {
		source_refresh(source, NULL);
		source_command_state(source, 0, &state);
		if (state.childless)
			return state;
		poll(NULL, 0, 10);
	}
	fail_msg("something of the command did not end");
	return state;
}

static void copy_process(void *context, const struct source_task *task)
{
	assert_string_equal(task->id, "t");
	assert_int_equal(task->process_count, 1);
	assert_string_equal(task->processes[0].name, "p");
	*(struct source_process *)context = task->processes[0];
}

static struct source_process look(struct source *source)
{
	struct source_process process = {0};

	source_list(source, copy_process, &process);
	return process;
}

struct handed {
	size_t count;
	pid_t last;
	int64_t cpu_us;
};

static void count_handed(
	void *context, const char *task, const char *process, pid_t pid, const struct rusage *usage)
{
	struct handed *handed = context;

	assert_string_equal(task, "t");
	assert_string_equal(process, "p");
	handed->count++;
	handed->last = pid;
	handed->cpu_us += usage->ru_utime.tv_sec * 1000000 + usage->ru_utime.tv_usec +
			  usage->ru_stime.tv_sec * 1000000 + usage->ru_stime.tv_usec;
}

static void nothing_runs_before_the_release(void **state)
{
	char name[64] = "";
	struct source *source = open_shell("exit 3");
	struct source_process process = look(source);
	struct command_state now;

	poll(NULL, 0, 50);
	snprintf(name, sizeof(name), "/proc/%d/comm", (int)process.pid);
	ssize_t length = file_read_at(AT_FDCWD, name, name, sizeof(name));
	assert_true(length > 2 && strncmp(name, "sh\n", 3) != 0);
	source_command_state(source, 0, &now);
	assert_false(now.ended);
	assert_int_equal(process.pid, source_command_pid(source, 0));
	assert_int_equal(process.subreaper, getpid());
	assert_true(process.start_ns > 0 && process.start_ns <= clock_boot_ns());

	assert_int_equal(source_command_release(source, 0, NULL), 0);
	assert_int_equal(wait_ended(source).exit_code, 3);
	source_command_allow_reap(source, 0);
	wait_childless(source);
	source_close(source);
}

static void a_command_that_is_closed_unreleased_never_runs(void **state)
{
	int pipes[2];
	char byte;
	assert_int_equal(pipe(pipes), 0);
	char script[64];
	snprintf(script, sizeof(script), "echo ran >&%d", pipes[1]);
	struct source *source = open_shell(script);

	source_close(source);
	close(pipes[1]);
	assert_int_equal(read(pipes[0], &byte, 1), 0);
	close(pipes[0]);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void exec_that_fails_is_told_with_its_reason(void **state)
{
	static const struct {
		const char *word;
		int code, exit_code;
	} cases[] = {{"tally-no-such-command", -ENOENT, 127}, {"/dev/null", -EACCES, 126},
		{"/proc/self", -EACCES, 126}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *words[] = {(char *)cases[i].word, NULL};
		struct source *source = open_words(words);

		assert_int_equal(source_command_release(source, 0, NULL), cases[i].code);
		assert_int_equal(wait_ended(source).exit_code, cases[i].exit_code);
		source_command_allow_reap(source, 0);
		wait_childless(source);
		source_close(source);
	}
}

static void the_root_stays_a_zombie_until_it_may_be_reaped(void **state)
{
	struct handed handed = {0};
	char path[64], stat[512] = "";
	struct source *source = open_shell("exit 0");
	pid_t pid = source_command_pid(source, 0);
	source_command_release(source, 0, NULL);
	wait_ended(source);

	assert_int_equal(source_refresh(source, NULL), 1);
	source_reaped(source, count_handed, &handed);
	assert_int_equal(handed.count, 0);
	assert_int_equal(look(source).life, TALLY_LIFE_SUCCESS);
	assert_int_equal(look(source).pid, pid);
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	assert_true(file_read_at(AT_FDCWD, path, stat, sizeof(stat) - 1) > 0);
	assert_non_null(strstr(stat, ") Z "));

	source_command_allow_reap(source, 0);
	source_refresh(source, NULL);
	source_reaped(source, count_handed, &handed);
	assert_int_equal(handed.count, 1);
	assert_int_equal(handed.last, pid);
	assert_int_equal(look(source).pid, 0);
	assert_int_equal(file_read_at(AT_FDCWD, path, stat, sizeof(stat)), -ENOENT);
	source_close(source);
}

static void a_signal_that_ends_the_command_is_told(void **state)
{
	struct source *source = open_shell("kill -USR1 $$; sleep 10");
	source_command_release(source, 0, NULL);
	struct command_state now = wait_ended(source);

	assert_int_equal(now.signal, SIGUSR1);
	assert_int_equal(now.exit_code, -1);
	source_command_allow_reap(source, 0);
	wait_childless(source);
	assert_int_equal(look(source).life, TALLY_LIFE_KILLED);
	source_command_signal(source, 0, SIGTERM); /* Reaped: goes nowhere. */
	source_close(source);
}

static void orphans_are_adopted_reaped_and_handed_over(void **state)
{
	struct handed handed = {0};
	struct source *source =
		open_shell("i=0; while [ $i -lt 20 ]; do i=$((i+1)); (sh -c 'sleep 0.1' & ); done");
	source_command_release(source, 0, NULL);
	wait_ended(source);
	source_command_allow_reap(source, 0);

	struct command_state now = wait_childless(source);
	source_reaped(source, count_handed, &handed);
	assert_int_equal(handed.count, 21);
	assert_int_equal(handed.cpu_us, now.waited_cpu_ns / 1000);
	assert_true(now.waited_rss_bytes > 0);
	handed.count = 0;
	source_reaped(source, count_handed, &handed);
	assert_int_equal(handed.count, 0);
	source_close(source);
}

static void the_command_begins_with_the_mask_it_was_given(void **state)
{
	sigset_t none, all;
	char *words[] = {(char *)"grep", (char *)"-q", (char *)"SigBlk:.0*$",
		(char *)"/proc/self/status", NULL};
	sigemptyset(&none);
	sigfillset(&all);
	const struct command_process process = {.name = "p", .words = words};
	const struct command_options options = {
		.task = "t", .processes = &process, .process_count = 1, .mask = &none};
	struct source *source;

	sigset_t before;
	sigprocmask(SIG_BLOCK, &all, &before);
	assert_int_equal(source_command_open(&options, &source, NULL), 0);
	source_command_release(source, 0, NULL);
	struct command_state now = wait_ended(source);
	sigprocmask(SIG_SETMASK, &before, NULL);
	assert_int_equal(now.exit_code, 0);
	source_command_allow_reap(source, 0);
	wait_childless(source);
	source_close(source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_runs_before_the_release),
		cmocka_unit_test(a_command_that_is_closed_unreleased_never_runs),
		cmocka_unit_test(exec_that_fails_is_told_with_its_reason),
		cmocka_unit_test(the_root_stays_a_zombie_until_it_may_be_reaped),
		cmocka_unit_test(a_signal_that_ends_the_command_is_told),
		cmocka_unit_test(orphans_are_adopted_reaped_and_handed_over),
		cmocka_unit_test(the_command_begins_with_the_mask_it_was_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
