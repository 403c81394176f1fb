/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What /metrics shows at one instant, as batches to be sent.
 *
 * A series that was there the time before and is not now gets a mark that says so, as a scrape by
 * Prometheus would leave one: its last value is then not taken for a level that goes on.
 */
#ifndef SERVE_REMOTE_GATHER_H
#define SERVE_REMOTE_GATHER_H

#include "serve/exposure.h"
#include "serve/remote/encode.h"
#include "serve/remote/queue.h"
#include "serve/self.h"

struct gathered_row;

/** What is remembered from one instant to the next. */
struct gatherer {
	struct remote_label extra[REMOTE_LABELS_MAX]; /**< Of every series. */
	size_t extra_count;
	struct exposure exposure;
	struct encoder encoder;
	/* Own. */
	struct gathered_row *rows; /* uthash by labels. */
	uint64_t generation;
	size_t task_count, process_count; /* As a hint for the next time. */
};

/**
 * Put all samples of the newest tick into a queue.
 *
 * @self     Its `http` and `remote` as they are to be told; the rest is read.
 * @wall_ms  The instant, later than any in the queue.
 * @return   0 or an error: nothing of the instant is in the queue then.
 *
 * Holds the monitor's lock while it copies. Writes to the disk.
 */
int gather(struct gatherer *gatherer, struct tally_monitor *monitor, struct self_status *self,
	int64_t wall_ms, struct queue *queue, struct tally_error *err);

/** Free; `extra` is the caller's. */
void gatherer_done(struct gatherer *gatherer);

#endif
