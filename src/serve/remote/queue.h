/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Batches that wait to be sent: first in, first out, on disk, so that neither our end nor the
 * receiver's loses any.
 *
 * A file of SQLite beside the store, not a table in it: neither waits for the other's transactions,
 * and damage to one leaves the other alone. What was put is there after a SIGKILL; a loss of power may
 * take the last seconds. When the limit is reached the oldest go, and are counted. Used by one thread.
 */
#ifndef SERVE_REMOTE_QUEUE_H
#define SERVE_REMOTE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tally/error.h>
#include "base/log.h"

/** What a queue is limited to unless told. */
#define QUEUE_BYTES_DEFAULT ((uint64_t)64 << 20)

struct queue;

/** What the queue holds. */
struct queue_status {
	uint64_t bytes, bytes_limit; /**< Of batches, without what SQLite adds. */
	uint64_t batches, samples;
	uint64_t overflowed;   /**< Samples that went because the limit was reached. */
	int64_t first_wall_ms; /**< Of the oldest batch; 0: there is none. */
	int64_t last_wall_ms;  /**< The latest ever put, also by earlier runs; 0: none. */
};

/** The batch that is next. */
struct queue_batch {
	int64_t id, wall_ms;
	size_t samples;
	void *bytes; /**< Release with free(). */
	size_t length;
};

/**
 * Open a queue, or begin one. One that is damaged is set aside, and said in the log.
 *
 * @path    NULL: in memory, for as long as it is open.
 * @return  0; errno of opening; -EIO and others, as SQLite has them.
 */
int queue_open(const char *path, uint64_t bytes_limit, const struct log *log, struct queue **ret,
	struct tally_error *err);

/** Close; takes NULL, returns NULL. */
struct queue *queue_close(struct queue *queue);

/** Put several batches, all or none: queue_put() between these two. @return 0 or an error. */
int queue_begin(struct queue *queue, struct tally_error *err);
int queue_commit(struct queue *queue, struct tally_error *err);

/** Take back what was put since queue_begin(). */
void queue_roll_back(struct queue *queue);

/**
 * Put a batch behind the others, the oldest making room.
 *
 * @wall_ms  Of its samples.
 * @return   0; -EFBIG (larger than the limit); -ENOSPC, -EIO.
 */
int queue_put(struct queue *queue, int64_t wall_ms, size_t samples, const void *bytes,
	size_t length, struct tally_error *err);

/** Read the next batch, which stays where it is. @return 0, -ENOENT (there is none), -EIO. */
int queue_peek(struct queue *queue, struct queue_batch *ret, struct tally_error *err);

/** A batch was sent, or refused for good. One that has made room meanwhile is no error. */
int queue_drop(struct queue *queue, const struct queue_batch *batch, struct tally_error *err);

void queue_status(const struct queue *queue, struct queue_status *ret);

#endif
