/* SPDX-License-Identifier: Apache-2.0 */
/** The HTTP thread from inside. All of it belongs to that thread but where something else is said. */
#ifndef SERVE_SERVER_H
#define SERVE_SERVER_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include "serve/answer.h"
#include "serve/guard.h"
#include "serve/self.h"
#include "serve/serve.h"

/** A libmicrohttpd that is driven by our loop: one speaks plain HTTP, one TLS. */
struct engine {
	struct MHD_Daemon *daemon; /**< NULL: not in use. */
	int epoll_fd;
};

/** Engines: plain, TLS, and one of TLS with the certificate before, until its connections end. */
enum { ENGINE_PLAIN, ENGINE_TLS, ENGINE_RETIRED, ENGINE_COUNT };

/** A connection. In the list of its server, least recently used first. */
struct connection {
	struct server *server;
	const struct listener *listener;
	int fd;
	bool busy;   /**< A request is being answered. */
	bool served; /**< One was, at least: to be idle is no fault. */
	bool dying;  /**< It was shut down; libmicrohttpd will notice. */
	bool peer_known;
	uid_t peer;
	int64_t since_ns; /**< When it was accepted, or its last request began or ended. */
	struct connection *next, *prev;
};

struct server {
	struct serve_options options;
	struct log log;
	struct listener listeners[SERVE_LISTENERS_MAX];
	size_t listener_count;
	struct engine engines[ENGINE_COUNT];
	struct secrets secrets;
	int64_t retire_ns;   /**< When the retired engine is stopped. */
	char complaint[256]; /**< What libmicrohttpd said while it was started. */

	struct connection *connections;
	struct connection *accepting; /**< The one that is being handed to libmicrohttpd. */
	size_t connection_count, dying_count;
	int64_t accept_again_ns; /**< Out of descriptors: no accept() before. 0: go on. */
	bool stopping_accept;

	struct http_status status;
	struct answers answers;

	int wake_fd;
	pthread_t thread;
	atomic_bool stopping;
	pthread_mutex_t reload_lock; /**< Guards what follows. */
	pthread_cond_t reload_done;
	bool reload_wanted;
	int reload_code;
	struct tally_error reload_error;
};

/* ---- connection.c ---- */

/** Accept what waits on a listener, up to a number per round. */
void connections_accept(struct server *server, const struct listener *listener);

/** Close those that have been idle, or slow, for too long. */
void connections_sweep(struct server *server, int64_t now_ns);

/** A MHD_NotifyConnectionCallback; `context` is the server. */
void connection_notify(void *context, struct MHD_Connection *connection, void **socket_context,
	enum MHD_ConnectionNotificationCode code);

/** Our part of a connection. */
struct connection *connection_of(struct MHD_Connection *connection);

/** A request on it began, or its answer was sent. */
void connection_begin(struct connection *connection);
void connection_end(struct connection *connection);

/** Whether whoever is at the other end may see figures that /proc shows to owners alone. */
bool connection_sees_all(struct connection *connection);

/* ---- exchange.c: callbacks of libmicrohttpd; `context` is the server ---- */

void *exchange_begin(void *context, const char *target, struct MHD_Connection *connection);
enum MHD_Result exchange_handle(void *context, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_size,
	void **exchange);
void exchange_end(void *context, struct MHD_Connection *connection, void **exchange,
	enum MHD_RequestTerminationCode code);

/* ---- engine.c ---- */

/**
 * Start an engine.
 *
 * @cert, @key  PEM texts, or NULL for plain HTTP.
 */
int engine_start(struct server *server, struct engine *engine, const char *cert, const char *key,
	struct tally_error *err);

/** Stop it, its connections with it. */
void engine_stop(struct engine *engine);

/** Read certificate and key and put an engine with them in the place of the one in use. */
int engine_reload_tls(struct server *server, struct tally_error *err);

#endif
