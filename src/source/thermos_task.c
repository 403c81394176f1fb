/* SPDX-License-Identifier: Apache-2.0 */
/* A task: ROOT/checkpoints/ID/runner, its definition, its sandbox. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include "base/clock.h"
#include "base/text.h"
#include "source/definition.h"
#include "source/thermos.h"

/* A name longer than this is none. */
#define NAME_SHOWN_MAX 1024

/* A definition that is no JSON may just not be written yet. */
#define NAME_TRIES 4

void thermos_task_show(const struct thermos_task *task, char shown[256])
{
	text_show(shown, 256, task->id);
}

static char *folder_path(const struct thermos_root *root, const char *id)
{
	char *path = NULL;

	return asprintf(&path, "%s%scheckpoints/%s", root->path, *root->path ? "/" : "", id) < 0
		       ? NULL
		       : path;
}

struct thermos_task *thermos_task_add(
	struct thermos_source *source, struct thermos_root *root, const char *id)
{
	struct thermos_task *task = calloc(1, sizeof(*task));

	if (!task)
		return NULL;
	task->root = root;
	task->id = strdup(id);
	folder_init(&task->folder, folder_path(root, id));
	task->folder.dirty = true;
	if (task->id && task->folder.path)
		HASH_ADD_KEYPTR(hh, source->tasks, task->id, strlen(task->id), task);
	if (!task->hh.tbl) {
		free(task->folder.path);
		free(task->id);
		free(task);
		return NULL;
	}
	DL_APPEND(root->tasks, task);
	return task;
}

void thermos_task_remove(struct thermos_source *source, struct thermos_task *task)
{
	HASH_DEL(source->tasks, task);
	DL_DELETE(task->root->tasks, task);
	folder_done(&task->folder, source->watch);
	thermos_state_clear(&task->state);
	free(task->name);
	free(task->sandbox);
	free(task->id);
	free(task);
}

bool thermos_task_definition(const struct thermos_task *task, char *path, size_t size)
{
	const struct folder *folder =
		task->in_finished ? &task->root->finished : &task->root->active;

	return snprintf(path, size, "%s/%s", folder->path, task->id) < (int)size;
}

/* /etc/passwd alone, and no other service: those may block. */
static bool find_uid(const char *user, uid_t *ret)
{
	CLEANUP_FILE FILE *file = fopen("/etc/passwd", "re");
	struct passwd entry, *found = NULL;
	char text[4096];

	while (file && fgetpwent_r(file, &entry, text, sizeof(text), &found) == 0)
		if (strcmp(entry.pw_name, user) == 0) {
			*ret = entry.pw_uid;
			return true;
		}
	return false;
}

/*
 * A checkpoint that root wrote, or we did, speaks for the uid in its header. One that a user wrote
 * speaks for that user alone, whatever it says. A header without a uid (an older writer's) names a
 * user.
 */
struct thermos_owner thermos_task_owner(const struct thermos_task *task)
{
	uid_t owner = task->file.owner, uid = task->state.uid;
	bool trusted = owner == 0 || owner == geteuid();

	if (trusted && !task->state.has_uid)
		return (struct thermos_owner){.any = true, .uids = {owner, owner}};
	if (!trusted)
		uid = owner;
	return (struct thermos_owner){.uids = {uid, uid}};
}

static void learn_uid(struct thermos_task *task)
{
	struct thermos_state *state = &task->state;

	if (state->has_header && !state->has_uid && state->user)
		state->has_uid = find_uid(state->user, &state->uid);
}

static void check_id(struct thermos_source *source, struct thermos_task *task)
{
	char shown[256], other[256];
	const char *told = task->state.task_id;

	if (!told || task->said_id || strcmp(told, task->id) == 0)
		return;
	task->said_id = true;
	thermos_task_show(task, shown);
	text_show(other, sizeof(other), told);
	log_say(source->log, TALLY_LOG_WARN,
		"task %s: its checkpoint says that it is task %s; the name of its file counts",
		shown, other);
}

/* Corruption is told once by the file; a user who makes it anew all the time is heard once a poll. */
static void say_error(struct thermos_source *source, struct thermos_task *task, int code,
	const struct tally_error *err)
{
	char shown[256];

	if (task->said == code && (code != -EBADMSG || task->said_poll == source->poll))
		return;
	task->said = code;
	task->said_poll = source->poll;
	thermos_task_show(task, shown);
	if (code == -EBADMSG)
		log_say(source->log, TALLY_LOG_WARN,
			"task %s: its checkpoint is corrupt behind byte %" PRId64
			": %s; what was known before is kept",
			shown, task->file.offset, err->message);
	else
		log_say(source->log, TALLY_LOG_WARN, "task %s: its checkpoint is not read: %s",
			shown, err->message);
}

static bool read_stream(struct thermos_source *source, struct thermos_task *task)
{
	char path[PATH_MAX];
	struct tally_error err;
	uint32_t begun = task->file.begun;

	if (snprintf(path, sizeof(path), "%s/runner", task->folder.path) >= (int)sizeof(path))
		return false;
	int r = thermos_file_read(&task->file, task->root->place->base.fd, path, &task->state,
		&source->buffer, source->until_ns, &err);
	if (r < 0)
		say_error(source, task, r, &err);
	if (r == 0 || (r < 0 && r != -EBADMSG))
		return r != 0;
	source->changed = true;
	if (begun != task->file.begun) {
		free(TAKE(task->sandbox));
		task->sandbox_retry = (struct thermos_retry){0};
		task->said_id = false;
	}
	learn_uid(task);
	check_id(source, task);
	return true;
}

/* The name that people gave it: "name" in its definition. */
static void learn_name(struct thermos_source *source, struct thermos_task *task)
{
	char path[PATH_MAX];
	json_t *definition = NULL;

	if (task->name_known || !thermos_retry_due(&task->name_retry, source->poll) ||
		!thermos_task_definition(task, path, sizeof(path)))
		return;
	int r = definition_read_at(task->root->place->base.fd, path, &definition, NULL);
	if (r < 0) {
		thermos_retry_later(&task->name_retry, source->poll);
		task->name_known = task->name_retry.tries >= NAME_TRIES;
		return;
	}

	const char *name = json_string_value(json_object_get(definition, "name"));
	if (name && *name && strlen(name) <= NAME_SHOWN_MAX)
		task->name = strdup(name);
	task->name_known = true;
	source->changed = source->changed || task->name;
	json_decref(definition);
}

static void say_sandbox(struct thermos_source *source, struct thermos_task *task, int code,
	const struct tally_error *err)
{
	char shown[256];

	if (task->sandbox_retry.tries != 1)
		return;
	thermos_task_show(task, shown);
	log_say(source->log, code == -ENOENT ? TALLY_LOG_INFO : TALLY_LOG_WARN,
		"task %s: its disk usage is not measured: %s", shown, err->message);
}

/* Said at the second try: it may be made after the stream is begun. */
static void learn_sandbox(struct thermos_source *source, struct thermos_task *task)
{
	struct thermos_owner owner = thermos_task_owner(task);
	struct sandbox_owner sandbox = {
		.uids = {owner.uids[0], owner.uids[1]},
		.inside = task->root->executor,
	};
	struct tally_error err;

	if (task->sandbox || !task->state.sandbox ||
		!thermos_retry_due(&task->sandbox_retry, source->poll))
		return;
	int r = sandbox_check(task->state.sandbox, &sandbox, &task->sandbox, &err);
	if (r == 0) {
		source->changed = true;
		return;
	}
	say_sandbox(source, task, r, &err);
	thermos_retry_later(&task->sandbox_retry, source->poll);
}

/* An active stream is watched. */
static void keep_watch(struct thermos_source *source, struct thermos_task *task)
{
	struct folder *folder = &task->folder;

	if (!source->watch)
		return;
	if (task->in_finished) {
		watch_remove(source->watch, folder->watch, &folder->dirty);
		folder->watch = -1;
	} else if (folder->dirty || !folder->exists || !watch_lives(source->watch, folder->watch)) {
		folder_watch(folder, task->root->place->base.fd, source->watch);
	}
}

bool thermos_task_look(struct thermos_source *source, struct thermos_task *task)
{
	bool due = source->due && task->poll != source->poll;

	task->poll = source->poll;
	if (!task->folder.dirty && !task->file.more &&
		!(due && (!task->in_finished || task->late_looks)))
		return false;
	keep_watch(source, task);
	task->folder.dirty = false;
	bool read = read_stream(source, task);
	learn_name(source, task);
	if (task->in_finished) {
		task->late_looks -= due && task->late_looks;
	} else {
		learn_sandbox(source, task);
		thermos_pin_task(source, task);
	}
	return read;
}
