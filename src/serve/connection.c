/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections and their limits.
 *
 * Time is counted from the beginning of a request, or of the wait for one, and not from the last
 * byte: a client that sends one byte every few seconds gets no more than any other. When all places
 * are taken, the connection that has waited longest without a request makes room for a new one: ten
 * thousand idle connections keep nobody out.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>
#include "base/clock.h"
#include "serve/peer.h"
#include "serve/server.h"

/* Accepted per listener and round, so that those who are connected get their turn. */
#define ACCEPT_ROUND 64

/* Requests that were sent together follow each other faster than this. */
#define GONE_NS (200 * NS_PER_MS)

/* Without descriptors there is nothing to do but wait until one is given back. */
#define ACCEPT_PAUSE_NS (100 * NS_PER_MS)

struct connection *connection_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void move_to_end(struct connection *c)
{
	DL_DELETE(c->server->connections, c);
	DL_APPEND(c->server->connections, c);
	c->since_ns = clock_boot_ns();
}

void connection_begin(struct connection *c)
{
	c->busy = true;
	move_to_end(c);
}

void connection_end(struct connection *c)
{
	c->busy = false;
	c->served = true;
	move_to_end(c);
}

/* libmicrohttpd owns the descriptor: it closes it once it has read the end that this makes. */
static void end_soon(struct connection *c)
{
	c->dying = true;
	c->server->dying_count++;
	shutdown(c->fd, SHUT_RDWR);
}

static bool evict_idle(struct server *server)
{
	struct connection *c;

	DL_FOREACH(server->connections, c)
	if (!c->busy && !c->dying) {
		end_soon(c);
		server->status.evicted++;
		return true;
	}
	return false;
}

static bool make_place(struct server *server)
{
	return server->connection_count - server->dying_count < server->options.connection_limit ||
	       evict_idle(server);
}

/* Hand a socket to libmicrohttpd, which calls connection_notify() on the way and owns it then. */
static void hand_over(struct server *server, const struct listener *listener, int fd,
	const struct sockaddr *address, socklen_t length)
{
	bool tls = listener->tcp && server->engines[ENGINE_TLS].daemon;
	struct MHD_Daemon *daemon = server->engines[tls ? ENGINE_TLS : ENGINE_PLAIN].daemon;
	struct connection *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		server->status.refused++;
		return;
	}
	*c = (struct connection){
		.server = server,
		.listener = listener,
		.fd = fd,
		.peer = PEER_UNKNOWN,
		.since_ns = clock_boot_ns(),
	};
	server->accepting = c;
	enum MHD_Result added = MHD_add_connection(daemon, fd, address, length);
	if (server->accepting) { /* It did not get as far as telling us. */
		server->accepting = NULL;
		free(c);
	}
	server->status.refused += added != MHD_YES;
}

void connection_notify(void *context, struct MHD_Connection *connection, void **socket_context,
	enum MHD_ConnectionNotificationCode code)
{
	struct server *server = context;
	struct connection *c = *socket_context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		c = server->accepting;
		server->accepting = NULL;
		*socket_context = c;
		DL_APPEND(server->connections, c);
		server->connection_count++;
	} else if (c) {
		DL_DELETE(server->connections, c);
		server->connection_count--;
		server->dying_count -= c->dying;
		free(c);
		*socket_context = NULL;
	}
}

/* @return whether to go on accepting. */
static bool accept_one(struct server *server, const struct listener *listener)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	int fd = accept4(
		listener->fd, (struct sockaddr *)&address, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
		server->accept_again_ns = clock_boot_ns() + ACCEPT_PAUSE_NS;
		server->status.refused++;
		evict_idle(server);
		return false;
	}
	if (fd < 0)
		return errno == EINTR || errno == ECONNABORTED;
	if (make_place(server)) {
		hand_over(server, listener, fd, (struct sockaddr *)&address, length);
	} else {
		close(fd);
		server->status.refused++;
	}
	return true;
}

void connections_accept(struct server *server, const struct listener *listener)
{
	for (int i = 0; i < ACCEPT_ROUND && accept_one(server, listener); i++)
		;
}

/*
 * A client that has closed its side and will send no more of a request. libmicrohttpd, which reads until there is
 * less than it asked for, misses an end that was there already.
 */
static bool has_gone(const struct connection *c, int64_t idle_ns)
{
	char byte;

	return !c->busy && idle_ns >= GONE_NS &&
	       recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void connections_sweep(struct server *server, int64_t now_ns)
{
	struct connection *c;

	DL_FOREACH(server->connections, c)
	{
		int64_t limit_ns = c->busy ? server->options.answer_ns : server->options.idle_ns;
		int64_t idle_ns = now_ns - c->since_ns;

		if (c->dying)
			continue;
		if (idle_ns >= limit_ns) {
			end_soon(c);
			server->status.timed_out += c->busy || !c->served;
		} else if (has_gone(c, idle_ns)) {
			end_soon(c);
		}
	}
}

bool connection_sees_all(struct connection *c)
{
	const struct serve_options *options = &c->server->options;

	if (options->share_all)
		return true;
	if (!c->peer_known)
		c->peer = peer_uid(c->fd);
	c->peer_known = true;
	if (c->peer == PEER_UNKNOWN)
		return false;
	for (size_t i = 0; i < options->share_count; i++)
		if (options->share_uids[i] == c->peer)
			return true;
	return c->peer == 0 || c->peer == geteuid();
}
