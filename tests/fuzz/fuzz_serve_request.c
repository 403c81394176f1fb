/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client sends: the first byte chooses a parser, the rest is its input. Whatever a request is
 * parsed to has to hold what the headers promise.
 */
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/clock.h"
#include "serve/accept.h"
#include "serve/guard.h"
#include "serve/listen.h"
#include "serve/query.h"
#include "serve/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct request request;

static void require(bool held)
{
	if (!held)
		abort();
}

/* A string of a request lies in its text and ends there. */
static void check_string(const char *text)
{
	const char *end = request.text + sizeof(request.text);

	require(!text ||
		(text >= request.text && text < end && memchr(text, '\0', (size_t)(end - text))) ||
		text[0] == '\0');
}

static void parse_request(const char *target, size_t size)
{
	struct tally_error err = {0};
	struct query query;
	int status = request_parse(size & 1 ? "GET" : "HEAD", target, size, &request, &err);

	require(status == 0 || status == 400 || status == 404 || status == 414);
	if (status) {
		require(err.message[0] != '\0');
		return;
	}
	require(request.route >= 0 && request.route < ROUTE_COUNT && route_name(request.route));
	check_string(request.path);
	for (size_t i = 0; i < ARRAY_SIZE(request.args); i++)
		check_string(request.args[i]);
	for (size_t i = 0; i < ARRAY_SIZE(request.params); i++)
		check_string(request.params[i]);
	status = query_parse(&request, 1700000000 * NS_PER_S, &query, &err);
	require(status == 0 || (status == 400 && err.message[0] != '\0'));
	if (status == 0)
		require(query.since_ns <= query.until_ns && query.step_ns >= 0);
}

static void parse_headers(const char *text)
{
	static char *lines[] = {(char *)"0123456789abcdef", (char *)"ann:open sesame 42"};
	static const struct secrets secrets = {lines, 2};
	static const char *const extra[] = {"tally.example", NULL};

	require(accept_weight(text, "gzip") <= 1000);
	require(accept_encoding(text) < ENCODING_COUNT);
	accept_openmetrics(text);
	host_is_ours(text, extra);
	secrets_open(&secrets, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tally_error err;

	if (size == 0)
		return 0;
	CLEANUP_FREE char *text = malloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0] % 3) {
	case 0:
		parse_request(text, size - 1);
		break;
	case 1:
		parse_headers(text);
		break;
	default:
		listen_is_local(text, &err);
	}
	return 0;
}
