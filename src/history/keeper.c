/* SPDX-License-Identifier: Apache-2.0 */
#include "history/keeper.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>
#include "base/clock.h"
#include "base/fail.h"
#include "history/journal.h"

/* Between two tries while the store does not take anything. */
#define RETRY_NS_FIRST (NS_PER_S / 2)
#define RETRY_NS_MOST  (10 * NS_PER_S)

/* Commits between two looks at what is too old or too much. */
#define PRUNE_COMMITS 8

struct keeper {
	pthread_t thread;
	bool has_thread;
	pthread_cond_t wake, done;
	bool stop, busy, again; /* under the history's lock */
	char *path;
	uint64_t limit;

	struct store *store; /* of the thread */
	struct batch batch;
	struct block_scratch *scratch;
	struct table table;
	int64_t retry_ns;
	struct moment now;
	int64_t wall_ns;
	uint64_t commits, failures;
	bool failing;
	uint64_t unstored_before;

	pthread_mutex_t read_lock;
	struct store *reader;
	atomic_uint generation; /* of the file: it changes when a damaged one is set aside */
	unsigned reader_generation;
	atomic_uint_fast64_t damaged;
};

void keeper_wake(struct history *history)
{
	if (!history->keeper)
		return;
	history->keeper->again = true;
	pthread_cond_signal(&history->keeper->wake);
}

int keeper_flush(struct history *history)
{
	struct keeper *k = history->keeper;

	if (!k || !k->has_thread)
		return 0;
	while ((k->again || k->busy) && !k->failing)
		pthread_cond_wait(&k->done, &history->lock);
	return k->failing ? -EAGAIN : 0;
}

bool keeper_busy(const struct history *history)
{
	return history->keeper && history->keeper->busy;
}

void keeper_status(struct history *history, struct keeper_status *ret)
{
	struct keeper *k = history->keeper;

	*ret = (struct keeper_status){0};
	if (!k)
		return;
	*ret = (struct keeper_status){
		.bytes = store_file_bytes(k->path),
		.bytes_limit = k->limit,
		.commits = k->commits,
		.failures = k->failures,
		.failing = k->failing,
		.damaged = k->damaged,
	};
}

struct store *keeper_lock_reader(struct history *history)
{
	struct keeper *k = history->keeper;

	if (!k)
		return NULL;
	pthread_mutex_lock(&k->read_lock);
	if (k->reader && k->reader_generation != k->generation)
		k->reader = store_close(k->reader);
	if (!k->reader) {
		k->reader_generation = k->generation;
		if (store_open(k->path, true, 0, &k->reader, NULL) < 0)
			k->reader = NULL;
	}
	if (!k->reader)
		pthread_mutex_unlock(&k->read_lock);
	return k->reader;
}

void keeper_unlock_reader(struct history *history, int error)
{
	struct keeper *k = history->keeper;

	k->damaged += k->reader->damaged;
	k->reader->damaged = 0;
	if (error < 0 && error != -ENOENT)
		k->reader = store_close(k->reader);
	pthread_mutex_unlock(&k->read_lock);
}

/* A log that readers keep from being emptied must not outgrow its part of the limit. */
static int check_wal(struct keeper *k, struct tally_error *err)
{
	if (store_file_wal_bytes(k->path) <= k->store->wal_limit)
		return 0;
	sqlite3_wal_checkpoint_v2(k->store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	if (store_file_wal_bytes(k->path) <= k->store->wal_limit)
		return 0;
	return tally_refuse(err, -ENOSPC,
		"store %s: cannot write: its log is at its limit, for somebody has been reading it "
		"all the while",
		k->path);
}

/* Make room below the limit; deleted pages are free once that is committed. */
static int prune(struct history *history, struct keeper *k, struct tally_error *err)
{
	int r;

	do {
		r = store_exec(k->store, "BEGIN IMMEDIATE", err, "write");
		if (r == 0)
			r = store_prune(k->store, history->tiers, history->tier_count, k->now,
				k->wall_ns, err);
		if (r >= 0 && store_exec(k->store, "COMMIT", err, "write") < 0)
			r = err->code;
		if (r < 0)
			sqlite3_exec(k->store->db, "ROLLBACK", NULL, NULL, NULL);
	} while (r >= 64 && check_wal(k, NULL) == 0);
	return r < 0 ? r : 0;
}

static int write_once(struct keeper *k, struct tally_error *err)
{
	int r = check_wal(k, err);

	if (r == 0)
		r = store_exec(k->store, "BEGIN IMMEDIATE", err, "write");
	if (r < 0)
		return r;
	r = batch_write(&k->batch, k->store, k->scratch, &k->table, err);
	if (r == 0 && k->commits % PRUNE_COMMITS == 0)
		r = store_cut_journal(k->store, k->batch.cut_tick, err);
	if (r == 0)
		r = store_exec(k->store, "COMMIT", err, "write");
	if (r < 0)
		sqlite3_exec(k->store->db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

/* Everything is to be stored once more, in another file. */
static void forget_stored(struct history *history)
{
	for (size_t i = 0; i < history->task_count; i++) {
		struct history_task *task = history->order[i];
		struct name *name, *next;

		task->stored = false;
		task->new_names = true;
		task->new_roots = task->roots.length > 0;
		HASH_ITER (hh, task->names, name, next)
			name->stored = false;
		for (unsigned t = 1; t < history->tier_count; t++)
			task->lanes[t].grown = true;
	}
	for (unsigned t = 0; t < history->tier_count; t++) {
		for (struct sealed *s = history->tiers[t].oldest; s; s = s->newer)
			s->stored = false;
		for (size_t i = 0; i < history->tiers[t].ticks.count; i++)
			history->tiers[t].ticks.chunks[i]->stored = false;
	}
	history->journal.lost = true;
}

/* Set the file aside, which is damaged (-EBADMSG) or in a format of before (-ESTALE). */
static int begin_anew(struct history *history, struct keeper *k, int code, struct tally_error *err)
{
	bool damaged = code == -EBADMSG;
	struct tally_error why = *err;
	char aside[4096];
	int r;

	k->damaged += damaged;
	r = store_file_set_aside(k->path, damaged ? "damaged" : "earlier", aside, err);
	if (r == 0)
		r = store_open(k->path, false, k->limit, &k->store, err);
	if (r == 0)
		log_say(&history->log, TALLY_LOG_WARN,
			"%s; it was set aside as %s, and a new one begun", why.message, aside);
	return r;
}

/* The file in use is damaged. */
static int replace(struct history *history, struct keeper *k, struct tally_error *err)
{
	store_close(k->store);
	k->store = NULL;
	k->generation++;
	return begin_anew(history, k, -EBADMSG, err);
}

/* Open the file again if it could not be. */
static int reopen(struct keeper *k, struct tally_error *err)
{
	return k->store ? 0 : store_open(k->path, false, k->limit, &k->store, err);
}

static int write_batch(struct history *history, struct keeper *k, struct tally_error *err)
{
	int r = reopen(k, err);

	if (r == 0)
		r = write_once(k, err);
	if (r == -ENOSPC && k->store && prune(history, k, err) == 0)
		r = write_once(k, err);
	if (r == 0 && k->commits % PRUNE_COMMITS == 0)
		prune(history, k, err);
	return r;
}

/* What happened is said once, and once more when it is over. */
static void tell(struct history *history, struct keeper *k, int r, const struct tally_error *err)
{
	if (r < 0 && !k->failing) {
		log_say(&history->log, TALLY_LOG_WARN,
			"%s; samples are kept in memory, and stored when that works again",
			err->message);
		k->unstored_before = history->unstored;
	} else if (r == 0 && k->failing) {
		log_say(&history->log, TALLY_LOG_INFO,
			"store %s: storing goes on; %llu samples of tasks could not be stored",
			k->path, (unsigned long long)(history->unstored - k->unstored_before));
	}
	k->failing = r < 0;
	k->failures += r < 0;
	k->commits += r == 0;
	if (r == 0)
		k->retry_ns = 0;
	else
		k->retry_ns = k->retry_ns ? k->retry_ns * 2 : RETRY_NS_FIRST;
	if (k->retry_ns > RETRY_NS_MOST)
		k->retry_ns = RETRY_NS_MOST;
}

/* Look and write once. Called and returns with the lock held. @return 0 or the error. */
static int keep(struct history *history, struct keeper *k)
{
	struct tally_error err = {0};
	int r = -ENOMEM;

	k->again = false;
	k->busy = true;
	k->now = (struct moment){history->era, history->now.boot_ns};
	k->wall_ns = history->now.wall_ns;
	bool ok = batch_collect(history, &k->batch);
	k->again |= k->batch.more;
	pthread_mutex_unlock(&history->lock);

	if (ok)
		r = write_batch(history, k, &err);
	else
		tally_fail(&err, r, "store %s: cannot write", k->path);
	bool replaced = r == -EBADMSG && k->store && replace(history, k, &err) == 0;

	pthread_mutex_lock(&history->lock);
	if (r == 0)
		batch_stored(history, &k->batch);
	else
		batch_failed(history, &k->batch);
	k->busy = false;
	if (replaced) {
		forget_stored(history);
		k->again = true;
		return 0;
	}
	k->again |= r < 0;
	tell(history, k, r, &err);
	pthread_cond_broadcast(&k->done);
	return r;
}

static void wait_retry(struct history *history, struct keeper *k)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += k->retry_ns / NS_PER_S;
	until.tv_nsec += k->retry_ns % NS_PER_S;
	if (until.tv_nsec >= NS_PER_S) {
		until.tv_sec++;
		until.tv_nsec -= NS_PER_S;
	}
	while (!k->stop && pthread_cond_timedwait(&k->wake, &history->lock, &until) == 0)
		;
}

static void *run(void *argument)
{
	struct history *history = argument;
	struct keeper *k = history->keeper;

	pthread_mutex_lock(&history->lock);
	while (!k->stop) {
		if (!k->again)
			pthread_cond_wait(&k->wake, &history->lock);
		else if (keep(history, k) < 0)
			wait_retry(history, k);
	}
	pthread_mutex_unlock(&history->lock);
	return NULL;
}

/* Open for writing; what is damaged, or in a format of before, is set aside. */
static int open_writer(struct history *history, struct keeper *k, struct tally_error *err)
{
	int r = store_open(k->path, false, k->limit, &k->store, err);

	return r == -EBADMSG || r == -ESTALE ? begin_anew(history, k, r, err) : r;
}

/* Whether the machine is still in the boot that the last run was in. */
static bool same_boot(struct store *store, const struct store_run *last)
{
	struct tick_chunk chunk;
	char boot[64];

	store_boot_id(boot);
	if (strcmp(boot, last->boot) != 0)
		return false;
	if (last->next_chunk[0] == 0 ||
		store_read_ticks(store, 0, last->next_chunk[0] - 1, &chunk, NULL) < 0)
		return true;
	return chunk.at[chunk.count - 1].boot_ns <= clock_boot_ns();
}

/* Continue where the last run ended. */
static void go_on(struct history *history, struct store *store, const struct store_run *last)
{
	if (last->era == 0)
		return;
	history->era = last->era + !same_boot(store, last);
	history->next_task = last->next_task;
	for (unsigned i = 0; i < history->tier_count; i++)
		history->tiers[i].ticks.next = last->next_chunk[i] * CHUNK_TICKS;
}

static int begin_writing(struct history *history, struct keeper *k, struct tally_error *err)
{
	struct store_run last;
	int r = store_read_run(k->store, &last, err);

	if (r < 0)
		return r;
	go_on(history, k->store, &last);
	r = store_recover(history, k->store, true, err);
	if (r == 0)
		r = resume_read(history, k->store, last.era == history->era, err);
	batch_describe_run(history, &last);
	return r < 0 ? r : store_put_run(k->store, &last, err);
}

static int open_for_writing(struct history *history, struct keeper *k, struct tally_error *err)
{
	int r = open_writer(history, k, err);

	if (r == 0)
		r = begin_writing(history, k, err);
	if (r == -EBADMSG && k->store) {
		r = replace(history, k, err);
	}
	if (r < 0)
		return r;
	history->journal.on = true;
	r = -pthread_create(&k->thread, NULL, run, history);
	k->has_thread = r == 0;
	return r < 0 ? tally_fail(err, r, "store %s: cannot start its thread", k->path) : 0;
}

/* The resolutions are those of whoever writes it. */
static int open_for_reading(struct history *history, struct keeper *k, struct tally_error *err)
{
	struct store_run last = {0};
	int r = store_open(k->path, true, 0, &k->reader, err);

	if (r == 0)
		r = store_read_run(k->reader, &last, err);
	if (r < 0)
		return r;
	history->read_only = true;
	history->era = last.era;
	for (unsigned i = 0; i < last.tier_count; i++) {
		history->tiers[i].step_ns = last.steps_ns[i];
		history->tiers[i].retention_ns = INT64_MAX / 2;
		history->tiers[i].arena.chunk_bytes = history->tiers[0].arena.chunk_bytes;
	}
	history->tier_count = last.tier_count;
	return store_recover(history, k->reader, false, err);
}

static struct keeper *keeper_new(const struct history_options *options)
{
	struct keeper *k = calloc(1, sizeof(*k));
	pthread_condattr_t attributes;

	if (!k)
		return NULL;
	k->path = strdup(options->store);
	k->scratch = block_scratch_new();
	k->limit = options->store_bytes ? options->store_bytes : STORE_BYTES_DEFAULT;
	pthread_mutex_init(&k->read_lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&k->wake, &attributes);
	pthread_cond_init(&k->done, &attributes);
	pthread_condattr_destroy(&attributes);
	return k;
}

int keeper_open(
	struct history *history, const struct history_options *options, struct tally_error *err)
{
	struct keeper *k = keeper_new(options);
	struct tally_error unwanted;

	if (!err)
		err = &unwanted;
	if (!k)
		return tally_fail(err, -ENOMEM, "cannot open the store %s", options->store);
	history->keeper = k;
	if (!k->path || !k->scratch)
		return tally_fail(err, -ENOMEM, "cannot open the store %s", options->store);
	return options->read_only ? open_for_reading(history, k, err)
				  : open_for_writing(history, k, err);
}

/* Write all that is left, as long as the store takes it. */
static void write_rest(struct history *history, struct keeper *k)
{
	pthread_mutex_lock(&history->lock);
	for (size_t i = 0; i < history->task_count; i++)
		for (unsigned t = 0; t < history->tier_count; t++)
			lane_seal(history, &history->order[i]->lanes[t]);
	do {
		if (keep(history, k) < 0)
			break;
	} while (k->again);
	pthread_mutex_unlock(&history->lock);
	if (!k->failing && k->store)
		store_exec(k->store, "DELETE FROM journal", NULL, "write");
}

void keeper_close(struct history *history)
{
	struct keeper *k = history->keeper;

	if (!k)
		return;
	if (k->has_thread) {
		pthread_mutex_lock(&history->lock);
		if (history->begun)
			journal_end_tick(history);
		k->stop = true;
		pthread_cond_signal(&k->wake);
		pthread_mutex_unlock(&history->lock);
		pthread_join(k->thread, NULL);
		write_rest(history, k);
	}
	resume_free(history);
	batch_done(&k->batch);
	table_done(&k->table);
	block_scratch_free(k->scratch);
	store_close(k->reader);
	store_close(k->store); /* Last: it leaves one file behind, and nothing beside it. */
	pthread_cond_destroy(&k->wake);
	pthread_cond_destroy(&k->done);
	pthread_mutex_destroy(&k->read_lock);
	free(k->path);
	free(k);
	history->keeper = NULL;
}
