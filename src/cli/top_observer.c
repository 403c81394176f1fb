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
#include "cli/top_scan.h"
#include "serve/client.h"

struct observer_feed {
	struct top_feed feed;
	char socket[108];
	size_t rows; /* Of the last reading of the present: the caller has the samples before theirs. */
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

static int64_t state_letter(struct cursor word)
{
	for (const char *letter = state_letters; *letter; letter++)
		if (scan_is(word, tally_state_word(*letter)))
			return *letter;
	return '?';
}

static enum tally_reason reason_of(struct cursor sentence)
{
	for (int i = 0; i < TALLY_REASON_COUNT; i++)
		if (scan_is(sentence, tally_reason_text(i)))
			return i;
	return TALLY_REASON_NOT_SAMPLED;
}

static enum tally_life life_of(struct cursor word, bool *ret_known)
{
	*ret_known = true;
	for (int i = TALLY_LIFE_WAITING; i <= TALLY_LIFE_FINALIZING; i++)
		if (scan_is(word, tally_life_name(i)))
			return i;
	*ret_known = false;
	return TALLY_LIFE_WAITING;
}

/* Keys come in the order of the table: the one behind the last find is tried first. */
static int metric_of(struct cursor key, int *next)
{
	if (*next < TALLY_METRIC_COUNT && scan_is(key, tally_metrics[*next].key))
		return (*next)++;
	for (int i = 0; i < TALLY_METRIC_COUNT; i++)
		if (scan_is(key, tally_metrics[i].key)) {
			*next = i + 1;
			return i;
		}
	return -1;
}

static void take_value(struct scan *scan, struct tally_sample *sample, int metric)
{
	struct cursor word;
	int64_t value;

	if (tally_metrics[metric].unit == TALLY_UNIT_STATE) {
		if (scan_raw(scan, &word))
			tally_sample_set(sample, metric, state_letter(word));
	} else if (tally_metrics[metric].unit == TALLY_UNIT_NS ? scan_seconds(scan, &value)
							       : scan_integer(scan, &value)) {
		tally_sample_set(sample, metric, value);
	}
}

static void take_missing(struct scan *scan, struct tally_sample *sample)
{
	struct cursor key, sentence;
	int next = 0;

	if (!scan_open(scan, '{'))
		return;
	while (scan_key(scan, &key)) {
		int metric = metric_of(key, &next);

		if (scan_raw(scan, &sentence) && metric >= 0)
			tally_sample_unset(sample, metric, reason_of(sentence));
	}
}

/* A task or process being read: it becomes a row when its name has come, its first key. */
struct reading {
	struct scan *scan;
	struct top_snapshot *ret;
	top_wants_fn *wants;
	void *context;
	size_t row; /* TOP_NONE: no name has come. */
	int next;   /* Metric expected. */
};

static struct top_row *row_of(const struct reading *reading)
{
	return reading->row == TOP_NONE ? NULL : &reading->ret->rows[reading->row];
}

/* What a task and a process have alike. @return whether it was that. */
static bool take_figure(struct reading *reading, struct cursor key)
{
	struct top_row *row = row_of(reading);
	int metric;

	if (!row)
		return false;
	if (scan_is(key, "cpu_rate")) {
		row->reading.has_cpu_rate = scan_real(reading->scan, &row->reading.cpu_rate);
		return true;
	}
	if (scan_is(key, "missing")) {
		take_missing(reading->scan, &row->reading.sample);
		return true;
	}
	metric = metric_of(key, &reading->next);
	if (metric >= 0)
		take_value(reading->scan, &row->reading.sample, metric);
	return metric >= 0;
}

static void take_life(struct reading *reading)
{
	struct top_row *row = row_of(reading);
	struct cursor word;

	if (scan_raw(reading->scan, &word) && row)
		row->life = life_of(word, &row->has_life);
}

static void add_row(struct reading *reading, const char *task, const char *process)
{
	struct top_row *row = task ? top_snapshot_add(reading->ret, task, process) : NULL;

	reading->row = row ? reading->ret->count - 1 : TOP_NONE;
	if (row)
		tally_sample_clear(&row->reading.sample, TALLY_REASON_TASK_ONLY);
}

static void take_process(struct reading *task)
{
	struct reading process = {.scan = task->scan, .ret = task->ret, .row = TOP_NONE};
	struct cursor key;
	int64_t pid;

	if (!scan_open(task->scan, '{'))
		return;
	while (scan_key(task->scan, &key)) {
		struct top_row *row = row_of(&process);

		if (scan_is(key, "process")) {
			CLEANUP_FREE char *name = scan_string(task->scan);

			if (name)
				add_row(&process, row_of(task)->task, name);
		} else if (scan_is(key, "pid")) {
			if (scan_integer(task->scan, &pid) && row)
				row->pid = (pid_t)pid;
		} else if (scan_is(key, "life")) {
			take_life(&process);
		} else if (!take_figure(&process, key)) {
			scan_skip(task->scan);
		}
	}
}

static void take_processes(struct reading *task)
{
	const struct top_row *row = row_of(task);
	bool wanted = row && (!task->wants || task->wants(task->context, row->task));

	if (!scan_open(task->scan, '['))
		return;
	while (scan_item(task->scan)) {
		task->ret->processes++;
		if (wanted)
			take_process(task);
		else
			scan_skip(task->scan);
	}
}

static void take_task_key(struct reading *task, struct cursor key, int64_t *wall_ns)
{
	if (scan_is(key, "task") && task->row == TOP_NONE) {
		CLEANUP_FREE char *id = scan_string(task->scan);

		add_row(task, id, NULL);
	} else if (scan_is(key, "state")) { /* Of a task its life, not that of a pid. */
		take_life(task);
	} else if (scan_is(key, "time")) {
		scan_seconds(task->scan, wall_ns);
	} else if (scan_is(key, "stale") && task->row != TOP_NONE) {
		row_of(task)->reading.stale = scan_true(task->scan);
	} else if (scan_is(key, "processes")) {
		take_processes(task);
	} else if (!take_figure(task, key)) {
		scan_skip(task->scan);
	}
}

/* The observer tells the wall clock alone; all figures of a task are of one instant. */
static void take_task(struct reading *task)
{
	struct cursor key;
	int64_t wall_ns = 0;

	task->row = TOP_NONE;
	task->next = 0;
	if (!scan_open(task->scan, '{'))
		return;
	while (scan_key(task->scan, &key))
		take_task_key(task, key, &wall_ns);
	if (task->row == TOP_NONE)
		return;
	const struct top_row *row = row_of(task);
	task->ret->stale |= row->reading.stale && row->has_life && row->life == TALLY_LIFE_ACTIVE;
	for (size_t i = task->row; i < task->ret->count; i++)
		task->ret->rows[i].reading.sample.wall_ns =
			task->ret->rows[i].reading.sample.boot_ns = wall_ns;
}

int top_observer_parse(const char *json, size_t length, top_wants_fn *wants, void *context,
	struct top_snapshot *ret)
{
	struct scan scan = scan_of(json, length);
	struct reading task = {.scan = &scan, .ret = ret, .wants = wants, .context = context};
	struct cursor key;

	ret->machine_cpu_ns = ret->other_cpu_ns = -1;
	if (!scan_open(&scan, '{'))
		return -EBADMSG;
	while (scan_key(&scan, &key)) {
		if (scan_is(key, "time"))
			scan_seconds(&scan, &ret->wall_ns);
		else if (scan_is(key, "tasks") && scan_open(&scan, '['))
			while (scan_item(&scan))
				take_task(&task);
		else if (!scan_is(key, "tasks"))
			scan_skip(&scan);
	}
	return scan.bad ? -EBADMSG : 0;
}

/* ---- asking ---- */

/* The refusal as its own message. */
static int refuse(const struct client_answer *answer, struct tally_error *err)
{
	struct scan scan = scan_of(answer->body.at, (size_t)(answer->body.end - answer->body.at));
	CLEANUP_FREE char *why = NULL;
	struct cursor key;

	bool object = scan_open(&scan, '{');
	while (object && scan_key(&scan, &key)) {
		if (scan_is(key, "error") && !why)
			why = scan_string(&scan);
		else
			scan_skip(&scan);
	}
	return tally_refuse(err, -EREMOTE, "%s", why ? why : "the observer refuses");
}

static int take_answer(const struct observer_feed *o, const struct client_answer *answer,
	top_wants_fn *wants, void *context, struct top_snapshot *ret, struct tally_error *err)
{
	if (answer->status >= 400)
		return refuse(answer, err);
	if (top_observer_parse(answer->body.at, (size_t)(answer->body.end - answer->body.at), wants,
		    context, ret) < 0)
		return tally_refuse(err, -EBADMSG, "what answers at %s is no observer", o->socket);
	return 0;
}

static int ask_tasks(struct observer_feed *o, int64_t at_ns, top_wants_fn *wants, void *context,
	struct top_snapshot *ret, struct tally_error *err)
{
	char target[64] = "/api/v1/tasks";
	struct client_answer answer;

	if (at_ns)
		snprintf(target, sizeof(target), "/api/v1/tasks?at=%" PRId64 ".%09" PRId64,
			at_ns / NS_PER_S, at_ns % NS_PER_S);
	int r = client_ask(o->socket, target, &answer, err);
	if (r == 0)
		r = take_answer(o, &answer, wants, context, ret, err);
	client_answer_done(&answer);
	return r;
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
	if (r == 0 && (at_ns || ret->count > o->rows))
		ask_before(o, wants, context, ret);
	o->rows = r == 0 && !at_ns ? ret->count : 0;
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
