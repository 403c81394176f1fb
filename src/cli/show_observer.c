/* SPDX-License-Identifier: Apache-2.0 */
/* `tally show` without a source: what the observer of this machine knows, over its unix socket. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/fail.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/observe.h"
#include "cli/show.h"
#include "serve/client.h"

static void free_json(json_t **json)
{
	json_decref(*json);
}

#define CLEANUP_JSON CLEANUP(free_json)

/* ---- asking ---- */

/* One task, and its pids if they are wanted. @ret_status as client_get(). */
static int ask_task(const char *socket, const char *task, bool pids, json_t **ret, int *ret_status,
	struct tally_error *err)
{
	CLEANUP_FREE char *escaped = client_escape(task);
	CLEANUP_FREE char *target = NULL;

	if (!escaped || asprintf(&target, "/api/v1/tasks/%s%s", escaped, pids ? "?pids=1" : "") < 0)
		return tally_fail(err, -ENOMEM, "cannot ask the observer");
	return client_get(socket, target, ret, ret_status, err);
}

/* The list has no pids: each task is asked for them. One that has gone meanwhile stays as it was. */
static void ask_pids(const char *socket, json_t *tasks)
{
	size_t index;
	json_t *task;

	json_array_foreach(tasks, index, task)
	{
		CLEANUP_JSON json_t *one = NULL;
		const char *id = json_string_value(json_object_get(task, "task"));
		int status;

		if (!id || ask_task(socket, id, true, &one, &status, NULL) < 0)
			continue;
		json_t *fresh = json_array_get(json_object_get(one, "tasks"), 0);
		if (fresh)
			json_array_set(tasks, index, fresh);
	}
}

static int ask_all(const char *socket, bool pids, json_t **ret, struct tally_error *err)
{
	int status, r = client_get(socket, "/api/v1/tasks", ret, &status, err);

	if (r == 0 && pids)
		ask_pids(socket, json_object_get(*ret, "tasks"));
	return r;
}

/* Leave the elements of an array whose "process" is another out. */
static void keep_process(json_t *array, const char *process)
{
	for (size_t i = json_array_size(array); i-- > 0;) {
		const char *name =
			json_string_value(json_object_get(json_array_get(array, i), "process"));

		if (!name || strcmp(name, process) != 0)
			json_array_remove(array, i);
	}
}

/* An id may hold a slash itself: the whole word is tried first, then "TASK/PROCESS". */
static int ask_wanted(const char *socket, char *word, bool pids, struct wanted *wanted,
	json_t **ret, struct tally_error *err)
{
	char *slash = strrchr(word, '/');
	int status = 0, r = ask_task(socket, word, pids, ret, &status, err);

	if (r != -EREMOTE || status != 404 || !slash)
		return r;
	*slash = '\0';
	wanted->process = slash + 1;
	r = ask_task(socket, word, pids, ret, &status, err);
	if (r < 0)
		return r;
	json_t *task = json_array_get(json_object_get(*ret, "tasks"), 0);
	keep_process(json_object_get(task, "processes"), wanted->process);
	keep_process(json_object_get(task, "members"), wanted->process);
	if (json_array_size(json_object_get(task, "processes")) == 0)
		return tally_refuse(
			err, -ENOENT, "task %.100s has no process '%.100s'", word, wanted->process);
	return 0;
}

/* ---- from JSON to a table ---- */

static enum tally_reason reason_of(const json_t *missing, const char *key)
{
	const char *sentence = json_string_value(json_object_get(missing, key));

	for (int i = 0; sentence && i < TALLY_REASON_COUNT; i++)
		if (strcmp(tally_reason_text(i), sentence) == 0)
			return i;
	return TALLY_REASON_NOT_SAMPLED;
}

/* What tables show of a sample: words are not among it. */
static struct tally_reading reading_of(const json_t *object)
{
	const json_t *rate = json_object_get(object, "cpu_rate");
	const json_t *missing = json_object_get(object, "missing");
	struct tally_reading reading = {
		.has_cpu_rate = json_is_number(rate), .cpu_rate = json_number_value(rate)};

	for (int i = 0; i < TALLY_METRIC_COUNT; i++) {
		const char *key = tally_metrics[i].key;
		const json_t *value = json_object_get(object, key);
		double scale = tally_metrics[i].unit == TALLY_UNIT_NS ? 1e9 : 1;

		if (json_is_number(value))
			tally_sample_set(
				&reading.sample, i, llround(json_number_value(value) * scale));
		else
			tally_sample_unset(&reading.sample, i, reason_of(missing, key));
	}
	return reading;
}

static const char *word_of(const json_t *object, const char *key)
{
	const char *word = json_string_value(json_object_get(object, key));

	return word ? word : "";
}

static void add_processes(struct showing *showing, const json_t *task)
{
	const json_t *processes = json_object_get(task, "processes"), *process;
	size_t index;

	json_array_foreach(processes, index, process)
	{
		struct tally_reading reading = reading_of(process);
		long long number = json_integer_value(json_object_get(process, "pid"));
		char name[512], pid[FORMAT_SIZE] = "";

		snprintf(name, sizeof(name), "%s%s%s",
			showing->wanted->process ? showing->task : "",
			showing->wanted->process ? "/" : "  ", word_of(process, "process"));
		if (number)
			snprintf(pid, sizeof(pid), "%lld", number);
		showing_add(showing, name, word_of(process, "life"), pid, &reading);
	}
}

static int print_tasks(const json_t *tasks, const struct wanted *wanted)
{
	struct showing showing = {.wanted = wanted};
	const json_t *task;
	size_t index;

	showing_begin(&showing);
	json_array_foreach(tasks, index, task)
	{
		struct tally_reading reading = reading_of(task);

		snprintf(showing.task, sizeof(showing.task), "%s", word_of(task, "task"));
		if (!wanted->process)
			showing_add(&showing, showing.task, word_of(task, "state"), "", &reading);
		add_processes(&showing, task);
	}
	return showing_print(&showing);
}

static int print_pids(const json_t *tasks)
{
	struct member_table pids;
	const json_t *task, *member;
	size_t index, at;

	member_table_begin(&pids);
	json_array_foreach(tasks, index, task)
	{
		const json_t *members = json_object_get(task, "members");

		json_array_foreach(members, at, member)
		{
			const json_t *cpu = json_object_get(member, "cpu_seconds");
			const json_t *rss = json_object_get(member, "rss_bytes");
			const struct tally_pid_info info = {
				.process = word_of(member, "process"),
				.pid = (pid_t)json_integer_value(json_object_get(member, "pid")),
				.parent = (pid_t)json_integer_value(
					json_object_get(member, "parent")),
				.comm = word_of(member, "comm"),
				.why = word_of(member, "why"),
				.cpu_ns = json_is_number(cpu)
						  ? llround(json_number_value(cpu) * 1e9)
						  : -1,
				.rss_bytes = json_is_integer(rss) ? json_integer_value(rss) : -1,
			};

			member_table_add(&pids, word_of(task, "task"), &info);
		}
	}
	return member_table_print(&pids);
}

int show_observed(struct command_line *line, const char *socket, bool pids, bool json)
{
	CLEANUP_JSON json_t *answer = NULL;
	struct wanted wanted = {0};
	char path[108];
	struct tally_error err;

	observe_default_socket(path, sizeof(path));
	if (socket)
		snprintf(path, sizeof(path), "%s", socket);
	int r = line->argument_count > 0
			? ask_wanted(path, line->arguments[0], pids, &wanted, &answer, &err)
			: ask_all(path, pids, &answer, &err);
	if (r < 0 && r != -EREMOTE && !answer && !socket)
		return line_refuse(line, 0,
			"%s; name what to look at with --source pid:NAME=PID, or an instant of the "
			"past with --at TIME",
			err.message);
	if (r < 0)
		return line_fail(line, "%s", err.message);

	const json_t *tasks = json_object_get(answer, "tasks");
	if (json)
		r = json_write(answer, stdout);
	else
		r = pids ? print_pids(tasks) : print_tasks(tasks, &wanted);
	return r < 0 ? line_fail(line, "cannot show the tasks") : 0;
}
