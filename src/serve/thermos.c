/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON of Thermos' observer, below /j/: its clients go on working against the same port.
 *
 * Its rules, not ours: states are words of Thermos' own, what an id does not name is {}, and a task
 * that is over consumes 0 rather than nothing known. Any task is shown, whatever source it is of.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/attr.h"
#include "base/fail.h"
#include "base/parse.h"
#include "base/text.h"
#include "model/model.h"
#include "monitor/monitor.h"
#include "serve/call.h"
#include "serve/snapshot.h"
#include "source/definition.h"
#include "source/source.h"

/* Rows of a list unless another number is asked for, and at most. */
#define ROWS_DEFAULT 20
#define ROWS_MAX     10000

/* Ids of one question at most. */
#define IDS_MAX 1000

/* Words of enum TaskState and of ProcessState, by our lives. Thermos has no task that waits. */
static const struct {
	const char *task, *process, *group;
} words[] = {
	[TALLY_LIFE_WAITING] = {"ACTIVE", "WAITING", "waiting"},
	[TALLY_LIFE_ACTIVE] = {"ACTIVE", "RUNNING", "running"},
	[TALLY_LIFE_SUCCESS] = {"SUCCESS", "SUCCESS", "success"},
	[TALLY_LIFE_FAILED] = {"FAILED", "FAILED", "failed"},
	[TALLY_LIFE_KILLED] = {"KILLED", "KILLED", "killed"},
	[TALLY_LIFE_LOST] = {"LOST", "LOST", "waiting"},
	[TALLY_LIFE_CLEANING] = {"CLEANING", "RUNNING", "running"},
	[TALLY_LIFE_FINALIZING] = {"FINALIZING", "RUNNING", "running"},
};

static json_t *text_or_null(const char *text)
{
	CLEANUP_FREE char *utf8 = text ? text_utf8(text) : NULL;

	return utf8 ? json_string(utf8) : json_null();
}

/* Keys of an object are texts that others chose, too. */
static void set_named(json_t *object, const char *name, json_t *value)
{
	CLEANUP_FREE char *utf8 = text_utf8(name);

	if (utf8)
		json_object_set_new(object, utf8, value);
	else
		json_decref(value);
}

static json_t *seconds(int64_t ns)
{
	return json_real((double)ns / 1e9);
}

/* ---- figures ---- */

/* Keys of the observer's samples, of a process and of a task alike. */
static const struct {
	const char *key;
	enum tally_metric metric;
} keys[] = {
	{"user", TALLY_CPU_USER},
	{"system", TALLY_CPU_SYSTEM},
	{"ram", TALLY_RSS},
	{"rss", TALLY_RSS},
	{"vms", TALLY_VIRTUAL},
	{"nice", TALLY_NICE},
	{"status", TALLY_STATE},
	{"threads", TALLY_THREADS},
};

/* Words and niceness of what is over are null there, numbers are zero. */
static json_t *ended_value(enum tally_metric metric)
{
	return metric == TALLY_NICE || metric == TALLY_STATE ? json_null() : json_integer(0);
}

static void put_figures(json_t *object, const struct tally_reading *reading, bool over)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		bool known = tally_sample_has(&reading->sample, keys[i].metric);

		json_object_set_new(object, keys[i].key,
			!known && over ? ended_value(keys[i].metric)
				       : sample_json_value(&reading->sample, keys[i].metric));
	}
	if (over)
		json_object_set_new(object, "cpu", json_real(0));
	else
		json_object_set_new(object, "cpu",
			reading->has_cpu_rate ? json_real(reading->cpu_rate) : json_null());
}

static json_t *consumption(const struct snapshot_task *task)
{
	bool over = snapshot_life_ended(task->info.life);
	json_t *object = json_object();

	put_figures(object, &task->reading, over);
	json_object_set_new(object, "disk",
		over && !tally_sample_has(&task->reading.sample, TALLY_DISK)
			? json_integer(0)
			: sample_json_value(&task->reading.sample, TALLY_DISK));
	return object;
}

/* ---- a task ---- */

static json_t *ports_of(const struct source_task *told)
{
	json_t *ports = json_object();

	for (size_t i = 0; told && i < told->port_count; i++)
		set_named(ports, told->ports[i].name, json_integer(told->ports[i].port));
	return ports;
}

/* What both the row of a list and the whole of a task have. */
static json_t *task_head(const struct snapshot_task *task, const struct source_task *told)
{
	const struct tally_task_info *info = &task->info;
	int64_t entered_ns = told && told->state_wall_ns ? told->state_wall_ns
			     : info->ended_wall_ns	 ? info->ended_wall_ns
							 : info->started_wall_ns;
	json_t *head = json_object();

	json_object_set_new(head, "task_id", text_or_null(info->id));
	json_object_set_new(head, "name", text_or_null(told && told->name ? told->name : info->id));
	json_object_set_new(head, "launch_timestamp", seconds(info->started_wall_ns));
	json_object_set_new(head, "state", json_string(words[info->life].task));
	json_object_set_new(head, "state_timestamp", seconds(entered_ns));
	json_object_set_new(head, "ports", ports_of(told));
	return head;
}

static json_t *task_row(const struct snapshot_task *task, const struct source_task *told)
{
	json_t *row = task_head(task, told);

	json_object_set_new(row, "role", text_or_null(told ? told->user : NULL));
	json_object_update_new(row, consumption(task));
	return row;
}

static json_t *names_by_state(const struct snapshot *snapshot, const struct snapshot_task *task)
{
	static const char *const groups[] = {"waiting", "running", "success", "failed", "killed"};
	json_t *object = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		json_object_set_new(object, groups[i], json_array());
	for (size_t i = 0; i < task->count; i++) {
		const struct tally_process_info *info = &snapshot->processes[task->first + i].info;

		json_array_append_new(
			json_object_get(object, words[info->life].group), text_or_null(info->name));
	}
	return object;
}

/* Secrets are given on command lines: nobody is shown them unless the administrator says so. However
 * the definition is nested; it is as deep as Jansson reads, 2048. */
static void leave_out_commands(json_t *value)
{
	const char *key;
	json_t *member;
	size_t index;

	json_object_del(value, "cmdline");
	json_object_foreach(value, key, member) leave_out_commands(member);
	json_array_foreach(value, index, member) leave_out_commands(member);
}

/* Not for those who may not read what is the task's own. */
static json_t *definition_of(const struct call *call, const struct source_task *told)
{
	json_t *definition;

	if (call->sees != SEES_ALL || !told || !told->definition ||
		definition_read(told->definition, &definition, NULL) < 0)
		return json_object();
	if (!call->server->options.show_commands)
		leave_out_commands(definition);
	return definition;
}

static json_t *whole_task(const struct call *call, const struct snapshot *snapshot,
	const struct snapshot_task *task, const struct source_task *told)
{
	json_t *whole = task_head(task, told);

	json_object_set_new(whole, "user", text_or_null(told ? told->user : NULL));
	json_object_set_new(whole, "resource_consumption", consumption(task));
	json_object_set_new(whole, "processes", names_by_state(snapshot, task));
	json_object_set_new(whole, "task", definition_of(call, told));
	return whole;
}

/* ---- a process ---- */

static const struct source_process *told_process(const struct source_task *told, const char *name)
{
	for (size_t i = 0; told && i < told->process_count; i++)
		if (strcmp(told->processes[i].name, name) == 0)
			return &told->processes[i];
	return NULL;
}

/* One run of a process; of sources that keep no record, the last is the only one. */
struct run {
	int64_t number; /* Counted from 0 over all there were. */
	bool last;
	struct source_run of;
};

static bool find_run(const struct snapshot_process *process, const struct source_process *told,
	int64_t wanted, struct run *ret)
{
	const struct tally_process_info *info = &process->info;
	bool recorded = told && told->run_count > 0;
	int64_t forgotten = recorded ? (int64_t)told->runs_forgotten : 0;
	int64_t count = forgotten + (recorded ? (int64_t)told->run_count : 1);
	int64_t number = wanted < 0 ? wanted + count : wanted;

	if (number < forgotten || number >= count)
		return false;
	*ret = (struct run){.number = number, .last = number == count - 1};
	if (recorded)
		ret->of = told->runs[number - forgotten];
	else
		ret->of = (struct source_run){NULL, info->life, info->pid, info->started_wall_ns,
			info->ended_wall_ns, info->return_code};
	return true;
}

static json_t *one_process(
	const struct snapshot_process *process, const struct source_process *told, int64_t wanted)
{
	struct run run;
	json_t *object = json_object();

	if (!find_run(process, told, wanted, &run))
		return object;
	/* What ran when its task was lost does not run: we know better than its last record. */
	bool lost = run.last && process->info.life == TALLY_LIFE_LOST;
	const char *state = lost	   ? "LOST"
			    : run.of.state ? run.of.state
					   : words[run.of.life].process;

	json_object_set_new(object, "process_name", text_or_null(process->info.name));
	json_object_set_new(object, "process_run", json_integer(run.number));
	json_object_set_new(object, "state", json_string(state));
	if (run.of.started_wall_ns)
		json_object_set_new(object, "start_time", seconds(run.of.started_wall_ns));
	if (run.of.ended_wall_ns)
		json_object_set_new(object, "stop_time", seconds(run.of.ended_wall_ns));
	if (snapshot_life_ended(run.of.life) && run.of.life != TALLY_LIFE_LOST)
		json_object_set_new(object, "return_code", json_integer(run.of.return_code));
	if (run.last && strcmp(state, "RUNNING") == 0) {
		json_t *used = json_object();

		put_figures(used, &process->reading, false);
		json_object_set_new(object, "used", used);
	}
	return object;
}

static json_t *all_processes(const struct call *call, const struct snapshot *snapshot,
	const struct snapshot_task *task, const struct source_task *told)
{
	json_t *all = json_object();

	for (size_t i = 0; i < task->count; i++) {
		const struct snapshot_process *process = &snapshot->processes[task->first + i];

		set_named(all, process->info.name,
			one_process(process, told_process(told, process->info.name), -1));
	}
	return all;
}

/* ---- answers ---- */

static int write_to(const char *text, size_t length, void *buffer)
{
	buffer_put(buffer, text, length);
	return ((struct buffer *)buffer)->code ? -1 : 0;
}

static int answer(struct call *call, json_t *value, struct tally_error *err)
{
	int r = value ? json_dump_callback(value, write_to, &call->body,
				JSON_COMPACT | JSON_REAL_PRECISION(15))
		      : -1;

	json_decref(value);
	if (r < 0) {
		tally_refuse(err, -ENOMEM, "there is no memory for the answer");
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	}
	buffer_putc(&call->body, '\n');
	return MHD_HTTP_OK;
}

static struct tally_monitor *monitor_of(const struct call *call)
{
	return call->server->options.monitor;
}

/* All tasks, or one: of each what the one who asks may see. */
static int take(
	struct call *call, const char *id, struct snapshot *snapshot, struct tally_error *err)
{
	int r = snapshot_take(monitor_of(call), id, snapshot, err);

	if (r == 0 && call->sees != SEES_ALL)
		snapshot_mask(snapshot);
	return r;
}

/* What makes the answer for one task; the snapshot has that task alone. */
typedef json_t *task_fn(const struct call *call, const struct snapshot *snapshot,
	const struct snapshot_task *task, const struct source_task *told);

/* @return NULL when there is no such task. */
static json_t *ask_task(struct call *call, const char *id, task_fn *make)
{
	CLEANUP_SNAPSHOT struct snapshot snapshot = {0};

	if (take(call, id, &snapshot, NULL) < 0 || snapshot.task_count == 0)
		return NULL;
	CLEANUP_FREE struct source_task *told = monitor_told(monitor_of(call), id);
	/* What is made points into nothing of the snapshot, which cppcheck cannot see. */
	/* cppcheck-suppress returnDanglingLifetime */
	return make(call, &snapshot, &snapshot.tasks[0], told);
}

/* "A,B" taken apart: {A: …, B: …}. Ids that name nothing are {} where it is said so. */
static json_t *ask_tasks(struct call *call, const char *ids, task_fn *make, bool keep_unknown)
{
	CLEANUP_FREE char *copy = strdup(ids);
	json_t *all = json_object();
	char *rest = copy, *id;

	for (int i = 0; copy && i < IDS_MAX && (id = strsep(&rest, ",")); i++) {
		json_t *one = id[0] ? ask_task(call, id, make) : NULL;

		if (!one && keep_unknown && id[0])
			one = json_object();
		if (one)
			set_named(all, id, one);
	}
	return all;
}

int call_thermos_task(struct call *call, struct tally_error *err)
{
	const char *id = call->request->args[0];
	const char *ids = call->request->params[PARAM_TASK_ID];

	if (!id)
		return answer(call, ask_tasks(call, ids ? ids : "", whole_task, false), err);

	json_t *all = json_object(), *one = ask_task(call, id, whole_task);
	if (one)
		set_named(all, id, one);
	return answer(call, all, err);
}

int call_thermos_processes(struct call *call, struct tally_error *err)
{
	const char *ids = call->request->params[PARAM_TASK_IDS];

	return answer(call, ask_tasks(call, ids ? ids : "", all_processes, true), err);
}

static int read_number(const char *text, int64_t otherwise, int64_t *ret)
{
	struct cursor c = cursor_of(text ? text : "", text ? strlen(text) : 0);

	*ret = otherwise;
	return !text || (cursor_i64(&c, ret) && c.at == c.end) ? 0 : -EINVAL;
}

static json_t *ask_process(struct call *call, const char *id, const char *name, int64_t run)
{
	CLEANUP_SNAPSHOT struct snapshot snapshot = {0};

	if (take(call, id, &snapshot, NULL) < 0)
		return json_object();
	CLEANUP_FREE struct source_task *told = monitor_told(monitor_of(call), id);
	for (size_t i = 0; i < snapshot.process_count; i++)
		if (strcmp(snapshot.processes[i].info.name, name) == 0)
			return one_process(&snapshot.processes[i], told_process(told, name), run);
	return json_object();
}

int call_thermos_process(struct call *call, struct tally_error *err)
{
	const char *const *args = call->request->args;
	int64_t run;

	if (!args[1]) {
		json_t *all = ask_task(call, args[0], all_processes);

		return answer(call, all ? all : json_object(), err);
	}
	if (read_number(args[2], -1, &run) < 0) {
		tally_refuse(err, -EINVAL, "the run of a process is a number");
		return MHD_HTTP_BAD_REQUEST;
	}
	return answer(call, ask_process(call, args[0], args[1], run), err);
}

/* ---- lists ---- */

static bool is_of(const struct snapshot_task *task, const char *which)
{
	bool over = snapshot_life_ended(task->info.life);

	return strcmp(which, "all") == 0 || (strcmp(which, "finished") == 0) == over;
}

static bool is_list(const char *which)
{
	return strcmp(which, "all") == 0 || strcmp(which, "active") == 0 ||
	       strcmp(which, "finished") == 0;
}

/* When a task came to be where it is listed: begun, or ended. */
static int64_t listed_ns(const struct snapshot_task *task)
{
	return task->info.ended_wall_ns ? task->info.ended_wall_ns : task->info.started_wall_ns;
}

static int newest_first(const void *a, const void *b)
{
	const struct snapshot_task *const *first = a, *const *second = b;
	int64_t x = listed_ns(*first), y = listed_ns(*second);

	return x == y ? strcmp((*first)->info.id, (*second)->info.id) : (x < y) - (x > y);
}

/* Tasks of a kind, in order. @return malloc'd; NULL without memory. */
static const struct snapshot_task **sort_tasks(
	const struct snapshot *snapshot, const char *which, size_t *ret_count)
{
	const struct snapshot_task **list = calloc(snapshot->task_count + 1, sizeof(*list));
	size_t count = 0;

	for (size_t i = 0; list && i < snapshot->task_count; i++)
		if (is_of(&snapshot->tasks[i], which))
			list[count++] = &snapshot->tasks[i];
	if (count > 0)
		qsort(list, count, sizeof(*list), newest_first);
	*ret_count = count;
	return list;
}

/* A page of a list. */
struct page {
	const char *which;
	int64_t offset, number;
};

static json_t *write_page(
	struct call *call, const struct snapshot *snapshot, const struct page *page)
{
	size_t count;
	CLEANUP_FREE const struct snapshot_task **list = sort_tasks(snapshot, page->which, &count);
	json_t *rows = json_array();
	int64_t begin = page->offset < 0 ? page->offset + (int64_t)count : page->offset;

	if (begin < 0)
		begin = 0;
	for (int64_t i = begin; list && i < (int64_t)count && i - begin < page->number; i++) {
		CLEANUP_FREE struct source_task *told =
			monitor_told(monitor_of(call), list[i]->info.id);

		json_array_append_new(rows, task_row(list[i], told));
	}
	return json_pack("{s:o, s:s, s:I, s:I, s:I}", "tasks", rows, "type", page->which, "offset",
		(json_int_t)begin, "num", (json_int_t)page->number, "task_count",
		(json_int_t)count);
}

int call_thermos_ids(struct call *call, struct tally_error *err)
{
	const char *const *args = call->request->args;
	CLEANUP_SNAPSHOT struct snapshot snapshot = {0};
	struct page page = {.which = args[0] ? args[0] : "all"};

	if (read_number(args[1], 0, &page.offset) < 0 ||
		read_number(args[2], ROWS_DEFAULT, &page.number) < 0 || page.number < 0) {
		tally_refuse(err, -EINVAL, "write /j/task_ids/WHICH/OFFSET/NUM with two numbers");
		return MHD_HTTP_BAD_REQUEST;
	}
	if (!is_list(page.which))
		return answer(call, json_object(), err);
	page.number = page.number > ROWS_MAX ? ROWS_MAX : page.number;
	if (take(call, NULL, &snapshot, err) < 0)
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	return answer(call, write_page(call, &snapshot, &page), err);
}

static void count_task(
	void *context, const struct tally_task_info *info, const struct tally_reading *reading)
{
	int64_t *counts = context;

	counts[snapshot_life_ended(info->life)]++;
}

int call_thermos_count(struct call *call, struct tally_error *err)
{
	int64_t counts[2] = {0, 0};

	tally_monitor_tasks(monitor_of(call), count_task, counts);
	return answer(call,
		json_pack("{s:I, s:I, s:I}", "active", (json_int_t)counts[0], "finished",
			(json_int_t)counts[1], "all", (json_int_t)(counts[0] + counts[1])),
		err);
}
