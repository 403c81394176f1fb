/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/track.h"

#include "base/clock.h"

enum { READS_MOST = 64 }; /* Of a queue that fills as fast as it is read. */

void track_remember(struct track *track, uint32_t node, uint64_t name, const char *text)
{
	/* It will be read whole, later than this. */
	if (track->tree.nodes[node].flags & NODE_QUEUED)
		return;
	if (pending_add(&track->heard, node, name, text) < 0 && track_queue(track, node) < 0)
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
		track->strays++;
		return;
	}
	if (event->name) {
		track_remember(track, node, tree_name(tree, event->name), event->name);
		return;
	}
	/* Of the directory itself: that is a matter of the name it has in its parent. */
	track_look_again(track, node);
}

int track_hear(struct track *track, struct disk_tools *tools)
{
	int r = 1;

	track->drained_ns = clock_boot_ns();
	for (int i = 0; i < READS_MOST && r > 0; i++)
		r = fan_drain(&track->fan, tools->events, hear, track);
	return r < 0 ? r : 0;
}
