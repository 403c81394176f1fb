/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include "base/fail.h"
#include "history/journal.h"
#include "history/keeper.h"

/* What one transaction takes: it has to fit into the log of the smallest store. */
#define BLOCKS_MAX	32
#define BLOCK_BYTES_MAX ((size_t)128 << 10)
#define OPENS_MAX	32

static bool grow(void **items, size_t *capacity, size_t needed, size_t size)
{
	if (needed <= *capacity)
		return true;

	size_t more = *capacity ? *capacity * 2 : 16;
	void *larger = reallocarray(*items, more, size);
	if (!larger)
		return false;
	*items = larger;
	*capacity = more;
	return true;
}

/* A new item at the end of an array of the batch; NULL without memory. */
#define ADD(batch, what)                                                                           \
	(grow((void **)&(batch)->what##s, &(batch)->what##_capacity, (batch)->what##_count + 1,    \
		 sizeof(*(batch)->what##s))                                                        \
			? &(batch)->what##s[(batch)->what##_count++]                               \
			: NULL)

/* Copy bytes into the text of the batch. */
static bool copy(struct batch *batch, const struct bytes *bytes, size_t *ret_at)
{
	*ret_at = batch->text.length;
	if (!bytes_room(&batch->text, bytes->length))
		return false;
	put_blob(&batch->text, bytes->at, bytes->length);
	return true;
}

static bool collect_names(struct batch *batch, struct history_task *task)
{
	struct name *name, *next;

	HASH_ITER (hh, task->names, name, next) {
		if (name->stored)
			continue;

		struct batch_name *item = ADD(batch, name);
		if (!item)
			return false;
		*item = (struct batch_name){task, name};
	}
	return true;
}

static bool collect_task(struct batch *batch, struct history_task *task)
{
	size_t at;

	if (task->number == 0 || (task->stored && !task->new_names && !task->new_roots))
		return true;
	if (!copy(batch, &task->roots, &at) || (task->new_names && !collect_names(batch, task)))
		return false;

	struct batch_task *item = ADD(batch, task);
	if (!item)
		return false;
	*item = (struct batch_task){
		.task = task,
		.put = !task->stored,
		.put_roots = task->new_roots,
		.roots_at = at,
		.roots_length = task->roots.length,
	};
	task->new_names = task->new_roots = false;
	return true;
}

/* Open rows of a coarser lane that have grown. */
static bool collect_open(struct batch *batch, struct lane *lane)
{
	size_t at;

	if (!lane->grown || lane->open.rows == 0)
		return true;
	if (batch->open_count >= OPENS_MAX) {
		batch->more = true;
		return true;
	}
	if (!copy(batch, &lane->open.log, &at))
		return false;

	struct batch_open *item = ADD(batch, open);
	if (!item)
		return false;
	*item = (struct batch_open){
		.lane = lane,
		.span = lane->open_span,
		.repeats = lane->open.repeats,
		.log_at = at,
		.log_length = lane->open.log.length,
	};
	lane->grown = false;
	return true;
}

static bool collect_tasks(struct history *history, struct batch *batch)
{
	for (size_t i = 0; i < history->task_count; i++) {
		struct history_task *task = history->order[i];

		if (!collect_task(batch, task))
			return false;
		for (unsigned t = 1; t < history->tier_count; t++)
			if (!collect_open(batch, &task->lanes[t]))
				return false;
	}
	return true;
}

/* The oldest block of a resolution that is not stored; those after it are not, either. */
static struct sealed *first_unstored(const struct tier *tier)
{
	struct sealed *sealed = tier->newest;

	if (!sealed || sealed->stored)
		return NULL;
	while (sealed->older && !sealed->older->stored)
		sealed = sealed->older;
	return sealed;
}

static void need_journal(struct batch *batch, uint64_t tick)
{
	if (tick < batch->cut_tick)
		batch->cut_tick = tick;
}

static bool collect_blocks(struct history *history, struct batch *batch, unsigned tier)
{
	size_t bytes = 0, count = 0;

	for (struct sealed *s = first_unstored(&history->tiers[tier]); s; s = s->newer) {
		if (count >= BLOCKS_MAX || bytes >= BLOCK_BYTES_MAX) {
			batch->more = true;
			if (tier == 0)
				need_journal(batch, s->span.first_tick);
			continue;
		}

		struct batch_block *item = ADD(batch, block);
		if (!item)
			return false;
		*item = (struct batch_block){s, s->lane->task};
		s->pins++;
		bytes += s->length;
		count++;
	}
	return true;
}

static bool collect_chunks(struct history *history, struct batch *batch)
{
	for (unsigned t = 0; t < history->tier_count; t++) {
		const struct ticks *ticks = &history->tiers[t].ticks;

		for (size_t i = ticks->count; i-- > 0 && !ticks->chunks[i]->stored;) {
			struct batch_chunk *item = ADD(batch, chunk);

			if (!item)
				return false;
			*item = (struct batch_chunk){t, ticks->first + i, *ticks->chunks[i]};
		}
	}
	return true;
}

/* Entries of the journal; when some were lost, all open rows instead. */
static bool collect_journal(struct history *history, struct batch *batch)
{
	struct journal *journal = &history->journal;
	struct bytes taken = journal->entries;

	for (size_t i = 0; i < history->task_count; i++)
		if (history->order[i]->lanes[0].open.rows > 0)
			need_journal(batch, history->order[i]->lanes[0].open.first_tick);
	if (journal->lost) {
		batch->whole_tick = history->now_number;
		return journal_whole(history, &batch->whole);
	}
	journal->entries = batch->entries;
	journal->entries.length = 0;
	batch->entries = taken;
	return true;
}

void batch_describe_run(const struct history *history, struct store_run *ret)
{
	*ret = (struct store_run){
		.era = history->era,
		.next_task = history->next_task,
		.tier_count = history->tier_count,
	};
	store_boot_id(ret->boot);
	for (unsigned i = 0; i < history->tier_count; i++) {
		const struct tier *tier = &history->tiers[i];

		ret->next_chunk[i] = (tier->ticks.next + CHUNK_TICKS - 1) / CHUNK_TICKS;
		ret->steps_ns[i] = tier->step_ns;
		ret->retentions_ns[i] = tier->retention_ns;
	}
}

bool batch_collect(struct history *history, struct batch *batch)
{
	bool ok = true;

	batch->task_count = batch->name_count = batch->block_count = 0;
	batch->open_count = batch->chunk_count = 0;
	batch->text.length = batch->entries.length = batch->whole.length = 0;
	batch->more = false;
	batch_describe_run(history, &batch->run);
	batch->cut_tick = history->now_number;
	ok = collect_tasks(history, batch);
	for (unsigned i = 0; i < history->tier_count && ok; i++)
		ok = collect_blocks(history, batch, i);
	return ok && collect_chunks(history, batch) && collect_journal(history, batch);
}

static int write_tasks(struct batch *batch, struct store *store, struct tally_error *err)
{
	int r = 0;

	for (size_t i = 0; i < batch->task_count && r == 0; i++) {
		const struct batch_task *item = &batch->tasks[i];
		const struct history_task *task = item->task;

		if (item->put)
			r = store_put_task(store, task->number, task->id, err);
		if (r == 0 && item->put_roots)
			r = store_put_roots(store, task->number, task->id,
				item->roots_length ? batch->text.at + item->roots_at : NULL,
				item->roots_length, err);
	}
	for (size_t i = 0; i < batch->name_count && r == 0; i++) {
		const struct batch_name *item = &batch->names[i];

		r = store_put_name(store, item->task->number, item->task->id, item->name->number,
			item->name->text, err);
	}
	return r;
}

static int write_blocks(struct batch *batch, struct store *store, struct tally_error *err)
{
	int r = 0;

	for (size_t i = 0; i < batch->block_count && r == 0; i++) {
		const struct batch_block *item = &batch->blocks[i];
		struct store_block block = {
			.task = item->task->number,
			.task_name = item->task->id,
			.tier = item->sealed->tier_number,
			.span = item->sealed->span,
			.bytes = item->sealed->bytes,
			.length = item->sealed->length,
		};

		r = store_put_block(store, &block, err);
	}
	return r;
}

static int write_open(const struct batch *batch, const struct batch_open *item, struct store *store,
	struct block_scratch *scratch, struct table *table, struct tally_error *err)
{
	struct reader made;
	int r = rows_table(reader_of(batch->text.at + item->log_at, item->log_length),
		TALLY_METRIC_COUNT, item->span.first_tick, item->repeats, table);

	if (r == 0)
		r = block_write(scratch, table, &made);
	if (r < 0)
		return tally_fail(err, r, "store %s: cannot make a block", store->path);

	struct store_block block = {
		.task = item->lane->task->number,
		.task_name = item->lane->task->id,
		.tier = item->lane->tier,
		.span = item->span,
		.bytes = made.at,
		.length = reader_left(&made),
	};
	return store_put_block(store, &block, err);
}

static int write_journal(struct batch *batch, struct store *store, struct tally_error *err)
{
	struct reader entries = reader_of(batch->entries.at, batch->entries.length), ops;
	uint64_t tick;
	int r = 0;

	if (batch->whole.length > 0)
		r = store_put_journal(
			store, batch->whole_tick, false, batch->whole.at, batch->whole.length, err);
	while (r == 0 && reader_left(&entries) > 0 && journal_next(&entries, &tick, &ops))
		r = store_put_journal(store, tick, true, ops.at, reader_left(&ops), err);
	return r;
}

int batch_write(struct batch *batch, struct store *store, struct block_scratch *scratch,
	struct table *table, struct tally_error *err)
{
	int r = store_put_run(store, &batch->run, err);

	if (r == 0)
		r = write_tasks(batch, store, err);

	for (size_t i = 0; i < batch->chunk_count && r == 0; i++)
		r = store_put_ticks(store, batch->chunks[i].tier, batch->chunks[i].number,
			&batch->chunks[i].chunk, err);
	if (r == 0)
		r = write_blocks(batch, store, err);
	for (size_t i = 0; i < batch->open_count && r == 0; i++)
		r = write_open(batch, &batch->opens[i], store, scratch, table, err);
	return r < 0 ? r : write_journal(batch, store, err);
}

static void let_go(struct batch *batch)
{
	for (size_t i = 0; i < batch->block_count; i++)
		sealed_unpin(batch->blocks[i].sealed);
	batch->block_count = 0;
}

void batch_stored(struct history *history, struct batch *batch)
{
	for (size_t i = 0; i < batch->task_count; i++)
		batch->tasks[i].task->stored = true;
	for (size_t i = 0; i < batch->name_count; i++)
		batch->names[i].name->stored = true;
	for (size_t i = 0; i < batch->block_count; i++)
		batch->blocks[i].sealed->stored = true;
	for (size_t i = 0; i < batch->chunk_count; i++) {
		const struct batch_chunk *item = &batch->chunks[i];
		struct tick_chunk *chunk =
			ticks_chunk(&history->tiers[item->tier].ticks, item->number * CHUNK_TICKS);

		if (chunk && chunk->count == item->chunk.count)
			chunk->stored = true;
	}
	let_go(batch);
}

void batch_failed(struct history *history, struct batch *batch)
{
	for (size_t i = 0; i < batch->task_count; i++) {
		batch->tasks[i].task->new_names = true;
		batch->tasks[i].task->new_roots |= batch->tasks[i].put_roots;
	}
	for (size_t i = 0; i < batch->open_count; i++)
		batch->opens[i].lane->grown = true;
	history->journal.lost = true;
	let_go(batch);
}

void batch_done(struct batch *batch)
{
	free(batch->tasks);
	free(batch->names);
	free(batch->blocks);
	free(batch->opens);
	free(batch->chunks);
	bytes_free(&batch->text);
	bytes_free(&batch->entries);
	bytes_free(&batch->whole);
}
