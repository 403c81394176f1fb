/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The HTTP side of the observer: one thread that answers from what a monitor remembers.
 *
 *     listen.c    sockets: TCP, unix, handed over by systemd
 *     server.c    the thread: a loop that blocks on poll
 *     connection.c  accepts, evicts, times out: all limits of connections
 *     exchange.c  one request and its answer, between libmicrohttpd and us
 *     request.c query.c accept.c guard.c  pure parsers of what a client sends
 *     peer.c      which user is at the other end
 *     answer.c    from a route to a body; the cache of those that change with the tick alone
 *     snapshot.c tasks.c series.c self.c  what is answered, as JSON
 *     exposure.c metrics.c  /metrics
 *     remote/     the same, pushed: remote write
 *     thermos.c   /j/, the JSON of Thermos' observer
 *     body.c compress.c asset.c  how it is sent
 *
 * Nothing is sampled in a request. An answer that all clients are given alike is made once per tick,
 * whatever their number.
 */
#ifndef SERVE_SERVE_H
#define SERVE_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <tally/monitor.h>
#include "base/log.h"
#include "serve/listen.h"

/** Most sockets that are listened on. */
#define SERVE_LISTENERS_MAX 8

struct remote;

/** How it works. Zero is the default where one is named. All must live as long as the server. */
struct serve_options {
	struct tally_monitor *monitor;
	const struct log *log;
	struct remote *remote; /**< Told of with the rest; NULL: there is none. */

	const char *secrets_path; /**< Secrets that TCP clients must have, or NULL: none. */
	const char *cert_path;	  /**< PEM; with key_path: TCP speaks TLS. Or NULL. */
	const char *key_path;
	const char *const *hosts; /**< Host names that are ours on loopback, or NULL. */

	bool show_commands;	 /**< Definitions of tasks are shown with their command lines. */
	bool share_all;		 /**< Everybody is shown all figures. */
	const uid_t *share_uids; /**< Besides root and ourselves, these are. */
	size_t share_count;

	size_t connection_limit; /**< 0 is 256. */
	size_t pending_limit;	 /**< Bytes of answers in memory; 0 is 64 MiB. */
	size_t series_limit;	 /**< Of tasks in /metrics; 0 is 50,000. */
	int64_t idle_ns;	 /**< A connection may be without a request; 0 is 15 s. */
	int64_t answer_ns;	 /**< A client may take to read an answer; 0 is 30 s. */
};

struct server;

/**
 * Start the thread.
 *
 * @listeners  Taken over on success.
 * @return     0; -EINVAL (TLS, secrets: the message says what); -ENOMEM and others.
 */
int serve_start(const struct serve_options *options, struct listener *listeners, size_t count,
	struct server **ret, struct tally_error *err);

/**
 * Read certificate, key and secrets again. Connections that are open go on.
 *
 * @return  0, or an error: what was in use stays in use.
 *
 * Blocks until the thread has done it.
 */
int serve_reload(struct server *server, struct tally_error *err);

/**
 * End: no new connections; answers under way may finish for half a second. Takes NULL, returns NULL.
 * The monitor must still be there.
 */
struct server *serve_stop(struct server *server);

#endif
