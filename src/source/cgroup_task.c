/* SPDX-License-Identifier: Apache-2.0 */
#include "source/cgroup_task.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/file.h"
#include "base/text.h"
#include "source/cgroup.h"
#include "source/identity.h"

/* Of so many processes the oldest tells when a cgroup came to life. */
#define ASKED_MAX 32

struct cgroup_task *cgroup_task_new(
	const char *id, const struct cgroup_field *field, const struct cgroup_node *node)
{
	struct cgroup_task *task = calloc(1, sizeof(*task));

	if (!task)
		return NULL;
	task->id = strdup(id);
	task->path = strdup(node->path);
	if (asprintf(&task->dir, "%s%s", field->mount, node->path) < 0)
		task->dir = NULL;
	if (!task->id || !task->path || !task->dir) {
		cgroup_task_free(task);
		return NULL;
	}
	task->cgroup.id = node->inode;
	task->cgroup.unified = field->unified ? task->dir : NULL;
	return task;
}

void cgroup_task_free(struct cgroup_task *task)
{
	if (!task)
		return;
	for (size_t i = 0; i < task->part_count; i++) {
		free(task->parts[i].name);
		free(task->parts[i].dir);
	}
	free(task->parts);
	free(task->id);
	free(task->path);
	free(task->dir);
	free(task->sandbox);
	free(task->memory);
	free(task->cpu);
	free(task);
}

static struct cgroup_part *find_part(struct cgroup_task *task, const char *dir)
{
	for (size_t i = 0; i < task->part_count; i++)
		if (strcmp(task->parts[i].dir, dir) == 0)
			return &task->parts[i];
	return NULL;
}

/* @return whether it is new, or another cgroup than it was. */
static bool add_part(struct cgroup_task *task, const char *name, char *dir, uint64_t id)
{
	struct cgroup_part *part = dir ? find_part(task, dir) : NULL, *grown;
	char shown[256];

	if (part) {
		bool other = part->id != id;

		part->id = id;
		free(dir);
		return other;
	}
	grown = dir ? reallocarray(task->parts, task->part_count + 1, sizeof(*grown)) : NULL;
	if (grown)
		task->parts = grown;
	text_show(shown, sizeof(shown), name);
	char *copy = grown ? strdup(shown) : NULL;
	if (!copy) {
		free(dir);
		return false;
	}
	task->parts[task->part_count++] = (struct cgroup_part){copy, dir, id};
	return true;
}

/* "pod/web" is made of one process "web", "nginx.service" of one "nginx". */
static bool be_whole(struct cgroup_task *task)
{
	const char *slash = strrchr(task->id, '/');
	char name[256];

	snprintf(name, sizeof(name), "%.255s", slash && slash[1] ? slash + 1 : task->id);
	char *dot = strrchr(name, '.');
	if (dot && dot != name && (strcmp(dot, ".service") == 0 || strcmp(dot, ".scope") == 0))
		*dot = 0;
	return add_part(task, name, strdup(task->dir), task->cgroup.id);
}

typedef void child_fn(void *context, const char *name, uint64_t id);

static void each_child(int dir, child_fn *visit, void *context)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_DIR DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;

	if (!entries) {
		cleanup_close(&fd);
		return;
	}
	for (struct dirent *entry; (entry = readdir(entries));)
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			visit(context, entry->d_name, entry->d_ino);
}

struct dividing {
	struct cgroup_task *task;
	bool changed;
};

static void take_child(void *context, const char *name, uint64_t id)
{
	struct dividing *d = context;
	char *dir = NULL;

	if (asprintf(&dir, "%s/%s", d->task->dir, name) < 0)
		return;
	if (d->task->part_count >= CGROUP_PARTS_MAX && !find_part(d->task, dir)) {
		d->task->full = true;
		free(dir);
		return;
	}
	d->changed |= add_part(d->task, name, dir, id);
}

static bool take_children(struct cgroup_task *task, int dir)
{
	struct dividing d = {task, false};

	each_child(dir, take_child, &d);
	return d.changed;
}

static void count_child(void *context, const char *name, uint64_t id)
{
	++*(size_t *)context;
}

/* A pid of another pid namespace, which we do not see, is written as 0. */
static pid_t next_pid(struct cursor *c)
{
	struct cursor line;
	uint64_t pid;

	while (cursor_line(c, &line))
		if (cursor_u64(&line, &pid) && pid > 0 && pid <= INT_MAX)
			return (pid_t)pid;
	return 0;
}

/* The first pid of a cgroup.procs; 0: none that we see. */
static ssize_t read_procs(int dir, const char *path, char *text, size_t size)
{
	ssize_t length = file_read_at(dir, path, text, size);

	return length < 0 ? 0 : length;
}

static void take_start(
	struct cgroup_task *task, const struct cgroup_task_world *world, struct cursor pids)
{
	int64_t oldest_ns = INT64_MAX, start_ns;
	pid_t pid;

	for (int i = 0; i < ASKED_MAX && (pid = next_pid(&pids)); i++)
		if (identity_start_ns(world->procfs, pid, &start_ns) == 0 && start_ns < oldest_ns)
			oldest_ns = start_ns;
	if (oldest_ns != INT64_MAX)
		task->started_wall_ns = identity_wall_ns(oldest_ns);
}

/*
 * The directory of version 1 that has the same processes: the kernel says that they are at the same path
 * there. Where they are not, its figures would be of others as well.
 */
static char *old_dir(const struct cgroup_task *task, const struct cgroup_task_world *world,
	struct cursor membership, const char *controller)
{
	const struct cgroup_mount *mount = cgroup_mounts_controller(world->mounts, controller);
	struct cursor path;
	char *dir = NULL;

	if (!mount || !cgroup_membership(membership.at, (size_t)(membership.end - membership.at),
			      controller, &path))
		return NULL;
	size_t length = (size_t)(path.end - path.at), own = strlen(task->path);
	/* Its processes may lie deeper. */
	if (length < own || memcmp(path.at, task->path, own) != 0 ||
		(length > own && path.at[own] != '/'))
		return NULL;
	if (asprintf(&dir, "%s%s", mount->dir, task->path) < 0)
		return NULL;
	if (access(dir, F_OK) < 0) {
		free(dir);
		return NULL;
	}
	return dir;
}

static void take_old_dirs(
	struct cgroup_task *task, const struct cgroup_task_world *world, pid_t pid)
{
	char path[4096], text[8192];

	if (!pid || snprintf(path, sizeof(path), "%s/%d/cgroup", world->procfs, (int)pid) >=
			    (int)sizeof(path))
		return;
	ssize_t length = file_read_at(AT_FDCWD, path, text, sizeof(text));
	if (length <= 0)
		return;
	struct cursor membership = cursor_of(text, (size_t)length);
	task->memory = old_dir(task, world, membership, "memory");
	task->cpu = old_dir(task, world, membership, "cpu");
	task->cgroup.memory = task->memory;
	task->cgroup.cpu = task->cpu;
}

struct searching {
	int dir;
	char *text;
	size_t size;
	ssize_t length;
};

static void search_child(void *context, const char *name, uint64_t id)
{
	struct searching *s = context;
	char path[NAME_MAX + 16];

	if (s->length > 0)
		return;
	snprintf(path, sizeof(path), "%s/cgroup.procs", name);
	s->length = read_procs(s->dir, path, s->text, s->size);
}

/*
 * What its processes are is settled at first sight and stays: the cgroups right below, where there are
 * some and no process lies beside them; else it is one. A second answer would count what they consumed
 * twice, and to wait for the first process would lose what it does meanwhile.
 */
static void shape(struct cgroup_task *task, int dir)
{
	char byte;
	size_t children = 0;

	each_child(dir, count_child, &children);
	task->divided = children > 0 && children <= CGROUP_PARTS_MAX &&
			read_procs(dir, "cgroup.procs", &byte, 1) == 0;
	task->shaped = true;
	if (!task->divided)
		be_whole(task);
}

/* What only its processes tell. */
static void meet(struct cgroup_task *task, const struct cgroup_task_world *world, int dir)
{
	char text[4096];
	struct searching s = {dir, text, sizeof(text), 0};

	s.length = read_procs(dir, "cgroup.procs", text, sizeof(text));
	if (s.length == 0)
		each_child(dir, search_child, &s);

	struct cursor pids = cursor_of(text, (size_t)s.length);
	take_start(task, world, pids);
	take_old_dirs(task, world, next_pid(&pids));
	task->met = true;
}

/* "populated 1" of cgroup.events; version 1 has none, and there a process has to be found. */
static bool is_populated(int dir)
{
	char text[256];
	ssize_t length = file_read_at(dir, "cgroup.events", text, sizeof(text));
	struct cursor c = cursor_of(text, length > 0 ? (size_t)length : 0), line;
	struct searching s = {dir, text, sizeof(text), 0};

	while (cursor_line(&c, &line))
		if (cursor_literal(&line, "populated "))
			return line.at < line.end && *line.at == '1';
	s.length = read_procs(dir, "cgroup.procs", text, sizeof(text));
	if (s.length == 0)
		each_child(dir, search_child, &s);
	return s.length > 0;
}

bool cgroup_task_look(struct cgroup_task *task, const struct cgroup_task_world *world, int dir)
{
	bool populated = is_populated(dir);
	bool changed = populated != task->populated;

	task->populated = populated;
	if (!task->shaped)
		shape(task, dir);
	if (populated && !task->met)
		meet(task, world, dir);
	if (task->divided)
		changed |= take_children(task, dir);
	return changed;
}
