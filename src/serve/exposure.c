/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/exposure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/hash.h"
#include "base/text.h"

/* A process that is summed, and what was added of it. */
struct exposed_folded {
	uint64_t generation;
	uint64_t present;
	int64_t last[TALLY_METRIC_COUNT];
	UT_hash_handle hh;
	char name[];
};

/* A sum: counters go on, gauges are made anew each time. */
struct exposed_other {
	struct tally_sample sum;
	size_t members; /* This time. */
};

/* What is remembered of a task. */
struct exposed_task {
	uint64_t over_tick; /* In which its final figures were exported; 0: not yet. */
	bool rest;	    /* It is summed with others as a whole. */
	uint64_t generation;
	struct exposed_folded *folded; /* uthash by name. */
	struct exposed_other *other;
	UT_hash_handle hh;
	char id[];
};

/* Metrics that have series of their own in a process. Words are none: each would be a series. */
static uint64_t process_metrics(void)
{
	uint64_t bits = 0;

	for (int i = 0; i < TALLY_METRIC_COUNT; i++)
		if (tally_metrics[i].aggregate != TALLY_AGGREGATE_TASK &&
			tally_metrics[i].unit != TALLY_UNIT_STATE)
			bits |= TALLY_BIT(i);
	return bits;
}

static uint64_t task_metrics(void)
{
	uint64_t bits = 0;

	for (int i = 0; i < TALLY_METRIC_COUNT; i++)
		if (tally_metrics[i].aggregate == TALLY_AGGREGATE_TASK)
			bits |= TALLY_BIT(i);
	return bits;
}

static size_t count_bits(uint64_t bits)
{
	return (size_t)__builtin_popcountll(bits);
}

/* A label value: backslash, quote and newline escaped, what is no UTF-8 replaced. */
static void put_label(struct buffer *out, const char *text)
{
	const char *end = text + strlen(text);

	while (text < end) {
		const char *from = text;
		int32_t c = text_code_point(&text, end);

		if (c < 0)
			buffer_puts(out, "\xef\xbf\xbd");
		else if (c == '\n')
			buffer_puts(out, "\\n");
		else if (c == '"' || c == '\\')
			buffer_put(out, (const char[]){'\\', (char)c}, 2);
		else
			buffer_put(out, from, (size_t)(text - from));
	}
}

static struct exposed *add_row(struct exposure *e, const char *task, const char *process)
{
	if (e->row_count == e->row_room) {
		size_t room = e->row_room ? e->row_room * 2 : 64;
		struct exposed *grown = reallocarray(e->rows, room, sizeof(*grown));

		if (!grown) {
			e->failed = true;
			return NULL;
		}
		e->rows = grown;
		e->row_room = room;
	}

	struct exposed *row = &e->rows[e->row_count++];
	*row = (struct exposed){.labels = e->labels.used};
	buffer_puts(&e->labels, "task=\"");
	put_label(&e->labels, task);
	if (process) {
		buffer_puts(&e->labels, "\",process=\"");
		put_label(&e->labels, process);
	}
	buffer_putc(&e->labels, '"');
	row->label_length = e->labels.used - row->labels;
	return row;
}

/* Series of a sum. */
static size_t sum_series(void)
{
	return count_bits(process_metrics());
}

/* Room is always left for the sum of the tasks that have none. */
static bool has_room(const struct exposure *e, size_t series)
{
	return e->limit == 0 || e->series + series + sum_series() <= e->limit;
}

static struct exposed_task *remember_task(struct exposure *e, const char *id)
{
	struct exposed_task *task;

	HASH_FIND_STR(e->tasks, id, task);
	if (task)
		return task;
	size_t length = strlen(id);
	task = calloc(1, sizeof(*task) + length + 1);
	if (!task) {
		e->failed = true;
		return NULL;
	}
	memcpy(task->id, id, length);
	HASH_ADD_KEYPTR(hh, e->tasks, task->id, length, task);
	if (!task->hh.tbl) {
		free(task);
		e->failed = true;
		return NULL;
	}
	return task;
}

static struct exposed_folded *find_folded(const struct exposed_task *task, const char *name)
{
	struct exposed_folded *folded;

	HASH_FIND_STR(task->folded, name, folded);
	return folded;
}

/*
 * Begin to sum a process. What it consumed before counts only if it was begun since the last time:
 * otherwise it stands in a series of its own already, or was consumed before anybody looked.
 */
static struct exposed_folded *fold(
	struct exposure *e, struct exposed_task *task, const struct snapshot_process *process)
{
	size_t length = strlen(process->info.name);
	struct exposed_folded *folded = calloc(1, sizeof(*folded) + length + 1);

	if (!folded) {
		e->failed = true;
		return NULL;
	}
	memcpy(folded->name, process->info.name, length);
	if (e->last_wall_ns && process->info.started_wall_ns <= e->last_wall_ns) {
		folded->present = process->reading.sample.present;
		memcpy(folded->last, process->reading.sample.value, sizeof(folded->last));
	}
	HASH_ADD_KEYPTR(hh, task->folded, folded->name, length, folded);
	if (!folded->hh.tbl) {
		free(folded);
		e->failed = true;
		return NULL;
	}
	e->folded_total++;
	return folded;
}

static void add_to_sum(struct exposed_other *other, struct exposed_folded *folded,
	const struct tally_sample *sample)
{
	for (int i = 0; i < TALLY_METRIC_COUNT; i++) {
		int64_t value = sample->value[i];

		if (!tally_sample_has(sample, i) ||
			tally_metrics[i].aggregate != TALLY_AGGREGATE_SUM)
			continue;
		if (tally_metrics[i].kind == TALLY_KIND_COUNTER) {
			int64_t before = folded->present & TALLY_BIT(i) ? folded->last[i] : 0;

			folded->last[i] = value;
			folded->present |= TALLY_BIT(i);
			value = value > before ? value - before : 0;
		}
		other->sum.present |= TALLY_BIT(i);
		other->sum.value[i] += value;
	}
	other->members++;
}

/* Gauges are of those who are in it now; counters go on. */
static void begin_sum(struct exposed_other *other)
{
	other->members = 0;
	for (int i = 0; i < TALLY_METRIC_COUNT; i++)
		if (tally_metrics[i].kind != TALLY_KIND_COUNTER) {
			other->sum.present &= ~TALLY_BIT(i);
			other->sum.value[i] = 0;
		}
}

static struct exposed_other *other_of(struct exposure *e, struct exposed_other **place)
{
	if (!*place)
		*place = calloc(1, sizeof(**place));
	if (!*place)
		e->failed = true;
	return *place;
}

static void sum_process(struct exposure *e, struct exposed_task *task,
	const struct snapshot_process *process, struct exposed_folded *folded)
{
	struct exposed_other *other = other_of(e, task->rest ? &e->rest : &task->other);

	if (!folded)
		folded = fold(e, task, process);
	if (!other || !folded)
		return;
	folded->generation = e->generation;
	add_to_sum(other, folded, &process->reading.sample);
	e->folded++;
}

static void expose_process(struct exposure *e, const struct snapshot_task *of,
	const struct snapshot_process *process, size_t series)
{
	struct exposed *row = add_row(e, of->info.id, process->info.name);

	if (!row)
		return;
	row->sample = &process->reading.sample;
	row->info = &process->info;
	e->series += series;
}

/* Besides those of the table: whether it is active, its runs and, where known, its start. */
static size_t process_series(const struct snapshot_process *process)
{
	return count_bits(process->reading.sample.present & process_metrics()) + 2 +
	       (process->info.started_wall_ns != 0);
}

static void take_process(struct exposure *e, struct exposed_task *task,
	const struct snapshot_task *of, const struct snapshot_process *process)
{
	size_t series = process_series(process);
	struct exposed_folded *folded = find_folded(task, process->info.name);

	if (!process->reading.sample.boot_ns)
		return;
	if (task->rest || folded || !has_room(e, series + sum_series()) ||
		strcmp(process->info.name, EXPOSURE_OTHER) == 0)
		sum_process(e, task, process, folded);
	else
		expose_process(e, of, process, series);
}

static void expose_sum(struct exposure *e, struct exposed_other *other, const char *task)
{
	struct exposed *row = add_row(e, task, EXPOSURE_OTHER);

	if (!row)
		return;
	row->sample = &other->sum;
	e->series += count_bits(other->sum.present & process_metrics());
}

static void expose_task(struct exposure *e, const struct snapshot_task *of)
{
	uint64_t present = of->reading.sample.present & task_metrics();
	struct exposed *row = present ? add_row(e, of->info.id, NULL) : NULL;

	if (!row)
		return;
	row->sample = &of->reading.sample;
	row->task = true;
	e->series += count_bits(present);
}

/* A task is shown while there is room for its own figures and one sum of its processes. */
static size_t least_series(const struct snapshot_task *of)
{
	return count_bits(of->reading.sample.present & task_metrics()) + sum_series();
}

/* Whether a task was exported for the last time before this tick. */
static bool is_over(
	const struct exposure *e, struct exposed_task *task, const struct snapshot_task *of)
{
	if (of->info.followed || !snapshot_life_ended(of->info.life))
		task->over_tick = 0;
	else if (!task->over_tick)
		task->over_tick = e->tick;
	return task->over_tick && task->over_tick != e->tick;
}

static void take_task(
	struct exposure *e, const struct snapshot *snapshot, const struct snapshot_task *of)
{
	struct exposed_task *task = remember_task(e, of->info.id);

	if (!task)
		return;
	task->generation = e->generation;
	if (is_over(e, task, of))
		return;
	if (!task->rest &&
		(!has_room(e, least_series(of)) || strcmp(of->info.id, EXPOSURE_OTHER) == 0))
		task->rest = true;
	if (task->other)
		begin_sum(task->other);
	if (!task->rest)
		expose_task(e, of);
	for (size_t i = 0; i < of->count; i++)
		take_process(e, task, of, &snapshot->processes[of->first + i]);
	if (task->other && !task->rest)
		expose_sum(e, task->other, of->info.id);
}

static void free_folded(struct exposed_task *task, const struct exposure *keep)
{
	struct exposed_folded *folded, *next;

	HASH_ITER (hh, task->folded, folded, next)
		if (!keep || folded->generation != keep->generation) {
			HASH_DEL(task->folded, folded);
			free(folded);
		}
}

static void free_tasks(struct exposure *e, bool all)
{
	struct exposed_task *task, *next;

	HASH_ITER (hh, e->tasks, task, next) {
		free_folded(task, all ? NULL : e);
		if (!all && task->generation == e->generation)
			continue;
		free_folded(task, NULL);
		HASH_DEL(e->tasks, task);
		free(task->other);
		free(task);
	}
}

int exposure_update(struct exposure *e, const struct snapshot *snapshot, uint64_t tick)
{
	e->row_count = e->series = e->folded = 0;
	e->labels.used = 0;
	e->failed = false;
	e->generation++;
	e->tick = tick;
	if (e->rest)
		begin_sum(e->rest);
	for (size_t i = 0; i < snapshot->task_count; i++)
		if (snapshot->tasks[i].reading.sample.boot_ns)
			take_task(e, snapshot, &snapshot->tasks[i]);
	if (e->rest)
		expose_sum(e, e->rest, EXPOSURE_OTHER);
	free_tasks(e, false);
	e->last_wall_ns = clock_wall_ns();
	return e->failed || e->labels.code ? -ENOMEM : 0;
}

void exposure_done(struct exposure *e)
{
	free_tasks(e, true);
	free(e->rest);
	free(e->rows);
	buffer_done(&e->labels);
	*e = (struct exposure){.limit = e->limit};
}
