/* SPDX-License-Identifier: Apache-2.0 */
#include "source/thermos_state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/fail.h"
#include "base/text.h"

/* A state of a process: what it may follow, as a set, and what it means for everybody else. */
static const struct transition {
	const char *name;
	uint8_t follows; /* In the same run; 0: it opens a run. */
	enum tally_life life;
} transitions[THERMOS_PROCESS_STATES] = {
#define AFTER(state) (1 << THERMOS_##state)
	[THERMOS_WAITING] = {"WAITING", 0, TALLY_LIFE_WAITING},
	[THERMOS_FORKED] = {"FORKED", AFTER(WAITING), TALLY_LIFE_WAITING},
	[THERMOS_RUNNING] = {"RUNNING", AFTER(FORKED), TALLY_LIFE_ACTIVE},
	[THERMOS_SUCCESS] = {"SUCCESS", AFTER(RUNNING), TALLY_LIFE_SUCCESS},
	[THERMOS_KILLED] = {"KILLED", AFTER(FORKED) | AFTER(RUNNING), TALLY_LIFE_KILLED},
	[THERMOS_FAILED] = {"FAILED", AFTER(WAITING) | AFTER(RUNNING), TALLY_LIFE_FAILED},
	[THERMOS_LOST] = {"LOST", AFTER(FORKED) | AFTER(RUNNING), TALLY_LIFE_LOST},
#undef AFTER
};

static const enum tally_life task_lives[THERMOS_TASK_STATES] = {
	[THERMOS_TASK_ACTIVE] = TALLY_LIFE_ACTIVE,
	[THERMOS_TASK_SUCCESS] = TALLY_LIFE_SUCCESS,
	[THERMOS_TASK_FAILED] = TALLY_LIFE_FAILED,
	[THERMOS_TASK_KILLED] = TALLY_LIFE_KILLED,
	[THERMOS_TASK_LOST] = TALLY_LIFE_LOST,
	[THERMOS_TASK_CLEANING] = TALLY_LIFE_CLEANING,
	[THERMOS_TASK_FINALIZING] = TALLY_LIFE_FINALIZING,
};

const char *thermos_process_state_name(enum thermos_process_state state)
{
	return transitions[state].name;
}

enum tally_life thermos_process_life(enum thermos_process_state state)
{
	return transitions[state].life;
}

enum tally_life thermos_task_life(enum thermos_task_state state)
{
	return task_lives[state];
}

static void runs_free(struct thermos_runs *process)
{
	free(process->name);
	free(process->runs);
	free(process);
}

void thermos_state_clear(struct thermos_state *state)
{
	struct thermos_runs *process, *next;

	HASH_ITER (hh, state->processes, process, next) {
		HASH_DEL(state->processes, process);
		runs_free(process);
	}
	free(state->task_id);
	free(state->sandbox);
	free(state->user);
	free(state->ports);
	*state = (struct thermos_state){0};
}

static int no_memory(struct tally_error *err)
{
	return tally_fail(err, -ENOMEM, "cannot keep a record");
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct source_port *)a)->name, ((const struct source_port *)b)->name);
}

/* One block: the array, then the names. */
static int copy_ports(
	const struct thermos_header *header, struct source_port **ret, struct tally_error *err)
{
	size_t bytes = 0;

	for (size_t i = 0; i < header->port_count; i++)
		bytes += strlen(header->ports[i].name) + 1;
	if (bytes > THERMOS_PORTS_BYTES_MAX)
		return tally_refuse(err, -E2BIG, "its ports have %zu bytes of names, more than %d",
			bytes, THERMOS_PORTS_BYTES_MAX);

	struct source_port *ports = malloc(header->port_count * sizeof(*ports) + bytes + 1);
	if (!ports)
		return no_memory(err);
	char *name = (char *)(ports + header->port_count);
	for (size_t i = 0; i < header->port_count; i++) {
		ports[i] = (struct source_port){name, header->ports[i].port};
		name = stpcpy(name, header->ports[i].name) + 1;
	}
	qsort(ports, header->port_count, sizeof(*ports), by_name);
	*ret = ports;
	return 0;
}

static int copy_text(const char *text, const char *what, char **ret, struct tally_error *err)
{
	if (!text)
		return 0;
	if (strlen(text) > THERMOS_TEXT_MAX)
		return tally_refuse(err, -E2BIG, "its %s has %zu bytes, more than %d", what,
			strlen(text), THERMOS_TEXT_MAX);
	*ret = strdup(text);
	return *ret ? 0 : no_memory(err);
}

static int apply_header(
	struct thermos_state *state, const struct thermos_header *header, struct tally_error *err)
{
	if (state->has_header)
		return tally_refuse(err, -EBADMSG, "a second header");

	int r = copy_text(header->task_id, "task id", &state->task_id, err);
	if (r == 0)
		r = copy_text(header->sandbox, "sandbox", &state->sandbox, err);
	if (r == 0)
		r = copy_text(header->user, "user", &state->user, err);
	if (r == 0)
		r = copy_ports(header, &state->ports, err);
	if (r < 0) {
		thermos_state_clear(state);
		return r;
	}
	state->has_header = true;
	state->has_uid = header->has_uid;
	state->uid = header->uid;
	state->launch_ns = header->launch_ns;
	state->port_count = header->port_count;
	return 0;
}

static int check_process(const struct thermos_process *record, struct tally_error *err)
{
	if (!record->name || !*record->name)
		return tally_refuse(err, -EBADMSG, "a process without a name");
	if (strlen(record->name) > THERMOS_NAME_MAX)
		return tally_refuse(err, -E2BIG, "a process whose name has %zu bytes, more than %d",
			strlen(record->name), THERMOS_NAME_MAX);
	if (record->state < 0 || record->state >= THERMOS_PROCESS_STATES)
		return tally_refuse(err, -EBADMSG, "there is no process state %d", record->state);
	if (!record->has_seq)
		return tally_refuse(err, -EBADMSG, "a process without a sequence number");
	if (record->state == THERMOS_RUNNING && record->pid <= 0)
		return tally_refuse(err, -EBADMSG, "a process that runs without a pid");
	return 0;
}

static bool may_follow(const struct thermos_runs *process, int state)
{
	unsigned follows = transitions[state].follows;

	if (!process)
		return !follows;
	if (!follows)
		return thermos_last_run(process)->state > THERMOS_RUNNING;
	return follows & (1U << thermos_last_run(process)->state);
}

static int check_order(const struct thermos_runs *process, const struct thermos_process *record,
	struct tally_error *err)
{
	char name[128];
	int64_t next;

	text_show(name, sizeof(name), record->name);
	if (process && (__builtin_add_overflow(process->seq, 1, &next) || record->seq != next))
		return tally_refuse(err, -EBADMSG,
			"process %s: record %" PRId64 " follows record %" PRId64, name, record->seq,
			process->seq);
	if (!may_follow(process, record->state))
		return tally_refuse(err, -EBADMSG, "process %s: %s follows %s", name,
			transitions[record->state].name,
			process ? transitions[thermos_last_run(process)->state].name : "nothing");
	return 0;
}

static int add_process(struct thermos_state *state, const char *name, struct thermos_runs **ret,
	struct tally_error *err)
{
	if (HASH_COUNT(state->processes) >= THERMOS_PROCESSES_MAX)
		return tally_refuse(
			err, -E2BIG, "it has more than %d processes", THERMOS_PROCESSES_MAX);

	struct thermos_runs *process = calloc(1, sizeof(*process));
	if (!process)
		return no_memory(err);
	process->name = strdup(name);
	process->runs = calloc(1, sizeof(*process->runs));
	process->room = 1;
	if (process->name && process->runs)
		HASH_ADD_KEYPTR(
			hh, state->processes, process->name, strlen(process->name), process);
	if (!process->hh.tbl) {
		runs_free(process);
		return no_memory(err);
	}
	*ret = process;
	return 0;
}

static int make_room(struct thermos_runs *process, struct tally_error *err)
{
	if (process->count < process->room)
		return 0;
	if (process->count == THERMOS_RUNS_MAX) {
		memmove(process->runs, process->runs + 1,
			(process->count - 1) * sizeof(*process->runs));
		process->count--;
		process->forgotten++;
		return 0;
	}

	struct thermos_run *grown =
		reallocarray(process->runs, process->room * 2, sizeof(*process->runs));
	if (!grown)
		return no_memory(err);
	process->runs = grown;
	process->room *= 2;
	return 0;
}

/* A record tells what its state brings with it, and nothing else of it is taken. */
static void update_run(struct thermos_run *run, const struct thermos_process *record)
{
	run->state = (enum thermos_process_state)record->state;
	if (record->state == THERMOS_FORKED) {
		run->fork_ns = record->fork_ns;
		run->coordinator_pid = record->coordinator_pid;
	} else if (record->state == THERMOS_RUNNING) {
		run->start_ns = record->start_ns;
		run->pid = record->pid;
	} else if (record->state != THERMOS_WAITING) {
		run->stop_ns = record->stop_ns;
		run->return_code = record->return_code;
	}
}

static int apply_process(
	struct thermos_state *state, const struct thermos_process *record, struct tally_error *err)
{
	struct thermos_runs *process = NULL;
	int r = check_process(record, err);

	if (r < 0)
		return r;
	HASH_FIND_STR(state->processes, record->name, process);
	r = check_order(process, record, err);
	if (r == 0 && !process)
		r = add_process(state, record->name, &process, err);
	if (r == 0 && record->state == THERMOS_WAITING)
		r = make_room(process, err);
	if (r < 0)
		return r;

	if (record->state == THERMOS_WAITING)
		process->runs[process->count++] = (struct thermos_run){0};
	update_run(thermos_last_run(process), record);
	process->seq = record->seq;
	return 0;
}

static int apply_task(struct thermos_state *state, const struct thermos_task_status *record,
	struct tally_error *err)
{
	if (record->state < 0 || record->state >= THERMOS_TASK_STATES)
		return tally_refuse(err, -EBADMSG, "there is no task state %d", record->state);
	state->state = (enum thermos_task_state)record->state;
	state->state_ns = record->at_ns;
	if (record->runner_pid > 0)
		state->runner_pid = record->runner_pid;
	return 0;
}

int thermos_state_apply(void *context, const struct thermos_record *record, struct tally_error *err)
{
	struct thermos_state *state = context;

	if (record->kind == THERMOS_HEADER)
		return apply_header(state, &record->header, err);
	if (!state->has_header)
		return tally_refuse(err, -EBADMSG, "it does not begin with a header");
	if (record->kind == THERMOS_PROCESS)
		return apply_process(state, &record->process, err);
	if (record->kind == THERMOS_TASK)
		return apply_task(state, &record->task, err);
	return 0;
}
