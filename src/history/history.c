/* SPDX-License-Identifier: Apache-2.0 */
#include "history/history.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/fail.h"
#include "history/ring.h"

#define RETENTION_NS_DEFAULT (3600 * NS_PER_S)
#define INTERVAL_NS_DEFAULT  NS_PER_S
#define BYTES_DEFAULT	     ((size_t)256 << 20)

struct history_task {
	struct ring_task ring; /* first: history_task_ring() is a cast */
	int64_t last_boot_ns;
	UT_hash_handle hh;
	char id[];
};

struct history {
	pthread_mutex_t lock;
	struct history_task *tasks;
	struct ring ring;
	uint64_t refused;
};

struct ring_task *history_task_ring(struct history_task *task)
{
	return &task->ring;
}

static int check_options(const struct history_options *options, struct tally_error *err)
{
	int64_t samples;

	if (options->retention_ns < 0 || options->interval_ns < 0)
		return tally_refuse(err, -EINVAL, "a history of negative length was asked for");
	samples = options->retention_ns / options->interval_ns;
	if (samples < 1)
		return tally_refuse(err, -EINVAL,
			"a history of %.3f s cannot hold one sample every %.3f s; make it at least "
			"one interval long",
			(double)options->retention_ns / 1e9, (double)options->interval_ns / 1e9);
	if (samples > HISTORY_SAMPLES_MAX)
		return tally_refuse(err, -EINVAL,
			"a history of %.3f s at one sample every %.3f s is %lld samples of each "
			"task, more than the %d there may be; shorten it or sample less often",
			(double)options->retention_ns / 1e9, (double)options->interval_ns / 1e9,
			(long long)samples, HISTORY_SAMPLES_MAX);
	return 0;
}

int history_open(
	const struct history_options *options, struct history **ret, struct tally_error *err)
{
	struct history_options o = options ? *options : (struct history_options){0};

	if (o.retention_ns == 0)
		o.retention_ns = RETENTION_NS_DEFAULT;
	if (o.interval_ns == 0)
		o.interval_ns = INTERVAL_NS_DEFAULT;
	if (o.bytes == 0)
		o.bytes = BYTES_DEFAULT;

	int r = check_options(&o, err);
	if (r < 0)
		return r;

	struct history *history = calloc(1, sizeof(*history));
	if (!history)
		return tally_fail(err, -ENOMEM, "cannot begin a history");
	pthread_mutex_init(&history->lock, NULL);
	history->ring.retention_ns = o.retention_ns;
	history->ring.bytes_limit = o.bytes;
	*ret = history;
	return 0;
}

static void forget_task(struct history *history, struct history_task *task)
{
	ring_task_clear(&history->ring, task);
	HASH_DEL(history->tasks, task);
	free(task);
}

struct history *history_close(struct history *history)
{
	struct history_task *task, *next;

	if (!history)
		return NULL;
	while (history->ring.oldest)
		ring_task_clear(&history->ring, history->ring.oldest->task);
	HASH_ITER (hh, history->tasks, task, next)
		forget_task(history, task);
	ring_done(&history->ring);
	pthread_mutex_destroy(&history->lock);
	free(history);
	return NULL;
}

static struct history_task *find_task(struct history *history, const char *id)
{
	struct history_task *task;

	HASH_FIND_STR(history->tasks, id, task);
	return task;
}

struct history_task *history_find(struct history *history, const char *id)
{
	pthread_mutex_lock(&history->lock);
	struct history_task *task = find_task(history, id);
	pthread_mutex_unlock(&history->lock);
	return task;
}

static struct history_task *begin_task(struct history *history, const char *id)
{
	struct history_task *task = calloc(1, sizeof(*task) + strlen(id) + 1);

	if (!task)
		return NULL;
	strcpy(task->id, id);
	task->last_boot_ns = INT64_MIN;
	HASH_ADD_STR(history->tasks, id, task);
	if (!task->hh.tbl) {
		free(task);
		return NULL;
	}
	return task;
}

int history_task(
	struct history *history, const char *id, struct history_task **ret, struct tally_error *err)
{
	pthread_mutex_lock(&history->lock);
	struct history_task *task = find_task(history, id);
	if (!task)
		task = begin_task(history, id);
	pthread_mutex_unlock(&history->lock);
	if (!task)
		return tally_fail(err, -ENOMEM, "task %.200s: cannot begin its history", id);
	*ret = task;
	return 0;
}

void history_task_drop(struct history *history, struct history_task *task)
{
	pthread_mutex_lock(&history->lock);
	forget_task(history, task);
	pthread_mutex_unlock(&history->lock);
}

static int check_order(const struct history_task *task, const struct history_record *record,
	struct tally_error *err)
{
	if (record->boot_ns > task->last_boot_ns)
		return 0;
	return tally_refuse(err, -EINVAL,
		"task %.200s: a sample that is %.9f s older than the last one (or as old) cannot be "
		"kept; samples come in order of time",
		task->id, (double)(task->last_boot_ns - record->boot_ns) / 1e9);
}

static int append(struct history *history, struct history_task *task,
	const struct history_record *record, struct tally_error *err)
{
	int r = check_order(task, record, err);

	if (r < 0)
		return r;
	r = ring_append(&history->ring, task, record);
	if (r == -EEXIST)
		return tally_refuse(err, -EINVAL,
			"task %.200s: a process is named twice in one record", task->id);
	if (r < 0)
		return tally_fail(err, r,
			"task %.200s: cannot keep a sample of %zu processes in a history of %zu "
			"bytes",
			task->id, record->process_count, history->ring.bytes_limit);
	task->last_boot_ns = record->boot_ns;
	return 0;
}

int history_append(struct history *history, struct history_task *task,
	const struct history_record *record, struct tally_error *err)
{
	pthread_mutex_lock(&history->lock);
	int r = append(history, task, record, err);
	if (r < 0)
		history->refused++;
	pthread_mutex_unlock(&history->lock);
	return r;
}

static uint64_t distance(int64_t a, int64_t b)
{
	return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

static int nearest(struct history_task *task, const struct ring_name *name, int64_t wall_ns,
	struct tally_sample *ret, struct tally_sample *ret_before)
{
	const struct tally_sample *best = NULL, *before = NULL, *last = NULL;

	for (struct ring_record *r = task->ring.oldest; r; r = r->newer_of_task) {
		const struct tally_sample *sample = ring_sample(r, name);

		if (!sample)
			continue;
		if (!best ||
			distance(sample->wall_ns, wall_ns) < distance(best->wall_ns, wall_ns)) {
			best = sample;
			before = last;
		}
		last = sample;
	}
	if (!best)
		return -ENODATA;
	*ret = *best;
	if (ret_before)
		*ret_before = before ? *before : (struct tally_sample){0};
	return 0;
}

int history_nearest(struct history *history, struct history_task *task, const char *process,
	int64_t wall_ns, struct tally_sample *ret, struct tally_sample *ret_before)
{
	int r = -ENOENT;

	pthread_mutex_lock(&history->lock);
	struct ring_name *name = process ? ring_name_find(&task->ring, process) : NULL;
	if (!process || name)
		r = nearest(task, name, wall_ns, ret, ret_before);
	pthread_mutex_unlock(&history->lock);
	return r;
}

static void range(struct history_task *task, const struct ring_name *name, int64_t since_ns,
	int64_t until_ns, history_sample_fn *visit, void *context)
{
	for (struct ring_record *r = task->ring.oldest; r; r = r->newer_of_task) {
		const struct tally_sample *sample = ring_sample(r, name);

		if (sample && sample->wall_ns >= since_ns && sample->wall_ns <= until_ns &&
			!visit(context, sample))
			return;
	}
}

int history_range(struct history *history, struct history_task *task, const char *process,
	int64_t since_ns, int64_t until_ns, history_sample_fn *visit, void *context)
{
	pthread_mutex_lock(&history->lock);
	struct ring_name *name = process ? ring_name_find(&task->ring, process) : NULL;
	if (!process || name)
		range(task, name, since_ns, until_ns, visit, context);
	pthread_mutex_unlock(&history->lock);
	return process && !name ? -ENOENT : 0;
}

void history_processes(struct history *history, struct history_task *task,
	void (*visit)(void *context, const char *name), void *context)
{
	struct ring_name *name, *next;

	pthread_mutex_lock(&history->lock);
	HASH_ITER (hh, task->ring.names, name, next)
		visit(context, name->text);
	pthread_mutex_unlock(&history->lock);
}

void history_status(struct history *history, struct history_status *ret)
{
	pthread_mutex_lock(&history->lock);
	*ret = (struct history_status){
		.tasks = HASH_COUNT(history->tasks),
		.samples = history->ring.records,
		.bytes = history->ring.bytes,
		.bytes_limit = history->ring.bytes_limit,
		.dropped = history->ring.dropped,
		.refused = history->refused,
	};
	pthread_mutex_unlock(&history->lock);
}
