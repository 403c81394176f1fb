/* SPDX-License-Identifier: Apache-2.0 */
#include "source/thermos.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "source/registry.h"

/*
 * CPU time of one look. The first one has more: it reads the history of everything there is. What is
 * left over is read at the next look, which follows at once.
 */
#define FIRST_LOOK_NS (2 * NS_PER_S)
#define LOOK_NS	      (100 * NS_PER_MS)

/* The clock is looked at after so many tasks that had nothing new, for that, too, costs time. */
#define LOOKS 16

static struct thermos_source *thermos_of(struct source *source)
{
	return (struct thermos_source *)source;
}

static void place_free(struct thermos_source *source, struct thermos_place *place)
{
	struct thermos_root *root, *next;

	if (!place)
		return;
	mesos_done(source, place);
	DL_FOREACH_SAFE(place->roots, root, next)
	thermos_root_remove(source, root);
	anchor_done(&place->base);
	free(place);
}

static void close_source(struct source *source)
{
	struct thermos_source *s = thermos_of(source);

	for (size_t i = 0; i < s->place_count; i++)
		place_free(s, s->places[i]);
	free(s->places);
	HASH_CLEAR(hh, s->tasks);
	watch_close(s->watch);
	pid_finder_free(s->finder);
	thermos_buffer_done(&s->buffer);
	free(s->resume);
	free(s->processes);
	free(s->runs);
	free(s);
}

static int place_new(const char *path, struct thermos_place **ret, struct tally_error *err)
{
	struct thermos_place *place = calloc(1, sizeof(*place));

	if (!place)
		return tally_fail(err, -ENOMEM, "cannot watch %s", path);
	int r = anchor_init(&place->base, path, err);
	if (r < 0) {
		free(place);
		return r;
	}
	*ret = place;
	return 0;
}

static int add_place(struct source *source, const char *path, struct tally_error *err)
{
	struct thermos_source *s = thermos_of(source);
	struct thermos_place *place = NULL;
	struct thermos_place **grown =
		reallocarray(s->places, s->place_count + 1, sizeof(struct thermos_place *));

	if (!grown)
		return tally_fail(err, -ENOMEM, "cannot watch %s", path);
	s->places = grown;

	int r = place_new(path, &place, err);
	if (r < 0)
		return r;
	if (s->source.ops == &source_thermos && !thermos_root_add(place, "", NULL)) {
		place_free(s, place);
		return tally_fail(err, -ENOMEM, "cannot watch %s", path);
	}
	s->places[s->place_count++] = place;
	s->next_poll_ns = 0;
	return 0;
}

int thermos_open(const struct source_ops *kind, const char *path,
	const struct thermos_options *options, struct source **ret, struct tally_error *err)
{
	struct thermos_source *s = calloc(1, sizeof(*s));
	struct tally_error deaf;

	if (!s)
		return tally_fail(err, -ENOMEM, "cannot watch %s", path);
	s->source.ops = kind;
	s->log = options->log;
	s->poll_ns = options->poll_ns ? options->poll_ns : THERMOS_POLL_NS;
	int r = pid_finder_new(options->procfs ? options->procfs : "/proc", &s->finder, err);
	if (r == 0)
		r = add_place(&s->source, path, err);
	if (r < 0) {
		close_source(&s->source);
		return r;
	}
	if (!options->deaf && watch_open(s->log, &s->watch, &deaf) < 0)
		log_say(s->log, TALLY_LOG_WARN, "%s: %s; changes are seen after 5 s", kind->name,
			deaf.message);
	*ret = &s->source;
	return 0;
}

static void begin_anew(struct thermos_place *place)
{
	struct thermos_root *root;
	struct thermos_task *task;

	DL_FOREACH(place->roots, root)
	{
		root->active.dirty = root->finished.dirty = true;
		DL_FOREACH(root->tasks, task)
		task->folder.dirty = true;
	}
}

static void look_for_tasks(struct thermos_source *s)
{
	for (size_t i = 0; i < s->place_count; i++) {
		struct thermos_place *place = s->places[i];
		struct thermos_root *root, *next;

		if (s->due && anchor_look(&place->base, s->source.ops->name, s->log))
			begin_anew(place);
		if (s->source.ops == &source_mesos)
			mesos_look(s, place);
		DL_FOREACH_SAFE(place->roots, root, next)
		thermos_root_look(s, root);
	}
}

/* Begins where the last look ran out of time, so that no stream can keep others from being read. */
static void look_at_tasks(struct thermos_source *s)
{
	struct thermos_task *first = NULL, *task;
	unsigned left = HASH_COUNT(s->tasks);

	if (s->resume)
		HASH_FIND_STR(s->tasks, s->resume, first);
	free(TAKE(s->resume));
	for (task = first ? first : s->tasks; left > 0; left--) {
		bool read = thermos_task_look(s, task);

		s->unfinished = s->unfinished || task->file.more;
		task = task->hh.next ? task->hh.next : s->tasks;
		if ((read || left % LOOKS == 0) && left > 1 &&
			clock_thread_cpu_ns() >= s->until_ns) {
			s->unfinished = true;
			s->resume = strdup(task->id);
			return;
		}
	}
}

static int refresh(struct source *source, struct tally_error *err)
{
	struct thermos_source *s = thermos_of(source);
	int64_t now_ns = clock_boot_ns();
	int heard = s->watch ? watch_drain(s->watch) : 0;

	s->due = s->unpolled || now_ns >= s->next_poll_ns;
	if (!s->due && !heard && !s->unfinished)
		return 0;
	if (s->due && !s->unpolled) {
		s->poll++;
		s->next_poll_ns = now_ns + s->poll_ns;
	}
	s->until_ns = clock_thread_cpu_ns() + (s->poll == 1 ? FIRST_LOOK_NS : LOOK_NS);
	s->changed = s->unfinished = false;
	look_for_tasks(s);
	look_at_tasks(s);
	s->unpolled = s->due && s->resume;
	thermos_pin_scan(s);
	if (s->unfinished && s->watch)
		watch_call_again(s->watch, 0);
	return s->changed;
}

static int fd_of(struct source *source)
{
	return thermos_of(source)->watch ? watch_fd(thermos_of(source)->watch) : -1;
}

static int open_kind(const struct source_ops *kind, const char *path, const char *usual,
	const struct log *log, struct source **ret, struct tally_error *err)
{
	const struct thermos_options options = {.log = log};

	return thermos_open(kind, *path ? path : usual, &options, ret, err);
}

static int open_thermos(
	const char *argument, const struct log *log, struct source **ret, struct tally_error *err)
{
	return open_kind(&source_thermos, argument, "/var/run/thermos", log, ret, err);
}

static int open_mesos(
	const char *argument, const struct log *log, struct source **ret, struct tally_error *err)
{
	return open_kind(&source_mesos, argument, "/var/lib/mesos", log, ret, err);
}

const struct source_ops source_thermos = {
	.name = "thermos",
	.summary = "tasks of Thermos, from its checkpoints",
	.usage = "thermos:DIR",
	.open = open_thermos,
	.add = add_place,
	.close = close_source,
	.refresh = refresh,
	.list = thermos_list,
	.fd = fd_of,
};

const struct source_ops source_mesos = {
	.name = "mesos",
	.summary = "tasks of Thermos under Mesos, from the checkpoints of all executors",
	.usage = "mesos:DIR",
	.open = open_mesos,
	.add = add_place,
	.close = close_source,
	.refresh = refresh,
	.list = thermos_list,
	.fd = fd_of,
};
