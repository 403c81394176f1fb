/* SPDX-License-Identifier: Apache-2.0 */
/* `tally status`: how the observer of this machine is. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/observe.h"
#include "serve/client.h"

struct status_options {
	const char *socket;
	bool json;
};

static const struct option_row options[] = {
	{"socket", 0, OPTION_FILE, "PATH", offsetof(struct status_options, socket),
		"socket of the observer (default: where `tally observe` has it)"},
	{"json", 'j', OPTION_FLAG, NULL, offsetof(struct status_options, json),
		"write JSON instead of text"},
	{.name = NULL},
};

static double number(const json_t *status, const char *group, const char *key)
{
	const json_t *from = group ? json_object_get(status, group) : status;

	return json_number_value(json_object_get(from, key));
}

static int64_t whole(const json_t *status, const char *group, const char *key)
{
	return (int64_t)number(status, group, key);
}

static int64_t nanoseconds(const json_t *status, const char *group, const char *key)
{
	return (int64_t)(number(status, group, key) * 1e9);
}

static void put(const char *what, const char *format, ...) PRINTF_LIKE(2, 3);

static void put(const char *what, const char *format, ...)
{
	char text[1024], shown[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	text_show(shown, sizeof(shown), text);
	printf("%-10s %s\n", what, shown);
}

static const char *word(const json_t *status, const char *key)
{
	const char *text = json_string_value(json_object_get(status, key));

	return text ? text : "?";
}

static void put_cost(const json_t *status)
{
	char cpu[FORMAT_SIZE], tick[FORMAT_SIZE], rss[FORMAT_SIZE];
	double age = number(status, NULL, "time") - number(status, NULL, "started");
	double used = number(status, "self", "cpu_seconds");

	put("cost", "%s per tick, %s in all (%.2f %% of a core), memory %s",
		format_duration(tick, nanoseconds(status, NULL, "tick_cpu_seconds")),
		format_duration(cpu, nanoseconds(status, "self", "cpu_seconds")),
		age > 0 ? 100 * used / age : 0.0,
		format_bytes(rss, whole(status, "self", "rss_bytes")));
}

static void put_limits(const json_t *status)
{
	char used[FORMAT_SIZE], limit[FORMAT_SIZE];

	put("history", "%s of %s, %lld samples made room early",
		format_bytes(used, whole(status, "history", "bytes")),
		format_bytes(limit, whole(status, "history", "bytes_limit")),
		(long long)whole(status, "history", "dropped"));
	put("http", "%lld requests, %lld of %lld connections, %lld turned away",
		(long long)whole(status, "http", "requests"),
		(long long)whole(status, "http", "connections"),
		(long long)whole(status, "http", "connections_limit"),
		(long long)(whole(status, "http", "refused") + whole(status, "http", "evicted")));
}

/* Nothing where nothing is pushed. */
static void put_remote(const json_t *status)
{
	char lag[FORMAT_SIZE];
	const json_t *remote = json_object_get(status, "remote_write");

	if (!json_is_integer(json_object_get(remote, "failing")))
		return;
	put("remote", "%s, %lld samples sent, %lld wait, the oldest for %s, %lld dropped",
		whole(status, "remote_write", "failing") ? "failing" : "well",
		(long long)whole(status, "remote_write", "samples_sent"),
		(long long)whole(status, "remote_write", "queue_samples"),
		format_duration(lag, nanoseconds(status, "remote_write", "lag_seconds")),
		(long long)(whole(status, "remote_write", "samples_refused") +
			    whole(status, "remote_write", "samples_overflowed")));
}

static void put_text(const json_t *status)
{
	char up[FORMAT_SIZE], interval[FORMAT_SIZE];
	int64_t age_ns = nanoseconds(status, NULL, "time") - nanoseconds(status, NULL, "started");
	bool stale = json_is_true(json_object_get(status, "stale"));

	put("observer", "%s, version %s, up %s", stale ? "late: no tick comes" : "well",
		word(status, "version"), format_duration(up, age_ns));
	put("collector", "%s (%s)", word(status, "collector"), word(status, "collector_reason"));
	put("ticks", "%lld, one every %s, %lld skipped", (long long)whole(status, NULL, "ticks"),
		format_duration(interval, nanoseconds(status, NULL, "interval_seconds")),
		(long long)whole(status, NULL, "ticks_skipped"));
	put("follows", "%lld tasks, %lld processes, %lld pids",
		(long long)whole(status, NULL, "tasks"),
		(long long)whole(status, NULL, "processes"),
		(long long)whole(status, NULL, "pids"));
	put_cost(status);
	put_limits(status);
	put_remote(status);
	put("faults", "%lld of sources and collector, %lld times a limit of the collector",
		(long long)whole(status, NULL, "faults"),
		(long long)whole(status, NULL, "collector_limited"));
}

static int show_status(const struct status_options *o, struct command_line *line)
{
	char path[108];
	struct tally_error err;
	json_t *status;
	int code;

	observe_default_socket(path, sizeof(path));
	if (o->socket)
		snprintf(path, sizeof(path), "%s", o->socket);
	if (client_get(path, "/api/v1/status", &status, &code, &err) < 0)
		return line_fail(line, "%s; start one with `tally observe`", err.message);

	int failed = 0;
	if (o->json)
		failed = json_write(status, stdout) < 0;
	else
		put_text(status);
	bool stale = json_is_true(json_object_get(status, "stale"));
	json_decref(status);
	return failed || stale ? EXIT_FAIL : 0;
}

static int run_status(int argc, char **argv)
{
	struct status_options o = {0};
	struct command_line line;
	int status = options_parse(&command_status, argc, argv, &o, &line);

	if (status == OPTIONS_GO)
		status = show_status(&o, &line);
	options_done(&command_status, &o);
	return status;
}

const struct command command_status = {
	.name = "status",
	.summary = "Tell how the observer of this machine is, and what it costs",
	.description =
		"Asks the observer over its unix socket. Fails when none answers, or when it has\n"
		"stopped sampling.",
	.options = options,
	.run = run_status,
};
