/* SPDX-License-Identifier: Apache-2.0 */
#include "history/view.h"

#include <errno.h>
#include "history/keeper.h"

/** Working memory that is kept for readers to come. */
#define IDLE_VIEWS 2

void view_free(struct view *view)
{
	free(view->task_name);
	free(view->entries);
	free(view->pins);
	free(view->codes);
	for (unsigned i = 0; i < TIERS; i++)
		bytes_free(&view->logs[i]);
	bytes_free(&view->block);
	table_done(&view->table);
	block_scratch_free(view->scratch);
	free(view);
}

static struct view *new_view(struct history *history)
{
	struct view *view = calloc(1, sizeof(*view));

	if (!view)
		return NULL;
	view->history = history;
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
		return new_view(history);
	history->idle_views = view->next;
	history->idle_view_count--;
	free(view->task_name);
	view->task_name = NULL;
	view->count = view->pin_count = view->code_count = 0;
	view->error = 0;
	return view;
}

static bool grow(void **items, size_t *capacity, size_t needed, size_t size)
{
	if (needed <= *capacity)
		return true;

	size_t more = *capacity ? *capacity * 2 : 64;
	void *larger = reallocarray(*items, more, size);
	if (!larger)
		return false;
	*items = larger;
	*capacity = more;
	return true;
}

#define GROW(items, capacity, needed)                                                              \
	grow((void **)&(items), &(capacity), (needed), sizeof(*(items)))

static bool add_entry(struct view *view, struct view_entry entry)
{
	if (!GROW(view->entries, view->capacity, view->count + 1) ||
		(entry.sealed && !GROW(view->pins, view->pin_capacity, view->pin_count + 1))) {
		view->error = -ENOMEM;
		return false;
	}
	if (entry.sealed) {
		entry.sealed->pins++;
		view->pins[view->pin_count++] = entry.sealed;
	}
	view->entries[view->count++] = entry;
	return true;
}

static bool copy_log(struct view *view, const struct lane *lane)
{
	struct bytes *log = &view->logs[lane->tier];

	log->length = 0;
	if (!bytes_room(log, lane->open.log.length)) {
		view->error = -ENOMEM;
		return false;
	}
	put_blob(log, lane->open.log.at, lane->open.log.length);
	view->repeats[lane->tier] = lane->open.repeats;
	return true;
}

static void add_lane(struct view *view, const struct lane *lane, uint32_t code)
{
	struct view_entry entry = {.tier = lane->tier, .code = code};

	for (struct sealed *s = lane->oldest; s; s = s->newer_of_lane) {
		entry.span = s->span;
		entry.sealed = s;
		if (!add_entry(view, entry))
			return;
	}
	if (lane->open.rows == 0 || !copy_log(view, lane))
		return;
	entry.span = lane->open_span;
	entry.sealed = NULL;
	add_entry(view, entry);
}

static bool find_code(const struct history_task *task, const char *process, uint32_t *ret)
{
	struct name *name;

	*ret = SERIES_TOTAL;
	if (!process)
		return true;
	HASH_FIND_STR(task->names, process, name);
	if (!name || name->last.era == 0)
		return false;
	*ret = SERIES_OF(name->number);
	return true;
}

/* What memory has of the task. Under the lock. @return whether it knows the process. */
static bool look_into_memory(struct view *view, struct history_task *task)
{
	const struct history *history = view->history;
	uint32_t code;
	bool known = find_code(task, view->process, &code);

	view->task = task->number;
	view->task_name = strdup(task->id);
	view->era = history->era;
	if (!view->task_name)
		view->error = -ENOMEM;
	for (unsigned i = 0; i < history->tier_count; i++) {
		const struct lane *lane = &task->lanes[i];

		view->hidden_ns[i] = history->now.boot_ns - history->tiers[i].retention_ns;
		view->in_memory[i] =
			lane->oldest ? lane->oldest->span.number : lane->open_span.number;
		if (known)
			add_lane(view, lane, code);
	}
	return known;
}

static bool note_code(void *context, uint64_t task, uint32_t number, const char *name)
{
	struct view *view = context;

	if (strcmp(name, view->process) != 0)
		return true;
	if (!GROW(view->codes, view->code_capacity, view->code_count + 1)) {
		view->error = -ENOMEM;
		return false;
	}
	view->codes[view->code_count++] = (struct view_code){task, SERIES_OF(number)};
	return true;
}

static bool code_in(const struct view *view, uint64_t task, uint32_t *ret)
{
	*ret = SERIES_TOTAL;
	if (!view->process)
		return true;
	for (size_t i = 0; i < view->code_count; i++)
		if (view->codes[i].task == task) {
			*ret = view->codes[i].code;
			return true;
		}
	return false;
}

static bool note_span(void *context, uint64_t task, unsigned tier, const struct span *span)
{
	struct view *view = context;
	struct view_entry entry = {.span = *span, .tier = tier, .task = task};

	if (task == view->task && span->number >= view->in_memory[tier])
		return true;
	if (tier >= view->history->tier_count || !code_in(view, task, &entry.code))
		return true;
	return add_entry(view, entry);
}

static void look_into_store(struct view *view)
{
	struct store *store = keeper_lock_reader(view->history);
	int r = 0;

	if (!store)
		return;
	if (view->process)
		r = store_names(store, view->task_name, note_code, view, NULL);
	if (r == 0)
		r = store_spans(store, view->task_name, note_span, view, NULL);
	keeper_unlock_reader(view->history, r);
}

static bool hidden(const struct view *view, unsigned tier, struct moment moment)
{
	return moment.era == view->era && moment.boot_ns <= view->hidden_ns[tier];
}

static bool seen(const struct view *view, unsigned tier, struct moment moment)
{
	return !hidden(view, tier, moment) && moment_before(moment, view->end[tier]);
}

/* Coarser resolutions first, then by time. */
static int compare_entries(const void *a, const void *b)
{
	const struct view_entry *x = a, *y = b;

	if (x->tier != y->tier)
		return x->tier > y->tier ? -1 : 1;
	if (moment_before(x->span.first, y->span.first))
		return -1;
	return moment_before(y->span.first, x->span.first);
}

/* Where each resolution ends: at the first sample of a finer one that is seen. */
static void find_ends(struct view *view)
{
	struct moment end = {UINT32_MAX, INT64_MAX};
	size_t i = view->count;

	for (unsigned tier = 0; tier < view->history->tier_count; tier++) {
		struct moment hidden_until = {view->era, view->hidden_ns[tier] + 1};

		view->end[tier] = end;
		for (; i > 0 && view->entries[i - 1].tier == tier; i--) {
			const struct span *span = &view->entries[i - 1].span;
			struct moment first =
				hidden(view, tier, span->first) ? hidden_until : span->first;

			if (!hidden(view, tier, span->last) && moment_before(first, end))
				end = first;
		}
	}
}

static void leave_out_unseen(struct view *view)
{
	size_t kept = 0;

	for (size_t i = 0; i < view->count; i++) {
		const struct view_entry *entry = &view->entries[i];

		if (!hidden(view, entry->tier, entry->span.last) &&
			moment_before(entry->span.first, view->end[entry->tier]))
			view->entries[kept++] = *entry;
	}
	view->count = kept;
}

int view_open(
	struct history *history, struct history_task *task, const char *process, struct view **ret)
{
	bool known = false;

	pthread_mutex_lock(&history->lock);
	struct view *view = get_view(history);
	if (view) {
		view->process = process;
		view->loaded = SIZE_MAX;
		view->chunk_number = UINT64_MAX;
		known = look_into_memory(view, task);
	}
	pthread_mutex_unlock(&history->lock);
	if (!view)
		return -ENOMEM;
	if (history->keeper && view->error == 0)
		look_into_store(view);

	int r = view->error;
	if (r == 0 && !known && view->code_count == 0)
		r = -ENOENT;
	if (r < 0) {
		view_close(view);
		return r;
	}
	if (view->count > 0)
		qsort(view->entries, view->count, sizeof(*view->entries), compare_entries);
	find_ends(view);
	leave_out_unseen(view);
	*ret = view;
	return 0;
}

void view_close(struct view *view)
{
	if (!view)
		return;

	struct history *history = view->history;
	pthread_mutex_lock(&history->lock);
	for (size_t i = 0; i < view->pin_count; i++)
		sealed_unpin(view->pins[i]);
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

/*
 * With the store's connection. The list of stretches has no checksum: where damage gave one the number of
 * another, that other block is sound, and would be shown at the wrong time.
 */
static int read_from_store(struct view *view, const struct view_entry *entry, struct store *store)
{
	int r = store_read_block(store, entry->task, view->task_name, entry->tier,
		entry->span.number, &view->block, NULL);

	if (r == 0)
		r = block_read(view->scratch, view->block.at, view->block.length, &view->table);
	if (r == 0 && view->table.first_tick != entry->span.first_tick) {
		store->damaged++;
		r = -EBADMSG;
	}
	return r;
}

static int times_from_store(struct view *view, const struct view_entry *entry, struct store *store)
{
	for (unsigned row = 0; row < view->table.rows; row++) {
		uint64_t tick = entry->span.first_tick + view->table.tick[row];
		uint64_t number = tick / CHUNK_TICKS;

		if (view->chunk_number != number || view->chunk_tier != entry->tier) {
			view->chunk_number = UINT64_MAX;
			int r = store_read_ticks(store, entry->tier, number, &view->chunk, NULL);
			if (r < 0)
				return r;
			if (view->chunk.era != entry->span.first.era) {
				store->damaged++;
				return -EBADMSG;
			}
			view->chunk_number = number;
			view->chunk_tier = entry->tier;
		}
		if (tick % CHUNK_TICKS >= view->chunk.count) {
			view->chunk_number = UINT64_MAX; /* It may have grown since. */
			return -ENOENT;
		}
		view->ticks[row] = view->chunk.at[tick % CHUNK_TICKS];
	}
	return 0;
}

static bool times_from_memory(struct view *view, const struct view_entry *entry)
{
	const struct ticks *ticks = &view->history->tiers[entry->tier].ticks;
	bool there = true;

	pthread_mutex_lock(&view->history->lock);
	for (unsigned row = 0; there && row < view->table.rows; row++)
		there = ticks_copy(ticks, entry->span.first_tick + view->table.tick[row], 1,
			&view->ticks[row]);
	pthread_mutex_unlock(&view->history->lock);
	return there;
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

/* From the store: what memory does not have, or only the times of it. */
static bool load_from_store(struct view *view, const struct view_entry *entry)
{
	struct store *store = keeper_lock_reader(view->history);
	int r = 0;

	if (!store)
		return false;
	if (entry->task > 0)
		r = read_from_store(view, entry, store);
	if (r == 0)
		r = times_from_store(view, entry, store);
	keeper_unlock_reader(view->history, r);
	return r == 0;
}

static bool load(struct view *view, const struct view_entry *entry)
{
	if (entry->task > 0)
		return load_from_store(view, entry);
	if (decode(view, entry) < 0)
		return false;
	return view->history->read_only ? load_from_store(view, entry)
					: times_from_memory(view, entry);
}

/* The rows that the series is in and that no other resolution shows. */
static void see_rows(struct view *view, const struct view_entry *entry)
{
	int64_t series = table_find(&view->table, entry->code);

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
	if (!load(view, &view->entries[entry]))
		return false;
	for (unsigned row = 0; row < view->table.rows; row++)
		view->boot_ns[row] = view->ticks[row].boot_ns;
	see_rows(view, &view->entries[entry]);
	view->loaded = entry;
	return true;
}

int view_samples(
	struct view *view, bool maxima, unsigned from, unsigned to, struct tally_sample *ret)
{
	uint32_t code = view->entries[view->loaded].code;
	struct row_set here;

	if (maxima)
		code = SERIES_MAXIMA_OF(code);
	if (table_find(&view->table, code) < 0)
		return -ENOENT;

	int r = table_samples(&view->table, code, view->boot_ns, from, to, ret + from, &here);
	for (unsigned row = from; row <= to; row++) {
		ret[row].wall_ns = view->ticks[row].wall_ns;
		ret[row].boot_ns = view->ticks[row].boot_ns;
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
