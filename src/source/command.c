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
	size_t process;
	pid_t pid;
	struct rusage usage;
};

/* The root of one process. */
struct child {
	char *name, *sign;
	int release_fd; /* Writing end: a byte lets the command go, closing it ends the command. */
	int failure_fd; /* Reading end: errno of exec(), or nothing when it succeeded. */
	pid_t pid;
	int64_t start_ns;

	bool may_reap, reaped; /* From here on: under lock. */
	siginfo_t end;	       /* si_pid is 0 as long as it lives. */
	int64_t ended_wall_ns;
};

struct source_command {
	struct source source;
	char *task, *sandbox;
	int subreaper_before;
	size_t count;
	struct child *children;
	struct source_process *listed; /* Of list(), as many. */

	pthread_mutex_t lock; /* Guards all below. */
	bool childless, changed;
	size_t first_ended; /* The child that ended first; count: none did. */
	int64_t waited_cpu_ns, waited_rss_bytes;
	struct reaped *reaped;
	size_t reaped_count, reaped_room;
};

static struct source_command *command_of(struct source *source)
{
	return (struct source_command *)source;
}

/* Its own session, and nothing to read. */
static int set_apart(void)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	setsid();
	return null < 0 || dup2(null, STDIN_FILENO) < 0 ? -1 : 0;
}

static int redirect(int from, int to)
{
	return from > 0 && dup2(from, to) < 0 ? -1 : 0;
}

static int arrange(const struct command_process *process)
{
	if (redirect(process->output, STDOUT_FILENO) < 0 ||
		redirect(process->errors, STDERR_FILENO) < 0 || (process->apart && set_apart() < 0))
		return -1;
	return process->folder ? chdir(process->folder) : 0;
}

/* What happens in the child between fork() and exec(); only async-signal-safe calls. */
static _Noreturn void become(const struct command_options *options,
	const struct command_process *process, int release_fd, int failure_fd)
{
	char go;

	if (read(release_fd, &go, 1) != 1)
		_exit(EXIT_CANNOT_EXECUTE);
	if (options->mask)
		sigprocmask(SIG_SETMASK, options->mask, NULL);
	if (arrange(process) == 0) {
		if (process->environment)
			execvpe(process->words[0], process->words, process->environment);
		else
			execvp(process->words[0], process->words);
	}

	int code = errno;
	if (write(failure_fd, &code, sizeof(code)) < 0)
		code = errno;
	_exit(code == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE);
}

static int fork_child(struct child *child, const struct command_options *options,
	const struct command_process *process, struct tally_error *err)
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

	child->pid = fork();
	if (child->pid == 0) {
		close(release[1]);
		become(options, process, release[0], failure[1]);
	}
	int code = -errno;
	close(release[0]);
	close(failure[1]);
	child->release_fd = release[1];
	child->failure_fd = failure[0];
	return child->pid < 0 ? tally_fail(err, code, "cannot fork") : 0;
}

static int start(struct child *child, const struct command_options *options,
	const struct command_process *process, struct tally_error *err)
{
	child->name = strdup(process->name);
	child->sign = process->sign ? strdup(process->sign) : NULL;
	if (!child->name || (process->sign && !child->sign))
		return tally_fail(err, -ENOMEM, "cannot copy names");

	int r = fork_child(child, options, process, err);
	if (r < 0)
		return r;
	r = identity_start_ns("/proc", child->pid, &child->start_ns);
	return r < 0 ? tally_fail(err, r, "cannot read /proc/%d/stat", (int)child->pid) : 0;
}

static bool allocate(struct source_command *s, const struct command_options *options)
{
	s->children = calloc(options->process_count, sizeof(*s->children));
	s->listed = calloc(options->process_count, sizeof(*s->listed));
	s->task = strdup(options->task);
	s->sandbox = options->sandbox ? strdup(options->sandbox) : NULL;
	if (!s->children)
		return false;
	s->count = s->first_ended = options->process_count;
	for (size_t i = 0; i < s->count; i++)
		s->children[i].release_fd = s->children[i].failure_fd = -1;
	return s->listed && s->task && (s->sandbox || !options->sandbox);
}

/* A later child holds the descriptors of earlier ones as long as it is held: all are closed before
 * any is waited for. */
static void end_held(struct source_command *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct child *child = &s->children[i];

		cleanup_close(&child->failure_fd);
		child->reaped |= child->release_fd < 0 || child->pid <= 0;
		cleanup_close(&child->release_fd);
	}
	for (size_t i = 0; i < s->count; i++)
		if (!s->children[i].reaped)
			waitpid(s->children[i].pid, NULL, 0);
}

/* A command that was never released ends here; one that was goes on without us. */
static void close_command(struct source *source)
{
	struct source_command *s = command_of(source);

	end_held(s);
	for (size_t i = 0; i < s->count; i++) {
		free(s->children[i].name);
		free(s->children[i].sign);
	}
	prctl(PR_SET_CHILD_SUBREAPER, s->subreaper_before, 0, 0, 0);
	pthread_mutex_destroy(&s->lock);
	free(s->children);
	free(s->listed);
	free(s->reaped);
	free(s->task);
	free(s->sandbox);
	free(s);
}

int source_command_open(
	const struct command_options *options, struct source **ret, struct tally_error *err)
{
	struct source_command *s = calloc(1, sizeof(*s));

	if (!s)
		return tally_fail(err, -ENOMEM, "cannot run %s", options->processes[0].words[0]);
	s->source.ops = &source_command;
	s->changed = true;
	pthread_mutex_init(&s->lock, NULL);
	prctl(PR_GET_CHILD_SUBREAPER, &s->subreaper_before, 0, 0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);

	int r = allocate(s, options) ? 0 : tally_fail(err, -ENOMEM, "cannot copy names");
	for (size_t i = 0; r == 0 && i < s->count; i++) {
		const struct command_process *process = &options->processes[i];

		r = start(&s->children[i], options, process, err);
		if (r < 0)
			tally_prefix(err, r, "cannot run %s", process->words[0]);
	}
	if (r < 0) {
		close_command(&s->source);
		return r;
	}
	*ret = &s->source;
	return 0;
}

pid_t source_command_pid(const struct source *source, size_t process)
{
	return ((const struct source_command *)source)->children[process].pid;
}

int source_command_release(struct source *source, size_t process, struct tally_error *err)
{
	struct child *child = &command_of(source)->children[process];
	int code = 0;
	ssize_t got;

	if (write(child->release_fd, "", 1) != 1)
		return tally_fail(err, -errno, "cannot release the command");
	cleanup_close(&child->release_fd);
	child->release_fd = -1;
	do
		got = read(child->failure_fd, &code, sizeof(code));
	while (got < 0 && errno == EINTR);
	cleanup_close(&child->failure_fd);
	child->failure_fd = -1;
	if (got != sizeof(code))
		return 0;
	return code == ENOENT ? tally_refuse(err, -ENOENT, "command not found")
			      : tally_fail(err, -code, "cannot be executed");
}

void source_command_signal(struct source *source, size_t process, int signal)
{
	struct source_command *s = command_of(source);

	pthread_mutex_lock(&s->lock);
	if (!s->children[process].reaped)
		kill(s->children[process].pid, signal);
	pthread_mutex_unlock(&s->lock);
}

void source_command_allow_reap(struct source *source, size_t process)
{
	struct source_command *s = command_of(source);

	pthread_mutex_lock(&s->lock);
	s->children[process].may_reap = true;
	pthread_mutex_unlock(&s->lock);
}

/* Under lock. See whether a root has ended, and leave it as it is. */
static void look_at(struct source_command *s, struct child *child)
{
	if (child->end.si_pid || child->reaped)
		return;
	if (waitid(P_PID, (id_t)child->pid, &child->end, WEXITED | WNOHANG | WNOWAIT) < 0)
		child->end.si_pid = 0;
	if (!child->end.si_pid)
		return;
	child->ended_wall_ns = clock_wall_ns();
	if (s->first_ended == s->count)
		s->first_ended = (size_t)(child - s->children);
	s->changed = true;
}

void source_command_state(struct source *source, size_t process, struct command_state *ret)
{
	struct source_command *s = command_of(source);
	struct child *child = &s->children[process];
	const siginfo_t *end = &child->end;

	pthread_mutex_lock(&s->lock);
	look_at(s, child);
	bool exited = end->si_code == CLD_EXITED;
	*ret = (struct command_state){
		.ended = end->si_pid != 0,
		.exit_code = end->si_pid && exited ? end->si_status : -1,
		.signal = end->si_pid && !exited ? end->si_status : 0,
		.core = end->si_code == CLD_DUMPED,
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

static struct child *child_of(struct source_command *s, pid_t pid)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->children[i].pid == pid && !s->children[i].reaped)
			return &s->children[i];
	return NULL;
}

/*
 * The process of an orphan, as far as a zombie still tells: commands that were set apart have sessions
 * of their own. One that has left it is handed over with the first; a collector that knows it
 * better does better.
 */
static size_t process_of_orphan(struct source_command *s, pid_t pid)
{
	pid_t session = s->count > 1 ? getsid(pid) : 0;

	for (size_t i = 0; i < s->count; i++)
		if (s->children[i].pid == session)
			return i;
	return 0;
}

static void reap(struct source_command *s, pid_t pid)
{
	struct reaped *taken = &s->reaped[s->reaped_count];
	struct child *child = child_of(s, pid);

	taken->process = child ? (size_t)(child - s->children) : process_of_orphan(s, pid);
	if (wait4(pid, NULL, 0, &taken->usage) != pid)
		return;
	taken->pid = pid;
	s->reaped_count++;
	if (child)
		child->reaped = true;
	s->waited_cpu_ns += timeval_ns(taken->usage.ru_utime) + timeval_ns(taken->usage.ru_stime);
	if (taken->usage.ru_maxrss * 1024 > s->waited_rss_bytes)
		s->waited_rss_bytes = taken->usage.ru_maxrss * 1024;
}

/*
 * Under lock. Orphans are found behind the roots only: as long as one of those is an unreaped
 * zombie, they may wait with it.
 */
static void reap_all(struct source_command *s)
{
	siginfo_t info;

	while (reaped_room(s)) {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
			s->childless = errno == ECHILD;
		const struct child *child = info.si_pid ? child_of(s, info.si_pid) : NULL;
		if (info.si_pid == 0 || (child && !child->may_reap))
			return;
		reap(s, info.si_pid);
	}
}

static int refresh_command(struct source *source, struct tally_error *err)
{
	struct source_command *s = command_of(source);

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->count; i++)
		look_at(s, &s->children[i]);
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

static struct source_process describe(const struct child *child)
{
	return (struct source_process){
		.name = child->name,
		.life = life_of(&child->end),
		.pid = child->reaped ? 0 : child->pid,
		.start_ns = child->start_ns,
		.subreaper = getpid(),
		.sign = child->sign,
		.started_wall_ns = identity_wall_ns(child->start_ns),
		.ended_wall_ns = child->ended_wall_ns,
		.return_code = child->end.si_code == CLD_EXITED ? child->end.si_status : 0,
	};
}

/* A task lives as long as one of its processes does; it then ended as the first of them. */
static void list_command(struct source *source, source_task_fn *visit, void *context)
{
	struct source_command *s = command_of(source);
	struct source_task task = {
		.id = s->task,
		.sandbox = s->sandbox,
		.processes = s->listed,
		.process_count = s->count,
	};

	pthread_mutex_lock(&s->lock);
	size_t first = s->first_ended < s->count ? s->first_ended : 0;
	task.life = life_of(&s->children[first].end);
	for (size_t i = 0; i < s->count; i++) {
		struct source_process *process = &s->listed[i];

		*process = describe(&s->children[i]);
		if (process->life == TALLY_LIFE_ACTIVE)
			task.life = TALLY_LIFE_ACTIVE;
		if (process->ended_wall_ns > task.ended_wall_ns)
			task.ended_wall_ns = process->ended_wall_ns;
	}
	task.started_wall_ns = s->listed[0].started_wall_ns;
	if (task.life == TALLY_LIFE_ACTIVE)
		task.ended_wall_ns = 0;
	pthread_mutex_unlock(&s->lock);
	visit(context, &task);
}

static void hand_over_reaped(struct source *source, source_reaped_fn *visit, void *context)
{
	struct source_command *s = command_of(source);

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->reaped_count; i++)
		visit(context, s->task, s->children[s->reaped[i].process].name, s->reaped[i].pid,
			&s->reaped[i].usage);
	s->reaped_count = 0;
	pthread_mutex_unlock(&s->lock);
}

const struct source_ops source_command = {
	.name = "command",
	.summary = "commands that `tally run` runs",
	.close = close_command,
	.refresh = refresh_command,
	.list = list_command,
	.reaped = hand_over_reaped,
};
