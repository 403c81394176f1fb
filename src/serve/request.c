/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/attr.h"
#include "base/fail.h"

#define BAD_REQUEST 400
#define NOT_FOUND   404
#define BAD_METHOD  405
#define TOO_LONG    414

/* Parts of a path: as many as the longest route has, and one more that fits none. */
#define PARTS_MAX 8

#define PARAM(name) (1u << PARAM_##name)

/*
 * Patterns: a word stands for itself, '*' captures a part, '?' captures one that may be missing.
 * Strict routes refuse parameters they do not know: a mistyped one would be silently without
 * effect. Routes of other protocols, and the page whose state is in its query, take any.
 */
struct route_row {
	const char *name;
	const char *pattern[PARTS_MAX];
	unsigned params;
	bool strict;
};

/* clang-format off */
static const struct route_row routes[ROUTE_COUNT] = {
	[ROUTE_ASSET] = {"page", {NULL}, 0, false},
	[ROUTE_TASKS] = {"tasks", {"api", "v1", "tasks"}, PARAM(AT) | PARAM(METRICS), true},
	[ROUTE_TASK] = {"task", {"api", "v1", "tasks", "*"},
		PARAM(AT) | PARAM(PIDS) | PARAM(METRICS), true},
	[ROUTE_HISTORY] = {"history", {"api", "v1", "tasks", "*", "history"},
		PARAM(SINCE) | PARAM(UNTIL) | PARAM(STEP) | PARAM(PROCESS) | PARAM(METRICS) | PARAM(RATE),
		true},
	[ROUTE_DISK] = {"disk", {"api", "v1", "tasks", "*", "disk"}, PARAM(DEPTH), true},
	[ROUTE_DELETED] = {"deleted", {"api", "v1", "tasks", "*", "deleted"}, 0, true},
	[ROUTE_STATUS] = {"status", {"api", "v1", "status"}, 0, true},
	[ROUTE_METRICS] = {"metrics", {"metrics"}, 0, false},
	[ROUTE_HEALTH] = {"health", {"healthz"}, 0, false},
	[ROUTE_THERMOS_IDS] = {"thermos", {"j", "task_ids", "?", "?", "?"}, 0, false},
	[ROUTE_THERMOS_COUNT] = {"thermos", {"j", "task_id_count"}, 0, false},
	[ROUTE_THERMOS_TASK] = {"thermos", {"j", "task", "?"}, PARAM(TASK_ID), false},
	[ROUTE_THERMOS_PROCESS] = {"thermos", {"j", "process", "*", "?", "?"}, 0, false},
	[ROUTE_THERMOS_PROCESSES] = {"thermos", {"j", "processes"}, PARAM(TASK_IDS), false},
};
/* clang-format on */

static const char *const param_names[PARAM_COUNT] = {
	[PARAM_AT] = "at",
	[PARAM_SINCE] = "since",
	[PARAM_UNTIL] = "until",
	[PARAM_STEP] = "step",
	[PARAM_PROCESS] = "process",
	[PARAM_METRICS] = "metrics",
	[PARAM_RATE] = "rate",
	[PARAM_PIDS] = "pids",
	[PARAM_DEPTH] = "depth",
	[PARAM_TASK_ID] = "task_id",
	[PARAM_TASK_IDS] = "task_ids",
};

/* A text being taken apart, and where its decoded pieces go. */
struct parse {
	const char *at, *end;
	struct request *to;
	size_t used; /* Of to->text. */
	struct tally_error *err;
};

static int refuse(struct parse *parse, int status, const char *why)
{
	tally_refuse(parse->err, -EINVAL, "%s", why);
	return status;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode "%41" at the front. @return the byte, 0 (which no name can hold) when it is none. */
static char unescape(struct parse *parse)
{
	int high = parse->end - parse->at > 2 ? hex(parse->at[1]) : -1;
	int low = high >= 0 ? hex(parse->at[2]) : -1;

	if (low < 0)
		return '\0';
	parse->at += 3;
	return (char)(high << 4 | low);
}

/*
 * Decode up to one of the stop characters. The room is enough: nothing decoded is longer than what
 * it came from, and each piece has a separator before it whose place its NUL may take.
 *
 * @return 0 or an HTTP status.
 */
static int take_piece(struct parse *parse, const char *stops, bool plus, const char **ret)
{
	char *text = parse->to->text;

	*ret = text + parse->used;
	while (parse->at < parse->end && !strchr(stops, *parse->at)) {
		char c = *parse->at;

		if (c == '%') {
			c = unescape(parse);
			if (c == '\0')
				return refuse(parse, BAD_REQUEST,
					"a % in the address is not followed by two hexadecimal digits other than 00");
		} else {
			parse->at++;
			if (plus && c == '+')
				c = ' ';
		}
		text[parse->used++] = c;
	}
	text[parse->used++] = '\0';
	return 0;
}

/* Visible ASCII only: everything else has to come escaped. */
static bool all_visible(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f)
			return false;
	return true;
}

static int take_path(struct parse *parse, const char *parts[PARTS_MAX], size_t *ret_count)
{
	size_t count = 0;

	while (parse->at < parse->end && *parse->at == '/') {
		const char *part;

		parse->at++;
		int status = take_piece(parse, "/?", false, &part);
		if (status)
			return status;
		if (count < PARTS_MAX)
			parts[count++] = part;
		else
			return refuse(parse, NOT_FOUND, "there is nothing at this address");
	}
	*ret_count = count;
	return 0;
}

/* Whether parts fit a pattern; args are set where they do. */
static bool fits(const struct route_row *row, const char *const *parts, size_t count,
	const char *args[REQUEST_ARGS_MAX])
{
	const char *found[REQUEST_ARGS_MAX] = {NULL};
	size_t arg = 0, i = 0;

	for (; i < PARTS_MAX && row->pattern[i]; i++) {
		char kind = row->pattern[i][0];

		if (i >= count) {
			if (kind != '?')
				return false;
			continue;
		}
		if (kind != '*' && kind != '?') {
			if (strcmp(row->pattern[i], parts[i]) != 0)
				return false;
			continue;
		}
		if (parts[i][0] == '\0')
			return false;
		found[arg++] = parts[i];
	}
	if (i == 0 || count > i)
		return false;
	memcpy(args, found, sizeof(found));
	return true;
}

static enum route find_route(
	const char *const *parts, size_t count, const char *args[REQUEST_ARGS_MAX])
{
	for (int i = 0; i < ROUTE_COUNT; i++)
		if (fits(&routes[i], parts, count, args))
			return i;
	return ROUTE_ASSET;
}

static int find_param(const char *name)
{
	for (int i = 0; i < PARAM_COUNT; i++)
		if (strcmp(param_names[i], name) == 0)
			return i;
	return -1;
}

/* What a strict route does know, for an error that helps. */
static int refuse_param(struct parse *parse, const struct route_row *row, const char *name)
{
	char known[128] = "none";
	size_t used = 0;

	for (int i = 0; i < PARAM_COUNT; i++)
		if (row->params & 1u << i)
			used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s",
				used ? ", " : "", param_names[i]);
	tally_refuse(parse->err, -EINVAL, "this address takes no parameter '%.60s'; it takes: %s",
		name, known);
	return BAD_REQUEST;
}

static int take_param(struct parse *parse, const struct route_row *row)
{
	const char *name, *value = "";
	int status = take_piece(parse, "=&", true, &name);

	if (status == 0 && parse->at < parse->end && *parse->at == '=') {
		parse->at++;
		status = take_piece(parse, "&", true, &value);
	}
	if (status)
		return status;

	int param = find_param(name);
	if (param < 0 || !(row->params & 1u << param))
		return row->strict && name[0] ? refuse_param(parse, row, name) : 0;
	if (parse->to->params[param] && row->strict) {
		tally_refuse(parse->err, -EINVAL, "the parameter '%s' is given twice", name);
		return BAD_REQUEST;
	}
	parse->to->params[param] = value;
	return 0;
}

static int take_query(struct parse *parse, const struct route_row *row)
{
	int status = 0;

	while (status == 0 && parse->at < parse->end) {
		parse->at++; /* The '?' or the '&'. */
		status = take_param(parse, row);
	}
	return status;
}

/* The path as one string again, decoded: what assets are found by. */
static int take_whole_path(struct parse *parse)
{
	const char *path;
	int status = take_piece(parse, "?", false, &path);

	parse->to->path = path;
	return status;
}

static int parse_target(struct parse *parse)
{
	const char *parts[PARTS_MAX], *begin = parse->at;
	size_t count;
	int status = take_path(parse, parts, &count);

	if (status)
		return status;
	parse->to->route = find_route(parts, count, parse->to->args);
	if (parse->to->route == ROUTE_ASSET) {
		parse->at = begin;
		parse->used = 0;
		status = take_whole_path(parse);
	}
	return status ? status : take_query(parse, &routes[parse->to->route]);
}

int request_parse(const char *method, const char *target, size_t length, struct request *ret,
	struct tally_error *err)
{
	struct parse parse = {target, target + length, ret, 0, err};

	ret->head = strcmp(method, "HEAD") == 0;
	ret->path = "";
	memset(ret->args, 0, sizeof(ret->args));
	memset(ret->params, 0, sizeof(ret->params));
	if (!ret->head && strcmp(method, "GET") != 0)
		return refuse(&parse, BAD_METHOD,
			"Tally only reads and only answers; the methods are GET and HEAD");
	if (length > REQUEST_TARGET_MAX)
		return refuse(&parse, TOO_LONG, "the address is longer than 4096 bytes");
	if (length == 0 || target[0] != '/' || !all_visible(target, length) ||
		memchr(target, '#', length))
		return refuse(&parse, BAD_REQUEST,
			"the address must begin with a slash and have all but visible ASCII escaped as %XX");
	return parse_target(&parse);
}

const char *route_name(enum route route)
{
	return routes[route].name;
}
