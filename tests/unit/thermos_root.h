/* SPDX-License-Identifier: Apache-2.0 */
/** A checkpoint root made by a test, and what a source tells of it. */
#ifndef TESTS_THERMOS_ROOT_H
#define TESTS_THERMOS_ROOT_H

#include "check.h"
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/clock.h"
#include "source/identity.h"
#include "source/registry.h"
#include "source/thermos.h"
#include "thermos_wire.h"

/** What the source said in the log. */
struct said {
	size_t warnings;
	char last[1024];
	char all[65536];
};

static struct said said;

static inline void remember_line(void *context, enum tally_log_level level, const char *line)
{
	if (level > TALLY_LOG_WARN)
		return;
	said.warnings++;
	snprintf(said.last, sizeof(said.last), "%s", line);
	size_t used = strlen(said.all);
	snprintf(said.all + used, sizeof(said.all) - used, "%s\n", line);
}

static const struct log test_log = {remember_line, NULL};

/** Directory of the test under way. */
static char base[PATH_MAX / 2];

static inline const char *below(const char *format, ...) PRINTF_LIKE(1, 2);
static inline const char *below(const char *format, ...)
{
	static char paths[8][PATH_MAX];
	static unsigned turn;
	char *path = paths[turn++ % 8];
	va_list args;
	int used = snprintf(path, PATH_MAX, "%s/", base);

	va_start(args, format);
	vsnprintf(path + used, PATH_MAX - (size_t)used, format, args);
	va_end(args);
	return path;
}

static inline void make_folders(const char *path)
{
	char part[PATH_MAX];

	for (const char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s",
			slash ? (int)(slash - path) : (int)strlen(path), path);
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			fail_msg("mkdir %s: %s", part, strerror(errno));
		if (!slash)
			return;
	}
}

static inline void write_bytes(const char *path, const void *bytes, size_t length, int flags)
{
	CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);

	if (fd < 0 || write(fd, bytes, length) != (ssize_t)length)
		fail_msg("write %s: %s", path, strerror(errno));
}

static inline void make_root(const char *root)
{
	make_folders(below("%stasks/active", root));
	make_folders(below("%stasks/finished", root));
	make_folders(below("%scheckpoints", root));
}

/** Make a task in a root ("" or "path/") with a stream; gives the wire back. */
static inline void make_task(const char *root, const char *id, struct wire *wire)
{
	static const char json[] = "{\"name\": \"a name\", \"processes\": []}";

	make_folders(below("%scheckpoints/%s", root, id));
	write_bytes(below("%scheckpoints/%s/runner", root, id), wire->bytes, wire->length, O_TRUNC);
	write_bytes(below("%stasks/active/%s", root, id), json, strlen(json), O_TRUNC);
	wire_done(wire);
}

static inline void append(const char *id, struct wire *wire)
{
	write_bytes(below("checkpoints/%s/runner", id), wire->bytes, wire->length, O_APPEND);
	wire_done(wire);
}

/** What was told of one task. */
struct told {
	bool found;
	char id[512], sandbox[512], name[128], user[128], definition[1024];
	enum tally_life life;
	int64_t started_ns, ended_ns, state_ns;
	size_t port_count, process_count, run_count;
	struct {
		char name[64];
		enum tally_life life;
		pid_t pid;
		int64_t start_ns;
		size_t run_count;
		char state[16]; /* Of the last run. */
		int return_code;
	} processes[16];
};

static inline void copy_text(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text ? text : "");
}

static inline void tell(void *context, const struct source_task *task)
{
	struct told *told = context;

	if (strcmp(task->id, told->id) != 0)
		return;
	assert_false(told->found); /* Once only. */
	told->found = true;
	copy_text(told->sandbox, sizeof(told->sandbox), task->sandbox);
	copy_text(told->name, sizeof(told->name), task->name);
	copy_text(told->user, sizeof(told->user), task->user);
	copy_text(told->definition, sizeof(told->definition), task->definition);
	told->life = task->life;
	told->started_ns = task->started_wall_ns;
	told->ended_ns = task->ended_wall_ns;
	told->state_ns = task->state_wall_ns;
	told->port_count = task->port_count;
	told->process_count = task->process_count;
	for (size_t i = 0; i < task->process_count && i < 16; i++) {
		const struct source_process *p = &task->processes[i];

		copy_text(told->processes[i].name, 64, p->name);
		told->processes[i].life = p->life;
		told->processes[i].pid = p->pid;
		told->processes[i].start_ns = p->start_ns;
		told->processes[i].run_count = p->run_count;
		told->processes[i].return_code = p->return_code;
		if (p->run_count)
			copy_text(told->processes[i].state, 16, p->runs[p->run_count - 1].state);
	}
}

static inline struct told told_of(struct source *source, const char *id)
{
	struct told told = {0};

	copy_text(told.id, sizeof(told.id), id);
	source_list(source, tell, &told);
	return told;
}

static inline void count_task(void *context, const struct source_task *task)
{
	++*(size_t *)context;
}

static inline size_t count_tasks(struct source *source)
{
	size_t count = 0;

	source_list(source, count_task, &count);
	return count;
}

/** Open on the test's directory. Every refresh is a poll, unless it is to hear only. */
static inline struct source *open_kind(const struct source_ops *kind, bool hear_only)
{
	const struct thermos_options options = {
		.poll_ns = hear_only ? 3600 * NS_PER_S : 1, .deaf = !hear_only, .log = &test_log};
	struct source *source = NULL;
	struct tally_error err = {0};

	if (thermos_open(kind, base, &options, &source, &err) < 0)
		fail_msg("%s", err.message);
	return source;
}

static inline int refresh(struct source *source)
{
	struct tally_error err = {0};
	int r = source_refresh(source, &err);

	if (r < 0)
		fail_msg("%s", err.message);
	return r;
}

/** Wait until something is heard, and take it in. */
static inline bool hear(struct source *source)
{
	struct pollfd fd = {.fd = source_fd(source), .events = POLLIN};

	return poll(&fd, 1, 5000) == 1 && refresh(source) == 1;
}

/** Refresh until a scan that is under way has ended. */
static inline void settle(struct source *source)
{
	for (int i = 0; i < 50; i++)
		refresh(source);
}

/** Start a process that sleeps; end it with reap(), or by ending. */
static inline pid_t spawn(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	assert_true(pid > 0);
	return pid;
}

static inline void reap(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static inline double now(void)
{
	return (double)clock_wall_ns() / 1e9;
}

static inline int set_up(void **state)
{
	snprintf(base, sizeof(base), "/tmp/tally-thermos-XXXXXX");
	if (!mkdtemp(base))
		return -1;
	said = (struct said){0};
	make_root("");
	return 0;
}

static inline int tear_down(void **state)
{
	char command[PATH_MAX];

	snprintf(command, sizeof(command), "rm -rf '%s'", base);
	return system(command);
}

#endif
