/* SPDX-License-Identifier: Apache-2.0 */
#include "source/fixed.h"

#include <errno.h>
#include <stdlib.h>
#include "base/fail.h"
#include "source/registry.h"

struct source_fixed {
	struct source source;
	bool changed;
	const struct source_task *tasks;
	size_t count;
	int failure;
	unsigned failures;
	const char *reaped_task, *reaped_process; /* NULL: none. */
	pid_t reaped_pid;
	struct rusage reaped_usage;
};

static struct source_fixed *fixed_of(struct source *source)
{
	return (struct source_fixed *)source;
}

int source_fixed_open(struct source **ret)
{
	struct source_fixed *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->source.ops = &source_fixed;
	*ret = &s->source;
	return 0;
}

void source_fixed_set(struct source *source, const struct source_task *tasks, size_t count)
{
	struct source_fixed *s = fixed_of(source);

	s->tasks = tasks;
	s->count = count;
	s->changed = true;
}

void source_fixed_fail(struct source *source, int code, unsigned count)
{
	fixed_of(source)->failure = code;
	fixed_of(source)->failures = count;
}

void source_fixed_reap(struct source *source, const char *task, const char *process, pid_t pid,
	const struct rusage *usage)
{
	struct source_fixed *s = fixed_of(source);

	s->reaped_task = task;
	s->reaped_process = process;
	s->reaped_pid = pid;
	s->reaped_usage = *usage;
}

static void close_fixed(struct source *source)
{
	free(source);
}

static int refresh_fixed(struct source *source, struct tally_error *err)
{
	struct source_fixed *s = fixed_of(source);
	bool changed = s->changed;

	if (s->failures > 0) {
		s->failures--;
		return tally_fail(err, s->failure, "told to fail");
	}
	s->changed = false;
	return changed;
}

static void list_fixed(struct source *source, source_task_fn *visit, void *context)
{
	for (size_t i = 0; i < fixed_of(source)->count; i++)
		visit(context, &fixed_of(source)->tasks[i]);
}

static void hand_over_reaped(struct source *source, source_reaped_fn *visit, void *context)
{
	struct source_fixed *s = fixed_of(source);

	if (s->reaped_task)
		visit(context, s->reaped_task, s->reaped_process, s->reaped_pid, &s->reaped_usage);
	s->reaped_task = NULL;
}

const struct source_ops source_fixed = {
	.name = "fixed",
	.summary = "what a test says",
	.close = close_fixed,
	.refresh = refresh_fixed,
	.list = list_fixed,
	.reaped = hand_over_reaped,
};
