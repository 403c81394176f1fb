/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/track.h"

#include <stdlib.h>
#include "base/clock.h"

enum {
	READS_MOST = 64, /* Of a queue that fills as fast as it is read. */
	FULL = 4096,	 /* Events with which the queue is read too seldom. */
};

#define TEND_LEAST_NS (50 * NS_PER_MS)
#define TEND_MOST_NS  (8 * NS_PER_S)

/* Beyond the limit only a full walk will tell. */
void track_search_for(struct track *track, uint64_t ino)
{
	if (!ino || track->gone_count == TRACK_GONE_MOST)
		return;
	if (track->gone_count == track->gone_capacity) {
		uint32_t capacity = track->gone_capacity ? track->gone_capacity * 2 : 16;
		uint64_t *gone = reallocarray(track->gone, capacity, sizeof(*gone));

		if (!gone)
			return;
		track->gone = gone;
		track->gone_capacity = capacity;
	}
	track->gone[track->gone_count++] = tree_fold(ino);
}

int track_add(struct track *track, struct pending *pending, uint32_t node, uint64_t name,
	const char *text, uint64_t ino)
{
	uint64_t other;
	int r = pending_add(pending, node, name, text, ino, &other);

	track_search_for(track, other);
	return r;
}

void track_remember(
	struct track *track, uint32_t node, uint64_t name, const char *text, uint64_t ino)
{
	int r = 0;

	/* If it is to be read whole anyway, that will be later than this. */
	if (!(track->tree.nodes[node].flags & NODE_QUEUED))
		r = track_add(track, &track->heard, node, name, text, ino);
	else
		track_search_for(track, ino);
	if (r < 0 && track_queue(track, node) < 0)
		track->overflowed = true;
}

static void hear(void *context, const struct fan_event *event)
{
	struct track *track = context;
	struct tree *tree = &track->tree;

	if (event->overflow) {
		track->overflowed = true;
		return;
	}

	uint32_t node = tree_by_handle(tree, event->handle);
	if (node == NODE_NONE) {
		/* Of a directory that was moved away, or of a file by a name outside. */
		if (event->ino && links_find(&tree->links, tree_fold(event->ino)))
			track_search_for(track, event->ino);
		return;
	}
	if (event->name) {
		track_remember(track, node, tree_name(tree, event->name), event->name, event->ino);
		return;
	}
	/* Of the directory itself: that is a matter of the name it has in its parent. */
	track_look_again(track, node);
}

int track_hear(struct track *track, struct disk_tools *tools)
{
	int r = 1;

	track->drained_ns = clock_boot_ns();
	for (int i = 0; i < READS_MOST && r > 0; i++) {
		r = fan_drain(&track->fan, tools->events, hear, track);
		track->drained += r > 0 ? (unsigned)r : 0;
	}
	return r < 0 ? r : 0;
}

/*
 * The queue holds 16,384 events, of which equal ones are one: it is read more often the fuller it
 * was found, so that it does not overflow, and seldom when little is heard.
 */
int64_t track_tend(struct disk_job *job, struct disk_tools *tools)
{
	struct track *track = (struct track *)job;
	int64_t passed_ns = clock_boot_ns() - track->drained_ns;

	if (!track->built)
		return INT64_MAX;
	if (passed_ns < track->tend_ns)
		return track->tend_ns - passed_ns;
	if (track_hear(track, tools) < 0)
		return INT64_MAX;
	if (track->drained > FULL && track->tend_ns > TEND_LEAST_NS)
		track->tend_ns /= 2;
	else if (track->drained < FULL / 8 && track->tend_ns < TEND_MOST_NS)
		track->tend_ns *= 2;
	track->drained = 0;
	return track->tend_ns;
}
