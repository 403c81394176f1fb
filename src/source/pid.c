/* SPDX-License-Identifier: Apache-2.0 */
#include "source/pid.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include "base/clock.h"
#include "base/fail.h"
#include "base/hash.h"
#include "base/parse.h"
#include "source/identity.h"
#include "source/registry.h"

/* The processes of a task, ready to be listed, and beside each the descriptor that tells its end. */
struct pid_task {
	char *id;
	size_t index; /* In tasks[] of the source. */
	size_t count;
	struct source_process *processes;
	int *pidfds; /* -1: it has ended, or is looked up in procfs. */
	UT_hash_handle hh;
};

struct source_pids {
	struct source source;
	char *procfs;
	bool elsewhere; /* procfs is not that of this kernel: no pidfd. */
	bool changed;
	int epoll;
	size_t without_pidfd; /* Live processes to be looked up at each refresh. */
	size_t count;
	struct pid_task **tasks; /* In the order in which they came. */
	struct pid_task *by_id;
};

static struct source_pids *pids_of(struct source *source)
{
	return (struct source_pids *)source;
}

static void task_free(struct pid_task *task)
{
	if (!task)
		return;
	for (size_t i = 0; i < task->count; i++) {
		free((char *)task->processes[i].name);
		cleanup_close(&task->pidfds[i]);
	}
	free(task->processes);
	free(task->pidfds);
	free(task->id);
	free(task);
}

static void close_pids(struct source *source)
{
	struct source_pids *s = pids_of(source);

	HASH_CLEAR(hh, s->by_id);
	for (size_t i = 0; i < s->count; i++)
		task_free(s->tasks[i]);
	free(s->tasks);
	cleanup_close(&s->epoll);
	free(s->procfs);
	free(s);
}

int source_pid_open_at(const char *procfs, struct source **ret)
{
	struct source_pids *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->source.ops = &source_pid;
	s->elsewhere = strcmp(procfs, "/proc") != 0;
	s->procfs = strdup(procfs);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);

	int r = !s->procfs ? -ENOMEM : s->epoll < 0 ? -errno : 0;
	if (r < 0)
		close_pids(&s->source);
	else
		*ret = &s->source;
	return r;
}

int source_pid_open(struct source **ret)
{
	return source_pid_open_at("/proc", ret);
}

static struct pid_task *task_new(const char *id)
{
	struct pid_task *task = calloc(1, sizeof(*task));

	if (!task)
		return NULL;
	task->id = strdup(id);
	if (!task->id) {
		free(task);
		return NULL;
	}
	return task;
}

/* Find a task, or begin one. NULL without memory. */
static struct pid_task *task_get(struct source_pids *s, const char *id)
{
	struct pid_task *task;

	HASH_FIND_STR(s->by_id, id, task);
	if (task)
		return task;

	struct pid_task **tasks = reallocarray(s->tasks, s->count + 1, sizeof(struct pid_task *));
	if (!tasks)
		return NULL;
	s->tasks = tasks;
	task = task_new(id);
	if (!task)
		return NULL;
	HASH_ADD_KEYPTR(hh, s->by_id, task->id, strlen(task->id), task);
	if (!task->hh.tbl) {
		task_free(task);
		return NULL;
	}
	task->index = s->count;
	tasks[s->count++] = task;
	return task;
}

/* A place for one more process: that of an ended one of this name, or a new one. -1: no memory. */
static ssize_t place_for(struct pid_task *task, const char *name)
{
	for (size_t i = 0; i < task->count; i++)
		if (task->processes[i].life != TALLY_LIFE_ACTIVE &&
			strcmp(task->processes[i].name, name) == 0)
			return (ssize_t)i;

	struct source_process *processes =
		reallocarray(task->processes, task->count + 1, sizeof(*processes));
	if (!processes)
		return -1;
	task->processes = processes;
	int *pidfds = reallocarray(task->pidfds, task->count + 1, sizeof(*pidfds));
	if (!pidfds)
		return -1;
	task->pidfds = pidfds;

	processes[task->count] =
		(struct source_process){.name = strdup(name), .life = TALLY_LIFE_WAITING};
	pidfds[task->count] = -1;
	return processes[task->count].name ? (ssize_t)task->count++ : -1;
}

/* Where a pid is in the set of epoll: tasks and their processes are never removed. */
static uint64_t place_pack(const struct pid_task *task, size_t place)
{
	return (uint64_t)task->index << 32 | place;
}

/* Ask to be told its end. Without a descriptor to spare it is looked up instead. */
static void watch(struct source_pids *s, struct pid_task *task, size_t place, int pidfd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = place_pack(task, place)};
	bool told = pidfd >= 0 && epoll_ctl(s->epoll, EPOLL_CTL_ADD, pidfd, &event) == 0;

	if (!told)
		cleanup_close(&pidfd);
	task->pidfds[place] = told ? pidfd : -1;
	s->without_pidfd += !told;
}

/*
 * Open what identifies a pid. The pidfd comes first: as long as it tells no end, the start time read
 * after it is that of the same process.
 */
static int identify(struct source_pids *s, pid_t pid, int *ret_pidfd, int64_t *ret_start_ns,
	struct tally_error *err)
{
	CLEANUP_CLOSE int pidfd = s->elsewhere ? -1 : pidfd_open(pid, 0);
	int code = pidfd < 0 && !s->elsewhere ? errno : 0;

	if (code == EINVAL || code == ENOENT)
		return tally_refuse(
			err, -EINVAL, "%d is a thread; name the process it belongs to", (int)pid);

	int r = code == ESRCH ? -ESRCH : identity_start_ns(s->procfs, pid, ret_start_ns);
	if (r == -ESRCH)
		return tally_refuse(err, r, "there is no process %d", (int)pid);
	if (r < 0)
		return tally_fail(err, r, "cannot read %s/%d/stat", s->procfs, (int)pid);
	*ret_pidfd = take_fd(&pidfd);
	return 0;
}

static bool follows(const struct pid_task *task, const char *process, pid_t pid, int64_t start_ns)
{
	for (size_t i = 0; i < task->count; i++)
		if (task->processes[i].pid == pid && task->processes[i].start_ns == start_ns &&
			strcmp(task->processes[i].name, process) == 0)
			return true;
	return false;
}

int source_pid_add(struct source *source, const char *task_id, const char *process, pid_t pid,
	struct tally_error *err)
{
	struct source_pids *s = pids_of(source);
	CLEANUP_CLOSE int pidfd = -1;
	int64_t start_ns = 0;

	if (!*task_id || !*process)
		return tally_refuse(err, -EINVAL, "a task and a process need a name");
	int r = identify(s, pid, &pidfd, &start_ns, err);
	if (r < 0)
		return r;

	struct pid_task *task = task_get(s, task_id);
	if (task && follows(task, process, pid, start_ns))
		return tally_refuse(err, -EEXIST, "%d already is process '%.60s' of task '%.60s'",
			(int)pid, process, task_id);
	ssize_t place = task ? place_for(task, process) : -1;
	if (place < 0)
		return tally_fail(err, -ENOMEM, "cannot follow process %d", (int)pid);

	struct source_process *p = &task->processes[place];
	*p = (struct source_process){.name = p->name,
		.life = TALLY_LIFE_ACTIVE,
		.pid = pid,
		.start_ns = start_ns,
		.started_wall_ns = identity_wall_ns(start_ns)};
	watch(s, task, (size_t)place, take_fd(&pidfd));
	s->changed = true;
	return 0;
}

static int refuse_spec(const char *spec, struct tally_error *err)
{
	return tally_refuse(err, -EINVAL,
		"'pid:%.120s' is not pid:NAME=PID or pid:TASK/PROCESS=PID, as pid:web=812", spec);
}

/* "NAME=PID" or "TASK/PROCESS=PID"; names may hold '=' and a task '/', so both are cut from behind. */
static int add_spec(struct source *source, const char *spec, struct tally_error *err)
{
	CLEANUP_FREE char *names = strdup(spec);
	uint64_t pid;

	if (!names)
		return tally_fail(err, -ENOMEM, "cannot follow '%.120s'", spec);
	char *equals = strrchr(names, '=');
	if (!equals || equals == names || !parse_u64(equals + 1, 1, INT_MAX, &pid))
		return refuse_spec(spec, err);
	*equals = '\0';

	char *slash = strrchr(names, '/');
	const char *process = slash ? slash + 1 : names;
	if (slash)
		*slash = '\0';
	if (!*names || !*process)
		return refuse_spec(spec, err);
	return source_pid_add(source, names, process, (pid_t)pid, err);
}

static int open_pid(
	const char *argument, const struct log *log, struct source **ret, struct tally_error *err)
{
	struct source *source;
	int r = source_pid_open(&source);

	if (r < 0)
		return tally_fail(err, r, "cannot follow '%.120s'", argument);
	r = add_spec(source, argument, err);
	if (r < 0)
		source_close(source);
	else
		*ret = source;
	return r;
}

static void end(struct source_pids *s, struct pid_task *task, size_t place)
{
	struct source_process *p = &task->processes[place];

	p->life = TALLY_LIFE_LOST;
	p->pid = 0;
	p->ended_wall_ns = clock_wall_ns();
	s->without_pidfd -= task->pidfds[place] < 0;
	cleanup_close(&task->pidfds[place]); /* Leaves the set of epoll with it. */
	task->pidfds[place] = -1;
	s->changed = true;
}

static void end_those_told(struct source_pids *s)
{
	struct epoll_event events[64];
	int count;

	do {
		count = epoll_wait(s->epoll, events, ARRAY_SIZE(events), 0);
		for (int i = 0; i < count; i++)
			end(s, s->tasks[events[i].data.u64 >> 32], events[i].data.u64 & UINT32_MAX);
	} while (count == ARRAY_SIZE(events));
}

static void end_those_gone(struct source_pids *s, struct pid_task *task)
{
	for (size_t i = 0; i < task->count; i++) {
		const struct source_process *p = &task->processes[i];
		int64_t start_ns;

		if (p->life != TALLY_LIFE_ACTIVE || task->pidfds[i] >= 0)
			continue;
		int r = identity_start_ns(s->procfs, p->pid, &start_ns);
		if (r == -ESRCH || (r == 0 && start_ns != p->start_ns))
			end(s, task, i);
	}
}

static int refresh_pids(struct source *source, struct tally_error *err)
{
	struct source_pids *s = pids_of(source);

	end_those_told(s);
	for (size_t i = 0; s->without_pidfd > 0 && i < s->count; i++)
		end_those_gone(s, s->tasks[i]);

	bool changed = s->changed;
	s->changed = false;
	return changed;
}

/* A task lives as long as one of its processes does. */
static void describe(const struct pid_task *task, struct source_task *ret)
{
	*ret = (struct source_task){.id = task->id,
		.life = TALLY_LIFE_LOST,
		.processes = task->processes,
		.process_count = task->count};
	for (size_t i = 0; i < task->count; i++) {
		const struct source_process *p = &task->processes[i];

		if (p->life == TALLY_LIFE_ACTIVE)
			ret->life = TALLY_LIFE_ACTIVE;
		if (ret->started_wall_ns == 0 || p->started_wall_ns < ret->started_wall_ns)
			ret->started_wall_ns = p->started_wall_ns;
		if (p->ended_wall_ns > ret->ended_wall_ns)
			ret->ended_wall_ns = p->ended_wall_ns;
	}
	if (ret->life == TALLY_LIFE_ACTIVE)
		ret->ended_wall_ns = 0;
}

static void list_pids(struct source *source, source_task_fn *visit, void *context)
{
	struct source_pids *s = pids_of(source);
	struct source_task task;

	for (size_t i = 0; i < s->count; i++)
		if (s->tasks[i]->count > 0) {
			describe(s->tasks[i], &task);
			visit(context, &task);
		}
}

static int fd_of_pids(struct source *source)
{
	return pids_of(source)->epoll;
}

const struct source_ops source_pid = {
	.name = "pid",
	.summary = "a running process, and all that descends from it",
	.usage = "pid:NAME=PID or pid:TASK/PROCESS=PID",
	.open = open_pid,
	.add = add_spec,
	.close = close_pids,
	.refresh = refresh_pids,
	.list = list_pids,
	.fd = fd_of_pids,
};
