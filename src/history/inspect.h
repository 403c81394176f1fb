/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Looking through a history: which tasks it has, how far a series reaches, and its samples with
 * the maxima that coarser resolutions keep. For people and their tools, not for ticks.
 */
#ifndef HISTORY_INSPECT_H
#define HISTORY_INSPECT_H

#include "history/history.h"

/** How far a series reaches, told without decoding it. */
struct history_extent {
	int64_t first_ns, last_ns; /**< Wall clock. */
	uint64_t rows;		   /**< Samples, at most. */
};

/**
 * Read how far a task or a process reaches, over all resolutions.
 *
 * @return  0, -ENOENT (never heard of the process), -ENODATA (nothing kept), -ENOMEM.
 */
int history_extent(struct history *history, struct history_task *task, const char *process,
	struct history_extent *ret);

/** A sample, and what is known of it. Valid during the visit. */
struct history_point {
	const struct tally_sample *sample;
	const struct tally_sample *maxima; /**< Maxima of its gauges over its step; NULL: itself. */
	int64_t step_ns; /**< Of its resolution: gauges are averages over it. 0: as taken. */
	uint32_t era;	 /**< Between two eras the machine booted: no rate spans them. */
};

/** Return true to go on. Must not call the history. */
typedef bool history_point_fn(void *context, const struct history_point *point);

/**
 * Visit samples as history_range() does.
 *
 * @ret_lost  Stretches that are damaged, or gone meanwhile, and left out.
 * @return    0, -ENOENT (never heard of the process), -ENOMEM.
 */
int history_points(struct history *history, struct history_task *task, const char *process,
	int64_t since_ns, int64_t until_ns, history_point_fn *visit, void *context,
	uint64_t *ret_lost);

/** The ids of tasks, each once, in order of their bytes. */
struct history_ids {
	char **at;
	size_t count, capacity;
	bool failed; /**< Memory ran out on the way. */
};

/**
 * Read the ids of all tasks, those that only the store knows too.
 *
 * @ret     Release it with history_ids_done() in any case.
 * @return  0, -ENOMEM, or the store's error.
 */
int history_ids(struct history *history, struct history_ids *ret, struct tally_error *err);

void history_ids_done(struct history_ids *ids);

#endif
