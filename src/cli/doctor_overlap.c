/* SPDX-License-Identifier: Apache-2.0 */
/* `tally doctor`: processes that the observer counts in two tasks, because two sources name them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "cli/doctor.h"
#include "cli/observed.h"
#include "serve/client.h"

/* A pid, and the task that has it. */
struct belonging {
	json_int_t pid;
	const char *task; /* Of the list of tasks. */
};

struct belongings {
	struct belonging *at;
	size_t count;
};

static int by_pid(const void *a, const void *b)
{
	const struct belonging *first = a, *second = b;

	if (first->pid != second->pid)
		return first->pid < second->pid ? -1 : 1;
	return strcmp(first->task, second->task);
}

static int add_members(struct belongings *all, const char *task, const json_t *members)
{
	size_t index, more = json_array_size(members);
	const json_t *member;
	struct belonging *grown = reallocarray(all->at, all->count + more + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	all->at = grown;
	json_array_foreach(members, index, member)
	{
		json_int_t pid = json_integer_value(json_object_get(member, "pid"));

		all->at[all->count++] = (struct belonging){pid, task};
	}
	return 0;
}

/* One that has gone meanwhile has nothing any more. */
static int ask_members(const char *socket, const char *task, struct belongings *all)
{
	CLEANUP_FREE char *id = client_escape(task);
	CLEANUP_FREE char *target = id ? observed_target("/api/v1/tasks/%s?pids=1", id) : NULL;
	json_t *answer = NULL;
	int status, r = observed_get(socket, target, &answer, &status, NULL);

	if (r == 0)
		r = add_members(all, task,
			json_object_get(
				json_array_get(json_object_get(answer, "tasks"), 0), "members"));
	json_decref(answer);
	return status == 404 ? 0 : r;
}

static void judge(struct belongings *all, struct finding *finding)
{
	const struct belonging *example = NULL;
	size_t shared = 0;

	if (all->count)
		qsort(all->at, all->count, sizeof(*all->at), by_pid);
	for (size_t i = 1; i < all->count; i++) {
		const struct belonging *before = &all->at[i - 1], *one = &all->at[i];

		if (before->pid != one->pid || strcmp(before->task, one->task) == 0)
			continue;
		if (i < 2 || all->at[i - 2].pid != one->pid)
			shared++;
		if (!example)
			example = before;
	}
	if (!example) {
		finding->status = FINDING_OK;
		snprintf(finding->detail, sizeof(finding->detail),
			"no process is in two tasks of the observer");
		return;
	}
	finding->status = FINDING_LIMITED;
	snprintf(finding->detail, sizeof(finding->detail),
		"%zu process%s in two tasks, as %lld in %.60s and %.60s", shared,
		shared == 1 ? " is" : "es are", (long long)example->pid, example->task,
		example[1].task);
	finding->meaning =
		"what such a process consumes counts in each; sums over tasks count it twice";
	finding->remedy = "let one source alone name it";
}

void doctor_overlap(const char *socket, struct finding *finding)
{
	struct belongings all = {0};
	struct tally_error err;
	json_t *answer = NULL;
	const json_t *task;
	size_t index;
	int status, r = observed_get(socket, "/api/v1/tasks", &answer, &status, &err);

	if (r < 0) {
		finding->status = socket ? FINDING_MISSING : FINDING_NOTE;
		snprintf(finding->detail, sizeof(finding->detail),
			"a process in two tasks counts in both; which are, an observer tells: %.150s",
			err.message);
		return;
	}
	json_array_foreach(json_object_get(answer, "tasks"), index, task)
	{
		const char *id = json_string_value(json_object_get(task, "task"));

		if (r == 0 && id)
			r = ask_members(socket, id, &all);
	}
	if (r == 0) {
		judge(&all, finding);
	} else {
		finding->status = FINDING_NOTE;
		snprintf(finding->detail, sizeof(finding->detail),
			"the observer did not tell which processes its tasks have");
	}
	free(all.at);
	json_decref(answer);
}
