/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/answer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/fail.h"
#include "serve/asset.h"
#include "serve/call.h"

/* What is asked for by a name, and nothing but what this program sends may be done by the page. */
static const char *const security_headers[][2] = {
	{"Content-Security-Policy",
		"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
		"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
	{"X-Content-Type-Options", "nosniff"},
	{"X-Frame-Options", "DENY"},
	{"Referrer-Policy", "no-referrer"},
	{"Cross-Origin-Resource-Policy", "same-origin"},
	{"Cross-Origin-Opener-Policy", "same-origin"},
};

typedef int make_fn(struct call *call, struct tally_error *err);

static make_fn *const makers[ROUTE_COUNT] = {
	[ROUTE_ASSET] = call_asset,
	[ROUTE_TASKS] = call_tasks,
	[ROUTE_TASK] = call_task,
	[ROUTE_HISTORY] = call_history,
	[ROUTE_DISK] = call_disk,
	[ROUTE_DELETED] = call_deleted,
	[ROUTE_STATUS] = call_status,
	[ROUTE_METRICS] = call_metrics,
	[ROUTE_HEALTH] = call_health,
	[ROUTE_THERMOS_IDS] = call_thermos_ids,
	[ROUTE_THERMOS_COUNT] = call_thermos_count,
	[ROUTE_THERMOS_TASK] = call_thermos_task,
	[ROUTE_THERMOS_PROCESS] = call_thermos_process,
	[ROUTE_THERMOS_PROCESSES] = call_thermos_processes,
};

static struct body_account account_of(struct server *server)
{
	return (struct body_account){&server->status.pending_bytes, server->options.pending_limit};
}

const char *call_header(const struct call *call, const char *name)
{
	return MHD_lookup_connection_value(call->mhd, MHD_HEADER_KIND, name);
}

static void add_security(struct MHD_Response *response)
{
	for (size_t i = 0; i < ARRAY_SIZE(security_headers); i++)
		MHD_add_response_header(response, security_headers[i][0], security_headers[i][1]);
}

struct MHD_Response *call_response(
	struct server *server, char *bytes, size_t length, const struct headers *headers)
{
	struct body_account account = account_of(server);
	struct MHD_Response *response = body_response(&account, bytes, length);

	if (!response)
		return NULL;
	MHD_add_response_header(response, "Content-Type", headers->type);
	MHD_add_response_header(response, "Cache-Control", headers->cache);
	if (headers->etag)
		MHD_add_response_header(response, "ETag", headers->etag);
	if (headers->encoding != ENCODING_IDENTITY)
		MHD_add_response_header(
			response, "Content-Encoding", encoding_name(headers->encoding));
	MHD_add_response_header(response, "Vary", headers->vary);
	add_security(response);
	return response;
}

/* ---- sending ---- */

static enum MHD_Result queue(struct call *call, unsigned status, struct MHD_Response *response)
{
	if (!response)
		return MHD_NO;
	call->server->status.errors += status >= 400;
	return MHD_queue_response(call->mhd, status, response);
}

/* For an error that has no memory to be told in the connection is closed. */
enum MHD_Result answer_error(struct connection *connection, struct MHD_Connection *mhd,
	unsigned status, const char *message)
{
	struct call call = {.server = connection->server, .connection = connection, .mhd = mhd};
	struct headers headers = {
		.type = "application/json", .cache = "no-store", .vary = "Accept-Encoding"};
	struct buffer body = {0};
	size_t length = 0;

	buffer_printf(&body, "{\"status\":%u,\"error\":", status);
	buffer_put_json(&body, message);
	buffer_puts(&body, "}\n");

	char *bytes = buffer_take(&body, &length);
	struct MHD_Response *response =
		bytes ? call_response(call.server, bytes, length, &headers) : NULL;
	if (response && status == MHD_HTTP_UNAUTHORIZED)
		MHD_add_response_header(
			response, "WWW-Authenticate", "Basic realm=\"tally\", charset=\"UTF-8\"");
	if (response && status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, "Allow", "GET, HEAD");
	if (response && status == MHD_HTTP_SERVICE_UNAVAILABLE)
		MHD_add_response_header(response, "Retry-After", "1");
	enum MHD_Result result = queue(&call, status, response);
	if (response)
		MHD_destroy_response(response);
	buffer_done(&body);
	return result;
}

/* The client has what we would send. */
static enum MHD_Result send_not_modified(struct call *call, const char *etag)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "ETag", etag);
	MHD_add_response_header(response, "Cache-Control", "private, no-cache");
	enum MHD_Result result = queue(call, MHD_HTTP_NOT_MODIFIED, response);
	MHD_destroy_response(response);
	return result;
}

static bool has_already(const struct call *call, const char *etag)
{
	const char *known = etag ? call_header(call, "If-None-Match") : NULL;

	return known && strstr(known, etag);
}

/* A body made for this client alone. */
static enum MHD_Result send_body(struct call *call, unsigned status)
{
	enum encoding encoding = accept_encoding(call_header(call, "Accept-Encoding"));
	size_t length = 0, packed_length;
	char *bytes = buffer_take(&call->body, &length);

	if (!bytes)
		return answer_error(call->connection, call->mhd, MHD_HTTP_SERVICE_UNAVAILABLE,
			call->body.code == -EFBIG ? "the answer would be too large; ask for less"
						  : "there is no memory for the answer");
	char *packed = compress_body(encoding, bytes, length, &packed_length);
	call->headers.encoding = packed ? encoding : ENCODING_IDENTITY;
	if (packed) {
		free(bytes);
		bytes = packed;
		length = packed_length;
	}
	struct MHD_Response *response = call_response(call->server, bytes, length, &call->headers);
	if (!response) {
		call->server->status.overloaded++;
		return answer_error(call->connection, call->mhd, MHD_HTTP_SERVICE_UNAVAILABLE,
			"too many answers wait for slow readers; ask again");
	}
	enum MHD_Result result = queue(call, status, response);
	MHD_destroy_response(response);
	return result;
}

/* A body that all clients are given: in the coding of this one, made once. */
static struct MHD_Response *cached_response(
	struct call *call, struct cached *cached, enum encoding encoding)
{
	struct headers headers = call->headers;
	size_t length;

	if (cached->responses[encoding] || encoding == ENCODING_IDENTITY)
		return cached->responses[encoding];
	char *packed = compress_body(encoding, cached->text, cached->length, &length);
	if (!packed)
		return cached->responses[ENCODING_IDENTITY];
	headers.encoding = encoding;
	headers.etag = cached->etag;
	cached->responses[encoding] = call_response(call->server, packed, length, &headers);
	return cached->responses[encoding] ? cached->responses[encoding]
					   : cached->responses[ENCODING_IDENTITY];
}

static enum MHD_Result send_cached(struct call *call)
{
	enum encoding encoding = accept_encoding(call_header(call, "Accept-Encoding"));

	return queue(call, MHD_HTTP_OK, cached_response(call, call->cached, encoding));
}

static enum MHD_Result make_and_send(struct call *call)
{
	make_fn *make = makers[call->request->route];
	struct tally_error err = {0};
	int status = make ? make(call, &err) : MHD_HTTP_NOT_FOUND;

	if (status >= 400 && !call->body.used)
		return answer_error(call->connection, call->mhd, (unsigned)status,
			err.message[0] ? err.message : "there is nothing at this address");
	const char *etag = call->cached ? call->cached->etag : call->headers.etag;
	if (has_already(call, etag))
		return send_not_modified(call, etag);
	return call->cached ? send_cached(call) : send_body(call, (unsigned)status);
}

/* ---- who may ask ---- */

/* @return 0, or the status of the refusal. */
static unsigned check_guard(struct call *call, const char **ret_why)
{
	const struct server *server = call->server;
	const struct listener *listener = call->connection->listener;

	if (!listener->tcp)
		return 0;
	if (listener->loopback && !host_is_ours(call_header(call, "Host"), server->options.hosts)) {
		*ret_why = "this host name is not ours: ask for 127.0.0.1 or localhost, or name it "
			   "with --host";
		return MHD_HTTP_FORBIDDEN;
	}
	if (server->secrets.count == 0)
		return 0;
	if (secrets_open(&server->secrets, call_header(call, "Authorization"))) {
		call->sees = SEES_ALL;
		return 0;
	}
	*ret_why = "this needs the token: Authorization: Bearer TOKEN";
	return MHD_HTTP_UNAUTHORIZED;
}

enum MHD_Result answer_request(struct connection *connection, struct MHD_Connection *mhd,
	const struct request *request, int status, const struct tally_error *refusal)
{
	struct call call = {
		.server = connection->server,
		.connection = connection,
		.mhd = mhd,
		.request = request,
		.sees = SEES_SOME,
		.now_ns = clock_wall_ns(),
		.body = {.limit = connection->server->options.pending_limit},
		.headers = {.type = "application/json",
			.cache = "no-store",
			.vary = "Accept-Encoding"},
	};
	const char *why = NULL;
	unsigned denied = check_guard(&call, &why);

	call.server->status.requests++;
	if (denied) {
		call.server->status.denied++;
		return answer_error(connection, mhd, denied, why);
	}
	if (status)
		return answer_error(connection, mhd, (unsigned)status, refusal->message);
	if (call.sees != SEES_ALL && connection_sees_all(connection))
		call.sees = SEES_ALL;

	enum MHD_Result result = make_and_send(&call);
	buffer_done(&call.body);
	return result;
}

/* ---- the cache ---- */

void cached_drop(struct cached *cached)
{
	for (int i = 0; i < ENCODING_COUNT; i++)
		if (cached->responses[i])
			MHD_destroy_response(cached->responses[i]);
	*cached = (struct cached){0};
}

bool cached_holds(const struct cached *cached, uint64_t tick, int64_t now_ns)
{
	return cached->tick && cached->tick == tick && now_ns - cached->made_ns < CACHE_NS;
}

int cached_fill(struct call *call, struct cached *cached, uint64_t tick, struct tally_error *err)
{
	struct headers headers = call->headers;
	size_t length = 0;

	cached_drop(cached);
	snprintf(cached->etag, sizeof(cached->etag), "W/\"%" PRIx64 "-%" PRIx64 "\"",
		(uint64_t)call->now_ns, tick);
	headers.etag = cached->etag;

	char *bytes = buffer_take(&call->body, &length);
	struct MHD_Response *response =
		bytes ? call_response(call->server, bytes, length, &headers) : NULL;
	if (!response) {
		call->server->status.overloaded++;
		tally_refuse(err, -ENOMEM, "there is no room for the answer; ask again");
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	}
	cached->tick = tick;
	cached->made_ns = clock_boot_ns();
	cached->text = bytes;
	cached->length = length;
	cached->responses[ENCODING_IDENTITY] = response;
	return MHD_HTTP_OK;
}

void answers_expire(struct server *server, int64_t now_ns)
{
	struct answers *answers = &server->answers;

	for (int i = 0; i < SEES_COUNT; i++) {
		if (now_ns - answers->tasks[i].made_ns >= CACHE_NS)
			cached_drop(&answers->tasks[i]);
		if (now_ns - answers->some[i].made_ns >= CACHE_NS)
			cached_drop(&answers->some[i]);
		for (int j = 0; j < METRICS_FORMATS; j++)
			if (now_ns - answers->metrics[i][j].made_ns >= CACHE_NS)
				cached_drop(&answers->metrics[i][j]);
	}
}

void answers_done(struct server *server)
{
	answers_expire(server, INT64_MAX);
	exposure_done(&server->answers.exposure);
}
