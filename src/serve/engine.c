/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd, without its threads and without its sockets: it parses HTTP and speaks TLS. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/clock.h"
#include "base/fail.h"
#include "base/file.h"
#include "serve/server.h"

/* Request line and headers of one request have to fit, and buffers of libmicrohttpd with them. */
#define CONNECTION_MEMORY ((size_t)24 << 10)

/* Our own limits are stricter; these hold if they should ever fail. */
#define BACKSTOP_SECONDS 120u

/* Long enough for any chain of certificates. */
#define PEM_MAX ((size_t)256 << 10)

#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/* How long connections of the certificate before may go on. */
#define RETIRE_NS (60 * NS_PER_S)

/* It has no other way to tell why it does not start. Of several complaints the first is the cause. */
static void PRINTF_LIKE(2, 0) hear_complaint(void *context, const char *format, va_list args)
{
	struct server *server = context;

	if (server->complaint[0])
		return;
	vsnprintf(server->complaint, sizeof(server->complaint), format, args);
	server->complaint[strcspn(server->complaint, "\n")] = '\0';
}

/* Targets are decoded by request.c, from what the client sent. */
static size_t leave_escaped(void *context, struct MHD_Connection *connection, char *text)
{
	return strlen(text);
}

static struct MHD_Daemon *start(struct server *server, const char *cert, const char *key)
{
	unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG;
	struct MHD_OptionItem tls[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)cert},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)key},
		{MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)TLS_PRIORITIES},
		{MHD_OPTION_END, 0, NULL},
	};
	struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};

	return MHD_start_daemon(cert ? flags | MHD_USE_TLS : flags, 0, NULL, NULL, exchange_handle,
		server, MHD_OPTION_EXTERNAL_LOGGER, hear_complaint, server,
		MHD_OPTION_URI_LOG_CALLBACK, exchange_begin, server, MHD_OPTION_UNESCAPE_CALLBACK,
		leave_escaped, server, MHD_OPTION_NOTIFY_COMPLETED, exchange_end, server,
		MHD_OPTION_NOTIFY_CONNECTION, connection_notify, server,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)(2 * server->options.connection_limit), MHD_OPTION_CONNECTION_TIMEOUT,
		BACKSTOP_SECONDS, MHD_OPTION_ARRAY, cert ? tls : none, MHD_OPTION_END);
}

int engine_start(struct server *server, struct engine *engine, const char *cert, const char *key,
	struct tally_error *err)
{
	server->complaint[0] = '\0';
	struct MHD_Daemon *daemon = start(server, cert, key);
	if (!daemon)
		return tally_refuse(err, -EINVAL, "cannot speak %s: %s",
			cert ? "TLS with this certificate and key" : "HTTP",
			server->complaint[0] ? server->complaint
					     : "libmicrohttpd does not say why");

	const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info) {
		MHD_stop_daemon(daemon);
		return tally_refuse(err, -ENOTSUP, "this libmicrohttpd was built without epoll");
	}
	*engine = (struct engine){.daemon = daemon, .epoll_fd = info->listen_fd};
	return 0;
}

void engine_stop(struct engine *engine)
{
	if (engine->daemon)
		MHD_stop_daemon(engine->daemon);
	*engine = (struct engine){0};
}

static int read_pem(const char *path, char **ret, struct tally_error *err)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	CLEANUP_FREE char *text = malloc(PEM_MAX);

	if (fd < 0)
		return tally_fail(err, -errno, "cannot read %s", path);
	if (!text)
		return tally_fail(err, -ENOMEM, "cannot read %s", path);
	ssize_t length = file_pread(fd, text, PEM_MAX);
	if (length < 0)
		return tally_fail(err, (int)length, "cannot read %s", path);
	if ((size_t)length == PEM_MAX)
		return tally_refuse(err, -EFBIG, "%s is too long for a PEM file", path);
	text[length] = '\0';
	*ret = TAKE(text);
	return 0;
}

/* The old one serves its connections to their end; of two generations only one is kept. */
static void replace_tls(struct server *server, struct engine fresh)
{
	engine_stop(&server->engines[ENGINE_RETIRED]);
	server->engines[ENGINE_RETIRED] = server->engines[ENGINE_TLS];
	server->engines[ENGINE_TLS] = fresh;
	server->retire_ns = clock_boot_ns() + RETIRE_NS;
}

int engine_reload_tls(struct server *server, struct tally_error *err)
{
	CLEANUP_FREE char *cert = NULL;
	CLEANUP_FREE char *key = NULL;
	struct engine fresh;
	int r = read_pem(server->options.cert_path, &cert, err);

	if (r == 0)
		r = read_pem(server->options.key_path, &key, err);
	if (r == 0)
		r = engine_start(server, &fresh, cert, key, err);
	if (key)
		explicit_bzero(key, strlen(key));
	if (r < 0)
		return tally_prefix(
			err, r, "%s, %s", server->options.cert_path, server->options.key_path);
	replace_tls(server, fresh);
	return 0;
}
