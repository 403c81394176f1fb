/* SPDX-License-Identifier: Apache-2.0 */
/* Another source in the place of one: what both name goes on, with its history and its counters. */
#include <errno.h>
#include <string.h>
#include "base/fail.h"
#include "monitor/internal.h"
#include "source/ended.h"

static struct watched_source *find(struct tally_monitor *monitor, const char *name)
{
	for (size_t i = 0; i < monitor->source_count; i++)
		if (strcmp(monitor->sources[i].source->ops->name, name) == 0)
			return &monitor->sources[i];
	return NULL;
}

/* The tasks of the one before are the new one's; what it does not name ends when it is listed. */
static void hand_over(
	struct tally_monitor *monitor, struct watched_source *watched, struct source *source)
{
	struct source *before = watched->source;
	struct task *task, *next;

	pthread_mutex_lock(&monitor->lock);
	HASH_ITER (hh, monitor->tasks, task, next)
		if (task->owner == before)
			task->owner = source;
	*watched = (struct watched_source){.source = source};
	pthread_mutex_unlock(&monitor->lock);
	source_close(before);
}

int monitor_replace_source(struct tally_monitor *monitor, const char *name, struct source *source,
	struct tally_error *err)
{
	int r = 0;

	pthread_mutex_lock(&monitor->tick_lock);
	struct watched_source *watched = find(monitor, name);
	if (watched && !source)
		source = source_ended_open(watched->source->ops);
	if (watched && source)
		hand_over(monitor, watched, source);
	else if (watched)
		r = tally_fail(err, -ENOMEM, "cannot end source %s", name);
	pthread_mutex_unlock(&monitor->tick_lock);
	if (watched || !source)
		return r;
	return monitor_add_source(monitor, source, err);
}
