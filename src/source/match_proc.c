/* SPDX-License-Identifier: Apache-2.0 */
#include "source/match_proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/fail.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/parse.h"
#include "source/facts.h"
#include "source/identity.h"

/* include/linux/sched.h */
#define PF_KTHREAD 0x00200000

/* What the kernel puts behind the path of an executable that was replaced. */
#define DELETED " (deleted)"

/* Names of users are asked for once. */
struct user {
	uid_t uid;
	char name[64];
	UT_hash_handle hh;
};

struct match_proc {
	int fd; /* Of procfs. */
	const struct log *log;
	bool said_denied;
	struct user *users;
	char cmdline[MATCH_CMDLINE_MAX + 1], exe[PATH_MAX], cgroup[PATH_MAX];
};

int match_proc_new(
	const char *procfs, const struct log *log, struct match_proc **ret, struct tally_error *err)
{
	struct match_proc *proc = calloc(1, sizeof(*proc));

	if (!proc)
		return tally_fail(err, -ENOMEM, "cannot look at processes");
	proc->log = log;
	proc->fd = open(procfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (proc->fd < 0) {
		int r = -errno;

		free(proc);
		return tally_fail(err, r, "cannot open %s", procfs);
	}
	*ret = proc;
	return 0;
}

struct match_proc *match_proc_free(struct match_proc *proc)
{
	struct user *user, *next;

	if (!proc)
		return NULL;
	HASH_ITER (hh, proc->users, user, next) {
		HASH_DEL(proc->users, user);
		free(user);
	}
	close(proc->fd);
	free(proc);
	return NULL;
}

int match_proc_list(struct match_proc *proc, match_pid_fn *visit, void *context)
{
	int fd = openat(proc->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	uint64_t pid;

	if (!dir) {
		int r = -errno;

		cleanup_close(&fd);
		return r;
	}
	while ((entry = readdir(dir)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
			parse_u64(entry->d_name, 1, INT_MAX, &pid))
			visit(context, (pid_t)pid, entry->d_ino);
	return 0;
}

static ssize_t read_file(
	struct match_proc *proc, pid_t pid, const char *file, char *text, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "%d/%s", (int)pid, file);
	ssize_t length = file_read_at(proc->fd, path, text, size);
	return length == -ENOENT ? -ESRCH : length;
}

/* "812 (a (b) c) S 1 812 812 0 -1 4194560 …": the parent is field 4, the flags are field 9. */
static int parse_stat(const char *text, size_t length, struct match_glance *ret)
{
	const char *open = memchr(text, '(', length), *close = memrchr(text, ')', length);
	int64_t parent;
	uint64_t flags;

	if (!open || !close || close < open || identity_parse(text, length, &ret->start_ns) < 0)
		return -EINVAL;
	snprintf(ret->comm, sizeof(ret->comm), "%.*s", (int)(close - open - 1), open + 1);
	struct cursor c = cursor_of(close + 1, length - (size_t)(close + 1 - text));
	if (!cursor_skip_words(&c, 1) || !cursor_i64(&c, &parent) || !cursor_skip_words(&c, 4) ||
		!cursor_u64(&c, &flags))
		return -EINVAL;
	ret->parent = (pid_t)parent;
	ret->kernel = flags & PF_KTHREAD;
	return 0;
}

int match_proc_glance(struct match_proc *proc, pid_t pid, struct match_glance *ret)
{
	char text[1024];
	ssize_t length = read_file(proc, pid, "stat", text, sizeof(text));

	return length < 0 ? (int)length : parse_stat(text, (size_t)length, ret);
}

/* Arguments end with a NUL each, and a process may write over them: blanks stand between them. */
static const char *read_cmdline(struct match_proc *proc, pid_t pid)
{
	ssize_t length = read_file(proc, pid, "cmdline", proc->cmdline, MATCH_CMDLINE_MAX);

	if (length < 0)
		return NULL;
	while (length > 0 && proc->cmdline[length - 1] == '\0')
		length--;
	for (ssize_t i = 0; i < length; i++)
		if (proc->cmdline[i] == '\0')
			proc->cmdline[i] = ' ';
	proc->cmdline[length] = '\0';
	return proc->cmdline;
}

static void say_denied(struct match_proc *proc, pid_t pid)
{
	if (proc->said_denied)
		return;
	proc->said_denied = true;
	log_say(proc->log, TALLY_LOG_WARN,
		"match: the executable of pid %d cannot be told: %s; rules with exe do not fit such "
		"processes; run as root or grant CAP_SYS_PTRACE",
		(int)pid, strerror(errno));
}

static const char *read_exe(struct match_proc *proc, pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "%d/exe", (int)pid);
	ssize_t length = readlinkat(proc->fd, path, proc->exe, sizeof(proc->exe) - 1);
	if (length < 0) {
		if (errno == EACCES || errno == EPERM)
			say_denied(proc, pid);
		return NULL;
	}
	proc->exe[length] = '\0';
	size_t suffix = strlen(DELETED);
	if ((size_t)length > suffix && strcmp(proc->exe + length - suffix, DELETED) == 0)
		proc->exe[(size_t)length - suffix] = '\0';
	return proc->exe;
}

static void name_user(struct user *user)
{
	struct passwd entry, *found = NULL;
	char text[4096];

	if (getpwuid_r(user->uid, &entry, text, sizeof(text), &found) == 0 && found)
		snprintf(user->name, sizeof(user->name), "%s", entry.pw_name);
	else
		snprintf(user->name, sizeof(user->name), "%u", (unsigned)user->uid);
}

static const char *find_user(struct match_proc *proc, uid_t uid)
{
	struct user *user;

	HASH_FIND(hh, proc->users, &uid, sizeof(uid), user);
	if (user)
		return user->name;
	user = calloc(1, sizeof(*user));
	if (!user)
		return NULL;
	user->uid = uid;
	name_user(user);
	HASH_ADD(hh, proc->users, uid, sizeof(uid), user);
	if (user->hh.tbl)
		return user->name;
	free(user);
	return NULL;
}

static const char *read_user(struct match_proc *proc, pid_t pid)
{
	char text[8192];
	struct process_facts facts;
	ssize_t length = read_file(proc, pid, "status", text, sizeof(text));

	if (length < 0 || process_facts_parse_status(text, (size_t)length, &facts) < 0)
		return NULL;
	return find_user(proc, facts.euid);
}

/*
 * "0::/system.slice/nginx.service" of v2; "4:memory:/docker/…" of v1. That of v2 is taken where it
 * says something, else the longest: the others may be left at "/".
 */
static const char *read_cgroup(struct match_proc *proc, pid_t pid)
{
	char text[8192];
	ssize_t length = read_file(proc, pid, "cgroup", text, sizeof(text));
	struct cursor c, line;
	bool some = false;

	if (length < 0)
		return NULL;
	proc->cgroup[0] = '\0';
	c = cursor_of(text, (size_t)length);
	while (cursor_line(&c, &line)) {
		bool second = cursor_literal(&line, "0::");
		const char *path =
			second ? line.at : memchr(line.at, '/', (size_t)(line.end - line.at));
		size_t size = path ? (size_t)(line.end - path) : 0;

		bool better = size > strlen(proc->cgroup) || (second && size > 1);

		if (size == 0 || size >= sizeof(proc->cgroup) || !better)
			continue;
		memcpy(proc->cgroup, path, size);
		proc->cgroup[size] = '\0';
		some = true;
		if (second && size > 1)
			break;
	}
	return some ? proc->cgroup : NULL;
}

void match_proc_read(struct match_proc *proc, pid_t pid, const struct match_rules *rules,
	const char *comm, const char *parent, struct match_facts *ret)
{
	*ret = (struct match_facts){0};
	ret->value[MATCH_COMM] = comm;
	ret->value[MATCH_PARENT] = parent;
	if (match_rules_need(rules, MATCH_EXE))
		ret->value[MATCH_EXE] = read_exe(proc, pid);
	if (match_rules_need(rules, MATCH_CMDLINE))
		ret->value[MATCH_CMDLINE] = read_cmdline(proc, pid);
	if (match_rules_need(rules, MATCH_USER))
		ret->value[MATCH_USER] = read_user(proc, pid);
	if (match_rules_need(rules, MATCH_CGROUP))
		ret->value[MATCH_CGROUP] = read_cgroup(proc, pid);
}

uint64_t match_proc_program(struct match_proc *proc, pid_t pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "%d/exe", (int)pid);
	if (fstatat(proc->fd, path, &st, 0) < 0)
		return 0;
	return (uint64_t)st.st_dev << 40 ^ st.st_ino;
}
