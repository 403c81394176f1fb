/* SPDX-License-Identifier: Apache-2.0 */
/** After a crash, or beside a writer: the journal of a store becomes blocks. */
#include <errno.h>
#include "base/fail.h"
#include "history/journal.h"
#include "history/keeper.h"

struct recovery {
	struct history *history;
	struct store *store;
	bool write; /* into the store; else into memory */
	struct journal_replay replay;
	struct tick_chunk chunk;
	uint64_t chunk_number; /* that is in chunk; UINT64_MAX: none */
	int error;
	struct tally_error *err;
};

static bool find_tick(struct recovery *r, uint64_t number, struct tick *ret, uint32_t *ret_era)
{
	if (r->chunk_number != number / CHUNK_TICKS) {
		r->chunk_number = UINT64_MAX;
		if (store_read_ticks(r->store, 0, number / CHUNK_TICKS, &r->chunk, NULL) < 0)
			return false;
		r->chunk_number = number / CHUNK_TICKS;
	}
	if (number % CHUNK_TICKS >= r->chunk.count)
		return false;
	*ret = r->chunk.at[number % CHUNK_TICKS];
	*ret_era = r->chunk.era;
	return true;
}

/* What lane_append() would have noted. */
static bool find_span(
	struct recovery *r, const struct table *table, uint64_t number, struct span *ret)
{
	*ret = (struct span){
		.number = number,
		.first_tick = table->first_tick,
		.last_tick = table->first_tick + table->tick[table->rows - 1],
		.wall_min = INT64_MAX,
		.wall_max = INT64_MIN,
		.rows = table->rows,
	};
	for (unsigned row = 0; row < table->rows; row++) {
		struct tick tick;
		uint32_t era;

		if (!find_tick(r, table->first_tick + table->tick[row], &tick, &era))
			return false;
		if (row == 0)
			ret->first = (struct moment){era, tick.boot_ns};
		ret->last = (struct moment){era, tick.boot_ns};
		if (tick.wall_ns < ret->wall_min)
			ret->wall_min = tick.wall_ns;
		if (tick.wall_ns > ret->wall_max)
			ret->wall_max = tick.wall_ns;
	}
	return true;
}

static bool load_name(void *context, uint64_t number, uint32_t name_number, const char *text)
{
	struct history_task *task = context;
	struct name *name = NULL;

	if (number != task->number)
		return true;
	HASH_FIND_STR(task->names, text, name);
	if (name)
		return true;
	name = calloc(1, sizeof(*name) + strlen(text) + 1);
	if (!name)
		return false;
	strcpy(name->text, text);
	name->number = name_number;
	name->last = task->last;
	HASH_ADD_STR(task->names, text, name);
	return true;
}

static int keep_in_memory(struct recovery *r, uint64_t number, const char *task_name,
	const struct span *span, struct reader block)
{
	struct history_task *task = history_begin_task(r->history, task_name);

	if (!task)
		return -ENOMEM;
	task->number = number;
	task->last = span->last;
	if (!lane_keep(r->history, &task->lanes[0], span, block))
		return -ENOMEM;
	task->lanes[0].newest->stored = true;
	return store_names(r->store, task_name, load_name, task, r->err);
}

static int keep(struct recovery *r, const struct journal_task *from, const char *name)
{
	struct history *history = r->history;
	struct store_block block = {.task = from->task, .task_name = name};
	struct reader made;
	int e = rows_table(reader_of(from->log.at, from->log.length), from->metrics,
		from->first_tick, from->repeats, &history->table);

	if (e == 0 && !find_span(r, &history->table, from->number, &block.span))
		e = -EBADMSG;
	if (e == -EBADMSG) {
		r->store->damaged++;
		return 0;
	}
	if (e == 0)
		e = block_write(history->scratch, &history->table, &made);
	if (e < 0)
		return tally_fail(r->err, e, "store %s: cannot read its journal", r->store->path);
	block.bytes = made.at;
	block.length = reader_left(&made);
	return r->write ? store_put_block(r->store, &block, r->err)
			: keep_in_memory(r, from->task, name, &block.span, made);
}

static bool known_metrics(const struct journal_task *from)
{
	return from->metrics >= 1 && from->metrics <= TALLY_METRIC_COUNT;
}

/* Rows of a task, put together: kept unless the store has them as a block. */
static bool recover_task(void *context, const struct journal_task *from)
{
	struct recovery *r = context;
	CLEANUP_FREE char *name = NULL;
	struct span last;

	if (r->error < 0 || !known_metrics(from))
		return true;
	r->error = store_last_block(r->store, from->task, &last, r->err);
	if (r->error == 0 && last.number >= from->number)
		return true;
	if (r->error == 0 || r->error == -ENOENT)
		r->error = store_task_name(r->store, from->task, &name, r->err);
	if (r->error == -ENOENT) {
		r->error = 0;
		return true;
	}
	if (r->error == 0)
		r->error = keep(r, from, name);
	return r->error == 0;
}

static bool recover_entry(
	void *context, uint64_t tick, bool complete, const void *bytes, size_t length)
{
	struct recovery *r = context;

	return journal_replay_entry(&r->replay, tick, complete, reader_of(bytes, length));
}

static int replay(struct recovery *r)
{
	int e = store_journal(r->store, recover_entry, r, r->err);

	journal_replay_end(&r->replay);
	if (r->replay.no_memory)
		return tally_fail(
			r->err, -ENOMEM, "store %s: cannot read its journal", r->store->path);
	return e < 0 ? e : r->error;
}

int store_recover(struct history *history, struct store *store, bool write, struct tally_error *err)
{
	struct tally_error unwanted;
	struct recovery r = {
		.history = history,
		.store = store,
		.write = write,
		.chunk_number = UINT64_MAX,
		.err = err ? err : &unwanted,
	};

	r.replay.done = recover_task;
	r.replay.context = &r;
	int e = store_exec(store, write ? "BEGIN IMMEDIATE" : "BEGIN", r.err, "read");
	if (e < 0)
		return e;
	e = replay(&r);
	if (e == 0 && write)
		e = store_exec(store, "DELETE FROM journal", r.err, "write");
	if (e == 0)
		e = store_exec(store, "COMMIT", r.err, "write");
	if (e < 0)
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	return e;
}
