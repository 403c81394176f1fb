/* SPDX-License-Identifier: Apache-2.0 */
#include "history/history.h"

#include <errno.h>
#include "base/clock.h"
#include "base/fail.h"
#include "history/internal.h"
#include "history/keeper.h"

#define RETENTION_NS_DEFAULT (3600 * NS_PER_S)
#define INTERVAL_NS_DEFAULT  NS_PER_S
#define BYTES_DEFAULT	     ((size_t)256 << 20)

static const struct history_tier tier_defaults[HISTORY_TIERS] = {
	{10 * NS_PER_S, 24 * 3600 * NS_PER_S},
	{60 * NS_PER_S, 30 * 24 * 3600 * NS_PER_S},
};

/* Chunks of block memory: small against the limit. */
#define CHUNK_BYTES_LEAST ((size_t)4 << 10)
#define CHUNK_BYTES_MOST  ((size_t)64 << 10)

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

static size_t chunk_bytes(size_t limit)
{
	size_t bytes = limit / 256 & ~(size_t)4095;

	if (bytes < CHUNK_BYTES_LEAST)
		return CHUNK_BYTES_LEAST;
	return bytes > CHUNK_BYTES_MOST ? CHUNK_BYTES_MOST : bytes;
}

static void add_tier(struct history *history, int64_t step_ns, int64_t retention_ns)
{
	history->tiers[history->tier_count++] = (struct tier){
		.step_ns = step_ns,
		.retention_ns = retention_ns,
		.arena.chunk_bytes = chunk_bytes(history->bytes_limit),
	};
}

/* The coarser resolutions that are wanted and are coarser than the one before. */
static void add_tiers(struct history *history, const struct history_options *o)
{
	int64_t finer_ns = o->interval_ns;

	add_tier(history, 0, o->retention_ns);
	for (unsigned i = 0; i < HISTORY_TIERS; i++) {
		struct history_tier tier = o->tiers[i];

		if (tier.step_ns == 0)
			tier.step_ns = tier_defaults[i].step_ns;
		if (tier.retention_ns == 0)
			tier.retention_ns = tier_defaults[i].retention_ns;
		if (tier.retention_ns < 0 || tier.step_ns <= finer_ns)
			continue;
		add_tier(history, tier.step_ns, tier.retention_ns);
		finer_ns = tier.step_ns;
	}
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
	history->scratch = block_scratch_new();
	if (!history->scratch) {
		free(history);
		return tally_fail(err, -ENOMEM, "cannot begin a history");
	}
	pthread_mutex_init(&history->lock, NULL);
	history->interval_ns = o.interval_ns;
	history->bytes_limit = o.bytes;
	history->era = 1;
	history->log = o.log ? *o.log : (struct log){0};
	history->next_task = 1;
	add_tiers(history, &o);
	r = o.store ? keeper_open(history, &o, err) : 0;
	if (r < 0)
		history_close(history);
	else
		*ret = history;
	return r;
}

static size_t task_bytes(const char *id)
{
	return sizeof(struct history_task) + strlen(id) + 1 + sizeof(struct history_task *);
}

static void free_names(struct history *history, struct history_task *task)
{
	struct name *name, *next;

	HASH_ITER (hh, task->names, name, next) {
		history->task_bytes -= sizeof(*name) + strlen(name->text) + 1;
		HASH_DEL(task->names, name);
		free(name);
	}
	free(task->order);
}

void history_forget(struct history *history, struct history_task *task)
{
	for (unsigned i = 0; i < TIERS; i++) {
		struct lane *lane = &task->lanes[i];

		while (lane->oldest)
			sealed_drop(history, lane->oldest);
		if (i == 0)
			history->samples -= lane->open.rows;
		history->open_bytes -= rows_bytes(&lane->open);
		rows_done(&lane->open);
	}
	free_names(history, task);
	bytes_free(&task->roots);
	history->order[task->place] = history->order[--history->task_count];
	history->order[task->place]->place = task->place;
	if (!task->gone)
		HASH_DEL(history->tasks, task);
	history->task_bytes -= task_bytes(task->id);
	free(task);
}

static void free_views(struct history *history)
{
	while (history->idle_views) {
		struct view *view = history->idle_views;

		history->idle_views = *(struct view **)view;
		view_free(view);
	}
}

struct history *history_close(struct history *history)
{
	if (!history)
		return NULL;
	keeper_close(history);
	while (history->task_count > 0)
		history_forget(history, history->order[0]);
	for (unsigned i = 0; i < history->tier_count; i++) {
		arena_done(&history->tiers[i].arena);
		ticks_done(&history->tiers[i].ticks);
	}
	free_views(history);
	free(history->order);
	free(history->parts);
	bytes_free(&history->said);
	bytes_free(&history->journal.entries);
	bytes_free(&history->journal.tick);
	table_done(&history->table);
	free(history->spare.series);
	block_scratch_free(history->scratch);
	rollup_free(history->rollup);
	pthread_mutex_destroy(&history->lock);
	free(history);
	return NULL;
}

struct history_task *history_lookup(struct history *history, const char *id)
{
	struct history_task *task;

	HASH_FIND_STR(history->tasks, id, task);
	return task;
}

static bool stop(void *context, uint64_t task, unsigned tier, const struct span *span)
{
	*(bool *)context = true;
	return false;
}

static bool known_to_store(struct history *history, const char *id)
{
	struct store *store = keeper_lock_reader(history);
	bool known = false;

	if (!store)
		return false;
	keeper_unlock_reader(history, store_spans(store, id, stop, &known, NULL));
	return known;
}

struct history_task *history_find(struct history *history, const char *id)
{
	pthread_mutex_lock(&history->lock);
	struct history_task *task = history_lookup(history, id);
	pthread_mutex_unlock(&history->lock);
	if (task || !history->keeper || !known_to_store(history, id))
		return task;
	pthread_mutex_lock(&history->lock);
	task = history_lookup(history, id);
	if (!task && (task = history_begin_task(history, id))) {
		task->found = true;
		history->found_count++;
	}
	pthread_mutex_unlock(&history->lock);
	return task;
}

static void forget_found(struct history *history, struct history_task *task)
{
	history->found_count -= task->found;
	task->found = false;
}

void history_drop_found(struct history *history, size_t limit)
{
	struct history_task *task, *next;

	pthread_mutex_lock(&history->lock);
	if (history->found_count > limit)
		HASH_ITER (hh, history->tasks, task, next)
			if (task->found) {
				forget_found(history, task);
				history_forget(history, task);
			}
	pthread_mutex_unlock(&history->lock);
}

static bool order_room(struct history *history)
{
	if (history->task_count < history->task_capacity)
		return true;

	size_t capacity = history->task_capacity ? history->task_capacity * 2 : 16;
	void *order = reallocarray(history->order, capacity, sizeof(*history->order));
	if (!order)
		return false;
	history->order = order;
	history->task_capacity = capacity;
	return true;
}

/* Tasks that begin together must not all have a block to seal in the same tick. */
static uint32_t first_share(const char *id)
{
	uint32_t hash = 2166136261u;

	for (; *id; id++)
		hash = (hash ^ (uint8_t)*id) * 16777619u;
	return 64 + (hash >> 8) % 193;
}

static struct history_task *new_task(struct history *history, const char *id)
{
	struct history_task *task = calloc(1, sizeof(*task) + strlen(id) + 1);

	if (!task)
		return NULL;
	strcpy(task->id, id);
	HASH_ADD_STR(history->tasks, id, task);
	if (!task->hh.tbl || !order_room(history)) {
		if (task->hh.tbl)
			HASH_DEL(history->tasks, task);
		free(task);
		return NULL;
	}
	task->next_name = 1;
	for (unsigned i = 0; i < TIERS; i++) {
		task->lanes[i].task = task;
		task->lanes[i].tier = i;
		task->lanes[i].seal_share = first_share(id);
		task->lanes[i].rolled = history->tiers[i].ticks.next;
	}
	task->place = history->task_count;
	history->order[history->task_count++] = task;
	history->task_bytes += task_bytes(id);
	return task;
}

struct history_task *history_begin_task(struct history *history, const char *id)
{
	struct history_task *task = history_lookup(history, id);

	return task ? task : new_task(history, id);
}

int history_task(
	struct history *history, const char *id, struct history_task **ret, struct tally_error *err)
{
	pthread_mutex_lock(&history->lock);
	struct history_task *task = history_begin_task(history, id);
	if (task)
		forget_found(history, task);
	pthread_mutex_unlock(&history->lock);
	if (!task)
		return tally_fail(err, -ENOMEM, "task %.200s: cannot begin its history", id);
	*ret = task;
	return 0;
}

/* The store is to have all of it: it goes when that is so. */
static void drop_when_stored(struct history *history, struct history_task *task)
{
	for (unsigned i = 0; i < history->tier_count; i++)
		lane_seal(history, &task->lanes[i]);
	task->roots.length = 0;
	task->new_roots = task->stored;
	task->gone = true;
	HASH_DEL(history->tasks, task);
	keeper_wake(history);
}

void history_task_drop(struct history *history, struct history_task *task)
{
	pthread_mutex_lock(&history->lock);
	forget_found(history, task);
	if (history->keeper && task->number > 0)
		drop_when_stored(history, task);
	else
		history_forget(history, task);
	pthread_mutex_unlock(&history->lock);
}

/* Names of processes, each once. */
struct names {
	struct name *set;
	void (*visit)(void *context, const char *name);
	void *context;
};

static bool visit_once(void *context, uint64_t task, uint32_t number, const char *text)
{
	struct names *names = context;
	struct name *name;

	HASH_FIND_STR(names->set, text, name);
	if (name)
		return true;
	name = calloc(1, sizeof(*name) + strlen(text) + 1);
	if (!name)
		return false;
	strcpy(name->text, text);
	HASH_ADD_STR(names->set, text, name);
	if (!name->hh.tbl) {
		free(name);
		return false;
	}
	names->visit(names->context, text);
	return true;
}

static void visit_stored(struct history *history, const char *id, struct names *names)
{
	struct store *store = keeper_lock_reader(history);

	if (store)
		keeper_unlock_reader(history, store_names(store, id, visit_once, names, NULL));
}

void history_processes(struct history *history, struct history_task *task,
	void (*visit)(void *context, const char *name), void *context)
{
	struct names names = {.visit = visit, .context = context};
	struct name *name, *next;

	pthread_mutex_lock(&history->lock);
	HASH_ITER (hh, task->names, name, next)
		if (name->last.era > 0)
			visit_once(&names, 0, 0, name->text);
	pthread_mutex_unlock(&history->lock);
	if (history->keeper)
		visit_stored(history, task->id, &names);
	HASH_ITER (hh, names.set, name, next) {
		HASH_DEL(names.set, name);
		free(name);
	}
}

void history_status(struct history *history, struct history_status *ret)
{
	struct keeper_status store;

	pthread_mutex_lock(&history->lock);
	*ret = (struct history_status){
		.tasks = history->task_count,
		.samples = history->samples,
		.bytes = history_bytes(history),
		.bytes_limit = history->bytes_limit,
		.dropped = history->dropped,
		.refused = history->refused,
		.stored = history->keeper != NULL,
		.store_lost = history->unstored,
	};
	keeper_status(history, &store);
	ret->store_failing = store.failing;
	ret->store_bytes = store.bytes;
	ret->store_bytes_limit = store.bytes_limit;
	ret->store_commits = store.commits;
	ret->store_failures = store.failures;
	ret->store_damaged = store.damaged;
	pthread_mutex_unlock(&history->lock);
}
