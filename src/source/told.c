/* SPDX-License-Identifier: Apache-2.0 */
#include "source/told.h"

#include <stdlib.h>
#include <string.h>

bool told_has_more(const struct source_task *task)
{
	if (task->name || task->user || task->definition || task->port_count || task->state_wall_ns)
		return true;
	for (size_t i = 0; i < task->process_count; i++)
		if (task->processes[i].run_count)
			return true;
	return false;
}

/* Memory being laid out: first it is only measured, then it is filled. */
struct layout {
	char *at; /* NULL: measure. */
	size_t used;
};

/* A piece of it, aligned for any struct. */
static void *take(struct layout *layout, const void *from, size_t size)
{
	size_t begin = layout->used;

	layout->used += (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
	if (!layout->at)
		return NULL;
	if (size > 0)
		memcpy(layout->at + begin, from, size);
	return layout->at + begin;
}

static const char *take_text(struct layout *layout, const char *text)
{
	return text ? take(layout, text, strlen(text) + 1) : NULL;
}

static void lay_process(
	struct layout *layout, const struct source_process *from, struct source_process *to)
{
	const char *name = take_text(layout, from->name);
	const char *cgroup = take_text(layout, from->cgroup);
	const char *sign = take_text(layout, from->sign);
	const struct source_run *runs =
		from->run_count ? take(layout, from->runs, from->run_count * sizeof(*runs)) : NULL;

	if (!to)
		return;
	to->name = name;
	to->cgroup = cgroup;
	to->sign = sign;
	to->runs = runs;
}

static void lay_ports(struct layout *layout, const struct source_task *from, struct source_task *to)
{
	struct source_port *ports = take(layout, from->ports, from->port_count * sizeof(*ports));

	for (size_t i = 0; i < from->port_count; i++) {
		const char *name = take_text(layout, from->ports[i].name);

		if (to)
			ports[i].name = name;
	}
	if (to)
		to->ports = ports;
}

static struct source_task *lay(struct layout *layout, const struct source_task *from)
{
	struct source_task *to = take(layout, from, sizeof(*from));
	struct source_process *processes =
		take(layout, from->processes, from->process_count * sizeof(*processes));

	for (size_t i = 0; i < from->process_count; i++)
		lay_process(layout, &from->processes[i], to ? &processes[i] : NULL);
	lay_ports(layout, from, to);

	const char *texts[] = {take_text(layout, from->id), take_text(layout, from->sandbox),
		take_text(layout, from->name), take_text(layout, from->user),
		take_text(layout, from->definition)};
	if (!to)
		return NULL;
	to->processes = processes;
	to->id = texts[0];
	to->sandbox = texts[1];
	to->name = texts[2];
	to->user = texts[3];
	to->definition = texts[4];
	to->cgroup = NULL;
	return to;
}

struct source_task *told_copy(const struct source_task *task)
{
	struct layout layout = {0};

	lay(&layout, task);
	layout.at = malloc(layout.used);
	layout.used = 0;
	return layout.at ? lay(&layout, task) : NULL;
}
