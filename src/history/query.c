/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include "history/view.h"

/* How far an instant is from the nearest wall-clock time that a stretch bears. */
static uint64_t distance(int64_t least, int64_t most, int64_t wall_ns)
{
	if (wall_ns < least)
		return (uint64_t)least - (uint64_t)wall_ns;
	return wall_ns > most ? (uint64_t)wall_ns - (uint64_t)most : 0;
}

static uint64_t entry_distance(const struct view_entry *entry, int64_t wall_ns)
{
	return distance(entry->span.wall_min, entry->span.wall_max, wall_ns);
}

/* The nearest sample found so far. */
struct nearest {
	bool found;
	uint64_t distance;
	size_t entry;
	unsigned row;
};

/* Look for a nearer sample in an entry; of two as near, the earlier one. */
static void look_into(struct view *view, size_t entry, int64_t wall_ns, struct nearest *best)
{
	if (!view_load(view, entry))
		return;
	for (unsigned row = 0; row < view->table.rows; row++) {
		int64_t wall = view->ticks[row].wall_ns;
		uint64_t d = distance(wall, wall, wall_ns);

		if (!row_set_has(&view->rows, row))
			continue;
		if (!best->found || d < best->distance ||
			(d == best->distance && entry < best->entry))
			*best = (struct nearest){true, d, entry, row};
	}
}

static size_t likeliest(const struct view *view, int64_t wall_ns)
{
	size_t best = 0;

	for (size_t i = 1; i < view->count; i++)
		if (entry_distance(&view->entries[i], wall_ns) <
			entry_distance(&view->entries[best], wall_ns))
			best = i;
	return best;
}

/* Decode the likeliest stretch, then only those that can hold something nearer. */
static struct nearest find_nearest(struct view *view, int64_t wall_ns)
{
	struct nearest best = {0};
	size_t first = likeliest(view, wall_ns);

	if (view->count > 0)
		look_into(view, first, wall_ns, &best);
	for (size_t i = 0; i < view->count; i++) {
		uint64_t d = entry_distance(&view->entries[i], wall_ns);

		if (i != first && (!best.found || d < best.distance ||
					  (d == best.distance && i < best.entry)))
			look_into(view, i, wall_ns, &best);
	}
	return best;
}

/* The last sample before an entry, in the same era. */
static void read_before(struct view *view, size_t entry, struct tally_sample *ret)
{
	uint32_t era = view->entries[entry].span.first.era;

	while (entry-- > 0 && view->entries[entry].span.first.era == era) {
		int row = view_load(view, entry) ? view_row_before(view, view->table.rows) : -1;

		if (row < 0)
			continue;
		if (view_samples(view, false, (unsigned)row, (unsigned)row, view->samples) == 0)
			*ret = view->samples[row];
		return;
	}
}

static int read_nearest(struct view *view, const struct nearest *best, struct tally_sample *ret,
	struct tally_sample *ret_before)
{
	if (!view_load(view, best->entry))
		return -ENODATA;

	int before = view_row_before(view, best->row);
	int r = view_samples(
		view, false, before >= 0 ? (unsigned)before : best->row, best->row, view->samples);
	if (r < 0)
		return r;
	*ret = view->samples[best->row];
	if (!ret_before)
		return 0;
	*ret_before = before >= 0 ? view->samples[before] : (struct tally_sample){0};
	if (before < 0)
		read_before(view, best->entry, ret_before);
	return 0;
}

int history_nearest(struct history *history, struct history_task *task, const char *process,
	int64_t wall_ns, struct tally_sample *ret, struct tally_sample *ret_before)
{
	struct view *view;
	int r = view_open(history, task, process, &view);

	if (r < 0)
		return r;

	struct nearest best = find_nearest(view, wall_ns);
	r = best.found ? read_nearest(view, &best, ret, ret_before) : -ENODATA;
	view_close(view);
	return r;
}

/* @return whether to go on. */
static bool visit_entry(struct view *view, int64_t since_ns, int64_t until_ns,
	history_sample_fn *visit, void *context)
{
	if (view_samples(view, false, 0, view->table.rows - 1, view->samples) < 0)
		return true;
	for (unsigned row = 0; row < view->table.rows; row++) {
		const struct tally_sample *sample = &view->samples[row];

		if (row_set_has(&view->rows, row) && sample->wall_ns >= since_ns &&
			sample->wall_ns <= until_ns && !visit(context, sample))
			return false;
	}
	return true;
}

int history_range(struct history *history, struct history_task *task, const char *process,
	int64_t since_ns, int64_t until_ns, history_sample_fn *visit, void *context)
{
	struct view *view;
	int r = view_open(history, task, process, &view);
	bool go_on = true;

	if (r < 0)
		return r;
	for (size_t i = 0; i < view->count && go_on; i++) {
		const struct span *span = &view->entries[i].span;

		if (span->wall_max >= since_ns && span->wall_min <= until_ns && view_load(view, i))
			go_on = visit_entry(view, since_ns, until_ns, visit, context);
	}
	view_close(view);
	return 0;
}
