/* SPDX-License-Identifier: Apache-2.0 */
/* The feed of `tally top` that watches by itself, where there is no observer. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/fail.h"
#include "cli/shared.h"
#include "cli/tasks_json.h"
#include "cli/top_feed.h"
#include "monitor/monitor.h"

struct own_feed {
	struct top_feed feed;
	struct tally_monitor *monitor;
	int64_t first_ns; /* When it began to watch. */
};

/* A visit of the monitor on its way into a snapshot. */
struct visit {
	struct top_snapshot *ret;
	top_wants_fn *wants;
	void *context;
	bool wanted;
	size_t at; /* Its row. */
};

static void visit_task(
	void *context, const struct tally_task_info *info, const struct tally_reading *reading)
{
	struct visit *visit = context;
	struct top_row *row = top_snapshot_add(visit->ret, info->id, NULL);

	visit->wanted = row && (!visit->wants || visit->wants(visit->context, info->id));
	if (!row)
		return;
	visit->at = visit->ret->count - 1;
	row->reading = *reading;
	row->has_life = true;
	row->life = info->life;
	visit->ret->stale |= reading->stale;
}

static void visit_process(
	void *context, const struct tally_process_info *info, const struct tally_reading *reading)
{
	struct visit *visit = context;
	struct top_row *row;

	visit->ret->processes++;
	if (!visit->wanted)
		return;
	row = top_snapshot_add(visit->ret, visit->ret->rows[visit->at].task, info->name);
	if (!row)
		return;
	row->reading = *reading;
	row->has_life = true;
	row->life = info->life;
	row->pid = info->pid;
}

/* ---- the past ---- */

/* The samples nearest to an instant: the last before it, and the first after it. */
struct around {
	int64_t at_ns;
	struct tally_sample before, last, next; /* boot_ns is 0 where there is none. */
};

static bool look_around(void *context, const struct tally_sample *sample)
{
	struct around *around = context;

	if (sample->wall_ns > around->at_ns) {
		around->next = *sample;
		return false;
	}
	around->before = around->last;
	around->last = *sample;
	return true;
}

/* @return whether there was one about then. */
static bool read_row(struct own_feed *o, struct top_row *row, int64_t at_ns, int64_t far_ns)
{
	struct around around = {.at_ns = at_ns};

	tally_monitor_range(o->monitor, row->task, row->process, at_ns - 3 * far_ns, at_ns + far_ns,
		look_around, &around, NULL);
	if (around.next.boot_ns && (!around.last.boot_ns || around.next.wall_ns - at_ns <
								    at_ns - around.last.wall_ns)) {
		around.before = around.last;
		around.last = around.next;
	}
	if (!around.last.boot_ns || llabs(around.last.wall_ns - at_ns) > far_ns)
		return false;
	row->reading = (struct tally_reading){.sample = around.last};
	row->before = around.before;
	row->reading.has_cpu_rate =
		around.before.boot_ns &&
		tally_sample_cpu_rate(&around.before, &around.last, &row->reading.cpu_rate) == 0;
	row->has_life = false;
	return true;
}

/* The rows are those of the present: what they were then. Those that were not, go. */
static void turn_back(struct own_feed *o, struct top_snapshot *snapshot, int64_t at_ns)
{
	int64_t far_ns = 3 * o->feed.interval_ns;
	size_t kept = 0;

	for (size_t i = 0; i < snapshot->count; i++) {
		struct top_row *row = &snapshot->rows[i];

		if (read_row(o, row, at_ns, far_ns)) {
			snapshot->rows[kept++] = *row;
		} else {
			free(row->task);
			free(row->process);
		}
	}
	snapshot->count = kept;
	snapshot->processes = 0;
	snapshot->wall_ns = at_ns;
	snapshot->stale = false;
	snapshot->machine_cpu_ns = snapshot->other_cpu_ns = -1;
}

static int read_own(struct top_feed *feed, int64_t at_ns, top_wants_fn *wants, void *context,
	struct top_snapshot *ret, struct tally_error *err)
{
	struct own_feed *o = (struct own_feed *)feed;
	struct visit visit = {.ret = ret, .wants = wants, .context = context};
	struct tally_status status;

	tally_monitor_status(o->monitor, &status);
	ret->wall_ns = status.last_tick_wall_ns;
	ret->machine_cpu_ns = status.machine_cpu_ns;
	ret->other_cpu_ns = status.other_cpu_ns;
	monitor_visit(o->monitor, NULL, visit_task, visit_process, &visit, NULL);
	if (at_ns)
		turn_back(o, ret, at_ns);
	return 0;
}

static void course_own(
	struct top_feed *feed, const char *task, const char *process, struct top_course *course)
{
	struct own_feed *o = (struct own_feed *)feed;
	struct top_noting noting = {.course = course};

	tally_monitor_range(o->monitor, task, process,
		top_course_first_ns(course) - 2 * o->feed.interval_ns, top_course_last_ns(course),
		top_course_note_next, &noting, NULL);
}

static bool reach_own(struct top_feed *feed, int64_t *ret_first_ns, int64_t *ret_last_ns)
{
	*ret_first_ns = ((struct own_feed *)feed)->first_ns;
	*ret_last_ns = clock_wall_ns();
	return true;
}

static json_t *json_own(struct top_feed *feed, int64_t at_ns, struct tally_error *err)
{
	json_t *all = tasks_json(((struct own_feed *)feed)->monitor, NULL, NULL, false);

	if (!all)
		tally_fail(err, -ENOMEM, "cannot write JSON");
	return all;
}

static void close_own(struct top_feed *feed)
{
	tally_monitor_free(((struct own_feed *)feed)->monitor);
	free(feed);
}

static const struct top_feed_ops own_ops = {
	.name = "own",
	.live = true,
	.read = read_own,
	.course = course_own,
	.reach = reach_own,
	.json = json_own,
	.close = close_own,
};

static int start(struct own_feed *o, const struct option_list *sources, const char *collector,
	struct tally_error *err)
{
	const struct tally_monitor_options options = {
		.interval_ns = o->feed.interval_ns, .collector = collector};
	int r = tally_monitor_new(&options, &o->monitor, err);

	for (size_t i = 0; r == 0 && i < sources->count; i++)
		r = tally_monitor_add_source(o->monitor, sources->items[i], err);
	if (r == 0)
		r = tally_monitor_tick(o->monitor, err); /* So that there is something at once. */
	return r == 0 ? tally_monitor_start(o->monitor, err) : r;
}

int top_own_open(const struct option_list *sources, const char *collector, int64_t interval_ns,
	struct top_feed **ret, struct tally_error *err)
{
	struct own_feed *o = calloc(1, sizeof(*o));

	if (!o)
		return tally_fail(err, -ENOMEM, "cannot watch");
	o->feed.ops = &own_ops;
	o->feed.interval_ns = interval_ns ? interval_ns : NS_PER_S;
	o->first_ns = clock_wall_ns();
	int r = start(o, sources, collector, err);
	if (r < 0) {
		close_own(&o->feed);
		return r;
	}
	struct tally_status status;
	tally_monitor_status(o->monitor, &status);
	snprintf(o->feed.title, sizeof(o->feed.title), "this program, by %s", status.collector);
	*ret = &o->feed;
	return 0;
}
