/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/fail.h"
#include "base/parse.h"

/* An observer that does not answer for so long is none. */
#define PATIENCE_SECONDS 10

/* More than any answer an observer gives. */
#define ANSWER_MAX ((size_t)128 << 20)

static int connect_to(const char *path, struct tally_error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = PATIENCE_SECONDS};

	if (strlen(path) >= sizeof(address.sun_path))
		return tally_fail(err, -ENAMETOOLONG, "the socket %s", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return tally_fail(err, -errno, "cannot ask %s", path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return tally_fail(err, -errno, "no observer answers at %s", path);
	return take_fd(&fd);
}

static int send_all(int fd, const char *text, size_t length)
{
	while (length > 0) {
		ssize_t sent = send(fd, text, length, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return -errno;
		text += sent;
		length -= (size_t)sent;
	}
	return 0;
}

/* HTTP/1.0: the answer ends with the connection. */
static int receive_all(int fd, struct buffer *answer)
{
	char piece[65536];

	for (;;) {
		ssize_t length = recv(fd, piece, sizeof(piece), 0);

		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (length == 0)
			return answer->code;
		buffer_put(answer, piece, (size_t)length);
	}
}

/* "HTTP/1.1 200 OK", headers, an empty line, the body. */
static int take_apart(const struct buffer *answer, int *ret_status, struct cursor *ret_body)
{
	struct cursor c = cursor_of(answer->at, answer->used), line;
	uint64_t status;

	if (!cursor_line(&c, &line) || !cursor_literal(&line, "HTTP/1.") ||
		!cursor_skip_words(&line, 1) || !cursor_u64(&line, &status))
		return -EBADMSG;
	while (cursor_line(&c, &line))
		if (line.at == line.end || *line.at == '\r') {
			*ret_status = (int)status;
			*ret_body = c;
			return 0;
		}
	return -EBADMSG;
}

static int exchange(int fd, const char *socket, const char *target, struct buffer *answer,
	struct tally_error *err)
{
	CLEANUP_BUFFER struct buffer request = {0};

	buffer_puts(&request, "GET ");
	buffer_puts(&request, target);
	buffer_puts(&request, " HTTP/1.0\r\nHost: localhost\r\n\r\n");
	if (request.code)
		return tally_fail(err, request.code, "cannot ask %s", socket);
	int r = send_all(fd, request.at, request.used);
	if (r == 0)
		r = receive_all(fd, answer);
	return r < 0 ? tally_fail(err, r, "the observer at %s does not answer", socket) : 0;
}

static int refuse_answer(json_t *answer, struct tally_error *err)
{
	const char *why = json_string_value(json_object_get(answer, "error"));

	return tally_refuse(err, -EREMOTE, "%s", why ? why : "the observer refuses");
}

int client_ask(
	const char *socket, const char *target, struct client_answer *ret, struct tally_error *err)
{
	CLEANUP_CLOSE int fd = connect_to(socket, err);

	*ret = (struct client_answer){.whole = {.limit = ANSWER_MAX}};
	if (fd < 0)
		return fd;
	int r = exchange(fd, socket, target, &ret->whole, err);
	if (r == 0 && take_apart(&ret->whole, &ret->status, &ret->body) < 0)
		r = tally_refuse(err, -EBADMSG, "what answers at %s is no observer", socket);
	return r;
}

void client_answer_done(struct client_answer *answer)
{
	buffer_done(&answer->whole);
}

int client_get(const char *socket, const char *target, json_t **ret, int *ret_status,
	struct tally_error *err)
{
	struct client_answer answer;
	json_t *document = NULL;
	int r = client_ask(socket, target, &answer, err);

	if (r == 0) {
		*ret_status = answer.status;
		document = json_loadb(
			answer.body.at, (size_t)(answer.body.end - answer.body.at), 0, NULL);
	}
	client_answer_done(&answer);
	if (r < 0)
		return r;
	if (!document)
		return tally_refuse(err, -EBADMSG, "what answers at %s is no observer", socket);
	if (*ret_status >= 400) {
		r = refuse_answer(document, err);
		json_decref(document);
		return r;
	}
	*ret = document;
	return 0;
}

char *client_escape(const char *text)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	char *out = malloc(3 * strlen(text) + 1), *at = out;

	for (; out && *text; text++)
		if (strchr(plain, *text))
			*at++ = *text;
		else
			at += sprintf(at, "%%%02X", (unsigned char)*text);
	if (out)
		*at = '\0';
	return out;
}
