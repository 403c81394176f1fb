/* SPDX-License-Identifier: Apache-2.0 */
#include "source/command.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fail.h"
#include "source/identity.h"
#include "source/registry.h"

/* As shells have it. */
#define EXIT_CANNOT_EXECUTE 126
#define EXIT_NOT_FOUND	    127

/* A child that was reaped and is still to be handed over. */
struct reaped {
	pid_t pid;
	struct rusage usage;
};

struct source_command {
	struct source source;
	char *task, *process, *sandbox;
	int release_fd; /* Writing end: a byte lets the command go, closing it ends the command. */
	int failure_fd; /* Reading end: errno of exec(), or nothing when it succeeded. */
	int subreaper_before;
	pid_t pid;
	int64_t start_ns;

	pthread_mutex_t lock; /* Guards all below. */
	bool may_reap, reaped_root, childless, changed;
	siginfo_t end; /* si_pid is 0 as long as the root lives. */
	int64_t ended_wall_ns;
	int64_t waited_cpu_ns, waited_rss_bytes;
	struct reaped *reaped;
	size_t reaped_count, reaped_room;
};

static struct source_command *command_of(struct source *source)
{
	return (struct source_command *)source;
}

/* What happens in the child between fork() and exec(); only async-signal-safe calls. */
static _Noreturn void become(const struct command_options *options, int release_fd, int failure_fd)
{
	char go;

	if (read(release_fd, &go, 1) != 1)
		_exit(EXIT_CANNOT_EXECUTE);
	if (options->mask)
		sigprocmask(SIG_SETMASK, options->mask, NULL);
	execvp(options->words[0], options->words);

	int code = errno;
	if (write(failure_fd, &code, sizeof(code)) < 0)
		code = errno;
	_exit(code == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE);
}

static int start(
	struct source_command *s, const struct command_options *options, struct tally_error *err)
{
	int release[2], failure[2];

	if (pipe2(release, O_CLOEXEC) < 0)
		return tally_fail(err, -errno, "cannot make a pipe");
	if (pipe2(failure, O_CLOEXEC) < 0) {
		int code = -errno;

		close(release[0]);
		close(release[1]);
		return tally_fail(err, code, "cannot make a pipe");
	}

	s->pid = fork();
	if (s->pid == 0) {
		close(release[1]);
		become(options, release[0], failure[1]);
	}
	int code = -errno;
	close(release[0]);
	close(failure[1]);
	s->release_fd = release[1];
	s->failure_fd = failure[0];
	return s->pid < 0 ? tally_fail(err, code, "cannot fork") : 0;
}

static bool copy_names(struct source_command *s, const struct command_options *options)
{
	s->task = strdup(options->task);
	s->process = strdup(options->process);
	s->sandbox = options->sandbox ? strdup(options->sandbox) : NULL;
	return s->task && s->process && (s->sandbox || !options->sandbox);
}

/* A command that was never released ends here; one that was goes on without us. */
static void close_command(struct source *source)
{
	struct source_command *s = command_of(source);
	bool held = s->release_fd >= 0;

	cleanup_close(&s->release_fd);
	cleanup_close(&s->failure_fd);
	if (held && s->pid > 0)
		waitpid(s->pid, NULL, 0);
	prctl(PR_SET_CHILD_SUBREAPER, s->subreaper_before, 0, 0, 0);
	pthread_mutex_destroy(&s->lock);
	free(s->reaped);
	free(s->task);
	free(s->process);
	free(s->sandbox);
	free(s);
}

int source_command_open(
	const struct command_options *options, struct source **ret, struct tally_error *err)
{
	struct source_command *s = calloc(1, sizeof(*s));

	if (!s)
		return tally_fail(err, -ENOMEM, "cannot run %s", options->words[0]);
	s->source.ops = &source_command;
	s->release_fd = s->failure_fd = -1;
	s->changed = true;
	pthread_mutex_init(&s->lock, NULL);
	prctl(PR_GET_CHILD_SUBREAPER, &s->subreaper_before, 0, 0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);

	int r = copy_names(s, options) ? start(s, options, err)
				       : tally_fail(err, -ENOMEM, "cannot copy names");
	if (r == 0) {
		r = identity_start_ns("/proc", s->pid, &s->start_ns);
		if (r < 0)
			tally_fail(err, r, "cannot read /proc/%d/stat", (int)s->pid);
	}
	if (r < 0) {
		close_command(&s->source);
		return tally_prefix(err, r, "cannot run %s", options->words[0]);
	}
	*ret = &s->source;
	return 0;
}

pid_t source_command_pid(const struct source *source)
{
	return ((const struct source_command *)source)->pid;
}

int source_command_release(struct source *source, struct tally_error *err)
{
	struct source_command *s = command_of(source);
	int code = 0;
	ssize_t got;

	if (write(s->release_fd, "", 1) != 1)
		return tally_fail(err, -errno, "cannot release the command");
	cleanup_close(&s->release_fd);
	s->release_fd = -1;
	do
		got = read(s->failure_fd, &code, sizeof(code));
	while (got < 0 && errno == EINTR);
	cleanup_close(&s->failure_fd);
	s->failure_fd = -1;
	if (got != sizeof(code))
		return 0;
	return code == ENOENT ? tally_refuse(err, -ENOENT, "command not found")
			      : tally_fail(err, -code, "cannot be executed");
}

void source_command_signal(struct source *source, int signal)
{
	struct source_command *s = command_of(source);

	pthread_mutex_lock(&s->lock);
	if (!s->reaped_root)
		kill(s->pid, signal);
	pthread_mutex_unlock(&s->lock);
}

void source_command_allow_reap(struct source *source)
{
	struct source_command *s = command_of(source);

	pthread_mutex_lock(&s->lock);
	s->may_reap = true;
	pthread_mutex_unlock(&s->lock);
}

/* Under lock. See whether the root has ended, and leave it as it is. */
static void look_at_root(struct source_command *s)
{
	if (s->end.si_pid || s->reaped_root)
		return;
	if (waitid(P_PID, (id_t)s->pid, &s->end, WEXITED | WNOHANG | WNOWAIT) < 0)
		s->end.si_pid = 0;
	if (s->end.si_pid) {
		s->ended_wall_ns = clock_wall_ns();
		s->changed = true;
	}
}

void source_command_state(struct source *source, struct command_state *ret)
{
	struct source_command *s = command_of(source);

	pthread_mutex_lock(&s->lock);
	look_at_root(s);
	bool exited = s->end.si_code == CLD_EXITED;
	*ret = (struct command_state){
		.ended = s->end.si_pid != 0,
		.exit_code = s->end.si_pid && exited ? s->end.si_status : -1,
		.signal = s->end.si_pid && !exited ? s->end.si_status : 0,
		.core = s->end.si_code == CLD_DUMPED,
		.childless = s->childless,
		.waited_cpu_ns = s->waited_cpu_ns,
		.waited_rss_bytes = s->waited_rss_bytes,
	};
	pthread_mutex_unlock(&s->lock);
}

/* Room for one more before it is reaped: what wait4() says is said once. */
static bool reaped_room(struct source_command *s)
{
	if (s->reaped_count < s->reaped_room)
		return true;

	size_t room = s->reaped_room ? s->reaped_room * 2 : 16;
	struct reaped *grown = reallocarray(s->reaped, room, sizeof(*grown));
	if (!grown)
		return false;
	s->reaped = grown;
	s->reaped_room = room;
	return true;
}

static int64_t timeval_ns(struct timeval time)
{
	return time.tv_sec * NS_PER_S + time.tv_usec * NS_PER_US;
}

static void reap(struct source_command *s, pid_t pid)
{
	struct reaped *child = &s->reaped[s->reaped_count];

	if (wait4(pid, NULL, 0, &child->usage) != pid)
		return;
	child->pid = pid;
	s->reaped_count++;
	s->reaped_root |= pid == s->pid;
	s->waited_cpu_ns += timeval_ns(child->usage.ru_utime) + timeval_ns(child->usage.ru_stime);
	if (child->usage.ru_maxrss * 1024 > s->waited_rss_bytes)
		s->waited_rss_bytes = child->usage.ru_maxrss * 1024;
}

/*
 * Under lock. Orphans are found behind the root only: as long as it is an unreaped zombie, they
 * wait with it.
 */
static void reap_all(struct source_command *s)
{
	siginfo_t child;

	while (reaped_room(s)) {
		child.si_pid = 0;
		if (waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) < 0)
			s->childless = errno == ECHILD;
		if (child.si_pid == 0 || (child.si_pid == s->pid && !s->may_reap))
			return;
		reap(s, child.si_pid);
	}
}

static int refresh_command(struct source *source, struct tally_error *err)
{
	struct source_command *s = command_of(source);

	pthread_mutex_lock(&s->lock);
	look_at_root(s);
	reap_all(s);
	int changed = s->changed;
	s->changed = false;
	pthread_mutex_unlock(&s->lock);
	return changed;
}

static enum tally_life life_of(const siginfo_t *end)
{
	if (!end->si_pid)
		return TALLY_LIFE_ACTIVE;
	if (end->si_code != CLD_EXITED)
		return TALLY_LIFE_KILLED;
	return end->si_status == 0 ? TALLY_LIFE_SUCCESS : TALLY_LIFE_FAILED;
}

static void list_command(struct source *source, source_task_fn *visit, void *context)
{
	struct source_command *s = command_of(source);

	pthread_mutex_lock(&s->lock);
	const struct source_process process = {
		.name = s->process,
		.life = life_of(&s->end),
		.pid = s->reaped_root ? 0 : s->pid,
		.start_ns = s->start_ns,
		.subreaper = getpid(),
		.started_wall_ns = identity_wall_ns(s->start_ns),
		.ended_wall_ns = s->ended_wall_ns,
		.return_code = s->end.si_code == CLD_EXITED ? s->end.si_status : 0,
	};
	const struct source_task task = {
		.id = s->task,
		.sandbox = s->sandbox,
		.life = process.life,
		.started_wall_ns = process.started_wall_ns,
		.ended_wall_ns = process.ended_wall_ns,
		.processes = &process,
		.process_count = 1,
	};
	pthread_mutex_unlock(&s->lock);
	visit(context, &task);
}

static void hand_over_reaped(struct source *source, source_reaped_fn *visit, void *context)
{
	struct source_command *s = command_of(source);

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->reaped_count; i++)
		visit(context, s->task, s->process, s->reaped[i].pid, &s->reaped[i].usage);
	s->reaped_count = 0;
	pthread_mutex_unlock(&s->lock);
}

const struct source_ops source_command = {
	.name = "command",
	.summary = "a command that `tally run` runs",
	.close = close_command,
	.refresh = refresh_command,
	.list = list_command,
	.reaped = hand_over_reaped,
};
