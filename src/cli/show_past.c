/* SPDX-License-Identifier: Apache-2.0 */
/* `tally show --at`: the tasks that a store has of an instant. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/fail.h"
#include "cli/json.h"
#include "cli/show.h"
#include "cli/stored.h"
#include "history/inspect.h"
#include "model/model.h"

/* A task that is asked for by its name is shown so far before and after its samples. */
#define FAR_NS (120 * NS_PER_S)

struct past {
	struct stored stored;
	int64_t at_ns;
	struct stored_tasks tasks;
	struct history_extent whole; /* Of all tasks looked at. */
	const char *process;	     /* The only one; NULL: all. */
	struct showing showing;
};

static struct tally_reading reading_of(
	const struct tally_sample *sample, const struct tally_sample *before)
{
	struct tally_reading reading = {.sample = *sample};

	reading.has_cpu_rate =
		before->boot_ns && tally_sample_cpu_rate(before, sample, &reading.cpu_rate) == 0;
	return reading;
}

static bool widen(void *context, const char *id, int64_t first_ns, int64_t last_ns)
{
	struct history_extent *whole = context;

	if (first_ns < whole->first_ns)
		whole->first_ns = first_ns;
	if (last_ns > whole->last_ns)
		whole->last_ns = last_ns;
	whole->rows++;
	return true;
}

/* The one that was asked for: its nearest sample, however long it was not sampled then. */
static int look_at(struct past *past, const char *id, struct history_task *task)
{
	struct stored_task *one = calloc(1, sizeof(*one));
	struct history *history = past->stored.history;

	if (!one || !(one->id = strdup(id))) {
		free(one);
		return -ENOMEM;
	}
	past->tasks = (struct stored_tasks){.at = one, .count = 1, .room = 1};
	one->task = task;
	if (history_extent(history, task, NULL, &past->whole) < 0 ||
		past->at_ns < past->whole.first_ns - FAR_NS ||
		past->at_ns > past->whole.last_ns + FAR_NS ||
		history_nearest(history, task, NULL, past->at_ns, &one->sample, &one->before) < 0)
		stored_tasks_done(&past->tasks);
	return 0;
}

static int fail_empty(const struct past *past, struct tally_error *err)
{
	char at[32], first[32], last[32];

	if (past->whole.rows == 0)
		return tally_refuse(
			err, -ENODATA, "store %s has no samples of any task", past->stored.path);
	return tally_refuse(err, -ENODATA,
		"nothing was sampled at %s; the samples of the store %s reach from %s to %s",
		stored_time(at, past->at_ns, false), past->stored.path,
		stored_time(first, past->whole.first_ns, false),
		stored_time(last, past->whole.last_ns, false));
}

static int look_at_all(struct past *past)
{
	int r = stored_alive(&past->stored, past->at_ns, &past->tasks);

	if (r < 0 || past->tasks.count > 0)
		return r;
	return history_alive(past->stored.history, INT64_MIN, INT64_MAX, widen, &past->whole);
}

static int look(struct past *past, char *word, struct tally_error *err)
{
	struct history_task *task;
	int r = word ? stored_find(&past->stored, word, &task, &past->process, err) : 0;

	if (r < 0)
		return r;
	r = word ? look_at(past, word, task) : look_at_all(past);
	if (r < 0)
		return tally_fail(
			err, r, "cannot list the tasks of the store %s", past->stored.path);
	return past->tasks.count > 0 ? 0 : fail_empty(past, err);
}

/* The names of a task's processes that were in its record of the instant. */
struct part {
	char *name;
	struct tally_reading reading;
};

struct parts {
	struct part *at;
	size_t count;
	bool failed;
};

static void add_part(void *context, const char *name)
{
	struct parts *parts = context;
	struct part *grown = reallocarray(parts->at, parts->count + 1, sizeof(*grown));

	if (grown)
		parts->at = grown;
	if (grown && (grown[parts->count].name = strdup(name)))
		parts->count++;
	else
		parts->failed = true;
}

static void part_free(struct parts *parts)
{
	for (size_t i = 0; i < parts->count; i++)
		free(parts->at[i].name);
	free(parts->at);
}

/* @return whether the process was in the task's record of the instant. */
static bool read_part(struct past *past, const struct stored_task *task, struct part *part)
{
	struct tally_sample sample, before;

	if ((past->process && strcmp(part->name, past->process) != 0) ||
		history_nearest(past->stored.history, task->task, part->name, task->sample.wall_ns,
			&sample, &before) < 0 ||
		sample.wall_ns != task->sample.wall_ns)
		return false;
	part->reading = reading_of(&sample, &before);
	return true;
}

static void read_parts(struct past *past, const struct stored_task *task, struct parts *parts)
{
	size_t kept = 0;

	history_processes(past->stored.history, task->task, add_part, parts);
	for (size_t i = 0; i < parts->count; i++) {
		struct part part = parts->at[i];

		if (!read_part(past, task, &part))
			free(part.name);
		else
			parts->at[kept++] = part;
	}
	parts->count = kept;
}

static void put_rows(struct past *past, const struct stored_task *task, const struct parts *parts)
{
	struct tally_reading reading = reading_of(&task->sample, &task->before);
	char name[512];

	if (!past->process)
		showing_add(&past->showing, task->id, "", "", &reading, "");
	for (size_t i = 0; i < parts->count; i++) {
		if (past->process)
			snprintf(name, sizeof(name), "%s/%s", task->id, parts->at[i].name);
		else
			snprintf(name, sizeof(name), "  %s", parts->at[i].name);
		showing_add(&past->showing, name, "", "", &parts->at[i].reading, "");
	}
}

/* What a store does not know is null. */
static void put_unknown(json_t *object, const char *const *keys)
{
	for (; *keys; keys++)
		json_object_set_new(object, *keys, json_null());
}

static json_t *part_json(const struct part *part)
{
	static const char *const unknown[] = {
		"pid", "life", "started", "ended", "return_code", "runs", NULL};
	json_t *json = json_object();

	json_object_set_new(json, "process", json_text(part->name));
	put_unknown(json, unknown);
	reading_json_put(&part->reading, false, json);
	json_object_set_new(json, "missing", sample_json_missing(&part->reading.sample, false));
	return json;
}

static json_t *task_json(const struct stored_task *task, const struct parts *parts)
{
	static const char *const unknown[] = {
		"source", "state", "sandbox", "disk_method", "started", "ended", NULL};
	json_t *json = json_object(), *processes = json_array();
	json_t *missing = sample_json_missing(&task->sample, true);
	struct tally_reading reading = reading_of(&task->sample, &task->before);

	json_object_set_new(json, "task", json_text(task->id));
	put_unknown(json, unknown);
	json_object_set_new(json, "time", json_real((double)task->sample.wall_ns / NS_PER_S));
	reading_json_put(&reading, true, json);
	json_object_set_new(json, "state", json_null());
	json_object_del(missing, "state");
	json_object_set_new(json, "missing", missing);
	for (size_t i = 0; i < parts->count; i++)
		json_array_append_new(processes, part_json(&parts->at[i]));
	json_object_set_new(json, "processes", processes);
	return json;
}

static int put_all(struct past *past, bool json, struct tally_error *err)
{
	json_t *all = json_object(), *tasks = json_array();
	int r = 0;

	json_object_set_new(all, "time", json_real((double)past->at_ns / NS_PER_S));
	json_object_set_new(all, "tasks", tasks);
	if (!json)
		showing_begin(&past->showing);
	for (size_t i = 0; i < past->tasks.count; i++) {
		struct parts parts = {0};

		read_parts(past, &past->tasks.at[i], &parts);
		if (json)
			json_array_append_new(tasks, task_json(&past->tasks.at[i], &parts));
		else
			put_rows(past, &past->tasks.at[i], &parts);
		r = parts.failed ? -ENOMEM : r;
		part_free(&parts);
	}
	int written = json ? json_write(all, stdout) : showing_print(&past->showing);
	json_decref(all);
	r = r < 0 ? r : written;
	return r < 0 ? tally_fail(err, r, "cannot show the tasks") : 0;
}

int show_past(struct command_line *line, const char *store, int64_t at_ns, bool json)
{
	struct past past = {.at_ns = at_ns, .whole = {INT64_MAX, INT64_MIN, 0}};
	struct tally_error err;
	int r = stored_open(store, &past.stored, &err);

	if (r == 0)
		r = look(&past, line->argument_count ? line->arguments[0] : NULL, &err);
	if (r == 0)
		r = put_all(&past, json, &err);
	stored_tasks_done(&past.tasks);
	stored_close(&past.stored);
	return r < 0 ? line_fail(line, "%s", err.message) : 0;
}
