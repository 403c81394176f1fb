/* SPDX-License-Identifier: Apache-2.0 */
/* Pids written inside a pid namespace: the host knows the process by another. */
#include "thermos_root.h"
#include <sched.h>

/* Processes inside one namespace, by their pids in there. */
struct inside {
	pid_t init; /* Here. */
	pid_t inner[4];
	size_t count;
	double start;
};

/* What is told through the pipe: init's own number here, and that of each of its children in there. */
struct told_pid {
	pid_t pid;
	bool is_init;
};

/* Of that many processes beside init; each in a directory, or where we are. */
static struct inside enter(size_t count, const char *folder, int first_pid)
{
	struct inside inside = {.count = count, .start = now()};
	int pipe_fds[2];

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	pid_t middle = fork();
	if (middle == 0) {
		if (unshare(CLONE_NEWPID) < 0)
			_exit(1);
		pid_t init = fork();
		if (init == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			CLEANUP_CLOSE int last =
				open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
			char text[16];
			snprintf(text, sizeof(text), "%d", first_pid - 1);
			if (last < 0 || write(last, text, strlen(text)) < 0)
				_exit(1);
			if (folder && chdir(folder) < 0)
				_exit(1);
			for (size_t i = 0; i < count; i++) {
				pid_t inner = fork();
				if (inner == 0) {
					pause();
					_exit(0);
				}
				struct told_pid one = {.pid = inner};
				if (write(pipe_fds[1], &one, sizeof(one)) < 0)
					_exit(1);
			}
			pause();
			_exit(0);
		}
		struct told_pid one = {.pid = init, .is_init = true};
		if (write(pipe_fds[1], &one, sizeof(one)) < 0)
			_exit(1);
		waitpid(init, NULL, 0);
		_exit(0);
	}
	close(pipe_fds[1]);
	/* They come in any order; a sanitizer's threads take numbers in there, too. */
	for (size_t i = 0, j = 0; i < count + 1; i++) {
		struct told_pid one;

		if (read(pipe_fds[0], &one, sizeof(one)) != sizeof(one)) {
			inside.count = 0;
			break;
		}
		if (one.is_init)
			inside.init = one.pid;
		else
			inside.inner[j++] = one.pid;
	}
	close(pipe_fds[0]);
	return inside;
}

static void leave(const struct inside *inside)
{
	if (inside->init)
		kill(inside->init, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

/* A number that no process of this machine has, and that is told apart from init's. */
static int free_pid(void)
{
	for (int pid = 30; pid < 200; pid++)
		if (kill(pid, 0) < 0 && kill(pid + 1, 0) < 0 && kill(pid + 2, 0) < 0)
			return pid;
	return 30;
}

static void need_namespaces(void)
{
	if (getuid() != 0)
		skip_because("only root may make a pid namespace");
}

/* The pid that a process has inside, by /proc. */
static pid_t inner_of(pid_t pid)
{
	char path[64], text[4096], *line;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	CLEANUP_FILE FILE *file = fopen(path, "re");
	while (file && fgets(text, sizeof(text), file))
		if (strncmp(text, "NSpid:", 6) == 0 && (line = strrchr(text, '\t')))
			return atoi(line);
	return 0;
}

static void a_pid_from_inside_a_namespace_is_found(void **state)
{
	struct wire wire = {0};

	need_namespaces();
	struct inside inside = enter(2, NULL, free_pid());
	assert_int_equal(inside.count, 2);
	wire_header(&wire, "task-1", NULL, (int)getuid());
	wire_running(&wire, "web", 0, 1, inside.inner[0], inside.start);
	wire_running(&wire, "db", 0, 1, inside.inner[1], inside.start);
	make_task("", "task-1", &wire);
	struct source *source = open_kind(&source_thermos, false);
	settle(source);
	struct told told = told_of(source, "task-1");
	for (int i = 0; i < 2; i++) {
		assert_true(told.processes[i].pid > 0);
		assert_int_equal(inner_of(told.processes[i].pid), inside.inner[i]);
	}
	assert_int_not_equal(told.processes[0].pid, told.processes[1].pid);
	assert_int_equal(said.warnings, 0);
	source_close(source);
	leave(&inside);
}

static void a_pid_inside_a_namespace_is_checked_like_any_other(void **state)
{
	struct wire wire = {0};

	need_namespaces();
	struct inside inside = enter(2, NULL, free_pid());
	assert_int_equal(inside.count, 2);
	wire_header(&wire, "wrong-time", NULL, (int)getuid());
	wire_running(&wire, "web", 0, 1, inside.inner[0], inside.start - 60);
	make_task("", "wrong-time", &wire);
	wire_header(&wire, "wrong-user", NULL, (int)getuid() + 1);
	wire_running(&wire, "web", 0, 1, inside.inner[1], inside.start);
	make_task("", "wrong-user", &wire);
	struct source *source = open_kind(&source_thermos, false);
	settle(source);
	assert_int_equal(told_of(source, "wrong-time").processes[0].pid, 0);
	assert_int_equal(told_of(source, "wrong-user").processes[0].pid, 0);
	assert_int_equal(said.warnings, 2);
	source_close(source);
	leave(&inside);
}

/* The same image started twice at once: one inner pid, one user, one time. */
static void twins_in_two_namespaces_are_told_apart_by_their_sandbox(void **state)
{
	struct wire wire = {0};
	const char *const ids[] = {"twin-1", "twin-2"};
	struct inside inside[2];
	char cwd[PATH_MAX], link[64];

	need_namespaces();
	int first_pid = free_pid();
	for (int i = 0; i < 2; i++) {
		make_folders(below("sandbox-%s", ids[i]));
		inside[i] = enter(1, below("sandbox-%s", ids[i]), first_pid);
		assert_int_equal(inside[i].count, 1);
	}
	for (int i = 0; i < 2; i++) {
		wire_header(&wire, ids[i], below("sandbox-%s", ids[i]), (int)getuid());
		wire_running(&wire, "web", 0, 1, first_pid, inside[0].start);
		make_task("", ids[i], &wire);
	}
	struct source *source = open_kind(&source_thermos, false);
	settle(source);
	for (int i = 0; i < 2; i++) {
		snprintf(link, sizeof(link), "/proc/%d/cwd",
			(int)told_of(source, ids[i]).processes[0].pid);
		ssize_t length = readlink(link, cwd, sizeof(cwd) - 1);
		assert_true(length > 0);
		cwd[length] = 0;
		assert_string_equal(cwd, below("sandbox-%s", ids[i]));
	}
	source_close(source);
	kill(inside[0].init, SIGKILL);
	leave(&inside[1]);
}

static void twins_that_nothing_tells_apart_are_not_counted(void **state)
{
	struct pid_finder *finder = NULL;
	struct pid_found found;
	struct tally_error err = {0};

	need_namespaces();
	int first_pid = free_pid();
	struct inside first = enter(1, NULL, first_pid), second = enter(1, NULL, first_pid);
	assert_int_equal(first.count + second.count, 2);
	assert_int_equal(pid_finder_new("/proc", &finder, &err), 0);
	while (pid_finder_scan(finder, 1, &err) == 0)
		;
	struct pid_claim claim = {
		.pid = first_pid,
		.start_wall_ns = (int64_t)(first.start * 1e9),
		.uids = {getuid(), getuid()},
	};
	int r = pid_find_inside(finder, &claim, &found, &err);
	if (r == 0) /* They were started more than two ticks apart after all: the nearer one. */
		assert_int_equal(inner_of(found.pid), first_pid);
	else
		assert_int_equal(r, -ENOTUNIQ);
	pid_finder_free(finder);
	kill(first.init, SIGKILL);
	leave(&second);
}

static void a_scan_goes_on_in_slices_and_ends(void **state)
{
	struct pid_finder *finder = NULL;
	struct tally_error err = {0};
	int slices = 0;

	assert_int_equal(pid_finder_new("/proc", &finder, &err), 0);
	assert_false(pid_finder_scanning(finder));
	while (pid_finder_scan(finder, 1, &err) == 0) {
		assert_true(pid_finder_scanning(finder));
		slices++;
	}
	assert_true(slices > 3); /* This test, its shell, init and more. */
	assert_false(pid_finder_scanning(finder));
	pid_finder_free(finder);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_pid_from_inside_a_namespace_is_found),
		TEST(a_pid_inside_a_namespace_is_checked_like_any_other),
		TEST(twins_in_two_namespaces_are_told_apart_by_their_sandbox),
		TEST(twins_that_nothing_tells_apart_are_not_counted),
		TEST(a_scan_goes_on_in_slices_and_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
