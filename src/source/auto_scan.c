/* SPDX-License-Identifier: Apache-2.0 */
#include "source/auto_scan.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/parse.h"
#include "base/text.h"
#include "source/identity.h"

/* include/linux/sched.h */
#define PF_KTHREAD 0x00200000

/* One that is none of ours is asked again in one of so many looks: it may have become one. */
#define TURNS 12

/* A process that was looked at, and was none of ours. The inode tells when its pid has a new owner. */
struct stranger {
	pid_t pid;
	ino_t inode;
	unsigned turn;
	bool seen;
	UT_hash_handle hh;
};

struct root {
	char comm[64];
	pid_t pid;
	int64_t start_ns;
	bool seen;
};

struct auto_task {
	char *id;
	struct root *roots;
	size_t count;
	UT_hash_handle hh;
};

struct auto_scan {
	int procfs;
	char *path;
	const struct log *log;
	struct auto_task *tasks; /* uthash by id; iterates in order of appearance. */
	struct stranger *strangers;
	bool changed, said_full;
};

/* ---- what a line of stat tells ---- */

static void take_comm(const char *at, const char *end, char comm[64])
{
	char text[64];
	size_t length = (size_t)(end - at) < sizeof(text) ? (size_t)(end - at) : sizeof(text) - 1;

	memcpy(text, at, length);
	text[length] = 0;
	text_show(comm, 64, text);
}

/*
 * "812 (name) S 1 812 812 34816 812 4194560 …": behind the name the state, parent, group, session,
 * terminal, its group, flags; the start is identity_parse()'s.
 */
int auto_facts_parse(const char *stat, size_t length, struct auto_facts *ret)
{
	const char *name = memchr(stat, '(', length), *end = memrchr(stat, ')', length);
	int64_t group, terminal_group;
	uint64_t flags;

	if (!name || !end || end < name)
		return -EINVAL;
	struct cursor c = cursor_of(end + 1, length - (size_t)(end + 1 - stat));
	cursor_skip_blank(&c);
	if (c.at == c.end)
		return -EINVAL;
	ret->dead = *c.at == 'Z' || *c.at == 'X';
	if (!cursor_skip_words(&c, 1) || !cursor_i64(&c, &ret->parent) || !cursor_i64(&c, &group) ||
		!cursor_i64(&c, &ret->session) || !cursor_i64(&c, &ret->terminal) ||
		!cursor_i64(&c, &terminal_group) || !cursor_u64(&c, &flags))
		return -EINVAL;
	ret->kernel = flags & PF_KTHREAD;
	take_comm(name + 1, end, ret->comm);
	return identity_parse(stat, length, &ret->start_ns);
}

/* Documentation/admin-guide/devices.txt: 136 to 143 are pseudo terminals, 4 consoles and then lines. */
void auto_terminal_name(int64_t device, char name[32])
{
	unsigned number = (unsigned)device;
	unsigned major = number >> 8 & 0xfff, minor = (number & 0xff) | (number >> 12 & 0xfff00);

	if (major >= 136 && major <= 143)
		snprintf(name, 32, "pts/%u", (major - 136) * 256 + minor);
	else if (major == 4 && minor < 64)
		snprintf(name, 32, "tty%u", minor);
	else if (major == 4)
		snprintf(name, 32, "ttyS%u", minor - 64);
	else
		snprintf(name, 32, "tty%u:%u", major, minor);
}

/* ---- tasks ---- */

struct auto_scan *auto_scan_new(const char *procfs, const struct log *log)
{
	struct auto_scan *scan = calloc(1, sizeof(*scan));

	if (!scan)
		return NULL;
	scan->log = log;
	scan->path = strdup(procfs);
	if (!scan->path) {
		free(scan);
		return NULL;
	}
	return scan;
}

static void forget(struct auto_scan *scan, struct auto_task *task)
{
	HASH_DEL(scan->tasks, task);
	free(task->roots);
	free(task->id);
	free(task);
}

void auto_scan_free(struct auto_scan *scan)
{
	struct auto_task *task, *next;
	struct stranger *stranger, *after;

	if (!scan)
		return;
	HASH_ITER (hh, scan->tasks, task, next)
		forget(scan, task);
	HASH_ITER (hh, scan->strangers, stranger, after) {
		HASH_DEL(scan->strangers, stranger);
		free(stranger);
	}
	free(scan->path);
	free(scan);
}

static struct auto_task *task_get(struct auto_scan *scan, const char *id)
{
	struct auto_task *task;

	HASH_FIND_STR(scan->tasks, id, task);
	if (task)
		return task;
	if (HASH_COUNT(scan->tasks) >= AUTO_TASKS_MAX) {
		if (!scan->said_full)
			log_say(scan->log, TALLY_LOG_WARN,
				"auto: there are more than %d sessions and daemons: the others are "
				"not followed; name sources with --source",
				AUTO_TASKS_MAX);
		scan->said_full = true;
		return NULL;
	}
	task = calloc(1, sizeof(*task));
	if (task)
		task->id = strdup(id);
	if (task && task->id)
		HASH_ADD_KEYPTR(hh, scan->tasks, task->id, strlen(task->id), task);
	if (!task || !task->hh.tbl) {
		free(task ? task->id : NULL);
		free(task);
		return NULL;
	}
	return task;
}

static void take_root(
	struct auto_scan *scan, const char *id, pid_t pid, const struct auto_facts *facts)
{
	struct auto_task *task = task_get(scan, id);

	for (size_t i = 0; task && i < task->count; i++)
		if (task->roots[i].pid == pid && task->roots[i].start_ns == facts->start_ns) {
			task->roots[i].seen = true;
			return;
		}
	if (!task || task->count >= AUTO_ROOTS_MAX)
		return;
	struct root *grown = reallocarray(task->roots, task->count + 1, sizeof(*grown));
	if (!grown)
		return;
	task->roots = grown;
	struct root *root = &grown[task->count++];
	*root = (struct root){.pid = pid, .start_ns = facts->start_ns, .seen = true};
	memcpy(root->comm, facts->comm, sizeof(root->comm));
	scan->changed = true;
}

static void end_unseen(struct auto_scan *scan)
{
	struct auto_task *task, *next;

	HASH_ITER (hh, scan->tasks, task, next) {
		size_t kept = 0;

		for (size_t i = 0; i < task->count; i++)
			if (task->roots[i].seen)
				task->roots[kept++] = task->roots[i];
		scan->changed |= kept != task->count;
		task->count = kept;
		if (kept == 0)
			forget(scan, task);
	}
}

static void forget_seen(struct auto_scan *scan)
{
	struct auto_task *task, *next;

	HASH_ITER (hh, scan->tasks, task, next)
		for (size_t i = 0; i < task->count; i++)
			task->roots[i].seen = false;
}

/* ---- the machine ---- */

/* From the file alone: a look must not wait for a directory of users. */
static bool user_name(uid_t uid, char name[64])
{
	CLEANUP_FILE FILE *file = fopen("/etc/passwd", "re");
	const struct passwd *user;

	while (file && (user = fgetpwent(file)))
		if (user->pw_uid == uid) {
			text_show(name, 64, user->pw_name);
			return true;
		}
	return false;
}

static void session_id(int dir, const struct auto_facts *facts, char id[128])
{
	char user[64], terminal[32];
	struct stat st;

	auto_terminal_name(facts->terminal, terminal);
	if (fstat(dir, &st) < 0)
		st.st_uid = 0;
	if (!user_name(st.st_uid, user))
		snprintf(user, sizeof(user), "%u", st.st_uid);
	snprintf(id, 128, "%s@%s", user, terminal);
}

static bool is_session(pid_t pid, const struct auto_facts *facts)
{
	return facts->session == pid && facts->terminal != 0;
}

/* A child of init that is too young may be a step on the way to a daemon: it is asked again. */
static bool is_daemon(pid_t pid, const struct auto_facts *facts, bool *ret_young)
{
	if (facts->parent != 1 || pid == 1 || facts->terminal != 0)
		return false;
	*ret_young = clock_boot_ns() - facts->start_ns < AUTO_DAEMON_NS;
	return !*ret_young;
}

static bool is_covered(int dir, auto_covered_fn *covered, void *context)
{
	char text[8192];
	ssize_t length = file_read_at(dir, "cgroup", text, sizeof(text));

	return length > 0 && covered && covered(context, text, (size_t)length);
}

/* @return whether it need not be asked again soon. */
static bool look_at(struct auto_scan *scan, const char *name, pid_t pid, auto_covered_fn *covered,
	void *context)
{
	char text[1024], id[128];
	struct auto_facts facts;
	bool young = false;
	CLEANUP_CLOSE int dir = openat(scan->procfs, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ssize_t length = dir < 0 ? -1 : file_read_at(dir, "stat", text, sizeof(text));

	if (length <= 0 || auto_facts_parse(text, (size_t)length, &facts) < 0)
		return false;
	if (facts.dead || facts.kernel)
		return facts.kernel;
	bool session = is_session(pid, &facts);
	if (!session && !is_daemon(pid, &facts, &young))
		return !young && clock_boot_ns() - facts.start_ns >= AUTO_DAEMON_NS;
	if (is_covered(dir, covered, context))
		return true;
	if (session)
		session_id(dir, &facts, id);
	else
		snprintf(id, sizeof(id), "%s", facts.comm);
	if (id[0])
		take_root(scan, id, pid, &facts);
	return false;
}

static bool known_stranger(struct auto_scan *scan, pid_t pid, ino_t inode)
{
	struct stranger *stranger;

	HASH_FIND_INT(scan->strangers, &pid, stranger);
	if (!stranger)
		return false;
	if (stranger->inode != inode || ++stranger->turn % TURNS == 0)
		return false;
	return stranger->seen = true;
}

static void remember_stranger(struct auto_scan *scan, pid_t pid, ino_t inode)
{
	struct stranger *stranger;

	HASH_FIND_INT(scan->strangers, &pid, stranger);
	if (!stranger) {
		stranger = calloc(1, sizeof(*stranger));
		if (!stranger)
			return;
		stranger->pid = pid;
		stranger->turn = (unsigned)pid;
		HASH_ADD_INT(scan->strangers, pid, stranger);
		if (!stranger->hh.tbl) {
			free(stranger);
			return;
		}
	}
	stranger->inode = inode;
	stranger->seen = true;
}

static void sweep_strangers(struct auto_scan *scan)
{
	struct stranger *stranger, *next;

	HASH_ITER (hh, scan->strangers, stranger, next) {
		if (!stranger->seen) {
			HASH_DEL(scan->strangers, stranger);
			free(stranger);
			continue;
		}
		stranger->seen = false;
	}
}

/* In a container the first process may be all there is. */
static void take_first(struct auto_scan *scan)
{
	char text[1024];
	struct auto_facts facts;
	ssize_t length = file_read_at(scan->procfs, "1/stat", text, sizeof(text));

	if (length > 0 && auto_facts_parse(text, (size_t)length, &facts) == 0 && facts.comm[0])
		take_root(scan, facts.comm, 1, &facts);
}

int auto_scan_look(
	struct auto_scan *scan, auto_covered_fn *covered, void *context, struct tally_error *err)
{
	CLEANUP_DIR DIR *all = opendir(scan->path);

	if (!all)
		return tally_fail(err, -errno, "cannot read %s", scan->path);
	scan->procfs = dirfd(all);
	scan->changed = false;
	forget_seen(scan);
	for (struct dirent *entry; (entry = readdir(all));) {
		uint64_t pid;

		if (!isdigit((unsigned char)entry->d_name[0]) ||
			!parse_u64(entry->d_name, 1, INT32_MAX, &pid) ||
			known_stranger(scan, (pid_t)pid, entry->d_ino))
			continue;
		if (look_at(scan, entry->d_name, (pid_t)pid, covered, context))
			remember_stranger(scan, (pid_t)pid, entry->d_ino);
	}
	end_unseen(scan);
	if (!scan->tasks && !covered)
		take_first(scan);
	sweep_strangers(scan);
	return scan->changed;
}

void auto_scan_list(struct auto_scan *scan, source_task_fn *visit, void *context)
{
	struct auto_task *task, *next;
	struct source_process roots[AUTO_ROOTS_MAX];

	HASH_ITER (hh, scan->tasks, task, next) {
		int64_t first_ns = INT64_MAX;

		for (size_t i = 0; i < task->count; i++) {
			const struct root *root = &task->roots[i];

			roots[i] = (struct source_process){.name = root->comm,
				.life = TALLY_LIFE_ACTIVE,
				.pid = root->pid,
				.start_ns = root->start_ns,
				.started_wall_ns = identity_wall_ns(root->start_ns)};
			first_ns = root->start_ns < first_ns ? root->start_ns : first_ns;
		}
		struct source_task shown = {.id = task->id,
			.life = TALLY_LIFE_ACTIVE,
			.started_wall_ns = identity_wall_ns(first_ns),
			.processes = roots,
			.process_count = task->count};

		visit(context, &shown);
	}
}
