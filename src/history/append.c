/* SPDX-License-Identifier: Apache-2.0 */
#include "history/internal.h"

#include <errno.h>
#include "base/fail.h"
#include "history/journal.h"
#include "history/keeper.h"

static int check_order(const struct history *history, const struct history_task *task,
	const struct history_record *record, struct tally_error *err)
{
	bool own = task->last.era == history->era && record->boot_ns <= task->last.boot_ns;
	bool any = history->begun && record->boot_ns < history->now.boot_ns;

	if (!own && !any)
		return 0;
	return tally_refuse(err, -EINVAL,
		"task %.200s: a sample that is %.9f s older than the last one (or as old) cannot be "
		"kept; samples come in order of time",
		task->id,
		(double)((own ? task->last.boot_ns : history->now.boot_ns) - record->boot_ns) /
			1e9);
}

static size_t name_bytes(const char *text)
{
	return sizeof(struct name) + strlen(text) + 1;
}

static struct name *add_name(struct history *history, struct history_task *task, const char *text)
{
	struct name *name = calloc(1, name_bytes(text));

	if (!name)
		return NULL;
	strcpy(name->text, text);
	name->number = task->next_name;
	task->new_names = true;
	HASH_ADD_STR(task->names, text, name);
	if (!name->hh.tbl) {
		free(name);
		return NULL;
	}
	task->next_name++;
	history->task_bytes += name_bytes(text);
	return name;
}

static bool order_room(struct history_task *task, size_t count)
{
	if (count <= task->order_capacity)
		return true;

	struct name **order = reallocarray(task->order, count, sizeof(struct name *));
	if (!order)
		return false;
	task->order = order;
	task->order_capacity = count;
	return true;
}

static struct name *get_name(
	struct history *history, struct history_task *task, size_t place, const char *text)
{
	struct name *name = NULL;

	if (place < task->order_count && strcmp(task->order[place]->text, text) == 0)
		return task->order[place];
	HASH_FIND_STR(task->names, text, name);
	if (!name)
		name = add_name(history, task, text);
	if (!name || !order_room(task, place + 1))
		return NULL;
	task->order[place] = name;
	if (task->order_count <= place)
		task->order_count = place + 1;
	return name;
}

static bool part_room(struct history *history, size_t count)
{
	if (count <= history->part_capacity)
		return true;

	struct rows_part *parts = reallocarray(history->parts, count, sizeof(*parts));
	if (!parts)
		return false;
	history->parts = parts;
	history->part_capacity = count;
	return true;
}

/* The record as series. */
static int get_parts(
	struct history *history, struct history_task *task, const struct history_record *record)
{
	if (!part_room(history, record->process_count + 1))
		return -ENOMEM;
	history->serial++;
	history->parts[0] = (struct rows_part){SERIES_TOTAL, record->total};
	for (size_t i = 0; i < record->process_count; i++) {
		struct name *name = get_name(history, task, i, record->processes[i].name);

		if (!name)
			return -ENOMEM;
		if (name->serial == history->serial)
			return -EEXIST;
		name->serial = history->serial;
		history->parts[i + 1] =
			(struct rows_part){SERIES_OF(name->number), record->processes[i].sample};
	}
	task->order_count = record->process_count;
	return 0;
}

/* A step of a coarser resolution ends with the last tick before the next step. */
static bool end_steps(struct history *history, struct tick next)
{
	for (unsigned i = 1; i < history->tier_count; i++) {
		struct tier *tier = &history->tiers[i];
		uint64_t number;

		if (history->now.boot_ns / tier->step_ns == next.boot_ns / tier->step_ns)
			continue;
		if (!ticks_add(&tier->ticks, history->era, history->now, &number))
			return false;
	}
	return true;
}

static void end_tick(struct history *history)
{
	if (!history->keeper || history->ended == history->now_number + 1)
		return;
	journal_end_tick(history);
	history->ended = history->now_number + 1;
	keeper_wake(history);
}

void history_commit(struct history *history)
{
	pthread_mutex_lock(&history->lock);
	if (history->begun)
		end_tick(history);
	pthread_mutex_unlock(&history->lock);
}

static bool same_tick(const struct history *history, struct tick tick)
{
	return history->begun && tick.boot_ns == history->now.boot_ns &&
	       tick.wall_ns == history->now.wall_ns;
}

int history_flush(struct history *history)
{
	pthread_mutex_lock(&history->lock);
	int r = keeper_flush(history);
	pthread_mutex_unlock(&history->lock);
	return r;
}

/* Begin a tick unless it is the one under way. */
static bool begin_tick(struct history *history, struct tick tick)
{
	if (same_tick(history, tick))
		return true;
	if (history->begun && !end_steps(history, tick))
		return false;
	if (history->begun)
		end_tick(history);
	if (!ticks_add(&history->tiers[0].ticks, history->era, tick, &history->now_number))
		return false;
	history->begun = true;
	history->now = tick;
	history_sweep(history);
	return true;
}

static bool must_seal(const struct lane *lane, uint64_t tick)
{
	const struct rows *open = &lane->open;

	return open->rows > 0 &&
	       (open->rows >= TABLE_ROWS * lane->seal_share / 256 ||
		       open->log.length >= OPEN_BYTES_MAX * lane->seal_share / 256 ||
		       tick - open->first_tick >= OPEN_TICKS_MAX);
}

/* Memory that a row can make the open rows grow by. */
static size_t growth(const struct lane *lane, size_t count)
{
	const struct rows *open = &lane->open;
	size_t more = 0;

	if (count > open->series_capacity)
		more += (count * 2 - open->series_capacity) * sizeof(struct rows_series);
	if (open->log.capacity - open->log.length < count * 64)
		more += open->log.capacity / 2 + count * 64;
	return more;
}

static void widen(
	struct span *span, bool first, uint64_t number, struct moment moment, int64_t wall_ns)
{
	if (first) {
		span->first_tick = number;
		span->first = moment;
		span->wall_min = span->wall_max = wall_ns;
		span->rows = 0;
	}
	span->last_tick = number;
	span->last = moment;
	span->rows++;
	if (wall_ns < span->wall_min)
		span->wall_min = wall_ns;
	if (wall_ns > span->wall_max)
		span->wall_max = wall_ns;
}

int lane_append(struct history *history, struct lane *lane, uint64_t tick_number, struct tick tick,
	const struct rows_part *parts, size_t count)
{
	if (must_seal(lane, tick_number))
		lane_seal(history, lane);

	size_t before = rows_bytes(&lane->open);
	bool first = lane->open.rows == 0;
	int r = rows_wake(&lane->open, &history->table, &history->spare);
	if (r == 0 && !history_make_room(history, growth(lane, count)))
		r = -ENOMEM;
	if (r == 0)
		r = rows_append(
			&lane->open, tick_number, tick.boot_ns, parts, count, &history->said);
	history->open_bytes += rows_bytes(&lane->open) - before;
	if (r < 0)
		return r;
	widen(&lane->open_span, first, tick_number, (struct moment){history->era, tick.boot_ns},
		tick.wall_ns);
	return 0;
}

/* The limit holds even where the guess of growth() was too low and nothing is left to drop. */
static void enforce(struct history *history, struct lane *lane)
{
	if (history_make_room(history, 0))
		return;
	history->dropped += lane->open.rows;
	history->samples -= lane->open.rows;
	lane_clear(history, lane);
	history->open_bytes -= rows_bytes(&lane->open);
	rows_done(&lane->open);
}

static int append(struct history *history, struct history_task *task,
	const struct history_record *record, struct tally_error *err)
{
	struct tick tick = {record->wall_ns, record->boot_ns};

	if (history->read_only)
		return tally_refuse(err, -EROFS, "a store that is only read takes no samples");
	if (history->ended == history->now_number + 1 && same_tick(history, tick))
		return tally_refuse(err, -EINVAL,
			"task %.200s: the tick that its sample belongs to is committed already",
			task->id);

	int r = check_order(history, task, record, err);

	if (r < 0)
		return r;
	r = get_parts(history, task, record);
	if (r == -EEXIST)
		return tally_refuse(err, -EINVAL,
			"task %.200s: a process is named twice in one record", task->id);
	if (r == 0 && !begin_tick(history, tick))
		r = -ENOMEM;
	if (history->keeper && task->number == 0)
		task->number = history->next_task++;
	if (r == 0)
		r = lane_append(history, &task->lanes[0], history->now_number, tick, history->parts,
			record->process_count + 1);
	if (r < 0)
		return tally_fail(err, r,
			"task %.200s: cannot keep a sample of %zu processes in a history of %zu "
			"bytes",
			task->id, record->process_count, history->bytes_limit);
	task->last = (struct moment){history->era, record->boot_ns};
	for (size_t i = 0; i < record->process_count; i++)
		task->order[i]->last = task->last;
	history->samples++;
	journal_row(history, task);
	enforce(history, &task->lanes[0]);
	return 0;
}

int history_append(struct history *history, struct history_task *task,
	const struct history_record *record, struct tally_error *err)
{
	pthread_mutex_lock(&history->lock);
	int r = append(history, task, record, err);
	if (r < 0) {
		history->refused++;
		task->order_count = 0;
	}
	pthread_mutex_unlock(&history->lock);
	return r;
}
