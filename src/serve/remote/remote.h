/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Remote write: what /metrics shows, pushed to Prometheus or to whatever takes its protocol.
 *
 *     remote.c  the thread: gather when it is time, send what waits, one after another
 *     gather.c  from the newest tick to batches
 *     encode.c  protobuf and snappy
 *     queue.c   where batches wait, on disk
 *     send.c    HTTP
 *
 * Each batch is sent until the receiver takes it or refuses it for good, and the next one only then:
 * nothing overtakes. One thread does it all, and holds up no tick: it copies figures as an answer
 * over HTTP does.
 */
#ifndef SERVE_REMOTE_REMOTE_H
#define SERVE_REMOTE_REMOTE_H

#include <stddef.h>
#include <stdint.h>
#include <tally/monitor.h>
#include "base/log.h"
#include "serve/self.h"

/** The least that its queue should be limited to. */
#define REMOTE_QUEUE_BYTES_MIN ((uint64_t)1 << 20)

/** How it works. Zero is the default where one is named. Strings must live as long as it does. */
struct remote_options {
	struct tally_monitor *monitor;
	const struct log *log;
	const char *url;	   /**< As http://127.0.0.1:9090/api/v1/write. */
	const char *token_path;	   /**< File whose first secret is the bearer token, or NULL. */
	const char *ca_path;	   /**< Certificates to trust, PEM; NULL: the system's. */
	const char *const *labels; /**< NAME=VALUE, for every series; before job and instance. */
	size_t label_count;
	const char *queue_path; /**< NULL: what waits is in memory. */
	uint64_t queue_bytes;	/**< 0 is 64 MiB. */
	int64_t interval_ns; /**< Between two instants sent; 0 is 15 s, never less than a tick. */
	size_t series_limit; /**< As that of /metrics. */
};

struct remote;

/** Look whether a URL can be written to. @return 0, -EINVAL (the message says why), -ENOMEM. */
int remote_check_url(const char *url, struct tally_error *err);

/** Look whether a NAME=VALUE is a label that a user may set. @return 0, -EINVAL. */
int remote_check_label(const char *text, struct tally_error *err);

/** Where the queue of a store is; release with free(). NULL: no memory. */
char *remote_queue_path(const char *store);

/**
 * Start the thread.
 *
 * @return  0; -EINVAL (URL, labels, token); errno of the queue's file; -ENOMEM, -EAGAIN.
 */
int remote_start(
	const struct remote_options *options, struct remote **ret, struct tally_error *err);

/** Read the token again. @return 0, or an error: the one in use stays in use. Thread-safe. */
int remote_reload(struct remote *remote, struct tally_error *err);

/** How it goes. NULL: that there is none. Thread-safe, never blocks for long. */
void remote_status(struct remote *remote, struct remote_status *ret);

/**
 * End: the newest tick is put into the queue, and what waits is sent for most of a second; the rest
 * stays in the queue. Takes NULL, returns NULL. The monitor must still be there.
 */
struct remote *remote_stop(struct remote *remote);

#endif
