/* SPDX-License-Identifier: Apache-2.0 */
/* The feed of `tally top` that reads a store, whether an observer writes it meanwhile or not. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/fail.h"
#include "cli/stored.h"
#include "cli/top_feed.h"
#include "history/history.h"

/* How long before an instant the sample may lie that its first rate needs. */
#define BEFORE_NS (60 * NS_PER_S)

struct store_feed {
	struct top_feed feed;
	const char *given; /* Path as it was given, or NULL. */
	struct stored stored;
	int64_t first_ns, last_ns; /* 0: it has no samples. */
};

/* ---- how far it reaches ---- */

static bool widen(void *context, const char *id, int64_t first_ns, int64_t last_ns)
{
	struct store_feed *s = context;

	if (!s->first_ns || first_ns < s->first_ns)
		s->first_ns = first_ns;
	if (last_ns > s->last_ns)
		s->last_ns = last_ns;
	return true;
}

static int open_store(struct store_feed *s, struct tally_error *err)
{
	int r = stored_open(s->given, &s->stored, err);

	s->first_ns = s->last_ns = 0;
	if (r == 0)
		r = history_alive(s->stored.history, INT64_MIN, INT64_MAX, widen, s);
	if (r == 0 && !s->first_ns)
		r = tally_refuse(
			err, -ENODATA, "store %s has no samples of any task", s->stored.path);
	return r;
}

/* ---- an instant ---- */

static void fill(
	struct top_row *row, const struct tally_sample *sample, const struct tally_sample *before)
{
	row->reading.sample = *sample;
	row->before = *before;
	row->reading.has_cpu_rate = before->boot_ns && tally_sample_cpu_rate(before, sample,
							       &row->reading.cpu_rate) == 0;
}

/* The processes of a task on their way into a snapshot. */
struct parts {
	struct {
		char **at;
		size_t count;
	} names;
	bool failed;
};

static void add_name(void *context, const char *name)
{
	struct parts *parts = context;
	char **grown = reallocarray(parts->names.at, parts->names.count + 1, sizeof(*grown));
	char *copy = grown ? strdup(name) : NULL;

	if (grown)
		parts->names.at = grown;
	if (copy)
		grown[parts->names.count++] = copy;
	else
		parts->failed = true;
}

/* Those that were in the task's record of the instant. */
static void add_parts(
	struct store_feed *s, const struct stored_task *one, struct top_snapshot *snapshot)
{
	struct parts parts = {0};
	struct tally_sample sample, before;

	history_processes(s->stored.history, one->task, add_name, &parts);
	for (size_t i = 0; i < parts.names.count; i++) {
		struct top_row *row = NULL;

		if (history_nearest(s->stored.history, one->task, parts.names.at[i],
			    one->sample.wall_ns, &sample, &before) == 0 &&
			sample.wall_ns == one->sample.wall_ns)
			row = top_snapshot_add(snapshot, one->id, parts.names.at[i]);
		if (row)
			fill(row, &sample, &before);
		free(parts.names.at[i]);
	}
	free(parts.names.at);
	snapshot->failed |= parts.failed;
}

static void add_tasks(struct store_feed *s, const struct stored_tasks *all, top_wants_fn *wants,
	void *context, struct top_snapshot *ret)
{
	for (size_t i = 0; i < all->count; i++) {
		const struct stored_task *one = &all->at[i];
		struct top_row *row = top_snapshot_add(ret, one->id, NULL);

		if (row)
			fill(row, &one->sample, &one->before);
		if (row && (!wants || wants(context, one->id)))
			add_parts(s, one, ret);
	}
	ret->failed |= all->failed;
}

/* Nothing is open: read on, what was written meanwhile included. */
static int reopen(struct store_feed *s, struct tally_error *err)
{
	stored_close(&s->stored);
	return open_store(s, err);
}

static int read_store(struct top_feed *feed, int64_t at_ns, top_wants_fn *wants, void *context,
	struct top_snapshot *ret, struct tally_error *err)
{
	struct store_feed *s = (struct store_feed *)feed;
	struct stored_tasks all = {0};
	int r = at_ns && s->stored.history ? 0 : reopen(s, err);

	if (r < 0)
		return r;
	ret->wall_ns = at_ns ? at_ns : s->last_ns;
	ret->machine_cpu_ns = ret->other_cpu_ns = -1;
	r = stored_alive(&s->stored, ret->wall_ns, &all);
	add_tasks(s, &all, wants, context, ret);
	stored_tasks_done(&all);
	return r < 0 ? tally_fail(err, r, "cannot read the store %s", s->stored.path) : 0;
}

/* ---- the past of a row ---- */

static void course_store(
	struct top_feed *feed, const char *task, const char *process, struct top_course *course)
{
	struct history *history = ((struct store_feed *)feed)->stored.history;
	struct history_task *found = history ? history_find(history, task) : NULL;
	struct top_noting noting = {.course = course};

	if (found) /* From a while before, for the sample that the first rate needs. */
		history_range(history, found, process, top_course_first_ns(course) - BEFORE_NS,
			top_course_last_ns(course), top_course_note_next, &noting);
}

static bool reach_store(struct top_feed *feed, int64_t *ret_first_ns, int64_t *ret_last_ns)
{
	struct store_feed *s = (struct store_feed *)feed;

	*ret_first_ns = s->first_ns;
	*ret_last_ns = s->last_ns;
	return s->first_ns != 0;
}

static void close_store(struct top_feed *feed)
{
	struct store_feed *s = (struct store_feed *)feed;

	stored_close(&s->stored);
	free(s);
}

static const struct top_feed_ops store_ops = {
	.name = "store",
	.read = read_store,
	.course = course_store,
	.reach = reach_store,
	.close = close_store,
};

int top_store_open(const char *path, struct top_feed **ret, struct tally_error *err)
{
	struct store_feed *s = calloc(1, sizeof(*s));

	if (!s)
		return tally_fail(err, -ENOMEM, "cannot read the store");
	s->feed.ops = &store_ops;
	s->given = path;
	int r = open_store(s, err);
	if (r < 0) {
		close_store(&s->feed);
		return r;
	}
	snprintf(s->feed.title, sizeof(s->feed.title), "store %.200s", s->stored.path);
	*ret = &s->feed;
	return 0;
}
