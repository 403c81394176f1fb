/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint root: ROOT/tasks/active/ID and ROOT/tasks/finished/ID.
 *
 * A task that ends is renamed from active/ to finished/. active/ is listed first: a task that moves in
 * between is then seen in both, never in neither.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <utlist.h>
#include "base/clock.h"
#include "base/text.h"
#include "source/thermos.h"

/* How long a finished stream is still looked at: its last record may come late. */
#define LATE_LOOKS 2

/* One listing of one of the two directories. */
struct listing {
	struct thermos_source *source;
	struct thermos_root *root;
	bool finished;
};

static char *join(const char *path, const char *below)
{
	char *joined = NULL;

	return asprintf(&joined, "%s%s%s", path, *path ? "/" : "", below) < 0 ? NULL : joined;
}

static void root_free(struct thermos_source *source, struct thermos_root *root)
{
	folder_done(&root->active, source->watch);
	folder_done(&root->finished, source->watch);
	free(root->executor);
	free(root->path);
	free(root);
}

struct thermos_root *thermos_root_add(
	struct thermos_place *place, const char *path, const char *executor)
{
	struct thermos_root *root = calloc(1, sizeof(*root));

	if (!root)
		return NULL;
	root->place = place;
	root->path = strdup(path);
	root->executor = executor ? strdup(executor) : NULL;
	folder_init(&root->active, join(path, "tasks/active"));
	folder_init(&root->finished, join(path, "tasks/finished"));
	if (!root->path || (executor && !root->executor) || !root->active.path ||
		!root->finished.path) {
		free(root->path);
		free(root->executor);
		free(root->active.path);
		free(root->finished.path);
		free(root);
		return NULL;
	}
	DL_APPEND(place->roots, root);
	return root;
}

void thermos_root_remove(struct thermos_source *source, struct thermos_root *root)
{
	struct thermos_task *task, *next;

	DL_FOREACH_SAFE(root->tasks, task, next)
	thermos_task_remove(source, task);
	DL_DELETE(root->place->roots, root);
	root_free(source, root);
}

static void say_full(struct thermos_source *source)
{
	if (!source->said_full)
		log_say(source->log, TALLY_LOG_WARN,
			"%s: there are more than %d tasks: the others are not followed",
			source->source.ops->name, THERMOS_TASKS_MAX);
	source->said_full = true;
}

static void say_twice(const struct listing *listing, const struct thermos_task *task)
{
	char shown[256];

	if (listing->root->said_twice)
		return;
	listing->root->said_twice = true;
	thermos_task_show(task, shown);
	log_say(listing->source->log, TALLY_LOG_WARN,
		"task %s is in %s/%s and again in %s/%s: the second is ignored", shown,
		task->root->place->base.path, task->root->active.path,
		listing->root->place->base.path, listing->root->active.path);
}

/* 0 and no task: it is to be ignored. */
static int find_or_add(const struct listing *listing, const char *id, struct thermos_task **ret)
{
	struct thermos_source *source = listing->source;

	HASH_FIND_STR(source->tasks, id, *ret);
	if (*ret && (*ret)->root == listing->root)
		return 0;
	if (*ret) {
		say_twice(listing, *ret);
		*ret = NULL;
		return 0;
	}
	if (HASH_COUNT(source->tasks) >= THERMOS_TASKS_MAX) {
		say_full(source);
		return 0;
	}
	*ret = thermos_task_add(source, listing->root, id);
	return *ret ? 0 : -ENOMEM;
}

static void note_end(struct thermos_task *task, int dir)
{
	struct stat st;

	if (!task->finished_ns && fstatat(dir, task->id, &st, AT_SYMLINK_NOFOLLOW) == 0)
		task->finished_ns = st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
}

static int take_entry(void *context, int dir, const char *name, unsigned char type)
{
	const struct listing *listing = context;

	if (name[0] == '.' || !entry_is(dir, name, type, DT_REG))
		return 0;

	struct thermos_task *task;
	int r = find_or_add(listing, name, &task);
	if (!task)
		return r;
	task->seen = true;
	if (listing->finished)
		note_end(task, dir);
	return 0;
}

static void move_task(
	struct thermos_source *source, struct thermos_task *task, bool finished, bool is_there)
{
	bool *place = finished ? &task->in_finished : &task->in_active;

	task->seen = false;
	if (*place == is_there)
		return;
	*place = is_there;
	if (finished && is_there)
		task->late_looks = LATE_LOOKS;
	source->changed = true;
}

static void say_error(struct thermos_source *source, struct thermos_root *root,
	const struct folder *folder, int code)
{
	if (root->said == code)
		return;
	root->said = code;
	log_say(source->log, TALLY_LOG_WARN,
		"%s: cannot list %s/%s: %s; its tasks stay as they are", source->source.ops->name,
		root->place->base.path, folder->path, strerror(-code));
}

/* What cannot be listed now is taken to be as it was; what is not there has no tasks. */
static void look_at(struct thermos_source *source, struct thermos_root *root, bool finished)
{
	struct folder *folder = finished ? &root->finished : &root->active;
	struct listing listing = {source, root, finished};
	struct thermos_task *task;
	bool existed = folder->exists;
	int dir, r = folder_look(folder, root->place->base.fd, source->watch, &dir);

	if (r == 0 || (r == -ENOENT && !existed))
		return;
	if (r == 1)
		r = folder_list(folder, dir, take_entry, &listing);
	else if (r == -ENOENT)
		r = 0;
	if (r < 0) {
		say_error(source, root, folder, r);
		DL_FOREACH(root->tasks, task)
		task->seen = false;
		return;
	}
	root->said = 0;
	DL_FOREACH(root->tasks, task)
	move_task(source, task, finished, task->seen);
}

void thermos_root_look(struct thermos_source *source, struct thermos_root *root)
{
	struct thermos_task *task, *next;

	if (!source->due && !root->active.dirty && !root->finished.dirty)
		return;
	look_at(source, root, false);
	look_at(source, root, true);
	DL_FOREACH_SAFE(root->tasks, task, next)
	if (!task->in_active && !task->in_finished) {
		thermos_task_remove(source, task);
		source->changed = true;
	}
}
