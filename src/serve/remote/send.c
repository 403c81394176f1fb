/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/remote/send.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/text.h"
#include "serve/remote/load.h"

#define CONNECT_SECONDS 10L
#define REQUEST_SECONDS 30L

/* A receiver that says when to come again is believed this far. */
#define RETRY_AFTER_MAX_SECONDS 600

/* Of what a receiver says about a refusal this much is shown. */
#define SAID_MAX 160

struct sender {
	CURLM *multi;
	CURL *easy;
	struct curl_slist *headers;
	char *url;
	bool busy;
	char said[SAID_MAX + 1];
	size_t said_length;
	char failure[CURL_ERROR_SIZE];
};

static void free_url(CURLU **url)
{
	remote_api.curl_url_cleanup(*url);
}

static void free_part(char **part)
{
	remote_api.curl_free(*part);
}

int sender_check(const char *url, char **ret_shown, struct tally_error *err)
{
	int r = remote_load(err);

	if (r < 0)
		return r;
	CLEANUP(free_url) CURLU *parts = remote_api.curl_url();
	CLEANUP(free_part) char *scheme = NULL;
	CLEANUP(free_part) char *shown = NULL;
	if (!parts)
		return tally_fail(err, -ENOMEM, "cannot write to a URL");
	if (remote_api.curl_url_set(parts, CURLUPART_URL, url, 0) != CURLUE_OK ||
		remote_api.curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
		(strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
		return tally_refuse(err, -EINVAL,
			"it is no URL to write to; write one as http://127.0.0.1:9090/api/v1/write");
	remote_api.curl_url_set(parts, CURLUPART_USER, NULL, 0);
	remote_api.curl_url_set(parts, CURLUPART_PASSWORD, NULL, 0);
	remote_api.curl_url_set(parts, CURLUPART_QUERY, NULL, 0);
	if (remote_api.curl_url_get(parts, CURLUPART_URL, &shown, 0) != CURLUE_OK)
		return tally_fail(err, -ENOMEM, "cannot write to a URL");
	if (!ret_shown)
		return 0;
	*ret_shown = strdup(shown);
	return *ret_shown ? 0 : tally_fail(err, -ENOMEM, "cannot write to a URL");
}

/* Keeps the beginning of the answer: it says why a batch was refused. */
static size_t hear(char *bytes, size_t size, size_t count, void *context)
{
	struct sender *s = context;
	size_t length = size * count, room = SAID_MAX - s->said_length;

	if (room > length)
		room = length;
	memcpy(s->said + s->said_length, bytes, room);
	s->said_length += room;
	return length;
}

static int set_options(struct sender *s, const char *ca_path)
{
	CURLcode r = remote_api.curl_easy_setopt(s->easy, CURLOPT_URL, s->url);

#define SET(option, value)                                                                         \
	do {                                                                                       \
		if (r == CURLE_OK)                                                                 \
			r = remote_api.curl_easy_setopt(s->easy, option, value);                   \
	} while (0)
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_POST, 1L);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
	SET(CURLOPT_TIMEOUT, REQUEST_SECONDS);
	SET(CURLOPT_USERAGENT, "tally/" TALLY_VERSION);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_WRITEFUNCTION, hear);
	SET(CURLOPT_WRITEDATA, s);
	SET(CURLOPT_ERRORBUFFER, s->failure);
	if (ca_path)
		SET(CURLOPT_CAINFO, ca_path);
#undef SET
	return r == CURLE_OK ? 0 : -EINVAL;
}

int sender_open(const char *url, const char *ca_path, struct sender **ret, struct tally_error *err)
{
	struct sender *s = calloc(1, sizeof(*s));

	if (!s || remote_api.curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(s);
		return tally_fail(err, -ENOMEM, "cannot use libcurl");
	}
	s->url = strdup(url);
	s->multi = remote_api.curl_multi_init();
	s->easy = remote_api.curl_easy_init();
	int r = s->url && s->multi && s->easy ? set_options(s, ca_path) : -ENOMEM;
	if (r == 0)
		r = sender_set_token(s, NULL, err);
	if (r < 0) {
		sender_close(s);
		return tally_fail(err, r, "cannot use libcurl");
	}
	*ret = s;
	return 0;
}

static void end_request(struct sender *s)
{
	if (s->busy)
		remote_api.curl_multi_remove_handle(s->multi, s->easy);
	s->busy = false;
}

struct sender *sender_close(struct sender *s)
{
	if (!s)
		return NULL;
	end_request(s);
	remote_api.curl_easy_cleanup(s->easy);
	remote_api.curl_multi_cleanup(s->multi);
	remote_api.curl_slist_free_all(s->headers);
	free(s->url);
	free(s);
	return NULL;
}

static struct curl_slist *make_headers(const char *token)
{
	static const char *const fixed[] = {
		"Content-Type: application/x-protobuf",
		"Content-Encoding: snappy",
		"X-Prometheus-Remote-Write-Version: 0.1.0",
		"Expect:",
	};
	struct curl_slist *list = NULL;
	char line[1024];

	snprintf(line, sizeof(line), "Authorization: Bearer %s", token ? token : "");
	for (size_t i = 0; i < ARRAY_SIZE(fixed) + (token != NULL); i++) {
		struct curl_slist *longer =
			remote_api.curl_slist_append(list, i < ARRAY_SIZE(fixed) ? fixed[i] : line);

		if (!longer) {
			remote_api.curl_slist_free_all(list);
			list = NULL;
			break;
		}
		list = longer;
	}
	explicit_bzero(line, sizeof(line));
	return list;
}

int sender_set_token(struct sender *s, const char *token, struct tally_error *err)
{
	struct curl_slist *headers = make_headers(token);

	if (!headers ||
		remote_api.curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, headers) != CURLE_OK) {
		remote_api.curl_slist_free_all(headers);
		return tally_fail(err, -ENOMEM, "cannot keep the token of remote write");
	}
	remote_api.curl_slist_free_all(s->headers);
	s->headers = headers;
	return 0;
}

int sender_begin(struct sender *s, const void *bytes, size_t length, struct tally_error *err)
{
	s->said_length = 0;
	s->failure[0] = '\0';
	remote_api.curl_easy_setopt(s->easy, CURLOPT_POSTFIELDS, bytes);
	remote_api.curl_easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)length);
	if (remote_api.curl_multi_add_handle(s->multi, s->easy) != CURLM_OK)
		return tally_fail(err, -EIO, "cannot send by remote write");
	s->busy = true;
	return 0;
}

/* ---- how it ended ---- */

/* What says how long a failure took would be another fault each time. */
static bool says_more(CURLcode code)
{
	return code != CURLE_COULDNT_CONNECT && code != CURLE_OPERATION_TIMEDOUT;
}

static void describe_failure(struct sender *s, CURLcode code, struct send_outcome *ret)
{
	ret->result = SEND_LATER;
	text_show(ret->why, sizeof(ret->why),
		s->failure[0] && says_more(code) ? s->failure
						 : remote_api.curl_easy_strerror(code));
}

static enum send_result judge(int status)
{
	if (status >= 200 && status < 300)
		return SEND_TAKEN;
	return status == 429 || status >= 500 ? SEND_LATER : SEND_REFUSED;
}

static void describe_answer(struct sender *s, struct send_outcome *ret)
{
	curl_off_t seconds = 0;
	char said[SAID_MAX + 1];
	long status = 0;

	remote_api.curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
	remote_api.curl_easy_getinfo(s->easy, CURLINFO_RETRY_AFTER, &seconds);
	s->said[s->said_length] = '\0';
	s->said[strcspn(s->said, "\r\n")] = '\0';
	text_show(said, sizeof(said), s->said);
	ret->status = (int)status;
	ret->result = judge((int)status);
	if (seconds > RETRY_AFTER_MAX_SECONDS)
		seconds = RETRY_AFTER_MAX_SECONDS;
	ret->retry_after_ns = seconds > 0 ? seconds * NS_PER_S : 0;
	snprintf(ret->why, sizeof(ret->why), "HTTP status %ld%s%s", status, said[0] ? ": " : "",
		said);
}

bool sender_go_on(struct sender *s, struct send_outcome *ret)
{
	int running, left;

	*ret = (struct send_outcome){.result = SEND_UNDER_WAY};
	remote_api.curl_multi_perform(s->multi, &running);
	for (CURLMsg *message; (message = remote_api.curl_multi_info_read(s->multi, &left));) {
		if (message->msg != CURLMSG_DONE)
			continue;
		if (message->data.result == CURLE_OK)
			describe_answer(s, ret);
		else
			describe_failure(s, message->data.result, ret);
		end_request(s);
		return true;
	}
	return false;
}

void sender_wait(struct sender *s, int64_t timeout_ns)
{
	int64_t ms = (timeout_ns + NS_PER_MS - 1) / NS_PER_MS;
	int timeout = ms < 0 ? 0 : ms > 3600000 ? 3600000 : (int)ms;

	remote_api.curl_multi_poll(s->multi, NULL, 0, timeout, NULL);
}

void sender_wake(struct sender *s)
{
	remote_api.curl_multi_wakeup(s->multi);
}
