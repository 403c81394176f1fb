/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/query.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <tally/metric.h>
#include "base/attr.h"
#include "base/fail.h"
#include "base/parse.h"

#define BAD_REQUEST 400

/* Longest text of a time: "2026-11-24T03:25:00.123456789+01:00" and some. */
#define TIME_MAX 64

/*
 * A '+' in a query is a space, and people forget to escape the one of a time zone: a space that
 * two digits and a colon follow at the end can only have been one.
 */
static void mend_zone(char *text, size_t length)
{
	if (length > 6 && text[length - 6] == ' ' && text[length - 3] == ':' &&
		memchr(text, ':', length - 6))
		text[length - 6] = '+';
}

static int read_time(
	const char *name, const char *text, int64_t now_ns, int64_t *ret, struct tally_error *err)
{
	char copy[TIME_MAX];
	size_t length = strlen(text);

	if (length >= sizeof(copy)) {
		tally_refuse(err, -EINVAL, "%s: that is no time", name);
		return BAD_REQUEST;
	}
	memcpy(copy, text, length + 1);
	mend_zone(copy, length);
	int r = parse_time(copy, now_ns, ret, err);
	if (r < 0)
		tally_prefix(err, r, "%s", name);
	return r < 0 ? BAD_REQUEST : 0;
}

/* "10s", "0", or "auto" */
static int read_step(const char *text, struct query *ret, struct tally_error *err)
{
	ret->auto_step = strcmp(text, "auto") == 0;
	if (ret->auto_step || strcmp(text, "0") == 0 || strcmp(text, "0s") == 0)
		return 0;
	int r = parse_duration(text, &ret->step_ns, err);
	if (r < 0)
		tally_prefix(err, r, "step");
	return r < 0 ? BAD_REQUEST : 0;
}

static int read_flag(const char *name, const char *text, bool *ret, struct tally_error *err)
{
	bool yes = strcmp(text, "1") == 0 || strcmp(text, "true") == 0;

	if (!yes && strcmp(text, "0") != 0 && strcmp(text, "false") != 0) {
		tally_refuse(err, -EINVAL, "%s is 0 or 1, not '%.40s'", name, text);
		return BAD_REQUEST;
	}
	*ret = yes;
	return 0;
}

static uint64_t find_key(const char *key)
{
	int metric = tally_metric_find(key);

	if (metric >= 0)
		return TALLY_BIT(metric);
	if (strcmp(key, "cpu_seconds") == 0)
		return QUERY_CPU_SECONDS;
	return strcmp(key, "cpu_rate") == 0 ? QUERY_CPU_RATE : 0;
}

/* "rss_bytes,cpu_rate" */
static int read_metrics(const char *text, uint64_t *ret, struct tally_error *err)
{
	while (*text) {
		char key[64];
		size_t length = strcspn(text, ",");

		snprintf(key, sizeof(key), "%.*s", (int)(length < 63 ? length : 63), text);
		uint64_t bit = find_key(key);
		if (!bit) {
			tally_refuse(err, -EINVAL,
				"metrics: there is no '%s'; the keys are those of a task in /api/v1/tasks",
				key);
			return BAD_REQUEST;
		}
		*ret |= bit;
		text += length;
		text += *text == ',';
	}
	return 0;
}

int query_parse(
	const struct request *request, int64_t now_ns, struct query *ret, struct tally_error *err)
{
	const char *const *p = request->params;
	int status = 0;

	*ret = (struct query){
		.since_ns = INT64_MIN,
		.until_ns = INT64_MAX,
		.process = p[PARAM_PROCESS],
		.has_at = p[PARAM_AT],
	};
	if (p[PARAM_AT])
		status = read_time("at", p[PARAM_AT], now_ns, &ret->at_ns, err);
	if (!status && p[PARAM_SINCE])
		status = read_time("since", p[PARAM_SINCE], now_ns, &ret->since_ns, err);
	if (!status && p[PARAM_UNTIL])
		status = read_time("until", p[PARAM_UNTIL], now_ns, &ret->until_ns, err);
	if (!status && p[PARAM_STEP])
		status = read_step(p[PARAM_STEP], ret, err);
	if (!status && p[PARAM_METRICS])
		status = read_metrics(p[PARAM_METRICS], &ret->metrics, err);
	if (!status && p[PARAM_RATE])
		status = read_flag("rate", p[PARAM_RATE], &ret->rate, err);
	if (!status && p[PARAM_PIDS])
		status = read_flag("pids", p[PARAM_PIDS], &ret->pids, err);
	if (!status && ret->since_ns > ret->until_ns) {
		tally_refuse(err, -EINVAL, "since lies after until: there is no such time");
		status = BAD_REQUEST;
	}
	return status;
}
