/* SPDX-License-Identifier: Apache-2.0 */
/* `tally show` of what an observer answers. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/observed.h"
#include "cli/show.h"
#include "cli/stored.h"

/* ---- samples ---- */

static int64_t value_of(const json_t *value, enum tally_metric metric)
{
	return tally_metrics[metric].unit == TALLY_UNIT_NS ? llround(json_number_value(value) * 1e9)
							   : (int64_t)json_number_value(value);
}

/* The reasons of what is absent come as their texts. */
static enum tally_reason reason_of(const json_t *missing, const char *key)
{
	const char *text = json_string_value(json_object_get(missing, key));

	for (int i = 0; text && i < TALLY_REASON_COUNT; i++)
		if (strcmp(text, tally_reason_text(i)) == 0)
			return (enum tally_reason)i;
	return TALLY_REASON_NOT_SAMPLED;
}

static void read_figures(const json_t *from, struct tally_reading *ret)
{
	const json_t *missing = json_object_get(from, "missing");
	const json_t *rate = json_object_get(from, "cpu_rate");

	*ret = (struct tally_reading){
		.has_cpu_rate = json_is_number(rate), .cpu_rate = json_number_value(rate)};
	tally_sample_clear(&ret->sample, TALLY_REASON_NOT_SAMPLED);
	for (int m = 0; m < TALLY_METRIC_COUNT; m++) {
		const json_t *value = json_object_get(from, tally_metrics[m].key);

		if (json_is_number(value)) /* A state is a word, and in no table. */
			tally_sample_set(&ret->sample, m, value_of(value, m));
		else
			tally_sample_unset(
				&ret->sample, m, reason_of(missing, tally_metrics[m].key));
	}
}

static const char *text_of(const json_t *from, const char *key)
{
	const char *text = json_string_value(json_object_get(from, key));

	return text ? text : "";
}

/* ---- tables ---- */

static void add_process(
	struct showing *showing, const char *task, const json_t *process, const char *only)
{
	const json_t *number = json_object_get(process, "pid");
	struct tally_reading reading;
	char name[512], pid[FORMAT_SIZE] = "";

	if (only && strcmp(only, text_of(process, "process")) != 0)
		return;
	snprintf(name, sizeof(name), only ? "%s/%s" : "%s%s", only ? task : "  ",
		text_of(process, "process"));
	if (json_is_integer(number))
		snprintf(pid, sizeof(pid), "%" JSON_INTEGER_FORMAT, json_integer_value(number));
	read_figures(process, &reading);
	showing_add(showing, name, text_of(process, "life"), pid, &reading, "");
}

static int show_table(const json_t *answer, const char *only)
{
	struct showing showing = {0};
	struct tally_reading reading;
	size_t i, j;
	const json_t *task, *process;

	showing_begin(&showing);
	json_array_foreach(json_object_get(answer, "tasks"), i, task)
	{
		if (!only) {
			read_figures(task, &reading);
			showing_add(&showing, text_of(task, "task"), text_of(task, "state"), "",
				&reading, text_of(task, "disk_method"));
		}
		json_array_foreach(json_object_get(task, "processes"), j, process)
			add_process(&showing, text_of(task, "task"), process, only);
	}
	return showing_print(&showing);
}

static void add_member(
	struct table *table, const char *task, const json_t *member, const char *only)
{
	static const char *const numbers[] = {"pid", "parent"};
	const json_t *cpu = json_object_get(member, "cpu_seconds");
	const json_t *rss = json_object_get(member, "rss_bytes");
	char text[512];

	if (only && strcmp(only, text_of(member, "process")) != 0)
		return;
	snprintf(text, sizeof(text), "%s/%s", task, text_of(member, "process"));
	table_add(table, text);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT,
			json_integer_value(json_object_get(member, numbers[i])));
		table_add(table, text);
	}
	table_add(table, text_of(member, "why"));
	table_add(table, json_is_number(cpu)
				 ? format_duration(text, llround(json_number_value(cpu) * 1e9))
				 : "-");
	table_add(table,
		json_is_number(rss) ? format_bytes(text, (int64_t)json_number_value(rss)) : "-");
	table_add(table, text_of(member, "comm"));
}

static int show_members(const json_t *answer, const char *only)
{
	struct table table;
	size_t i, j;
	const json_t *task, *member;

	pids_table_begin(&table);
	json_array_foreach(json_object_get(answer, "tasks"), i, task)
		json_array_foreach(json_object_get(task, "members"), j, member)
			add_member(&table, text_of(task, "task"), member, only);
	return table_print(&table, stdout, terminal_style(STDOUT_FILENO));
}

/* ---- asking ---- */

/* The list of all tasks has no pids: each is asked for its own. */
static int add_members(const char *socket, json_t *answer, struct tally_error *err)
{
	size_t i;
	json_t *task;

	json_array_foreach(json_object_get(answer, "tasks"), i, task)
	{
		CLEANUP_FREE char *id = strdup(text_of(task, "task"));
		const char *process;
		json_t *one = NULL;
		int r = id ? observed_get_task(socket, id, "?pids=1", false, &process, &one, err)
			   : tally_fail(err, -ENOMEM, "cannot list the pids");

		if (r == 0)
			json_object_set(task, "members",
				json_object_get(json_array_get(json_object_get(one, "tasks"), 0),
					"members"));
		json_decref(one);
		if (r < 0 && r != -EREMOTE) /* It may have gone meanwhile. */
			return r;
	}
	return 0;
}

/* Leave only one process, and the pids that are its own. */
static int keep_process(json_t *answer, const char *only, struct tally_error *err)
{
	static const char *const lists[] = {"processes", "members"};
	json_t *task = json_array_get(json_object_get(answer, "tasks"), 0);

	for (size_t l = 0; l < ARRAY_SIZE(lists); l++) {
		json_t *list = json_object_get(task, lists[l]);

		for (size_t i = json_array_size(list); i-- > 0;)
			if (strcmp(text_of(json_array_get(list, i), "process"), only) != 0)
				json_array_remove(list, i);
	}
	if (json_array_size(json_object_get(task, "processes")) > 0)
		return 0;
	return tally_refuse(
		err, -ENOENT, "task %s has no process '%.100s'", text_of(task, "task"), only);
}

static int ask(const struct show_question *q, json_t **ret, const char **ret_process,
	struct tally_error *err)
{
	char at[48] = "", tail[64], time[32];
	int status, r;

	if (q->has_at)
		snprintf(at, sizeof(at), "?at=%s", observed_time(time, q->at_ns));
	snprintf(tail, sizeof(tail), "%s", q->pids ? "?pids=1" : at);
	*ret_process = NULL;
	if (q->word) {
		r = observed_get_task(q->socket, q->word, tail, false, ret_process, ret, err);
	} else {
		CLEANUP_FREE char *target = observed_target("/api/v1/tasks%s", at);

		r = observed_get(q->socket, target, ret, &status, err);
		if (r == 0 && q->pids)
			r = add_members(q->socket, *ret, err);
	}
	if (r == 0 && *ret_process)
		r = keep_process(*ret, *ret_process, err);
	return r;
}

static int fail_empty(const struct show_question *q, struct tally_error *err)
{
	char at[32];

	if (q->has_at)
		return tally_refuse(err, -ENODATA,
			"nothing was sampled at %s, as far as the "
			"observer remembers; `tally status` tells since "
			"when it runs",
			stored_time(at, q->at_ns, false));
	return tally_refuse(
		err, -ENODATA, "the observer follows no task now; give it one with --source");
}

int show_observed(const struct show_question *question, struct tally_error *err)
{
	json_t *answer = NULL;
	const char *process;
	int r = ask(question, &answer, &process, err);

	if (r == 0 && !question->json && json_array_size(json_object_get(answer, "tasks")) == 0)
		r = fail_empty(question, err);
	if (r == 0) {
		r = question->json   ? json_write(answer, stdout)
		    : question->pids ? show_members(answer, process)
				     : show_table(answer, process);
		if (r < 0)
			tally_fail(err, r, "cannot show the tasks");
	}
	json_decref(answer);
	return r;
}
