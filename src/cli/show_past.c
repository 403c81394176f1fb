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

/* A task whose samples end further from the instant was not alive: twice the coarsest usual step. */
#define FAR_NS (120 * NS_PER_S)

/* What a task was at the instant. */
struct past_task {
	const char *id;
	struct history_task *task;
	struct tally_reading reading;
	int64_t distance_ns, gap_ns;
};

struct past {
	struct stored stored;
	int64_t at_ns;
	struct history_ids ids;
	struct past_task *tasks;
	size_t count;
	struct history_extent whole; /* Of all tasks looked at. */
	const char *process;	     /* The only one; NULL: all. */
	struct showing showing;
};

/* Of the process named, or NULL: the task. @return 0 or negative errno. */
static int read_at(struct past *past, struct history_task *task, const char *process,
	int64_t wall_ns, struct tally_reading *ret, int64_t *ret_gap_ns)
{
	struct tally_sample before;
	int r = history_nearest(
		past->stored.history, task, process, wall_ns, &ret->sample, &before);

	if (r < 0)
		return r;
	*ret_gap_ns = before.boot_ns ? ret->sample.boot_ns - before.boot_ns : 0;
	ret->has_cpu_rate =
		before.boot_ns && tally_sample_cpu_rate(&before, &ret->sample, &ret->cpu_rate) == 0;
	return 0;
}

static void widen(struct history_extent *whole, const struct history_extent *extent)
{
	if (extent->first_ns < whole->first_ns)
		whole->first_ns = extent->first_ns;
	if (extent->last_ns > whole->last_ns)
		whole->last_ns = extent->last_ns;
	whole->rows += extent->rows;
}

static void look_at(struct past *past, const char *id, struct history_task *task)
{
	struct past_task *entry = &past->tasks[past->count];
	struct history_extent extent;

	if (!task || history_extent(past->stored.history, task, NULL, &extent) < 0)
		return;
	widen(&past->whole, &extent);
	if (past->at_ns < extent.first_ns - FAR_NS || past->at_ns > extent.last_ns + FAR_NS)
		return;
	*entry = (struct past_task){.id = id, .task = task};
	if (read_at(past, task, NULL, past->at_ns, &entry->reading, &entry->gap_ns) < 0)
		return;
	entry->distance_ns = llabs(entry->reading.sample.wall_ns - past->at_ns);
	past->count++;
}

/*
 * All are sampled in one tick: who was alive has a sample in that nearest to the instant, or, in a
 * coarser resolution, not much farther.
 */
static void leave_out_dead(struct past *past)
{
	int64_t nearest_ns = INT64_MAX;
	size_t kept = 0;

	for (size_t i = 0; i < past->count; i++)
		if (past->tasks[i].distance_ns < nearest_ns)
			nearest_ns = past->tasks[i].distance_ns;
	for (size_t i = 0; i < past->count; i++)
		if (past->tasks[i].distance_ns <= nearest_ns + past->tasks[i].gap_ns / 2)
			past->tasks[kept++] = past->tasks[i];
	past->count = kept;
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

static int look(struct past *past, char *word, struct tally_error *err)
{
	struct history_task *task;
	int r = word ? stored_find(&past->stored, word, &task, &past->process, err)
		     : history_ids(past->stored.history, &past->ids, err);

	if (r < 0)
		return r;
	past->tasks = calloc(past->ids.count + 1, sizeof(*past->tasks));
	if (!past->tasks)
		return tally_fail(err, -ENOMEM, "cannot list the tasks");
	if (word)
		look_at(past, word, task);
	for (size_t i = 0; i < past->ids.count; i++)
		look_at(past, past->ids.at[i], history_find(past->stored.history, past->ids.at[i]));
	leave_out_dead(past);
	return past->count > 0 ? 0 : fail_empty(past, err);
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

static void read_parts(struct past *past, const struct past_task *task, struct parts *parts)
{
	int64_t wall_ns = task->reading.sample.wall_ns, gap_ns;
	size_t kept = 0;

	history_processes(past->stored.history, task->task, add_part, parts);
	for (size_t i = 0; i < parts->count; i++) {
		struct part part = parts->at[i];

		if ((past->process && strcmp(part.name, past->process) != 0) ||
			read_at(past, task->task, part.name, wall_ns, &part.reading, &gap_ns) < 0 ||
			part.reading.sample.wall_ns != wall_ns)
			free(part.name);
		else
			parts->at[kept++] = part;
	}
	parts->count = kept;
}

static void put_rows(struct past *past, const struct past_task *task, const struct parts *parts)
{
	char name[512];

	if (!past->process)
		showing_add(&past->showing, task->id, "", "", &task->reading);
	for (size_t i = 0; i < parts->count; i++) {
		if (past->process)
			snprintf(name, sizeof(name), "%s/%s", task->id, parts->at[i].name);
		else
			snprintf(name, sizeof(name), "  %s", parts->at[i].name);
		showing_add(&past->showing, name, "", "", &parts->at[i].reading);
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

static json_t *task_json(const struct past_task *task, const struct parts *parts)
{
	static const char *const unknown[] = {
		"source", "state", "sandbox", "disk_method", "started", "ended", NULL};
	json_t *json = json_object(), *processes = json_array();
	json_t *missing = sample_json_missing(&task->reading.sample, true);

	json_object_set_new(json, "task", json_text(task->id));
	put_unknown(json, unknown);
	json_object_set_new(
		json, "time", json_real((double)task->reading.sample.wall_ns / NS_PER_S));
	reading_json_put(&task->reading, true, json);
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
	for (size_t i = 0; i < past->count; i++) {
		struct parts parts = {0};

		read_parts(past, &past->tasks[i], &parts);
		if (json)
			json_array_append_new(tasks, task_json(&past->tasks[i], &parts));
		else
			put_rows(past, &past->tasks[i], &parts);
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
	free(past.tasks);
	history_ids_done(&past.ids);
	stored_close(&past.stored);
	return r < 0 ? line_fail(line, "%s", err.message) : 0;
}
