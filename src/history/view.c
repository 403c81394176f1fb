/* SPDX-License-Identifier: Apache-2.0 */
#include "history/view.h"

#include <errno.h>

/** Working memory that is kept for readers to come. */
#define IDLE_VIEWS 2

void view_free(struct view *view)
{
	free(view->entries);
	for (unsigned i = 0; i < TIERS; i++)
		bytes_free(&view->logs[i]);
	table_done(&view->table);
	block_scratch_free(view->scratch);
	free(view);
}

static struct view *new_view(void)
{
	struct view *view = calloc(1, sizeof(*view));

	if (!view)
		return NULL;
	view->scratch = block_scratch_new();
	if (!view->scratch) {
		free(view);
		return NULL;
	}
	return view;
}

static struct view *get_view(struct history *history)
{
	struct view *view = history->idle_views;

	if (!view)
		return new_view();
	history->idle_views = view->next;
	history->idle_view_count--;
	return view;
}

static int add_entry(struct view *view, struct view_entry entry)
{
	if (view->count == view->capacity) {
		size_t capacity = view->capacity ? view->capacity * 2 : 64;
		void *entries = reallocarray(view->entries, capacity, sizeof(*view->entries));

		if (!entries)
			return -ENOMEM;
		view->entries = entries;
		view->capacity = capacity;
	}
	if (entry.sealed)
		entry.sealed->pins++;
	view->entries[view->count++] = entry;
	return 0;
}

static bool hidden(const struct view *view, unsigned tier, struct moment moment)
{
	return moment.era == view->era && moment.boot_ns <= view->hidden_ns[tier];
}

static bool seen(const struct view *view, unsigned tier, struct moment moment)
{
	return !hidden(view, tier, moment) && moment_before(moment, view->end[tier]);
}

static bool want(const struct view *view, unsigned tier, const struct span *span)
{
	return !hidden(view, tier, span->last) && moment_before(span->first, view->end[tier]);
}

static int copy_log(struct view *view, const struct lane *lane)
{
	struct bytes *log = &view->logs[lane->tier];

	log->length = 0;
	if (!bytes_room(log, lane->open.log.length))
		return -ENOMEM;
	put_blob(log, lane->open.log.at, lane->open.log.length);
	view->repeats[lane->tier] = lane->open.repeats;
	return 0;
}

static int add_lane(struct view *view, const struct lane *lane)
{
	int r = 0;

	for (struct sealed *s = lane->oldest; s && r == 0; s = s->newer_of_lane)
		if (want(view, lane->tier, &s->span))
			r = add_entry(view, (struct view_entry){s->span, s, lane->tier});
	if (r == 0 && lane->open.rows > 0 && want(view, lane->tier, &lane->open_span)) {
		r = copy_log(view, lane);
		if (r == 0)
			r = add_entry(view, (struct view_entry){lane->open_span, NULL, lane->tier});
	}
	return r;
}

/* When the first sample of a lane is that can be seen. */
static bool first_seen(const struct view *view, const struct lane *lane, struct moment *ret)
{
	struct moment hidden_until = {view->era, view->hidden_ns[lane->tier]};

	for (const struct sealed *s = lane->oldest; s; s = s->newer_of_lane)
		if (!hidden(view, lane->tier, s->span.last)) {
			*ret = hidden(view, lane->tier, s->span.first) ? hidden_until
								       : s->span.first;
			return true;
		}
	if (lane->open.rows == 0 || hidden(view, lane->tier, lane->open_span.last))
		return false;
	*ret = hidden(view, lane->tier, lane->open_span.first) ? hidden_until
							       : lane->open_span.first;
	return true;
}

static void find_ends(struct view *view, const struct history_task *task)
{
	struct moment end = {UINT32_MAX, INT64_MAX}, first;

	view->era = view->history->era;
	for (unsigned i = 0; i < view->history->tier_count; i++) {
		const struct tier *tier = &view->history->tiers[i];

		view->end[i] = end;
		view->hidden_ns[i] = view->history->now.boot_ns - tier->retention_ns;
		if (first_seen(view, &task->lanes[i], &first) && moment_before(first, end))
			end = first;
	}
}

static int find_code(const struct history_task *task, const char *process, uint32_t *ret)
{
	struct name *name;

	*ret = SERIES_TOTAL;
	if (!process)
		return 0;
	HASH_FIND_STR(task->names, process, name);
	if (!name || name->last.era == 0)
		return -ENOENT;
	*ret = SERIES_OF(name->number);
	return 0;
}

/* Under the lock. */
static int fill(struct view *view, struct history_task *task, const char *process)
{
	int r = find_code(task, process, &view->code);

	find_ends(view, task);
	for (unsigned i = view->history->tier_count; i-- > 0 && r == 0;)
		r = add_lane(view, &task->lanes[i]);
	return r;
}

int view_open(
	struct history *history, struct history_task *task, const char *process, struct view **ret)
{
	int r = -ENOMEM;

	pthread_mutex_lock(&history->lock);
	struct view *view = get_view(history);
	if (view) {
		view->history = history;
		view->count = 0;
		view->loaded = SIZE_MAX;
		r = fill(view, task, process);
	}
	pthread_mutex_unlock(&history->lock);
	if (r < 0)
		view_close(view);
	else
		*ret = view;
	return r;
}

void view_close(struct view *view)
{
	if (!view)
		return;

	struct history *history = view->history;
	pthread_mutex_lock(&history->lock);
	for (size_t i = 0; i < view->count; i++)
		if (view->entries[i].sealed)
			sealed_unpin(view->entries[i].sealed);
	bool keep = history->idle_view_count < IDLE_VIEWS;
	if (keep) {
		view->next = history->idle_views;
		history->idle_views = view;
		history->idle_view_count++;
	}
	pthread_mutex_unlock(&history->lock);
	if (!keep)
		view_free(view);
}

static int decode(struct view *view, const struct view_entry *entry)
{
	const struct bytes *log = &view->logs[entry->tier];

	if (entry->sealed)
		return block_read(
			view->scratch, entry->sealed->bytes, entry->sealed->length, &view->table);
	return rows_table(reader_of(log->at, log->length), TALLY_METRIC_COUNT,
		entry->span.first_tick, view->repeats[entry->tier], &view->table);
}

/* Times of all rows; false when they were dropped. */
static bool read_times(struct view *view, const struct view_entry *entry)
{
	const struct ticks *ticks = &view->history->tiers[entry->tier].ticks;
	bool there = true;

	pthread_mutex_lock(&view->history->lock);
	for (unsigned row = 0; there && row < view->table.rows; row++)
		there = ticks_copy(ticks, entry->span.first_tick + view->table.tick[row], 1,
			&view->ticks[row]);
	pthread_mutex_unlock(&view->history->lock);
	for (unsigned row = 0; there && row < view->table.rows; row++)
		view->boot_ns[row] = view->ticks[row].boot_ns;
	return there;
}

/* The rows that the series is in and that no other resolution shows. */
static void see_rows(struct view *view, const struct view_entry *entry)
{
	int64_t series = table_find(&view->table, view->code);

	view->rows = (struct row_set){{0}};
	if (series < 0)
		return;
	for (unsigned row = 0; row < view->table.rows; row++)
		if (row_set_has(&view->table.series[series].here, row) &&
			seen(view, entry->tier,
				(struct moment){entry->span.first.era, view->boot_ns[row]}))
			row_set_add(&view->rows, row);
}

bool view_load(struct view *view, size_t entry)
{
	if (view->loaded == entry)
		return true;
	view->loaded = SIZE_MAX;
	if (decode(view, &view->entries[entry]) < 0 || !read_times(view, &view->entries[entry]))
		return false;
	see_rows(view, &view->entries[entry]);
	view->loaded = entry;
	return true;
}

int view_samples(struct view *view, uint32_t code, unsigned from, unsigned to)
{
	struct row_set here;
	int r = table_samples(
		&view->table, code, view->boot_ns, from, to, view->samples + from, &here);

	for (unsigned row = from; row <= to; row++) {
		view->samples[row].wall_ns = view->ticks[row].wall_ns;
		view->samples[row].boot_ns = view->ticks[row].boot_ns;
	}
	return r;
}

int view_row_before(const struct view *view, unsigned row)
{
	while (row-- > 0)
		if (row_set_has(&view->rows, row))
			return (int)row;
	return -1;
}
