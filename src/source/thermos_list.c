/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of a task. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include "source/thermos.h"

static bool life_over(enum tally_life life)
{
	return life == TALLY_LIFE_SUCCESS || life == TALLY_LIFE_FAILED ||
	       life == TALLY_LIFE_KILLED || life == TALLY_LIFE_LOST;
}

/* Room for the processes and runs of a task. */
static bool reserve(struct thermos_source *source, const struct thermos_state *state)
{
	size_t processes = HASH_COUNT(state->processes), runs = 0;
	const struct thermos_runs *process, *next;

	HASH_ITER (hh, state->processes, process, next)
		runs += process->count;
	if (processes > source->process_room) {
		struct source_process *grown =
			reallocarray(source->processes, processes, sizeof(*grown));
		if (!grown)
			return false;
		source->processes = grown;
		source->process_room = processes;
	}
	if (runs > source->run_room) {
		struct source_run *grown = reallocarray(source->runs, runs, sizeof(*grown));
		if (!grown)
			return false;
		source->runs = grown;
		source->run_room = runs;
	}
	return true;
}

static void tell_run(const struct thermos_run *run, struct source_run *ret)
{
	*ret = (struct source_run){
		.state = thermos_process_state_name(run->state),
		.life = thermos_process_life(run->state),
		.pid = run->pid,
		.started_wall_ns = run->start_ns ? run->start_ns : run->fork_ns,
		.ended_wall_ns = run->stop_ns,
		.return_code = run->return_code,
	};
}

/* The last run tells the life of a process. One that was begun in a task that is over was lost. */
static void tell_process(const struct thermos_task *task, const struct thermos_runs *process,
	int64_t ended_ns, struct source_run *runs, struct source_process *ret)
{
	const struct thermos_run *last = thermos_last_run(process);

	for (size_t i = 0; i < process->count; i++)
		tell_run(&process->runs[i], &runs[i]);
	const struct source_run *told = &runs[process->count - 1];
	*ret = (struct source_process){
		.name = process->name,
		.life = told->life,
		.started_wall_ns = told->started_wall_ns,
		.ended_wall_ns = told->ended_wall_ns,
		.return_code = told->return_code,
		.runs = runs,
		.run_count = process->count,
		.runs_forgotten = process->forgotten,
	};
	if (last->state == THERMOS_RUNNING && !task->in_finished) {
		ret->pid = last->pin.pid;
		ret->start_ns = last->pin.start_ns;
	}
	if (task->in_finished &&
		(last->state == THERMOS_FORKED || last->state == THERMOS_RUNNING)) {
		ret->life = TALLY_LIFE_LOST;
		ret->ended_wall_ns = ended_ns;
	}
}

static enum tally_life life_of(const struct thermos_task *task)
{
	enum tally_life life = thermos_task_life(task->state.state);

	return task->in_finished && !life_over(life) ? TALLY_LIFE_LOST : life;
}

/* A state that no record told of is that of the file which moved. */
static int64_t entered_ns(const struct thermos_task *task)
{
	bool told = task->state.state_ns && life_of(task) == thermos_task_life(task->state.state);

	if (told)
		return task->state.state_ns;
	return task->in_finished ? task->finished_ns : task->state.launch_ns;
}

static void tell_task(struct thermos_source *source, const struct thermos_task *task,
	source_task_fn *visit, void *context)
{
	char definition[PATH_MAX], below[PATH_MAX];
	const char *real = task->root->place->base.real;
	const struct thermos_runs *process, *next;
	enum tally_life life = life_of(task);
	int64_t state_ns = entered_ns(task);
	size_t count = 0, runs = 0;

	if (!reserve(source, &task->state))
		return;
	HASH_ITER (hh, task->state.processes, process, next) {
		tell_process(
			task, process, state_ns, &source->runs[runs], &source->processes[count++]);
		runs += process->count;
	}

	bool defined = real && thermos_task_definition(task, below, sizeof(below)) &&
		       snprintf(definition, sizeof(definition), "%s/%s", real, below) <
			       (int)sizeof(definition);
	struct source_task told = {
		.id = task->id,
		.sandbox = task->in_finished ? NULL : task->sandbox,
		.life = life,
		.started_wall_ns = task->state.launch_ns,
		.ended_wall_ns = life_over(life) ? state_ns : 0,
		.processes = source->processes,
		.process_count = count,
		.name = task->name,
		.user = task->state.user,
		.state_wall_ns = state_ns,
		.definition = defined ? definition : NULL,
		.ports = task->state.ports,
		.port_count = task->state.port_count,
	};
	visit(context, &told);
}

void thermos_list(struct source *source, source_task_fn *visit, void *context)
{
	struct thermos_source *s = (struct thermos_source *)source;
	struct thermos_task *task, *next;

	HASH_ITER (hh, s->tasks, task, next)
		tell_task(s, task, visit, context);
}
