/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/top_model.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/attr.h"
#include "base/clock.h"

/* Time of a bucket of the courses: at least so much, and two samples of the feed. */
#define BUCKET_NS (5 * NS_PER_S)

void top_model_begin(struct top_model *model, struct top_feed *feed)
{
	*model = (struct top_model){
		.feed = feed,
		.columns = top_columns_usual(),
		.sort = (size_t)top_column_find("cpu"),
		.machine_cpu_ns = -1,
	};
}

void top_model_done(struct top_model *model)
{
	top_snapshot_done(&model->snapshot);
	for (size_t i = 0; i < model->unfolded_count; i++)
		free(model->unfolded[i]);
	free(model->unfolded);
	free(model->courses);
	free(model->lines);
	free(model->selected_task);
	free(model->selected_process);
	*model = (struct top_model){0};
}

/* ---- what is unfolded ---- */

static size_t find_listed(const struct top_model *model, const char *task)
{
	for (size_t i = 0; i < model->unfolded_count; i++)
		if (strcmp(model->unfolded[i], task) == 0)
			return i;
	return TOP_NONE;
}

bool top_model_is_unfolded(const struct top_model *model, const char *task)
{
	return (find_listed(model, task) != TOP_NONE) != model->unfold_all;
}

static void list_task(struct top_model *model, const char *task)
{
	char **grown = reallocarray(model->unfolded, model->unfolded_count + 1, sizeof(*grown));
	char *copy = grown ? strdup(task) : NULL;

	if (grown)
		model->unfolded = grown;
	if (copy)
		grown[model->unfolded_count++] = copy;
}

/* Processes that were not wanted until now are read. */
static void arrange_with_parts(struct top_model *model, bool wanted)
{
	if (!wanted || model->complete || top_model_read(model) < 0)
		top_model_arrange(model);
}

void top_model_unfold(struct top_model *model, const char *task, bool on)
{
	size_t at = find_listed(model, task);

	if (on == top_model_is_unfolded(model, task))
		return;
	if (at == TOP_NONE) {
		list_task(model, task);
	} else {
		free(model->unfolded[at]);
		model->unfolded[at] = model->unfolded[--model->unfolded_count];
	}
	arrange_with_parts(model, on);
}

void top_model_unfold_all(struct top_model *model, bool on)
{
	for (size_t i = 0; i < model->unfolded_count; i++)
		free(model->unfolded[i]);
	model->unfolded_count = 0;
	model->unfold_all = on;
	arrange_with_parts(model, on);
}

/* ---- reading ---- */

static bool wants_all(const struct top_model *model)
{
	return model->flat || model->filter[0] || (model->unfold_all && !model->unfolded_count);
}

static bool wants_parts(void *context, const char *task)
{
	const struct top_model *model = context;

	return wants_all(model) || top_model_is_unfolded(model, task);
}

/* The sample that rates are made of: the last one that was not of the same tick. */
static void inherit_sample(struct top_row *row, const struct top_row *old)
{
	if (row->before.boot_ns)
		return;
	row->before = old->reading.sample.boot_ns == row->reading.sample.boot_ns
			      ? old->before
			      : old->reading.sample;
}

static void inherit_course(struct top_course *course, const struct top_course *old,
	const struct top_row *row, int64_t wall_ns)
{
	*course = *old;
	if (!course->bucket_ns)
		return;
	top_course_move(course, wall_ns);
	top_course_note_samples(course, &row->before, &row->reading.sample);
}

/* In the present what was read before goes on; what was read of another instant has nothing to say. */
static void inherit(struct top_model *model, struct top_snapshot *now, bool follows)
{
	struct top_course *courses = calloc(now->count + 1, sizeof(*courses));
	CLEANUP_FREE size_t *match = follows ? top_snapshot_match(now, &model->snapshot) : NULL;

	for (size_t i = 0; match && i < now->count; i++) {
		if (match[i] == TOP_NONE)
			continue;
		inherit_sample(&now->rows[i], &model->snapshot.rows[match[i]]);
		if (courses && model->courses)
			inherit_course(&courses[i], &model->courses[match[i]], &now->rows[i],
				now->wall_ns);
	}
	free(model->courses);
	model->courses = courses;
}

static void rate_machine(struct top_model *model, const struct top_snapshot *now)
{
	int64_t time_ns = now->wall_ns - model->machine_wall_ns;

	if (now->machine_cpu_ns >= 0 && model->machine_cpu_ns >= 0 && time_ns > 0) {
		model->sums.has_machine = true;
		model->sums.machine_cores =
			(double)(now->machine_cpu_ns - model->machine_cpu_ns) / (double)time_ns;
		model->sums.other_cores =
			(double)(now->other_cpu_ns - model->other_cpu_ns) / (double)time_ns;
	} else if (time_ns != 0) {
		model->sums.has_machine = false;
	}
	if (time_ns != 0) {
		model->machine_cpu_ns = now->machine_cpu_ns;
		model->other_cpu_ns = now->other_cpu_ns;
		model->machine_wall_ns = now->wall_ns;
	}
}

int top_model_read(struct top_model *model)
{
	struct top_snapshot now = {.machine_cpu_ns = -1, .other_cpu_ns = -1};
	bool follows = model->follows && !model->at_ns, complete = wants_all(model);
	struct tally_error err = {0};
	int r = model->feed->ops->read(model->feed, model->at_ns, wants_parts, model, &now, &err);

	model->error = err;
	if (r < 0) {
		model->error.code = r;
		top_snapshot_done(&now);
		return r;
	}
	model->error.code = 0;
	rate_machine(model, &now);
	inherit(model, &now, follows);
	top_snapshot_done(&model->snapshot);
	model->snapshot = now;
	model->follows = !model->at_ns;
	model->complete = complete;
	top_model_arrange(model);
	return 0;
}

int64_t top_model_bucket_ns(const struct top_model *model)
{
	int64_t two_ns = 2 * model->feed->interval_ns;

	return two_ns > BUCKET_NS ? two_ns : BUCKET_NS;
}

const struct top_course *top_model_course(struct top_model *model, size_t row, bool ask)
{
	const struct top_row *of = &model->snapshot.rows[row];
	struct top_course *course = model->courses ? &model->courses[row] : NULL;

	if (course && !course->bucket_ns && ask) {
		top_course_begin(course, top_model_bucket_ns(model), top_model_time(model));
		model->feed->ops->course(model->feed, of->task, of->process, course);
	}
	return course && course->bucket_ns ? course : NULL;
}

/* ---- order ---- */

static bool contains(const char *text, const char *part)
{
	return text && strcasestr(text, part);
}

static int compare_names(const struct top_row *a, const struct top_row *b)
{
	int order = strcasecmp(a->task, b->task);

	return order ? order : top_row_compare(a, b);
}

/* What is absent comes last, whichever way round. Equals are in the order of their names. */
static int compare_rows(
	const struct top_model *model, const struct top_row *a, const struct top_row *b)
{
	const struct top_column *column = &top_columns[model->sort];
	bool falls = top_column_falls(column) != model->reverse;
	double x = 0, y = 0;
	bool has_x = top_column_value(column, a, &x), has_y = top_column_value(column, b, &y);

	if (column->kind == TOP_NAME)
		return model->reverse ? compare_names(b, a) : compare_names(a, b);
	if (has_x != has_y)
		return has_x ? -1 : 1;
	if (!has_x || x == y)
		return compare_names(a, b);
	return (x < y) == falls ? 1 : -1;
}

static int compare_lines(const void *a, const void *b, void *context)
{
	const struct top_model *model = context;

	return compare_rows(model, top_model_row(model, a), top_model_row(model, b));
}

static void sort_lines(struct top_model *model, struct top_line *lines, size_t count)
{
	qsort_r(lines, count, sizeof(*lines), compare_lines, model);
}

static bool add_line(struct top_model *model, struct top_line line)
{
	if (model->line_count == model->line_room) {
		size_t room = model->line_room ? model->line_room * 2 : 128;
		struct top_line *lines = reallocarray(model->lines, room, sizeof(*lines));

		if (!lines)
			return false;
		model->lines = lines;
		model->line_room = room;
	}
	model->lines[model->line_count++] = line;
	return true;
}

/* Behind the last process of the task that begins at a row. */
static size_t end_of_task(const struct top_model *model, size_t row)
{
	for (row++; row < model->snapshot.count && model->snapshot.rows[row].process;)
		row++;
	return row;
}

/* A task is shown for the sake of a process, too. */
static bool task_shown(const struct top_model *model, size_t row)
{
	size_t end = end_of_task(model, row);

	if (!model->filter[0] || contains(model->snapshot.rows[row].task, model->filter))
		return true;
	for (row++; row < end; row++)
		if (contains(model->snapshot.rows[row].process, model->filter))
			return true;
	return false;
}

static void add_parts(struct top_model *model, size_t task)
{
	const struct top_row *rows = model->snapshot.rows;
	size_t first = model->line_count, end = end_of_task(model, task);
	bool all = !model->filter[0] || contains(rows[task].task, model->filter);

	for (size_t row = task + 1; row < end; row++)
		if (all || contains(rows[row].process, model->filter))
			add_line(model, (struct top_line){.row = row, .below = true});
	if (model->line_count > first) {
		sort_lines(model, model->lines + first, model->line_count - first);
		model->lines[model->line_count - 1].last = true;
	}
}

static void arrange_flat(struct top_model *model)
{
	const struct top_row *rows = model->snapshot.rows;

	for (size_t row = 0, task = 0; row < model->snapshot.count; row++) {
		task = rows[row].process ? task : row;
		if (rows[row].process &&
			(!model->filter[0] || contains(rows[row].task, model->filter) ||
				contains(rows[row].process, model->filter)))
			add_line(model, (struct top_line){.row = row});
	}
	sort_lines(model, model->lines, model->line_count);
}

/* The tasks first, in order; then the table grows by what is unfolded, from its copy. */
static void arrange_tree(struct top_model *model)
{
	size_t tasks;

	for (size_t row = 0; row < model->snapshot.count; row = end_of_task(model, row))
		if (task_shown(model, row))
			add_line(model, (struct top_line){.row = row, .folded = true});
	sort_lines(model, model->lines, model->line_count);
	tasks = model->line_count;

	CLEANUP_FREE struct top_line *order = reallocarray(NULL, tasks + 1, sizeof(*order));
	if (!order)
		return;
	if (tasks)
		memcpy(order, model->lines, tasks * sizeof(*order));
	model->line_count = 0;
	for (size_t i = 0; i < tasks; i++) {
		const struct top_row *row = top_model_row(model, &order[i]);

		order[i].folded = !top_model_is_unfolded(model, row->task);
		add_line(model, order[i]);
		if (!order[i].folded)
			add_parts(model, order[i].row);
	}
}

/* ---- sums ---- */

static void add_known(double *sum, const char *column, const struct top_row *row)
{
	double value;

	if (top_column_value(&top_columns[top_column_find(column)], row, &value))
		*sum += value;
}

static void add_up(struct top_model *model)
{
	struct top_sums *sums = &model->sums;
	double pids = 0, threads = 0;

	sums->tasks = 0;
	sums->cores = sums->read = sums->write = sums->mem = 0;
	for (size_t i = 0; i < model->snapshot.count; i++) {
		const struct top_row *row = &model->snapshot.rows[i];

		if (row->process)
			continue;
		sums->tasks++;
		add_known(&sums->cores, "cpu", row);
		add_known(&sums->read, "read", row);
		add_known(&sums->write, "write", row);
		add_known(&sums->mem, "mem", row);
		add_known(&pids, "pids", row);
		add_known(&threads, "threads", row);
	}
	sums->pids = (int64_t)pids;
	sums->threads = (int64_t)threads;
}

/* ---- the selection ---- */

const struct top_row *top_model_row(const struct top_model *model, const struct top_line *line)
{
	return &model->snapshot.rows[line->row];
}

const struct top_row *top_model_selected(const struct top_model *model)
{
	return model->selected < model->line_count
		       ? top_model_row(model, &model->lines[model->selected])
		       : NULL;
}

void top_model_select(struct top_model *model, size_t line)
{
	const struct top_row *row;

	model->selected = line < model->line_count ? line
			  : model->line_count	   ? model->line_count - 1
						   : 0;
	row = top_model_selected(model);
	free(model->selected_task);
	free(model->selected_process);
	model->selected_task = row ? strdup(row->task) : NULL;
	model->selected_process = row && row->process ? strdup(row->process) : NULL;
}

static bool is_selected(const struct top_model *model, const struct top_row *row)
{
	return model->selected_task && strcmp(row->task, model->selected_task) == 0 &&
	       !row->process == !model->selected_process &&
	       (!row->process || strcmp(row->process, model->selected_process) == 0);
}

/* Unless somebody has chosen one, the first line stays selected, whoever is there. */
static void select_again(struct top_model *model)
{
	if (model->selected == 0 && !model->selected_task)
		return;
	for (size_t i = 0; i < model->line_count; i++)
		if (is_selected(model, top_model_row(model, &model->lines[i]))) {
			model->selected = i;
			return;
		}
	if (model->selected >= model->line_count)
		model->selected = model->line_count ? model->line_count - 1 : 0;
}

void top_model_arrange(struct top_model *model)
{
	model->line_count = 0;
	if (model->flat)
		arrange_flat(model);
	else
		arrange_tree(model);
	add_up(model);
	select_again(model);
}

void top_model_sort(struct top_model *model, size_t column)
{
	model->reverse = column == model->sort && !model->reverse;
	model->sort = column;
	top_model_arrange(model);
}

void top_model_sort_next(struct top_model *model, int by)
{
	size_t at = model->sort;

	for (size_t i = 0; i < top_column_count; i++) {
		at = (at + top_column_count + (size_t)by) % top_column_count;
		if (model->columns & TOP_BIT(at) && top_column_sorts(&top_columns[at]))
			break;
	}
	model->reverse = at == model->sort && model->reverse;
	model->sort = at;
	top_model_arrange(model);
}

void top_model_filter(struct top_model *model, const char *text)
{
	snprintf(model->filter, sizeof(model->filter), "%s", text);
	arrange_with_parts(model, model->filter[0]);
}

void top_model_flat(struct top_model *model, bool on)
{
	model->flat = on;
	arrange_with_parts(model, on);
}

/* ---- time ---- */

int64_t top_model_time(const struct top_model *model)
{
	return model->at_ns ? model->at_ns : model->snapshot.wall_ns;
}

bool top_model_moves(const struct top_model *model)
{
	return model->feed->ops->live && !model->at_ns;
}

int top_model_go(struct top_model *model, int64_t at_ns)
{
	int64_t before_ns = model->at_ns, first_ns, last_ns;
	bool was_paused = model->paused;

	if (at_ns && model->feed->ops->reach(model->feed, &first_ns, &last_ns)) {
		at_ns = at_ns < first_ns ? first_ns : at_ns;
		if (at_ns >= last_ns)
			at_ns = 0;
	}
	model->at_ns = at_ns;
	model->paused = false;
	int r = top_model_read(model);
	if (r < 0) { /* What is shown is still of the instant before. */
		model->at_ns = before_ns;
		model->paused = was_paused;
	}
	return r;
}

int top_model_step(struct top_model *model, int64_t by_ns)
{
	int64_t at_ns = top_model_time(model) + by_ns;

	if (by_ns > 0 && !model->at_ns)
		return 0;
	if (model->feed->ops->live && at_ns >= clock_wall_ns())
		at_ns = 0;
	return top_model_go(model, at_ns);
}

int top_model_pause(struct top_model *model)
{
	if (model->at_ns)
		return top_model_go(model, 0);
	model->at_ns = model->snapshot.wall_ns;
	model->paused = model->at_ns != 0;
	return 0;
}
