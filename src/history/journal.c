/* SPDX-License-Identifier: Apache-2.0 */
#include "history/journal.h"

/* Before each queued entry: tick and length, fixed in size. */
struct entry_head {
	uint64_t tick;
	uint64_t length;
};

static void lose(struct journal *journal)
{
	journal->lost = true;
	journal->entries.length = 0;
	journal->tick.length = 0;
}

static void put_op(struct bytes *to, const struct history_task *task, enum journal_op op)
{
	put_varint(to, task->number << 2 | (uint64_t)op);
}

#define OP_ROOM (9 * VARINT_MAX)

static bool put_whole(struct bytes *to, const struct lane *lane, bool active)
{
	const struct rows *open = &lane->open;

	if (!bytes_room(to, OP_ROOM + open->log.length))
		return false;
	put_op(to, lane->task, JOURNAL_WHOLE);
	put_varint(to, TALLY_METRIC_COUNT);
	put_varint(to, lane->open_span.number);
	put_varint(to, open->first_tick);
	put_varint(to, open->last_tick);
	put_varint(to, open->repeats);
	put_varint(to, active);
	put_varint(to, open->log.length);
	put_blob(to, open->log.at, open->log.length);
	return true;
}

static bool put_row(struct bytes *to, const struct history_task *task, const struct bytes *said)
{
	if (!bytes_room(to, OP_ROOM + said->length))
		return false;
	put_op(to, task, JOURNAL_ROW);
	put_varint(to, said->length);
	put_blob(to, said->at, said->length);
	return true;
}

void journal_row(struct history *history, struct history_task *task)
{
	struct journal *journal = &history->journal;
	struct lane *lane = &task->lanes[0];
	bool ok = true;

	if (!journal->on)
		return;
	if (!journal->lost && lane->open.rows == 1)
		ok = put_whole(&journal->tick, lane, true);
	else if (!journal->lost && history->said.length > 0)
		ok = put_row(&journal->tick, task, &history->said);
	lane->in_journal = true;
	if (!ok)
		lose(journal);
}

/* Tasks that were in the tick before and are not in this one. */
static bool put_pauses(struct history *history)
{
	for (size_t i = 0; i < history->task_count; i++) {
		struct lane *lane = &history->order[i]->lanes[0];

		if (!lane->in_journal || lane->open.last_tick == history->now_number)
			continue;
		if (!bytes_room(&history->journal.tick, OP_ROOM))
			return false;
		put_op(&history->journal.tick, lane->task, JOURNAL_PAUSE);
		lane->in_journal = false;
	}
	return true;
}

void journal_end_tick(struct history *history)
{
	struct journal *journal = &history->journal;
	bool ok = journal->on && put_pauses(history);

	if (!journal->on)
		return;

	struct entry_head head = {history->now_number, journal->tick.length};
	ok = ok && journal->entries.length + head.length < JOURNAL_BYTES_MAX &&
	     bytes_room(&journal->entries, sizeof(head) + head.length);
	if (!ok || journal->lost) {
		lose(journal);
		return;
	}
	put_blob(&journal->entries, &head, sizeof(head));
	put_blob(&journal->entries, journal->tick.at, journal->tick.length);
	journal->tick.length = 0;
}

bool journal_whole(struct history *history, struct bytes *ret)
{
	ret->length = 0;
	for (size_t i = 0; i < history->task_count; i++) {
		struct lane *lane = &history->order[i]->lanes[0];

		if (lane->open.rows > 0 && !put_whole(ret, lane, lane->in_journal))
			return false;
	}
	history->journal.lost = false;
	history->journal.tick.length = 0;
	history->journal.entries.length = 0;
	return true;
}

bool journal_next(struct reader *entries, uint64_t *ret_tick, struct reader *ret_ops)
{
	struct reader piece = get_piece(entries, sizeof(struct entry_head));
	struct entry_head head;

	if (entries->bad)
		return false;
	memcpy(&head, piece.at, sizeof(head));
	*ret_tick = head.tick;
	*ret_ops = get_piece(entries, head.length);
	return !entries->bad;
}

static struct journal_task *find_task(struct journal_replay *replay, uint64_t number)
{
	struct journal_task *task;

	HASH_FIND(hh, replay->tasks, &number, sizeof(number), task);
	return task;
}

static struct journal_task *get_task(struct journal_replay *replay, uint64_t number)
{
	struct journal_task *task = find_task(replay, number);

	if (task)
		return task;
	task = calloc(1, sizeof(*task));
	if (!task)
		return NULL;
	task->task = number;
	HASH_ADD(hh, replay->tasks, task, sizeof(task->task), task);
	if (!task->hh.tbl) {
		free(task);
		return NULL;
	}
	return task;
}

static bool append(struct journal_replay *replay, struct bytes *log, struct reader bytes)
{
	if (!bytes_room(log, reader_left(&bytes))) {
		replay->no_memory = true;
		return false;
	}
	put_blob(log, bytes.at, reader_left(&bytes));
	return true;
}

static bool replay_row(
	struct journal_replay *replay, uint64_t number, uint64_t tick, struct reader *ops)
{
	struct journal_task *task = find_task(replay, number);
	struct reader bytes = get_piece(ops, get_varint(ops));

	if (ops->bad)
		return false;
	if (!task) /* of a block that the store has, and whose beginning was cut off */
		return true;
	if (!append(replay, &task->log, bytes))
		return false;
	task->last_tick = tick;
	task->repeats = 0;
	task->active = true;
	return true;
}

static bool replay_whole(struct journal_replay *replay, uint64_t number, struct reader *ops)
{
	struct journal_task *task = get_task(replay, number);
	struct journal_task next = {.metrics = (uint32_t)get_limited(ops, UINT32_MAX)};

	if (!task) {
		replay->no_memory = true;
		return false;
	}
	next.number = get_varint(ops);
	next.first_tick = get_varint(ops);
	next.last_tick = get_varint(ops);
	next.repeats = (uint32_t)get_limited(ops, TABLE_ROWS);
	next.active = get_limited(ops, 1);
	struct reader bytes = get_piece(ops, get_varint(ops));
	if (ops->bad)
		return false;
	if (task->log.length > 0 && task->number != next.number)
		replay->done(replay->context, task);
	task->number = next.number;
	task->first_tick = next.first_tick;
	task->last_tick = next.last_tick;
	task->metrics = next.metrics;
	task->repeats = next.repeats;
	task->active = next.active;
	task->log.length = 0;
	return append(replay, &task->log, bytes);
}

static bool replay_pause(struct journal_replay *replay, uint64_t number)
{
	struct journal_task *task = find_task(replay, number);

	if (task)
		task->active = false;
	return true;
}

static bool replay_op(struct journal_replay *replay, uint64_t tick, struct reader *ops)
{
	uint64_t op = get_varint(ops);

	switch (op & 3) {
	case JOURNAL_PAUSE:
		return replay_pause(replay, op >> 2);
	case JOURNAL_ROW:
		return replay_row(replay, op >> 2, tick, ops);
	case JOURNAL_WHOLE:
		return replay_whole(replay, op >> 2, ops);
	default:
		return false;
	}
}

bool journal_replay_entry(
	struct journal_replay *replay, uint64_t tick, bool complete, struct reader ops)
{
	struct journal_task *task, *next;

	while (reader_left(&ops) > 0)
		if (!replay_op(replay, tick, &ops) || ops.bad)
			return false;
	if (!complete)
		return true;
	HASH_ITER (hh, replay->tasks, task, next)
		if (task->active && task->last_tick < tick) {
			task->repeats++;
			task->last_tick = tick;
		}
	return true;
}

void journal_replay_end(struct journal_replay *replay)
{
	struct journal_task *task, *next;

	HASH_ITER (hh, replay->tasks, task, next) {
		if (task->log.length > 0)
			replay->done(replay->context, task);
		HASH_DEL(replay->tasks, task);
		bytes_free(&task->log);
		free(task);
	}
}
