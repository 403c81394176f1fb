/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "load.h"
#include "storm.h"

#define MS INT64_C(1000000)

bool storm_goes_on(struct storm *storm)
{
	if (load_now_ns() >= storm->end_ns)
		return false;
	return !storm->count || atomic_fetch_add(&storm->rounds, 1) < storm->count;
}

static pid_t make_child(struct storm *storm)
{
	pid_t pid = load_fork();

	if (pid > 0)
		atomic_fetch_add(&storm->processes, 1);
	return pid;
}

static void await(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* What nobody reaps tells its CPU time itself, its last microseconds excepted. */
static _Noreturn void exit_unreaped(struct storm *storm)
{
	atomic_fetch_add(&storm->unreaped_ns, load_cpu_ns());
	_exit(0);
}

/* fork, exec of a small program, wait. */
static void work_true(struct storm *storm)
{
	while (storm_goes_on(storm)) {
		pid_t pid = make_child(storm);

		if (pid == 0) {
			execl("/bin/true", "true", (char *)NULL);
			_exit(127);
		}
		await(pid);
	}
}

/* A file of the size at which a compiler takes some ten milliseconds. */
static void write_source(const char *path)
{
	FILE *file = fopen(path, "we");

	if (!file)
		load_die("cannot write %s", path);
	fprintf(file, "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n");
	for (int i = 0; i < 40; i++)
		fprintf(file,
			"int f%d(char *s, int n) { for (int i = 0; i < n; i++) s[i] = "
			"(char)(i * %d); return printf(\"%%s\", s) + (int)strlen(s); }\n",
			i, i + 3);
	fclose(file);
}

static void compile_once(struct storm *storm, const char *source)
{
	pid_t pid = make_child(storm);

	if (pid == 0) {
		execlp("gcc", "gcc", "-O1", "-c", "-o", "/dev/null", source, (char *)NULL);
		_exit(127);
	}
	await(pid);
}

/* gcc forks its own children (cc1, as): the tree is three deep, as in a build. */
static void work_compile(struct storm *storm)
{
	char directory[] = "/tmp/load_storm-XXXXXX";
	char source[sizeof(directory) + 8];

	if (!mkdtemp(directory))
		load_die("cannot make %s", directory);
	snprintf(source, sizeof(source), "%s/a.c", directory);
	write_source(source);
	while (storm_goes_on(storm))
		compile_once(storm, source);
	unlink(source);
	rmdir(directory);
}

/* SIGCHLD ignored: children vanish as they exit, and no parent's cutime ever has them. */
static void work_nochld(struct storm *storm)
{
	signal(SIGCHLD, SIG_IGN);
	while (storm_goes_on(storm)) {
		for (int i = 0; i < 4; i++) {
			if (make_child(storm) == 0) {
				load_burn(2 * MS);
				exit_unreaped(storm);
			}
		}
		await(-1); /* With SIGCHLD ignored it returns when the last child has gone. */
	}
}

static _Noreturn void be_daemon(struct storm *storm, int token)
{
	setsid();
	load_burn(5 * MS);
	if (write(token, "", 1) != 1)
		_exit(1);
	exit_unreaped(storm);
}

static _Noreturn void be_daemon_starter(struct storm *storm, int token)
{
	if (make_child(storm) == 0)
		be_daemon(storm, token);
	_exit(0);
}

/* Double fork, as daemons are started. A pipe of tokens keeps at most eight of them alive. */
static void work_daemon(struct storm *storm)
{
	int tokens[2];
	char token;

	if (pipe2(tokens, O_CLOEXEC) < 0 || write(tokens[1], "12345678", 8) != 8)
		load_die("cannot make a pipe");
	while (storm_goes_on(storm) && read(tokens[0], &token, 1) == 1) {
		pid_t pid = make_child(storm);

		if (pid == 0)
			be_daemon_starter(storm, tokens[1]);
		await(pid);
	}
	close(tokens[0]);
	close(tokens[1]);
}

/* Children of 10 ms; with 20 workers, those of 20 parents. */
static void work_twenty(struct storm *storm)
{
	while (storm_goes_on(storm)) {
		pid_t pid = make_child(storm);

		if (pid == 0) {
			load_burn(10 * MS);
			_exit(0);
		}
		await(pid);
	}
}

/* Nothing but fork and exit, as fast as it goes. */
static void work_forkexit(struct storm *storm)
{
	while (storm_goes_on(storm)) {
		pid_t pid = make_child(storm);

		if (pid == 0)
			_exit(0);
		await(pid);
	}
}

/* clang-format off */
const struct storm_mode storm_modes[] = {
	{"true",     "fork and exec of /bin/true, reaped", true,  true,  work_true},
	{"compile",  "gcc of a small file",                true,  false, work_compile},
	{"nochld",   "parents that ignore SIGCHLD",        false, true,  work_nochld},
	{"daemon",   "double-forking daemons of 5 ms",     false, true,  work_daemon},
	{"twenty",   "children of 10 ms",                  true,  true,  work_twenty},
	{"forkexit", "fork and exit, no exec",             true,  true,  work_forkexit},
};
/* clang-format on */
const int storm_mode_count = sizeof(storm_modes) / sizeof(storm_modes[0]);
