/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Which series /metrics has: one row per process of a task, one per task, and the sums of those that
 * the limit leaves no room for.
 *
 * What is exported must not make rates jump:
 *
 *  - A process once summed under process="_other" stays there for its life. Only what it consumes
 *    from then on is added there (all of it, when it was begun since the last time), and what was
 *    added stays when it goes: the sum of a counter never falls.
 *  - A task that has ended is exported once more, with its final figures, then never again.
 *
 * Hence the state that is kept from one time to the next. Not thread-safe.
 */
#ifndef SERVE_EXPOSURE_H
#define SERVE_EXPOSURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "serve/buffer.h"
#include "serve/snapshot.h"

/** Name under which processes, and tasks, are summed that have no room. */
#define EXPOSURE_OTHER "_other"

/** One set of series that share their labels. */
struct exposed {
	size_t labels, label_length; /**< task="…",process="…", escaped: a piece of the text. */
	const struct tally_sample *sample;
	const struct tally_process_info *info; /**< NULL: a task, or a sum. */
	bool task;			       /**< Has the metrics of the task alone. */
};

/** What is exported now, and what has to be remembered. A zeroed one is new. */
struct exposure {
	size_t limit; /**< Most series of tasks; 0: no limit. */

	struct exposed *rows;
	size_t row_count, row_room;
	struct buffer labels;
	size_t series;	       /**< Of the rows. */
	size_t folded;	       /**< Processes that are summed. */
	uint64_t folded_total; /**< Processes that ever were. */

	/* Own. */
	struct exposed_task *tasks; /**< uthash by id. */
	struct exposed_other *rest; /**< Sums of tasks that have no room. */
	uint64_t generation, tick;
	int64_t last_wall_ns; /**< When it was last laid out. */
	bool failed;
};

/**
 * Lay the rows out for a snapshot, which must live as long as they are used.
 *
 * @tick    Number of the tick it is of, above 0: what is laid out again for the same tick is the
 *          same.
 * @return  0 or -ENOMEM.
 */
int exposure_update(struct exposure *exposure, const struct snapshot *snapshot, uint64_t tick);

/** Free all; it is then new. */
void exposure_done(struct exposure *exposure);

#endif
