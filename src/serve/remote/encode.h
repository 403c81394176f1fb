/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Samples as Prometheus' remote write takes them: protobuf, compressed by snappy's block format.
 *
 * A batch holds samples of one instant, and one sample of a series at most. That is what makes it
 * harmless to send one again whose answer was lost: a receiver that has it finds the newest sample of
 * each series equal, and takes it as done. Samples of several instants would be out of order.
 */
#ifndef SERVE_REMOTE_ENCODE_H
#define SERVE_REMOTE_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tally/error.h>
#include "serve/buffer.h"

/** Most labels of a series, its name among them. */
#define REMOTE_LABELS_MAX 16

/** A label. UTF-8, terminated. */
struct remote_label {
	const char *name, *value;
};

/** A batch under way. A zeroed one is empty. */
struct encoder {
	struct buffer plain;
	size_t samples;
};

/**
 * Add one sample.
 *
 * @labels   Are put in the order of their names; of two of one name the first counts.
 * @wall_ms  Milliseconds since the epoch: the same for all of a batch.
 */
void encoder_add(struct encoder *encoder, const struct remote_label *labels, size_t count,
	double value, int64_t wall_ms);

/** Bytes of a batch before they are compressed. */
static inline size_t encoder_bytes(const struct encoder *encoder)
{
	return encoder->plain.used;
}

/**
 * Compress what was added, and begin anew. remote_load() has been called.
 *
 * @ret      Emptied and filled: the body of a request.
 * @return   0 or -ENOMEM.
 */
int encoder_finish(struct encoder *encoder, struct buffer *ret, struct tally_error *err);

/** Free; it is then empty. */
void encoder_done(struct encoder *encoder);

/** What Prometheus stores where a series ends: a certain NaN. */
double remote_stale(void);

#endif
