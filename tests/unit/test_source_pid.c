/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/clock.h"
#include "source/identity.h"
#include "source/pid.h"
#include "source/registry.h"

/* What list() said of one process, copied. */
struct seen {
	char task[64], process[64];
	enum tally_life task_life, life;
	pid_t pid;
	int64_t start_ns, ended_wall_ns;
};

struct seen_all {
	size_t count;
	struct seen at[16];
};

static void remember(void *context, const struct source_task *task)
{
	struct seen_all *all = context;

	for (size_t i = 0; i < task->process_count; i++) {
		const struct source_process *p = &task->processes[i];
		struct seen *seen = &all->at[all->count++];

		snprintf(seen->task, sizeof(seen->task), "%s", task->id);
		snprintf(seen->process, sizeof(seen->process), "%s", p->name);
		seen->task_life = task->life;
		seen->life = p->life;
		seen->pid = p->pid;
		seen->start_ns = p->start_ns;
		seen->ended_wall_ns = p->ended_wall_ns;
	}
}

static struct seen_all list(struct source *source)
{
	struct seen_all all = {0};

	source_list(source, remember, &all);
	return all;
}

static pid_t start_sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	assert_true(pid > 0);
	return pid;
}

static void end_sleeper(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static struct source *open_spec(const char *spec)
{
	const struct source_ops *ops;
	const char *argument;
	struct source *source = NULL;
	struct tally_error err;

	assert_int_equal(source_find(spec, &ops, &argument, NULL), 0);
	if (ops->open(argument, NULL, &source, &err) < 0)
		fail_msg("%s", err.message);
	return source;
}

static void a_named_pid_is_a_task_and_a_process_of_that_name(void **state)
{
	char spec[64];
	snprintf(spec, sizeof(spec), "pid:web=%d", (int)getpid());
	struct source *source = open_spec(spec);
	struct seen_all all = list(source);

	assert_int_equal(all.count, 1);
	assert_string_equal(all.at[0].task, "web");
	assert_string_equal(all.at[0].process, "web");
	assert_int_equal(all.at[0].pid, getpid());
	assert_int_equal(all.at[0].life, TALLY_LIFE_ACTIVE);
	assert_true(all.at[0].start_ns > 0 && all.at[0].start_ns <= clock_boot_ns());
	source_close(source);
}

static void several_specs_merge_into_tasks(void **state)
{
	pid_t child = start_sleeper();
	char spec[64];
	snprintf(spec, sizeof(spec), "pid:shop/web=%d", (int)getpid());
	struct source *source = open_spec(spec);

	snprintf(spec, sizeof(spec), "shop/worker=%d", (int)child);
	assert_int_equal(source->ops->add(source, spec, NULL), 0);
	snprintf(spec, sizeof(spec), "a/b=c/d=%d", (int)child);
	assert_int_equal(source->ops->add(source, spec, NULL), 0);

	struct seen_all all = list(source);
	assert_int_equal(all.count, 3);
	assert_string_equal(all.at[0].task, "shop");
	assert_string_equal(all.at[1].task, "shop");
	assert_string_equal(all.at[1].process, "worker");
	assert_string_equal(all.at[2].task, "a/b=c");
	assert_string_equal(all.at[2].process, "d");
	source_close(source);
	end_sleeper(child);
}

static void malformed_specs_are_refused(void **state)
{
	static const char *const bad[] = {"", "web", "web=", "=1", "web=x", "web=-1", "web=0",
		"web= 1", "web=1 ", "web=99999999999", "/web=1", "shop/=1", "=", "/=1"};
	struct source *source = NULL;
	struct tally_error err;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(source_pid.open(bad[i], NULL, &source, &err), -EINVAL);
		assert_non_null(strstr(err.message, "pid:NAME=PID"));
	}
	assert_null(source);
}

static void a_pid_that_is_not_there_is_refused(void **state)
{
	pid_t child = start_sleeper();
	char spec[64];
	struct source *source = NULL;
	struct tally_error err;

	end_sleeper(child);
	snprintf(spec, sizeof(spec), "web=%d", (int)child);
	assert_int_equal(source_pid.open(spec, NULL, &source, &err), -ESRCH);
	assert_null(source);
}

static void *write_tid(void *context)
{
	int *pipes = context;
	pid_t tid = gettid();
	char end;

	if (write(pipes[1], &tid, sizeof(tid)) != sizeof(tid) || read(pipes[2], &end, 1) != 0)
		abort();
	return NULL;
}

static void a_thread_is_refused(void **state)
{
	int pipes[4];
	pthread_t thread;
	pid_t tid;
	struct source *source;
	assert_int_equal(pipe(pipes) | pipe(pipes + 2), 0);
	assert_int_equal(pthread_create(&thread, NULL, write_tid, pipes), 0);
	assert_int_equal(read(pipes[0], &tid, sizeof(tid)), sizeof(tid));

	assert_int_equal(source_pid_open(&source), 0);
	assert_int_equal(source_pid_add(source, "t", "p", tid, NULL), -EINVAL);
	source_close(source);
	close(pipes[3]);
	pthread_join(thread, NULL);
	for (int i = 0; i < 3; i++)
		close(pipes[i]);
}

static void the_same_pid_twice_in_one_process_is_refused(void **state)
{
	struct source *source;
	assert_int_equal(source_pid_open(&source), 0);

	assert_int_equal(source_pid_add(source, "t", "p", getpid(), NULL), 0);
	assert_int_equal(source_pid_add(source, "t", "p", getpid(), NULL), -EEXIST);
	assert_int_equal(source_pid_add(source, "t", "q", getpid(), NULL), 0);
	assert_int_equal(source_pid_add(source, "", "q", getpid(), NULL), -EINVAL);
	source_close(source);
}

static void an_ended_process_stays_listed_as_lost(void **state)
{
	struct source *source;
	pid_t child = start_sleeper();
	assert_int_equal(source_pid_open(&source), 0);
	assert_int_equal(source_pid_add(source, "t", "p", child, NULL), 0);

	assert_int_equal(source_refresh(source, NULL), 1);
	assert_int_equal(source_refresh(source, NULL), 0);
	end_sleeper(child);
	assert_int_equal(source_refresh(source, NULL), 1);
	assert_int_equal(source_refresh(source, NULL), 0);

	struct seen_all all = list(source);
	assert_int_equal(all.count, 1);
	assert_int_equal(all.at[0].pid, 0);
	assert_int_equal(all.at[0].life, TALLY_LIFE_LOST);
	assert_int_equal(all.at[0].task_life, TALLY_LIFE_LOST);
	assert_true(all.at[0].ended_wall_ns > 0);
	source_close(source);
}

static void a_restarted_process_goes_on_under_its_name(void **state)
{
	struct source *source;
	pid_t child = start_sleeper();
	assert_int_equal(source_pid_open(&source), 0);
	assert_int_equal(source_pid_add(source, "t", "p", child, NULL), 0);
	end_sleeper(child);
	source_refresh(source, NULL);

	assert_int_equal(source_pid_add(source, "t", "p", getpid(), NULL), 0);
	struct seen_all all = list(source);
	assert_int_equal(all.count, 1);
	assert_int_equal(all.at[0].pid, getpid());
	assert_int_equal(all.at[0].task_life, TALLY_LIFE_ACTIVE);
	source_close(source);
}

static void more_ends_at_once_than_one_look_takes_are_all_seen(void **state)
{
	enum { COUNT = 150 };
	pid_t children[COUNT];
	struct source *source;
	assert_int_equal(source_pid_open(&source), 0);
	for (int i = 0; i < COUNT; i++) {
		char name[16];

		children[i] = start_sleeper();
		snprintf(name, sizeof(name), "%d", i % 10);
		assert_int_equal(source_pid_add(source, "t", name, children[i], NULL), 0);
	}
	for (int i = 0; i < COUNT; i++)
		end_sleeper(children[i]);

	assert_int_equal(source_refresh(source, NULL), 1);
	assert_int_equal(source_pid_add(source, "t", "0", getpid(), NULL), 0);
	assert_int_equal(source_refresh(source, NULL), 1);
	assert_int_equal(source_refresh(source, NULL), 0);
	source_close(source);
}

/* A procfs of our own, with one process in it. */
static void write_stat(const char *root, const char *comm, int64_t start_ticks)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/812", root);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/812/stat", root);
	FILE *out = fopen(path, "w");
	assert_non_null(out);
	fprintf(out, "812 (%s) S 1 812 812 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 %lld 9 10\n", comm,
		(long long)start_ticks);
	fclose(out);
}

static void a_recycled_pid_is_not_mistaken(void **state)
{
	char root[] = "/tmp/tally-test-XXXXXX";
	char command[64];
	struct source *source;
	assert_non_null(mkdtemp(root));
	write_stat(root, "we) S 1 (b\n", 500);
	assert_int_equal(source_pid_open_at(root, &source), 0);
	assert_int_equal(source_pid_add(source, "t", "p", 812, NULL), 0);
	assert_int_equal(list(source).at[0].start_ns, 500 * (NS_PER_S / sysconf(_SC_CLK_TCK)));
	source_refresh(source, NULL);
	assert_int_equal(source_refresh(source, NULL), 0);

	write_stat(root, "other", 501);
	assert_int_equal(source_refresh(source, NULL), 1);
	assert_int_equal(list(source).at[0].life, TALLY_LIFE_LOST);
	source_close(source);
	snprintf(command, sizeof(command), "rm -r %s", root);
	assert_int_equal(system(command), 0);
}

static void a_start_time_that_is_none_is_refused(void **state)
{
	static const char *const bad[] = {"", "812", "812 (a", "812 (a) S 1 2 3",
		"1 (a) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 x",
		"1 (a) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 18446744073709551615 1"};
	int64_t start_ns;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(identity_parse(bad[i], strlen(bad[i]), &start_ns), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_named_pid_is_a_task_and_a_process_of_that_name),
		cmocka_unit_test(several_specs_merge_into_tasks),
		cmocka_unit_test(malformed_specs_are_refused),
		cmocka_unit_test(a_pid_that_is_not_there_is_refused),
		cmocka_unit_test(a_thread_is_refused),
		cmocka_unit_test(the_same_pid_twice_in_one_process_is_refused),
		cmocka_unit_test(an_ended_process_stays_listed_as_lost),
		cmocka_unit_test(a_restarted_process_goes_on_under_its_name),
		cmocka_unit_test(more_ends_at_once_than_one_look_takes_are_all_seen),
		cmocka_unit_test(a_recycled_pid_is_not_mistaken),
		cmocka_unit_test(a_start_time_that_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
