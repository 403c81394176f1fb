/* SPDX-License-Identifier: Apache-2.0 */
/* One request and its answer, between libmicrohttpd and us. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "serve/server.h"

struct exchange {
	bool begun; /* Its headers were looked at. */
	size_t length;
	char target[REQUEST_TARGET_MAX + 1];
	struct request request;
};

void *exchange_begin(void *context, const char *target, struct MHD_Connection *connection)
{
	struct exchange *exchange = malloc(sizeof(*exchange));

	if (!exchange)
		return NULL;
	exchange->begun = false;
	exchange->length = strnlen(target, sizeof(exchange->target));
	memcpy(exchange->target, target, exchange->length);
	return exchange;
}

/* Headers that can hide a second request in the first one, or mean two things to two readers. */
struct suspects {
	unsigned hosts, lengths, codings;
	bool body, malformed;
};

/* RFC 9110, 5.6.2: what a name may be made of. "Transfer-Encoding " is none of ours, but perhaps
 * somebody else's. */
static bool is_token(const char *name)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";

	for (const char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr(marks, *c))
			return false;
	return name[0] != '\0';
}

static enum MHD_Result suspect(
	void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct suspects *seen = context;

	seen->malformed |= !is_token(name);
	if (strcasecmp(name, "Host") == 0) {
		seen->hosts++;
	} else if (strcasecmp(name, "Content-Length") == 0) {
		seen->lengths++;
		seen->body |= !value || strcmp(value, "0") != 0;
	} else if (strcasecmp(name, "Transfer-Encoding") == 0) {
		seen->codings++;
	}
	return MHD_YES;
}

/* @return why a request is refused before anything else of it is looked at, or NULL. */
static const char *find_suspect(struct MHD_Connection *connection, const char *version)
{
	struct suspects seen = {0};

	MHD_get_connection_values(connection, MHD_HEADER_KIND, suspect, &seen);
	if (seen.malformed)
		return "the name of a header is malformed";
	if (seen.hosts > 1 || seen.lengths > 1)
		return "a header that may come once comes twice";
	if (seen.hosts == 0 && strcmp(version, MHD_HTTP_VERSION_1_0) != 0)
		return "HTTP/1.1 asks for a Host header";
	if (seen.body || seen.codings)
		return "Tally only answers: a request has no body";
	return NULL;
}

/*
 * Called twice for each request: when its headers are there, and when all of it is. An answer to
 * the first call closes the connection after it, which is what a request with a body deserves; an
 * answer to the second keeps it open.
 */
enum MHD_Result exchange_handle(void *context, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_size,
	void **exchange_place)
{
	struct exchange *exchange = *exchange_place;
	struct connection *c = connection_of(connection);
	struct tally_error err = {0};

	if (!exchange || !c)
		return MHD_NO;
	if (!exchange->begun) {
		const char *why = find_suspect(connection, version);

		exchange->begun = true;
		connection_begin(c);
		return why ? answer_error(c, connection, MHD_HTTP_BAD_REQUEST, why) : MHD_YES;
	}
	if (*upload_size)
		return MHD_NO;
	int status =
		request_parse(method, exchange->target, exchange->length, &exchange->request, &err);
	return answer_request(c, connection, &exchange->request, status, &err);
}

void exchange_end(void *context, struct MHD_Connection *connection, void **exchange,
	enum MHD_RequestTerminationCode code)
{
	struct connection *c = connection_of(connection);

	free(*exchange);
	*exchange = NULL;
	if (c)
		connection_end(c);
}
