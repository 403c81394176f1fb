/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/resume.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"

/* Takes one root in; without memory it is left out, and its counters begin anew. */
static void take(void *context, const struct history_root *root, const struct tally_sample *last)
{
	struct resumed **list = context, *resume;

	if (!root || !last->boot_ns)
		return;
	resume = calloc(1, sizeof(*resume));
	if (!resume)
		return;
	resume->process = strdup(root->process);
	if (!resume->process) {
		free(resume);
		return;
	}
	resume->pid = root->pid;
	resume->start_ns = root->start_ns;
	resume->last = *last;
	resume->next = *list;
	*list = resume;
}

struct resumed *resumed_read(struct history *history, const char *id)
{
	struct resumed *list = NULL;

	history_resume_get(history, id, take, &list);
	return list;
}

void resumed_free(struct resumed *list)
{
	while (list) {
		struct resumed *next = list->next;

		free(list->process);
		free(list);
		list = next;
	}
}

static bool still_there(const struct resumed *resume, const struct process *process)
{
	for (size_t i = 0; i < process->root_count; i++)
		if (process->roots[i].pid == resume->pid &&
			process->roots[i].start_ns == resume->start_ns)
			return process->group != GROUP_NONE;
	return false;
}

/* Only once: later the collector's counters hold what is new. */
static void settle(
	struct resumed *resume, const struct process *process, const struct tally_sample *first)
{
	bool alive = still_there(resume, process);

	for (int i = 0; i < TALLY_METRIC_COUNT; i++) {
		int64_t begun = alive && tally_sample_has(first, i) ? first->value[i] : 0;

		if (tally_metrics[i].kind == TALLY_KIND_COUNTER &&
			tally_sample_has(&resume->last, i) && resume->last.value[i] > begun)
			resume->carry[i] = resume->last.value[i] - begun;
	}
	resume->settled = true;
}

static void add_carry(const struct resumed *resume, struct tally_sample *sample)
{
	for (int i = 0; i < TALLY_METRIC_COUNT; i++) {
		if (!resume->carry[i])
			continue;
		if (tally_sample_has(sample, i))
			sample->value[i] += resume->carry[i];
		else if (sample->reason[i] == TALLY_REASON_ENDED)
			tally_sample_set(sample, i, resume->carry[i]);
	}
}

bool resumed_add(struct resumed *list, const struct process *process, struct tally_sample *sample)
{
	for (struct resumed *resume = list; resume; resume = resume->next) {
		if (strcmp(resume->process, process->name) != 0)
			continue;
		if (!resume->settled)
			settle(resume, process, sample);
		add_carry(resume, sample);
		return true;
	}
	return false;
}

static struct resumed *find_or_add(struct resumed **list, const char *process)
{
	struct resumed *resume = *list;

	while (resume && strcmp(resume->process, process) != 0)
		resume = resume->next;
	if (resume)
		return resume;
	resume = calloc(1, sizeof(*resume));
	if (!resume)
		return NULL;
	resume->process = strdup(process);
	if (!resume->process) {
		free(resume);
		return NULL;
	}
	resume->next = *list;
	return *list = resume;
}

/* The newest sample has what was carried so far in it. */
void resumed_retire(struct resumed **list, const struct process *process)
{
	const struct tally_sample *now = &process->figures.now;
	struct resumed *resume = now->boot_ns ? find_or_add(list, process->name) : NULL;

	if (!resume)
		return;
	resume->settled = true;
	for (int i = 0; i < TALLY_METRIC_COUNT; i++)
		if (tally_metrics[i].kind == TALLY_KIND_COUNTER && tally_sample_has(now, i))
			resume->carry[i] = now->value[i];
}

int resumed_keep(struct history *history, const struct task *task)
{
	CLEANUP_FREE struct history_root *roots = calloc(task->process_count, sizeof(*roots));
	size_t count = 0;

	if (!roots && task->process_count)
		return -ENOMEM;
	for (size_t i = 0; i < task->process_count; i++) {
		const struct process *process = &task->processes[i];
		const struct root *last =
			process->root_count ? &process->roots[process->root_count - 1] : NULL;

		if (last)
			roots[count++] =
				(struct history_root){process->name, last->pid, last->start_ns};
	}
	return history_resume_put(history, task->history, roots, count);
}
