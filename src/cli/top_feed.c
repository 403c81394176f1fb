/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/top_feed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void row_done(struct top_row *row)
{
	free(row->task);
	free(row->process);
}

static bool grow(struct top_snapshot *snapshot)
{
	size_t room = snapshot->room ? snapshot->room * 2 : 64;
	struct top_row *rows = reallocarray(snapshot->rows, room, sizeof(*rows));

	if (!rows)
		return false;
	snapshot->rows = rows;
	snapshot->room = room;
	return true;
}

struct top_row *top_snapshot_add(
	struct top_snapshot *snapshot, const char *task, const char *process)
{
	if (snapshot->count == snapshot->room && !grow(snapshot)) {
		snapshot->failed = true;
		return NULL;
	}

	struct top_row *row = &snapshot->rows[snapshot->count];
	memset(row, 0, sizeof(*row));
	row->task = strdup(task);
	row->process = process ? strdup(process) : NULL;
	if (!row->task || (process && !row->process)) {
		row_done(row);
		snapshot->failed = true;
		return NULL;
	}
	snapshot->count++;
	return row;
}

void top_snapshot_done(struct top_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->count; i++)
		row_done(&snapshot->rows[i]);
	free(snapshot->rows);
	*snapshot = (struct top_snapshot){0};
}

/* ---- matching ---- */

int top_row_compare(const struct top_row *a, const struct top_row *b)
{
	int order = strcmp(a->task, b->task);

	if (order || (!a->process && !b->process))
		return order;
	if (!a->process || !b->process)
		return a->process ? 1 : -1;
	return strcmp(a->process, b->process);
}

static int compare_at(const void *a, const void *b, void *rows)
{
	const struct top_row *all = rows;

	return top_row_compare(&all[*(const size_t *)a], &all[*(const size_t *)b]);
}

/* Indexes of its rows, in order. */
static size_t *sorted(const struct top_snapshot *snapshot)
{
	size_t *order = reallocarray(NULL, snapshot->count + 1, sizeof(*order));

	for (size_t i = 0; order && i < snapshot->count; i++)
		order[i] = i;
	if (order)
		qsort_r(order, snapshot->count, sizeof(*order), compare_at, snapshot->rows);
	return order;
}

static size_t search(
	const struct top_snapshot *in, const size_t *order, const struct top_row *wanted)
{
	size_t from = 0, to = in->count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		int relation = top_row_compare(wanted, &in->rows[order[middle]]);

		if (relation == 0)
			return order[middle];
		if (relation < 0)
			to = middle;
		else
			from = middle + 1;
	}
	return TOP_NONE;
}

/* Rows mostly come in the order in which they came before: looking behind the last find is enough. */
size_t *top_snapshot_match(const struct top_snapshot *now, const struct top_snapshot *older)
{
	size_t *found = reallocarray(NULL, now->count + 1, sizeof(*found)), *order = NULL;
	size_t next = 0;

	for (size_t i = 0; found && i < now->count; i++) {
		found[i] = TOP_NONE;
		if (next < older->count && top_row_compare(&now->rows[i], &older->rows[next]) == 0)
			found[i] = next;
		else if (order || (order = sorted(older)))
			found[i] = search(older, order, &now->rows[i]);
		next = found[i] == TOP_NONE ? next : found[i] + 1;
	}
	free(order);
	return found;
}

/* ---- courses ---- */

static int64_t bucket_of(const struct top_course *course, int64_t wall_ns)
{
	int64_t bucket = wall_ns / course->bucket_ns;

	return wall_ns % course->bucket_ns < 0 ? bucket - 1 : bucket;
}

void top_course_begin(struct top_course *course, int64_t bucket_ns, int64_t wall_ns)
{
	course->bucket_ns = bucket_ns;
	course->newest = bucket_of(course, wall_ns);
	for (size_t i = 0; i < TOP_BUCKETS; i++)
		course->value[i] = NAN;
}

void top_course_move(struct top_course *course, int64_t wall_ns)
{
	int64_t by = bucket_of(course, wall_ns) - course->newest;

	if (by <= 0)
		return;
	size_t kept = by < TOP_BUCKETS ? TOP_BUCKETS - (size_t)by : 0;
	memmove(course->value, course->value + TOP_BUCKETS - kept, kept * sizeof(*course->value));
	for (size_t i = kept; i < TOP_BUCKETS; i++)
		course->value[i] = NAN;
	course->newest += by;
}

void top_course_note(struct top_course *course, int64_t from_ns, int64_t to_ns, double cores)
{
	int64_t oldest = course->newest - TOP_BUCKETS + 1;
	int64_t first = bucket_of(course, from_ns + 1), last = bucket_of(course, to_ns);

	first = first < oldest ? oldest : first;
	last = last > course->newest ? course->newest : last;
	for (int64_t at = first; at <= last; at++) {
		double *value = &course->value[at - oldest];

		if (isnan(*value) || cores > *value)
			*value = cores;
	}
}

void top_course_note_samples(struct top_course *course, const struct tally_sample *earlier,
	const struct tally_sample *later)
{
	double cores;

	if (earlier->boot_ns && tally_sample_cpu_rate(earlier, later, &cores) == 0)
		top_course_note(course, earlier->wall_ns, later->wall_ns, cores);
}

bool top_course_note_next(void *context, const struct tally_sample *sample)
{
	struct top_noting *noting = context;

	top_course_note_samples(noting->course, &noting->before, sample);
	noting->before = *sample;
	return true;
}

int64_t top_course_first_ns(const struct top_course *course)
{
	return (course->newest - TOP_BUCKETS + 1) * course->bucket_ns;
}

int64_t top_course_last_ns(const struct top_course *course)
{
	return (course->newest + 1) * course->bucket_ns - 1;
}

void top_feed_close(struct top_feed *feed)
{
	if (feed)
		feed->ops->close(feed);
}
