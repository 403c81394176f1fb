/* SPDX-License-Identifier: Apache-2.0 */
/* Which tasks a store has of an instant. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "cli/stored.h"

/* A task whose samples end further from the instant was not alive: twice the coarsest usual step. */
#define FAR_NS (120 * NS_PER_S)

static bool make_room(struct stored_tasks *all)
{
	size_t room = all->room ? all->room * 2 : 64;

	if (all->count < all->room)
		return true;
	struct stored_task *at = reallocarray(all->at, room, sizeof(*at));
	if (!at)
		return false;
	all->at = at;
	all->room = room;
	return true;
}

/* Only names: the history must not be asked while it tells them. */
static bool collect(void *context, const char *id, int64_t first_ns, int64_t last_ns)
{
	struct stored_tasks *all = context;
	char *copy = make_room(all) ? strdup(id) : NULL;

	if (copy)
		all->at[all->count++] = (struct stored_task){.id = copy};
	else
		all->failed = true;
	return copy;
}

static bool look_at(struct history *history, struct stored_task *one, int64_t at_ns)
{
	one->task = history_find(history, one->id);
	if (!one->task ||
		history_nearest(history, one->task, NULL, at_ns, &one->sample, &one->before) < 0)
		return false;
	one->distance_ns = llabs(one->sample.wall_ns - at_ns);
	return one->distance_ns <= FAR_NS;
}

/* Half of the time between the samples there, or nothing. */
static int64_t half_gap(const struct stored_task *one)
{
	return one->before.boot_ns ? (one->sample.boot_ns - one->before.boot_ns) / 2 : 0;
}

/*
 * All are sampled in one tick: who was alive has a sample in that nearest to the instant, or, in a
 * coarser resolution, not much farther.
 */
static void keep_alive(struct history *history, struct stored_tasks *all, int64_t at_ns)
{
	int64_t nearest_ns = INT64_MAX;
	size_t kept = 0;

	for (size_t i = 0; i < all->count; i++)
		if (!look_at(history, &all->at[i], at_ns))
			all->at[i].distance_ns = -1;
		else if (all->at[i].distance_ns < nearest_ns)
			nearest_ns = all->at[i].distance_ns;
	for (size_t i = 0; i < all->count; i++) {
		struct stored_task *one = &all->at[i];

		if (one->distance_ns >= 0 && one->distance_ns <= nearest_ns + half_gap(one))
			all->at[kept++] = *one;
		else
			free(one->id);
	}
	all->count = kept;
}

/* Within these times differences cannot overflow: from the year 1824 to 2116. */
static int64_t sensible(int64_t at_ns)
{
	const int64_t most_ns = INT64_MAX / 2;

	return at_ns > most_ns ? most_ns : at_ns < -most_ns ? -most_ns : at_ns;
}

int stored_alive(struct stored *stored, int64_t at_ns, struct stored_tasks *ret)
{
	int64_t instant_ns = sensible(at_ns);
	int r = history_alive(
		stored->history, instant_ns - FAR_NS, instant_ns + FAR_NS, collect, ret);

	keep_alive(stored->history, ret, instant_ns);
	return ret->failed ? -ENOMEM : r;
}

void stored_tasks_done(struct stored_tasks *tasks)
{
	for (size_t i = 0; i < tasks->count; i++)
		free(tasks->at[i].id);
	free(tasks->at);
	*tasks = (struct stored_tasks){0};
}
