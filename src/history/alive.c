/* SPDX-License-Identifier: Apache-2.0 */
/** Which tasks there were at an instant: those in memory, and those that only the store remembers. */
#include <errno.h>
#include "history/keeper.h"

/* A task that was found, by its name. */
struct found {
	int64_t first_ns, last_ns;
	UT_hash_handle hh;
	char id[];
};

static bool add(struct found **all, const char *id, int64_t first_ns, int64_t last_ns)
{
	struct found *found;

	HASH_FIND_STR(*all, id, found);
	if (!found) {
		found = calloc(1, sizeof(*found) + strlen(id) + 1);
		if (!found)
			return false;
		strcpy(found->id, id);
		found->first_ns = first_ns;
		found->last_ns = last_ns;
		HASH_ADD_STR(*all, id, found);
		if (!found->hh.tbl) {
			free(found);
			return false;
		}
	}
	if (first_ns < found->first_ns)
		found->first_ns = first_ns;
	if (last_ns > found->last_ns)
		found->last_ns = last_ns;
	return true;
}

static bool overlaps(const struct span *span, int64_t since_ns, int64_t until_ns)
{
	return span->wall_max >= since_ns && span->wall_min <= until_ns;
}

static bool add_lane(
	struct found **all, const struct lane *lane, int64_t since_ns, int64_t until_ns)
{
	const char *id = lane->task->id;

	for (const struct sealed *s = lane->oldest; s; s = s->newer_of_lane)
		if (overlaps(&s->span, since_ns, until_ns) &&
			!add(all, id, s->span.wall_min, s->span.wall_max))
			return false;
	const struct span *span = &lane->open_span;
	return lane->open.rows == 0 || !overlaps(span, since_ns, until_ns) ||
	       add(all, id, span->wall_min, span->wall_max);
}

static bool add_memory(
	struct history *history, struct found **all, int64_t since_ns, int64_t until_ns)
{
	bool ok = true;

	pthread_mutex_lock(&history->lock);
	for (size_t i = 0; i < history->task_count && ok; i++)
		for (unsigned t = 0; t < history->tier_count && ok; t++)
			ok = add_lane(all, &history->order[i]->lanes[t], since_ns, until_ns);
	pthread_mutex_unlock(&history->lock);
	return ok;
}

static bool add_stored(void *context, const char *name, int64_t wall_min, int64_t wall_max)
{
	return add(context, name, wall_min, wall_max);
}

static int by_time(struct found *a, struct found *b)
{
	if (a->first_ns != b->first_ns)
		return a->first_ns < b->first_ns ? -1 : 1;
	return strcmp(a->id, b->id);
}

int history_alive(struct history *history, int64_t since_ns, int64_t until_ns,
	history_alive_fn *visit, void *context)
{
	struct found *all = NULL, *found, *next;
	bool go_on = true;
	int r = add_memory(history, &all, since_ns, until_ns) ? 0 : -ENOMEM;
	struct store *store = keeper_lock_reader(history);

	if (store) {
		int stored = store_alive(store, since_ns, until_ns, add_stored, &all, NULL);

		keeper_unlock_reader(history, stored);
		if (r == 0)
			r = stored;
	}
	HASH_SORT(all, by_time);
	HASH_ITER (hh, all, found, next) {
		if (go_on && r == 0)
			go_on = visit(context, found->id, found->first_ns, found->last_ns);
		HASH_DEL(all, found);
		free(found);
	}
	return r;
}
