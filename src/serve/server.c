/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP thread: a plain loop that blocks on poll. */
#include "serve/server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fail.h"

/* Between two looks for connections that are late, and for answers that nobody needs any more. */
#define SWEEP_NS (NS_PER_S / 2)

/* How long answers under way may take at the end. */
#define LINGER_NS (NS_PER_S / 2)

#define POLL_MAX (1 + SERVE_LISTENERS_MAX + ENGINE_COUNT)

static const struct serve_options defaults = {
	.connection_limit = 256,
	.pending_limit = (size_t)64 << 20,
	.series_limit = 50000,
	.idle_ns = 15 * NS_PER_S,
	.answer_ns = 30 * NS_PER_S,
};

static struct serve_options with_defaults(const struct serve_options *given)
{
	struct serve_options o = *given;

	o.connection_limit = o.connection_limit ? o.connection_limit : defaults.connection_limit;
	o.pending_limit = o.pending_limit ? o.pending_limit : defaults.pending_limit;
	o.series_limit = o.series_limit ? o.series_limit : defaults.series_limit;
	o.idle_ns = o.idle_ns ? o.idle_ns : defaults.idle_ns;
	o.answer_ns = o.answer_ns ? o.answer_ns : defaults.answer_ns;
	return o;
}

/* ---- one round ---- */

struct round {
	struct pollfd fds[POLL_MAX];
	const struct listener *listeners[POLL_MAX]; /* Of those that are listeners. */
	nfds_t count;
};

static void gather(struct server *server, struct round *round, int64_t now_ns)
{
	round->fds[0] = (struct pollfd){.fd = server->wake_fd, .events = POLLIN};
	round->count = 1;
	for (int i = 0; i < ENGINE_COUNT; i++)
		if (server->engines[i].daemon)
			round->fds[round->count++] = (struct pollfd){
				.fd = server->engines[i].epoll_fd, .events = POLLIN};
	if (server->stopping_accept || server->accept_again_ns > now_ns)
		return;
	server->accept_again_ns = 0;
	for (size_t i = 0; i < server->listener_count; i++) {
		round->listeners[round->count] = &server->listeners[i];
		round->fds[round->count++] =
			(struct pollfd){.fd = server->listeners[i].fd, .events = POLLIN};
	}
}

/* Milliseconds that may pass before something is due; -1: nothing is. */
static int timeout_of(struct server *server)
{
	int timeout = -1;

	if (server->connections || server->accept_again_ns ||
		server->engines[ENGINE_RETIRED].daemon || server->status.pending_bytes)
		timeout = (int)(SWEEP_NS / NS_PER_MS);
	if (server->accept_again_ns)
		timeout = timeout / 4;
	for (int i = 0; i < ENGINE_COUNT; i++) {
		MHD_UNSIGNED_LONG_LONG wanted;

		if (server->engines[i].daemon &&
			MHD_get_timeout(server->engines[i].daemon, &wanted) == MHD_YES &&
			(timeout < 0 || wanted < (MHD_UNSIGNED_LONG_LONG)timeout))
			timeout = (int)wanted;
	}
	return timeout;
}

static void run_engines(struct server *server)
{
	for (int i = 0; i < ENGINE_COUNT; i++)
		if (server->engines[i].daemon)
			MHD_run(server->engines[i].daemon);
}

static void sweep(struct server *server, int64_t now_ns)
{
	connections_sweep(server, now_ns);
	answers_expire(server, now_ns);
	if (server->engines[ENGINE_RETIRED].daemon && now_ns >= server->retire_ns)
		engine_stop(&server->engines[ENGINE_RETIRED]);
}

static void take_turn(struct server *server, int64_t *next_sweep_ns)
{
	struct round round = {0};
	uint64_t calls;

	gather(server, &round, clock_boot_ns());
	if (poll(round.fds, round.count, timeout_of(server)) < 0)
		return;
	if (round.fds[0].revents && read(server->wake_fd, &calls, sizeof(calls)) < 0)
		return;
	for (nfds_t i = 1; i < round.count; i++)
		if (round.listeners[i] && round.fds[i].revents)
			connections_accept(server, round.listeners[i]);
	run_engines(server);

	int64_t now_ns = clock_boot_ns();
	if (now_ns >= *next_sweep_ns) {
		sweep(server, now_ns);
		*next_sweep_ns = now_ns + SWEEP_NS;
	}
}

/* ---- reading secrets and certificates again ---- */

static int load(struct server *server, struct tally_error *err)
{
	int r = 0;

	if (server->options.secrets_path)
		r = secrets_read(server->options.secrets_path, &server->secrets, err);
	if (r == 0 && server->options.cert_path)
		r = engine_reload_tls(server, err);
	return r;
}

static void answer_reload(struct server *server)
{
	pthread_mutex_lock(&server->reload_lock);
	if (server->reload_wanted) {
		server->reload_code = load(server, &server->reload_error);
		server->reload_wanted = false;
		pthread_cond_broadcast(&server->reload_done);
	}
	pthread_mutex_unlock(&server->reload_lock);
}

/* ---- the thread ---- */

static bool anyone_busy(const struct server *server)
{
	for (const struct connection *c = server->connections; c; c = c->next)
		if (c->busy && !c->dying)
			return true;
	return false;
}

static void *run(void *argument)
{
	struct server *server = argument;
	int64_t next_sweep_ns = 0;

	prctl(PR_SET_NAME, "tally-http");
	while (!atomic_load(&server->stopping)) {
		take_turn(server, &next_sweep_ns);
		answer_reload(server);
	}
	server->stopping_accept = true;
	int64_t end_ns = clock_boot_ns() + LINGER_NS;
	while (anyone_busy(server) && clock_boot_ns() < end_ns)
		take_turn(server, &next_sweep_ns);
	return NULL;
}

static void wake(struct server *server)
{
	uint64_t one = 1;

	if (write(server->wake_fd, &one, sizeof(one)) < 0)
		return; /* It is full of calls already. */
}

/* Signals are for the main thread. */
static int start_thread(struct server *server)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = pthread_create(&server->thread, NULL, run, server);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

static void free_server(struct server *server)
{
	for (int i = 0; i < ENGINE_COUNT; i++)
		engine_stop(&server->engines[i]);
	answers_done(server);
	secrets_done(&server->secrets);
	if (server->wake_fd >= 0)
		close(server->wake_fd);
	pthread_cond_destroy(&server->reload_done);
	pthread_mutex_destroy(&server->reload_lock);
	free(server);
}

static int open_server(struct server *server, struct tally_error *err)
{
	server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (server->wake_fd < 0)
		return tally_fail(err, -errno, "cannot make an eventfd");
	int r = engine_start(server, &server->engines[ENGINE_PLAIN], NULL, NULL, err);
	return r < 0 ? r : load(server, err);
}

int serve_start(const struct serve_options *options, struct listener *listeners, size_t count,
	struct server **ret, struct tally_error *err)
{
	struct server *server = calloc(1, sizeof(*server));

	if (!server)
		return tally_fail(err, -ENOMEM, "cannot start the HTTP server");
	server->options = with_defaults(options);
	server->answers.exposure.limit = server->options.series_limit;
	pthread_mutex_init(&server->reload_lock, NULL);
	pthread_cond_init(&server->reload_done, NULL);
	server->wake_fd = -1;

	int r = open_server(server, err);
	if (r == 0) {
		for (size_t i = 0; i < count && i < SERVE_LISTENERS_MAX; i++)
			server->listeners[server->listener_count++] = listeners[i];
		r = start_thread(server);
		if (r < 0)
			tally_fail(err, r, "cannot start the HTTP thread");
	}
	if (r < 0) {
		free_server(server);
		return r;
	}
	*ret = server;
	return 0;
}

int serve_reload(struct server *server, struct tally_error *err)
{
	pthread_mutex_lock(&server->reload_lock);
	server->reload_wanted = true;
	wake(server);
	while (server->reload_wanted)
		pthread_cond_wait(&server->reload_done, &server->reload_lock);
	int r = server->reload_code;
	if (r < 0 && err)
		*err = server->reload_error;
	pthread_mutex_unlock(&server->reload_lock);
	return r;
}

struct server *serve_stop(struct server *server)
{
	if (!server)
		return NULL;
	atomic_store(&server->stopping, true);
	wake(server);
	pthread_join(server->thread, NULL);
	for (size_t i = 0; i < server->listener_count; i++)
		listener_close(&server->listeners[i]);
	free_server(server);
	return NULL;
}
