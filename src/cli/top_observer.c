/* SPDX-License-Identifier: Apache-2.0 */
/* The feed of `tally top` that asks the observer of this machine over its unix socket. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "cli/top_feed.h"
#include "serve/client.h"

struct observer_feed {
	struct top_feed feed;
	char socket[108];
	bool primed; /* The sample before the present one was asked for; from now on the caller has it. */
};

static int ask(struct observer_feed *o, const char *target, json_t **ret, struct tally_error *err)
{
	int status;

	return client_get(o->socket, target, ret, &status, err);
}

static int64_t nanoseconds(const json_t *seconds)
{
	return json_is_number(seconds) ? llround(json_number_value(seconds) * 1e9) : 0;
}

static int64_t nanoseconds_or_unknown(const json_t *seconds)
{
	return json_is_number(seconds) ? nanoseconds(seconds) : -1;
}

/* ---- figures ---- */

static const char state_letters[] = "RSDZTtXIWPK";

static int64_t state_letter(const char *word)
{
	for (const char *letter = state_letters; *letter; letter++)
		if (strcmp(tally_state_word(*letter), word) == 0)
			return *letter;
	return '?';
}

static enum tally_reason reason_of(const char *sentence)
{
	for (int i = 0; i < TALLY_REASON_COUNT; i++)
		if (strcmp(tally_reason_text(i), sentence) == 0)
			return i;
	return TALLY_REASON_NOT_SAMPLED;
}

static void take_value(struct tally_sample *sample, int metric, const json_t *value)
{
	if (json_is_string(value))
		tally_sample_set(sample, metric, state_letter(json_string_value(value)));
	else if (tally_metrics[metric].unit == TALLY_UNIT_NS && json_is_number(value))
		tally_sample_set(sample, metric, nanoseconds(value));
	else if (json_is_integer(value))
		tally_sample_set(sample, metric, json_integer_value(value));
}

static void take_missing(struct tally_sample *sample, const json_t *missing)
{
	const char *key;
	json_t *sentence;

	json_object_foreach((json_t *)missing, key, sentence)
	{
		int metric = tally_metric_find(key);

		if (metric >= 0 && json_is_string(sentence))
			tally_sample_unset(sample, metric, reason_of(json_string_value(sentence)));
	}
}

/* "state" of a task is its life: `missing` does not name it, and no word of it is a state. */
void top_observer_figures(const json_t *object, struct tally_reading *ret)
{
	const json_t *rate = json_object_get(object, "cpu_rate");
	bool task = json_object_get(object, "task");

	*ret = (struct tally_reading){0};
	tally_sample_clear(&ret->sample, TALLY_REASON_TASK_ONLY);
	for (int i = 0; i < TALLY_METRIC_COUNT; i++)
		if (!task || i != TALLY_STATE)
			take_value(&ret->sample, i, json_object_get(object, tally_metrics[i].key));
	take_missing(&ret->sample, json_object_get(object, "missing"));
	ret->has_cpu_rate = json_is_number(rate);
	ret->cpu_rate = json_number_value(rate);
}

static enum tally_life life_of(const char *word, bool *ret_known)
{
	*ret_known = true;
	for (int i = TALLY_LIFE_WAITING; word && i <= TALLY_LIFE_FINALIZING; i++)
		if (strcmp(tally_life_name(i), word) == 0)
			return i;
	*ret_known = false;
	return TALLY_LIFE_WAITING;
}

/* The observer tells the wall clock alone; all figures of a task are of one instant. */
static void take_row(
	struct top_row *row, const json_t *object, const char *life_key, int64_t wall_ns)
{
	top_observer_figures(object, &row->reading);
	row->reading.sample.wall_ns = row->reading.sample.boot_ns = wall_ns;
	row->life = life_of(json_string_value(json_object_get(object, life_key)), &row->has_life);
	row->pid = (pid_t)json_integer_value(json_object_get(object, "pid"));
}

static void take_task(
	const json_t *task, top_wants_fn *wants, void *context, struct top_snapshot *ret)
{
	const char *id = json_string_value(json_object_get(task, "task"));
	int64_t wall_ns = nanoseconds(json_object_get(task, "time"));
	struct top_row *row = id ? top_snapshot_add(ret, id, NULL) : NULL;
	size_t index;
	json_t *process;

	if (!row)
		return;
	take_row(row, task, "state", wall_ns);
	row->reading.stale = json_is_true(json_object_get(task, "stale"));
	ret->stale |= row->reading.stale && row->has_life && row->life == TALLY_LIFE_ACTIVE;
	ret->processes += json_array_size(json_object_get(task, "processes"));
	if (wants && !wants(context, id))
		return;
	json_array_foreach(json_object_get(task, "processes"), index, process)
	{
		const char *name = json_string_value(json_object_get(process, "process"));
		struct top_row *part = name ? top_snapshot_add(ret, id, name) : NULL;

		if (part)
			take_row(part, process, "life", wall_ns);
	}
}

static void take_tasks(
	const json_t *answer, top_wants_fn *wants, void *context, struct top_snapshot *ret)
{
	size_t index;
	json_t *task;

	ret->wall_ns = nanoseconds(json_object_get(answer, "time"));
	ret->machine_cpu_ns = ret->other_cpu_ns = -1;
	json_array_foreach(json_object_get(answer, "tasks"), index, task)
		take_task(task, wants, context, ret);
}

static int ask_tasks(struct observer_feed *o, int64_t at_ns, top_wants_fn *wants, void *context,
	struct top_snapshot *ret, struct tally_error *err)
{
	char target[64] = "/api/v1/tasks";
	json_t *answer;

	if (at_ns)
		snprintf(target, sizeof(target), "/api/v1/tasks?at=%" PRId64 ".%09" PRId64,
			at_ns / NS_PER_S, at_ns % NS_PER_S);
	int r = ask(o, target, &answer, err);
	if (r < 0)
		return r;
	take_tasks(answer, wants, context, ret);
	json_decref(answer);
	return 0;
}

static void take_before(struct top_snapshot *now, const struct top_snapshot *before)
{
	CLEANUP_FREE size_t *match = top_snapshot_match(now, before);

	for (size_t i = 0; match && i < now->count; i++)
		if (match[i] != TOP_NONE)
			now->rows[i].before = before->rows[match[i]].reading.sample;
}

/* Rates of I/O and waiting need the sample before, which is an interval older. */
static void ask_before(
	struct observer_feed *o, top_wants_fn *wants, void *context, struct top_snapshot *now)
{
	struct top_snapshot before = {0};
	int64_t at_ns = now->wall_ns - (o->feed.interval_ns ? o->feed.interval_ns : NS_PER_S);

	if (now->count && ask_tasks(o, at_ns, wants, context, &before, NULL) == 0)
		take_before(now, &before);
	top_snapshot_done(&before);
}

static int ask_status(struct observer_feed *o, struct top_snapshot *ret, struct tally_error *err)
{
	json_t *status;
	int r = ask(o, "/api/v1/status", &status, err);

	if (r < 0)
		return r;
	o->feed.interval_ns = nanoseconds(json_object_get(status, "interval_seconds"));
	ret->stale |= json_is_true(json_object_get(status, "stale"));
	ret->machine_cpu_ns =
		nanoseconds_or_unknown(json_object_get(status, "machine_cpu_seconds"));
	ret->other_cpu_ns = nanoseconds_or_unknown(json_object_get(status, "other_cpu_seconds"));
	json_decref(status);
	return 0;
}

static int read_observer(struct top_feed *feed, int64_t at_ns, top_wants_fn *wants, void *context,
	struct top_snapshot *ret, struct tally_error *err)
{
	struct observer_feed *o = (struct observer_feed *)feed;
	int r = ask_tasks(o, at_ns, wants, context, ret, err);

	if (r == 0 && !at_ns)
		r = ask_status(o, ret, err);
	if (r == 0 && (at_ns || !o->primed))
		ask_before(o, wants, context, ret);
	o->primed = r == 0 && !at_ns;
	return r;
}

/* ---- the past ---- */

static json_t *ask_history(struct observer_feed *o, const char *task, const char *process,
	const struct top_course *course)
{
	CLEANUP_FREE char *id = client_escape(task),
			  *name = process ? client_escape(process) : NULL;
	CLEANUP_FREE char *target = NULL;
	json_t *answer;

	if (!id || asprintf(&target,
			   "/api/v1/tasks/%s/history?metrics=cpu_rate&since=%" PRId64
			   "&until=%" PRId64 "%s%s",
			   id, top_course_first_ns(course) / NS_PER_S,
			   top_course_last_ns(course) / NS_PER_S + 1, name ? "&process=" : "",
			   name ? name : "") < 0)
		return NULL;
	return ask(o, target, &answer, NULL) == 0 ? answer : NULL;
}

static void course_observer(
	struct top_feed *feed, const char *task, const char *process, struct top_course *course)
{
	json_t *answer = ask_history((struct observer_feed *)feed, task, process, course), *rate;
	const json_t *times = json_object_get(answer, "times");
	int64_t before_ns = 0;
	size_t index;

	json_array_foreach(
		json_object_get(json_object_get(answer, "series"), "cpu_rate"), index, rate)
	{
		int64_t wall_ns = nanoseconds(json_array_get(times, index));

		if (json_is_number(rate))
			top_course_note(course, before_ns ? before_ns : wall_ns - 1, wall_ns,
				json_number_value(rate));
		before_ns = wall_ns;
	}
	json_decref(answer);
}

/* What it kept from an earlier run reaches further; it does not tell how far. */
static bool reach_observer(struct top_feed *feed, int64_t *ret_first_ns, int64_t *ret_last_ns)
{
	return false;
}

static json_t *json_observer(struct top_feed *feed, int64_t at_ns, struct tally_error *err)
{
	char target[64] = "/api/v1/tasks";
	json_t *answer;

	if (at_ns)
		snprintf(target, sizeof(target), "/api/v1/tasks?at=%" PRId64 ".%09" PRId64,
			at_ns / NS_PER_S, at_ns % NS_PER_S);
	return ask((struct observer_feed *)feed, target, &answer, err) == 0 ? answer : NULL;
}

static void close_observer(struct top_feed *feed)
{
	free(feed);
}

static const struct top_feed_ops observer_ops = {
	.name = "observer",
	.live = true,
	.read = read_observer,
	.course = course_observer,
	.reach = reach_observer,
	.json = json_observer,
	.close = close_observer,
};

int top_observer_open(const char *socket, struct top_feed **ret, struct tally_error *err)
{
	struct observer_feed *o = calloc(1, sizeof(*o));
	struct top_snapshot ignored = {0};

	if (!o)
		return tally_fail(err, -ENOMEM, "cannot ask the observer");
	o->feed.ops = &observer_ops;
	snprintf(o->socket, sizeof(o->socket), "%s", socket);
	snprintf(o->feed.title, sizeof(o->feed.title), "observer %s", socket);
	int r = ask_status(o, &ignored, err);
	if (r < 0) {
		free(o);
		return r;
	}
	*ret = &o->feed;
	return 0;
}
