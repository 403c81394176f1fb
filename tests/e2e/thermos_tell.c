/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells what a source of Thermos tasks knows: thermos_tell KIND DIR. For each line on standard input
 * it looks again, as a poll would, and writes one line of JSON; its log goes to standard error.
 */
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include "base/text.h"
#include "source/registry.h"
#include "source/thermos.h"

static void say(void *context, enum tally_log_level level, const char *line)
{
	if (level <= TALLY_LOG_WARN)
		fprintf(stderr, "%s\n", line);
}

static json_t *text(const char *bytes)
{
	char *utf8 = bytes ? text_utf8(bytes) : NULL;
	json_t *value = utf8 ? json_string(utf8) : json_null();

	free(utf8);
	return value;
}

static json_t *runs_of(const struct source_process *process)
{
	json_t *runs = json_array();

	for (size_t i = 0; i < process->run_count; i++) {
		const struct source_run *run = &process->runs[i];

		json_array_append_new(runs,
			json_pack("{s:s, s:s, s:i, s:f, s:f, s:i}", "state", run->state, "life",
				tally_life_name(run->life), "pid", (int)run->pid, "started",
				(double)run->started_wall_ns / 1e9, "ended",
				(double)run->ended_wall_ns / 1e9, "return_code", run->return_code));
	}
	return runs;
}

static json_t *processes_of(const struct source_task *task)
{
	json_t *processes = json_object();

	for (size_t i = 0; i < task->process_count; i++) {
		const struct source_process *process = &task->processes[i];

		json_object_set_new(processes, process->name,
			json_pack("{s:s, s:i, s:I, s:o}", "life", tally_life_name(process->life),
				"pid", (int)process->pid, "forgotten",
				(json_int_t)process->runs_forgotten, "runs", runs_of(process)));
	}
	return processes;
}

static json_t *ports_of(const struct source_task *task)
{
	json_t *ports = json_object();

	for (size_t i = 0; i < task->port_count; i++)
		json_object_set_new(ports, task->ports[i].name, json_integer(task->ports[i].port));
	return ports;
}

static void tell(void *context, const struct source_task *task)
{
	json_t *tasks = context;
	char *id = text_utf8(task->id);

	json_object_set_new(tasks, id,
		json_pack("{s:s, s:o, s:o, s:o, s:f, s:f, s:f, s:o, s:o}", "life",
			tally_life_name(task->life), "sandbox", text(task->sandbox), "user",
			text(task->user), "name", text(task->name), "started",
			(double)task->started_wall_ns / 1e9, "ended",
			(double)task->ended_wall_ns / 1e9, "entered",
			(double)task->state_wall_ns / 1e9, "ports", ports_of(task), "processes",
			processes_of(task)));
	free(id);
}

/* As often as it says that there is more to do. */
static void look(struct source *source)
{
	struct pollfd fd = {.fd = source_fd(source), .events = POLLIN};
	struct tally_error err;

	do
		source_refresh(source, &err);
	while (poll(&fd, 1, 0) == 1);
}

int main(int argc, char **argv)
{
	const struct log log = {.write = say};
	const struct thermos_options options = {.poll_ns = 1, .log = &log};
	const struct source_ops *kind;
	const char *unused;
	struct source *source;
	struct tally_error err;
	int c;

	if (argc != 3 || source_find(argv[1], &kind, &unused, &err) < 0 ||
		thermos_open(kind, argv[2], &options, &source, &err) < 0) {
		fprintf(stderr, "%s\n", argc == 3 ? err.message : "usage: thermos_tell KIND DIR");
		return 1;
	}
	while ((c = getchar()) != EOF) {
		if (c != '\n')
			continue;
		look(source);
		json_t *tasks = json_object();
		source_list(source, tell, tasks);
		json_dumpf(tasks, stdout, JSON_COMPACT);
		putchar('\n');
		fflush(stdout);
		json_decref(tasks);
	}
	source_close(source);
	return 0;
}
