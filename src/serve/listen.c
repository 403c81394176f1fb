/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/fail.h"
#include "base/holder.h"
#include "base/parse.h"

#define BACKLOG 1024

/* What connects must be able to write; who may is the business of the directory and the group. */
#define SOCKET_MODE 0660

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
	struct sockaddr_storage room;
};

static bool parse_host(const char *host, union address *ret)
{
	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (inet_pton(AF_INET, host, &ret->v4.sin_addr) == 1)
		ret->any.sa_family = AF_INET;
	else if (inet_pton(AF_INET6, host, &ret->v6.sin6_addr) == 1)
		ret->any.sa_family = AF_INET6;
	else
		return false;
	return true;
}

/* "HOST:PORT", "[HOST]:PORT" or "PORT" taken apart. */
static bool split_spec(const char *spec, char *host, size_t size, const char **ret_port)
{
	const char *colon = strrchr(spec, ':');
	size_t length = colon ? (size_t)(colon - spec) : 0;

	if (!colon) {
		snprintf(host, size, "127.0.0.1");
		*ret_port = spec;
		return true;
	}
	*ret_port = colon + 1;
	if (length >= 2 && spec[0] == '[' && spec[length - 1] == ']') {
		spec++;
		length -= 2;
	} else if (memchr(spec, ':', length)) {
		return false; /* An IPv6 address needs brackets: where would its port begin? */
	}
	if (length == 0 || length >= size)
		return false;
	memcpy(host, spec, length);
	host[length] = '\0';
	return true;
}

static int parse_spec(const char *spec, union address *ret, struct tally_error *err)
{
	char host[INET6_ADDRSTRLEN];
	const char *port_text;
	uint64_t port;

	*ret = (union address){0};
	if (!split_spec(spec, host, sizeof(host), &port_text) || !parse_host(host, ret) ||
		!parse_u64(port_text, 0, 65535, &port))
		return tally_refuse(err, -EINVAL,
			"'%.80s' is no address to listen on; write 127.0.0.1:1338, [::1]:1338, a port or the path of a socket",
			spec);
	if (ret->any.sa_family == AF_INET)
		ret->v4.sin_port = htons((uint16_t)port);
	else
		ret->v6.sin6_port = htons((uint16_t)port);
	return 0;
}

static bool is_loopback(const union address *address)
{
	if (address->any.sa_family == AF_INET)
		return ntohl(address->v4.sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
	return address->any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

int listen_is_local(const char *spec, struct tally_error *err)
{
	union address address;

	if (spec[0] == '/')
		return 1;
	int r = parse_spec(spec, &address, err);
	return r < 0 ? r : is_loopback(&address);
}

static void name_tcp(const union address *address, char *name, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "?";

	if (address->any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof(host));
		snprintf(name, size, "%s:%u", host, ntohs(address->v4.sin_port));
	} else {
		inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof(host));
		snprintf(name, size, "[%s]:%u", host, ntohs(address->v6.sin6_port));
	}
}

/* Fill in what a bound socket tells of itself. */
static void describe(struct listener *listener)
{
	union address address = {0};
	socklen_t length = sizeof(address);

	if (getsockname(listener->fd, &address.any, &length) < 0)
		return;
	listener->tcp = address.any.sa_family != AF_UNIX;
	listener->loopback = listener->tcp && is_loopback(&address);
	if (listener->tcp)
		name_tcp(&address, listener->name, sizeof(listener->name));
	else
		snprintf(listener->name, sizeof(listener->name), "%.*s",
			(int)(sizeof(address.local.sun_path) - 1), address.local.sun_path);
}

static int refuse_held(const char *name, uint16_t port, struct tally_error *err)
{
	char holder[128];

	if (port && holder_of_port(port, holder, sizeof(holder)))
		return tally_refuse(err, -EADDRINUSE,
			"cannot listen on %s: %s holds it; stop it, or choose another with --listen",
			name, holder);
	return tally_refuse(err, -EADDRINUSE,
		"cannot listen on %s: another program holds it; stop it, or choose another with --listen",
		name);
}

static int open_tcp(const char *spec, struct listener *ret, struct tally_error *err)
{
	union address address;
	int yes = 1, r = parse_spec(spec, &address, err);

	if (r < 0)
		return r;
	CLEANUP_CLOSE int fd =
		socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return tally_fail(err, -errno, "cannot listen on %s", spec);

	bool v4 = address.any.sa_family == AF_INET;
	socklen_t length = v4 ? sizeof(address.v4) : sizeof(address.v6);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (!v4)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
	if (bind(fd, &address.any, length) < 0 || listen(fd, BACKLOG) < 0) {
		if (errno == EADDRINUSE)
			return refuse_held(
				spec, ntohs(v4 ? address.v4.sin_port : address.v6.sin6_port), err);
		return tally_fail(err, -errno, "cannot listen on %s", spec);
	}
	ret->fd = take_fd(&fd);
	describe(ret);
	return 0;
}

static int make_directory_of(const char *path, struct tally_error *err)
{
	char directory[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *slash;

	snprintf(directory, sizeof(directory), "%s", path);
	slash = strrchr(directory, '/');
	if (!slash || slash == directory)
		return 0;
	*slash = '\0';
	if (mkdir(directory, 0755) < 0 && errno != EEXIST)
		return tally_fail(err, -errno, "cannot make %s for the socket", directory);
	return 0;
}

/*
 * Two observers that start at once must not take each other's socket away: whoever holds the lock
 * beside it owns the path. A lock dies with its holder, a socket file does not. The file stays: one
 * that was removed could be locked by two, who opened it before and after.
 */
static int lock_path(struct listener *listener, const char *path, struct tally_error *err)
{
	char lock[128], holder[128] = "another observer";

	snprintf(lock, sizeof(lock), "%s.lock", path);
	listener->lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (listener->lock_fd < 0)
		return tally_fail(err, -errno, "cannot open %s", lock);
	if (flock(listener->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return tally_fail(err, -errno, "cannot lock %s", lock);
	holder_of_lock(listener->lock_fd, holder, sizeof(holder));
	return tally_refuse(err, -EADDRINUSE,
		"cannot listen on %s: %s holds it; stop it, or choose another with --socket", path,
		holder);
}

static int bind_path(int fd, const char *path, struct tally_error *err)
{
	union address address = {.local = {.sun_family = AF_UNIX}};

	memcpy(address.local.sun_path, path, strlen(path) + 1);
	if (unlink(path) < 0 && errno != ENOENT)
		return tally_fail(err, -errno, "cannot replace the socket %s", path);

	mode_t before = umask(0777 & ~SOCKET_MODE);
	int r = bind(fd, &address.any, sizeof(address.local)) < 0 ? -errno : 0;
	umask(before);
	if (r == 0 && listen(fd, BACKLOG) < 0)
		r = -errno;
	return r < 0 ? tally_fail(err, r, "cannot listen on %s", path) : 0;
}

/* Nothing but a socket may be removed to make room for ours. */
static int check_place(const char *path, struct tally_error *err)
{
	struct stat st;

	if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return tally_refuse(err, -ENAMETOOLONG,
			"the path of the socket is longer than %zu bytes: %.60s…",
			sizeof(((struct sockaddr_un *)0)->sun_path) - 1, path);
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return tally_refuse(err, -EEXIST,
			"cannot listen on %s: there is something that is no socket", path);
	return 0;
}

static int open_unix(const char *path, struct listener *ret, struct tally_error *err)
{
	int r = check_place(path, err);

	if (r == 0)
		r = make_directory_of(path, err);
	if (r == 0)
		r = lock_path(ret, path, err);
	if (r < 0)
		return r;
	ret->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (ret->fd < 0)
		return tally_fail(err, -errno, "cannot listen on %s", path);
	r = bind_path(ret->fd, path, err);
	if (r < 0)
		return r;
	ret->path = strdup(path);
	describe(ret);
	return 0;
}

int listener_open(const char *spec, struct listener *ret, struct tally_error *err)
{
	struct listener listener = {.fd = -1, .lock_fd = -1};
	int r = spec[0] == '/' ? open_unix(spec, &listener, err) : open_tcp(spec, &listener, err);

	if (r < 0)
		listener_close(&listener);
	else
		*ret = listener;
	return r;
}

int listener_adopt(int fd, struct listener *ret, struct tally_error *err)
{
	int listening = 0, type = 0;
	socklen_t length = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 || type != SOCK_STREAM ||
		getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) < 0 || !listening)
		return tally_refuse(err, -EINVAL,
			"descriptor %d was handed over as a socket to listen on, but is none", fd);

	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
		fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return tally_fail(err, -errno, "descriptor %d", fd);
	*ret = (struct listener){.fd = fd, .lock_fd = -1};
	describe(ret);
	return 0;
}

void listener_close(struct listener *listener)
{
	if (listener->path)
		unlink(listener->path);
	if (listener->fd >= 0)
		close(listener->fd);
	if (listener->lock_fd >= 0)
		close(listener->lock_fd);
	free(listener->path);
	*listener = (struct listener){.fd = -1, .lock_fd = -1};
}
