/* SPDX-License-Identifier: Apache-2.0 */
/* `tally history`: asking an observer, or reading a store as it would. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "cli/history.h"
#include "cli/observed.h"
#include "cli/stored.h"
#include "serve/series.h"

#define NO_ANSWER "cannot make the answer"

/* ---- of an observer ---- */

static int ask_observer(const struct history_question *q, json_t **ret, struct tally_error *err)
{
	char since[48] = "", until[48] = "", time[32];
	const char *process;

	if (q->since_ns != INT64_MIN)
		snprintf(since, sizeof(since), "&since=%s", observed_time(time, q->since_ns));
	if (q->until_ns != INT64_MAX)
		snprintf(until, sizeof(until), "&until=%s", observed_time(time, q->until_ns));
	CLEANUP_FREE char *tail = observed_target("/history?step=%s%s%s%s%s&rate=%d",
		q->step ? q->step : "auto", since, until, q->metrics ? "&metrics=" : "",
		q->metrics ? q->metrics : "", q->rate);
	if (!tail)
		return tally_fail(err, -ENOMEM, "cannot ask the observer");
	return observed_get_task(q->socket, q->word, tail, true, &process, ret, err);
}

/* ---- of a store ---- */

/* Read a question as the observer reads it: one parser for both. */
static int parse(const struct history_question *q, struct query *ret, struct tally_error *err)
{
	const struct request request = {.params = {[PARAM_STEP] = q->step ? q->step : "auto",
						[PARAM_METRICS] = q->metrics,
						[PARAM_RATE] = q->rate ? "1" : NULL}};
	int status = query_parse(&request, clock_wall_ns(), ret, err);

	ret->since_ns = q->since_ns;
	ret->until_ns = q->until_ns;
	return status ? -EINVAL : 0;
}

static int fail_reading(int r, const struct series *series, struct tally_error *err)
{
	if (r == 0)
		r = series->code;
	if (r == -EFBIG)
		return tally_refuse(err, r,
			"that would be more than %d values; give it a longer --step, name metrics, "
			"or a shorter time with --since and --until",
			SERIES_CELLS_MAX);
	return r < 0 ? tally_fail(err, r, "cannot read the history") : 0;
}

static int write_document(
	const struct series *series, const char *task, json_t **ret, struct tally_error *err)
{
	CLEANUP_BUFFER struct buffer text = {0};

	series_write(series, task, &text);
	if (text.code < 0)
		return tally_fail(err, text.code, NO_ANSWER);
	*ret = json_loadb(text.at, text.used, 0, NULL);
	return *ret ? 0 : tally_fail(err, -ENOMEM, NO_ANSWER);
}

static int read_series(struct stored *stored, struct history_task *task, const char *word,
	struct query *query, json_t **ret, struct tally_error *err)
{
	struct history_extent extent;
	struct series series;
	uint64_t lost = 0;
	int r = history_extent(stored->history, task, query->process, &extent);

	if (r < 0)
		return tally_refuse(err, r, "store %s has no sample of %s", stored->path,
			query->process ? query->process : word);
	if (query->auto_step)
		query->step_ns = series_step(&extent, query->since_ns, query->until_ns);
	series_begin(&series, query, 0);
	r = history_points(stored->history, task, query->process, series_since(query),
		query->until_ns, series_add, &series, &lost);
	if (lost > 0)
		fprintf(stderr,
			"tally: %llu stretches of samples are damaged and left out; "
			"`tally store check` tells which\n",
			(unsigned long long)lost);
	r = fail_reading(r, &series, err);
	if (r == 0)
		r = write_document(&series, word, ret, err);
	series_done(&series);
	return r;
}

static int read_store(const struct history_question *q, json_t **ret, struct tally_error *err)
{
	struct stored stored = {.history = NULL};
	struct history_task *task;
	struct query query;
	int r = parse(q, &query, err);

	if (r == 0)
		r = stored_open(q->store, &stored, err);
	if (r == 0)
		r = stored_find(&stored, q->word, &task, &query.process, err);
	if (r == 0)
		r = read_series(&stored, task, q->word, &query, ret, err);
	stored_close(&stored);
	return r;
}

/* ---- either ---- */

static int ask(const struct history_question *q, json_t **ret, struct tally_error *err)
{
	if (q->store)
		return read_store(q, ret, err);

	int r = ask_observer(q, ret, err);
	return observed_absent(r) && !q->socket ? read_store(q, ret, err) : r;
}

static int64_t time_at(const json_t *times, size_t index)
{
	return (int64_t)(json_number_value(json_array_get(times, index)) * 1e9);
}

/* Nothing in that time: tell what there is. */
static int fail_empty(const struct history_question *q, const char *name, struct tally_error *err)
{
	char whole[512], first[32], last[32];
	struct history_question all = {.store = q->store,
		.socket = q->socket,
		.word = whole,
		.since_ns = INT64_MIN,
		.until_ns = INT64_MAX,
		.metrics = "pids"};
	json_t *answer = NULL;

	snprintf(whole, sizeof(whole), "%s", name);
	int r = ask(&all, &answer, err);
	const json_t *times = json_object_get(answer, "times");
	size_t count = json_array_size(times);
	if (r == 0 && count > 0)
		tally_refuse(err, -ENODATA,
			"there is no sample of %s in that time; those there are reach from %s to %s",
			name, stored_time(first, time_at(times, 0), false),
			stored_time(last, time_at(times, count - 1), false));
	else if (r == 0)
		tally_refuse(err, -ENODATA, "there is no sample of %s yet", name);
	json_decref(answer);
	return r < 0 ? r : -ENODATA;
}

int history_ask(const struct history_question *question, json_t **ret, struct tally_error *err)
{
	char name[512];
	json_t *answer = NULL;

	snprintf(name, sizeof(name), "%s", question->word);
	int r = ask(question, &answer, err);
	if (r == 0 && json_array_size(json_object_get(answer, "times")) == 0)
		r = fail_empty(question, name, err);
	if (r == 0)
		*ret = answer;
	else
		json_decref(answer);
	return r;
}
