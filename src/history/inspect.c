/* SPDX-License-Identifier: Apache-2.0 */
#include "history/inspect.h"

#include <errno.h>
#include "base/fail.h"
#include "history/keeper.h"
#include "history/view.h"

int history_extent(struct history *history, struct history_task *task, const char *process,
	struct history_extent *ret)
{
	struct history_extent extent = {INT64_MAX, INT64_MIN, 0};
	struct view *view;
	int r = view_open(history, task, process, &view);

	if (r < 0)
		return r;
	for (size_t i = 0; i < view->count; i++) {
		const struct span *span = &view->entries[i].span;

		if (span->wall_min < extent.first_ns)
			extent.first_ns = span->wall_min;
		if (span->wall_max > extent.last_ns)
			extent.last_ns = span->wall_max;
		extent.rows += span->rows;
	}
	view_close(view);
	if (extent.rows == 0)
		return -ENODATA;
	*ret = extent;
	return 0;
}

/* A walk over the samples of a range. */
struct points {
	int64_t since_ns, until_ns;
	history_point_fn *visit;
	void *context;
	struct tally_sample *maxima; /* TABLE_ROWS of them */
	uint64_t lost;
};

/* @return whether to go on. */
static bool visit_entry(struct points *points, struct view *view, size_t index)
{
	const struct view_entry *entry = &view->entries[index];
	struct history_point point = {
		.step_ns = entry->tier ? view->history->tiers[entry->tier].step_ns : 0,
		.era = entry->span.first.era,
	};
	unsigned last = view->table.rows - 1;

	if (view_samples(view, false, 0, last, view->samples) < 0) {
		points->lost++;
		return true;
	}
	bool has_maxima = entry->tier > 0 && view_samples(view, true, 0, last, points->maxima) == 0;
	for (unsigned row = 0; row <= last; row++) {
		point.sample = &view->samples[row];
		point.maxima = has_maxima ? &points->maxima[row] : NULL;
		if (row_set_has(&view->rows, row) && point.sample->wall_ns >= points->since_ns &&
			point.sample->wall_ns <= points->until_ns &&
			!points->visit(points->context, &point))
			return false;
	}
	return true;
}

static void visit_view(struct points *points, struct view *view)
{
	bool go_on = true;

	for (size_t i = 0; i < view->count && go_on; i++) {
		const struct span *span = &view->entries[i].span;

		if (span->wall_max < points->since_ns || span->wall_min > points->until_ns)
			continue;
		if (view_load(view, i))
			go_on = visit_entry(points, view, i);
		else
			points->lost++;
	}
}

int history_points(struct history *history, struct history_task *task, const char *process,
	int64_t since_ns, int64_t until_ns, history_point_fn *visit, void *context,
	uint64_t *ret_lost)
{
	struct points points = {since_ns, until_ns, visit, context, NULL, 0};
	struct view *view;
	int r = view_open(history, task, process, &view);

	if (r < 0)
		return r;
	points.maxima = calloc(TABLE_ROWS, sizeof(*points.maxima));
	if (points.maxima)
		visit_view(&points, view);
	view_close(view);
	*ret_lost = points.lost;
	r = points.maxima ? 0 : -ENOMEM;
	free(points.maxima);
	return r;
}

static bool add_id(struct history_ids *ids, const char *id)
{
	if (ids->count == ids->capacity) {
		size_t capacity = ids->capacity ? ids->capacity * 2 : 64;
		char **grown = reallocarray(ids->at, capacity, sizeof(*grown));

		ids->failed |= !grown;
		if (!grown)
			return false;
		ids->at = grown;
		ids->capacity = capacity;
	}
	char *copy = strdup(id);
	if (copy)
		ids->at[ids->count++] = copy;
	ids->failed |= !copy;
	return copy;
}

static bool add_stored(
	void *context, uint64_t task, const char *name, const void *roots, size_t roots_length)
{
	return add_id(context, name);
}

static int compare_ids(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A task has a row in the store for each time it was begun. */
static void sort_ids(struct history_ids *ids)
{
	size_t kept = 0;

	if (ids->count > 0)
		qsort(ids->at, ids->count, sizeof(*ids->at), compare_ids);
	for (size_t i = 0; i < ids->count; i++) {
		if (kept > 0 && strcmp(ids->at[kept - 1], ids->at[i]) == 0)
			free(ids->at[i]);
		else
			ids->at[kept++] = ids->at[i];
	}
	ids->count = kept;
}

int history_ids(struct history *history, struct history_ids *ret, struct tally_error *err)
{
	int r = 0;

	*ret = (struct history_ids){0};
	pthread_mutex_lock(&history->lock);
	for (size_t i = 0; i < history->task_count; i++)
		if (!history->order[i]->gone && !add_id(ret, history->order[i]->id))
			break;
	pthread_mutex_unlock(&history->lock);

	struct store *store = keeper_lock_reader(history);
	if (store) {
		r = store_tasks(store, add_stored, ret, err);
		keeper_unlock_reader(history, r);
	}
	sort_ids(ret);
	return r == 0 && ret->failed ? tally_fail(err, -ENOMEM, "cannot list the tasks") : r;
}

void history_ids_done(struct history_ids *ids)
{
	for (size_t i = 0; i < ids->count; i++)
		free(ids->at[i]);
	free(ids->at);
	*ids = (struct history_ids){0};
}
