/* SPDX-License-Identifier: Apache-2.0 */
#include "source/supervisord.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "source/daemons.h"
#include "source/registry.h"

#define POLL_NS (2 * NS_PER_S)

/* An answer that takes longer is none, and the first one is waited for so long. */
#define ANSWER_NS     (5 * NS_PER_S)
#define FIRST_WAIT_NS (250 * NS_PER_MS)
#define ANSWER_MAX    ((size_t)4 << 20)

static const char request[] =
	"POST /RPC2 HTTP/1.0\r\n"
	"Host: localhost\r\n"
	"Content-Type: text/xml\r\n"
	"Content-Length: 99\r\n"
	"\r\n"
	"<?xml version=\"1.0\"?>"
	"<methodCall><methodName>supervisor.getAllProcessInfo</methodName></methodCall>";

/* One supervisord. */
struct server {
	char *path;
	int socket; /* -1: nothing was asked. */
	int64_t asked_ns;
	uid_t uid; /* Who answers. */
	char *answer;
	size_t length, room;
	bool fresh;  /* The answer is whole, and was not yet told. */
	bool failed; /* There is none, which was not yet told. */
	int said;
};

struct source_supervisord {
	struct source source;
	const struct log *log;
	struct daemons *daemons;
	struct server *servers;
	size_t count;
	int epoll;
	int64_t poll_ns, next_poll_ns;
};

static struct source_supervisord *supervisord_of(struct source *source)
{
	return (struct source_supervisord *)source;
}

static void hang_up(struct server *server)
{
	cleanup_close(&server->socket);
	server->socket = -1;
}

static void close_source(struct source *source)
{
	struct source_supervisord *s = supervisord_of(source);

	for (size_t i = 0; i < s->count; i++) {
		hang_up(&s->servers[i]);
		free(s->servers[i].path);
		free(s->servers[i].answer);
	}
	free(s->servers);
	cleanup_close(&s->epoll);
	daemons_free(s->daemons);
	free(s);
}

static int add_server(struct source *source, const char *path, struct tally_error *err)
{
	struct source_supervisord *s = supervisord_of(source);
	struct sockaddr_un address;

	if (strlen(path) >= sizeof(address.sun_path))
		return tally_refuse(err, -ENAMETOOLONG,
			"%.100s: a socket's path has at most %zu bytes", path,
			sizeof(address.sun_path) - 1);

	struct server *grown = reallocarray(s->servers, s->count + 1, sizeof(*grown));
	if (!grown)
		return tally_fail(err, -ENOMEM, "cannot ask %s", path);
	s->servers = grown;
	s->servers[s->count] = (struct server){.path = strdup(path), .socket = -1};
	if (!s->servers[s->count].path)
		return tally_fail(err, -ENOMEM, "cannot ask %s", path);
	s->count++;
	s->next_poll_ns = 0;
	return 0;
}

int supervisord_open(const char *path, const struct daemon_options *options, struct source **ret,
	struct tally_error *err)
{
	struct source_supervisord *s = calloc(1, sizeof(*s));

	if (!s)
		return tally_fail(err, -ENOMEM, "cannot ask %s", path);
	s->source.ops = &source_supervisord;
	s->log = options->log;
	s->poll_ns = options->poll_ns ? options->poll_ns : POLL_NS;
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	int r = s->epoll < 0
			? tally_fail(err, -errno, "cannot ask %s", path)
			: daemons_new("supervisord", options->procfs ? options->procfs : "/proc",
				  s->log, &s->daemons, err);
	if (r == 0)
		r = add_server(&s->source, path, err);
	if (r < 0) {
		close_source(&s->source);
		return r;
	}
	*ret = &s->source;
	return 0;
}

static void fail(struct source_supervisord *s, struct server *server, int code,
	const struct tally_error *err)
{
	server->failed = true;
	if (server->said == code)
		return;
	server->said = code;
	log_say(s->log, TALLY_LOG_WARN, "supervisord: %s: %s; it is asked again every few seconds",
		server->path, err->message);
}

static int who_answers(struct server *server)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(server->socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	server->uid = peer.uid;
	return 0;
}

static int call(struct source_supervisord *s, struct server *server)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct epoll_event event = {.events = EPOLLIN};

	memcpy(address.sun_path, server->path, strlen(server->path));
	server->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (server->socket < 0 ||
		connect(server->socket, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;

	int r = who_answers(server);
	if (r < 0)
		return r;
	ssize_t sent = send(server->socket, request, strlen(request), MSG_NOSIGNAL);
	if (sent != (ssize_t)strlen(request))
		return sent < 0 ? -errno : -EIO;
	return epoll_ctl(s->epoll, EPOLL_CTL_ADD, server->socket, &event) < 0 ? -errno : 0;
}

static void ask(struct source_supervisord *s, struct server *server)
{
	struct tally_error err;

	server->length = 0;
	server->fresh = false;
	server->asked_ns = clock_boot_ns();
	int r = call(s, server);
	if (r == 0)
		return;
	hang_up(server);
	tally_fail(&err, r, "cannot ask it");
	fail(s, server, r, &err);
}

static int make_room(struct server *server)
{
	if (server->length < server->room)
		return 0;

	size_t room = server->room ? server->room * 2 : 16384;
	if (room > ANSWER_MAX)
		return -EFBIG;
	char *grown = realloc(server->answer, room);
	if (!grown)
		return -ENOMEM;
	server->answer = grown;
	server->room = room;
	return 0;
}

/* @return 1 the answer is whole; 0 not yet; negative errno. */
static int listen_to(struct server *server)
{
	for (;;) {
		int r = make_room(server);
		if (r < 0)
			return r;
		ssize_t got = recv(server->socket, server->answer + server->length,
			server->room - server->length, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (got == 0)
			return 1;
		server->length += (size_t)got;
	}
}

static void hear(struct source_supervisord *s, struct server *server)
{
	struct tally_error err;
	int r = listen_to(server);

	if (r == 0 && clock_boot_ns() - server->asked_ns > ANSWER_NS)
		r = -ETIMEDOUT;
	if (r == 0)
		return;
	hang_up(server);
	server->fresh = r > 0;
	if (r < 0) {
		tally_fail(&err, r, "it does not answer");
		fail(s, server, r, &err);
	}
}

struct claiming {
	struct source_supervisord *source;
	const struct server *server;
};

/* What it runs it reaps itself: a pid that it tells now is the program's, and nobody else's. */
static void claim_program(void *context, const char *name, pid_t pid)
{
	const struct claiming *claiming = context;
	struct daemon_claim claim = {
		.id = name,
		.pid = pid,
		.written_wall_ns = clock_wall_ns(),
		.writer = claiming->server->uid,
	};

	daemons_claim(claiming->source->daemons, &claim);
}

/* @return whether what it runs is known now. */
static bool take_answer(struct source_supervisord *s, struct server *server)
{
	struct claiming claiming = {s, server};
	struct tally_error err;

	if (server->length == 0 || server->socket >= 0)
		return false;
	int r = supervisord_parse(server->answer, server->length, claim_program, &claiming, &err);
	if (server->fresh && r < 0)
		fail(s, server, r, &err);
	else if (server->fresh)
		server->said = 0;
	return r == 0;
}

/* Of a server that does not answer, what it told last still stands, as far as it lives. */
static int take_answers(struct source_supervisord *s)
{
	bool any = false, all = true;

	for (size_t i = 0; i < s->count; i++)
		any = any || s->servers[i].fresh || s->servers[i].failed;
	if (!any)
		return 0;
	daemons_begin(s->daemons);
	for (size_t i = 0; i < s->count; i++) {
		all = take_answer(s, &s->servers[i]) && all;
		s->servers[i].fresh = s->servers[i].failed = false;
	}
	if (!all)
		daemons_claim_again(s->daemons);
	return daemons_end(s->daemons);
}

static void hear_all(struct source_supervisord *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->servers[i].socket >= 0)
			hear(s, &s->servers[i]);
}

static void wait_for_first(struct source_supervisord *s)
{
	int64_t until_ns = clock_boot_ns() + FIRST_WAIT_NS;
	int64_t left_ns;

	while ((left_ns = until_ns - clock_boot_ns()) > 0) {
		struct pollfd fd = {.fd = s->epoll, .events = POLLIN};
		bool waiting = false;

		for (size_t i = 0; i < s->count; i++)
			waiting = waiting || s->servers[i].socket >= 0;
		if (!waiting || poll(&fd, 1, (int)(left_ns / NS_PER_MS) + 1) <= 0)
			return;
		hear_all(s);
	}
}

static int refresh(struct source *source, struct tally_error *err)
{
	struct source_supervisord *s = supervisord_of(source);
	int64_t now_ns = clock_boot_ns();
	bool first = s->next_poll_ns == 0;

	hear_all(s);
	int changed = take_answers(s);
	if (now_ns < s->next_poll_ns)
		return changed;
	s->next_poll_ns = now_ns + s->poll_ns;
	for (size_t i = 0; i < s->count; i++)
		if (s->servers[i].socket < 0)
			ask(s, &s->servers[i]);
	if (first)
		wait_for_first(s);
	return take_answers(s) || changed;
}

static void list(struct source *source, source_task_fn *visit, void *context)
{
	daemons_list(supervisord_of(source)->daemons, visit, context);
}

static int fd_of(struct source *source)
{
	return supervisord_of(source)->epoll;
}

static int open_supervisord(
	const char *argument, const struct log *log, struct source **ret, struct tally_error *err)
{
	const struct daemon_options options = {.log = log};

	return supervisord_open(
		*argument ? argument : "/var/run/supervisor.sock", &options, ret, err);
}

const struct source_ops source_supervisord = {
	.name = "supervisord",
	.summary = "programs under supervisord",
	.usage = "supervisord:SOCKET",
	.open = open_supervisord,
	.add = add_server,
	.close = close_source,
	.refresh = refresh,
	.list = list,
	.fd = fd_of,
};
