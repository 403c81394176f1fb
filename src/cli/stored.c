/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/stored.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fail.h"
#include "cli/shared.h"
#include "history/inspect.h"

/* Tasks named to who asked for another. */
#define NAMED_MAX 5

int stored_path(const char *given, char *path, size_t size, struct tally_error *err)
{
	if (given)
		snprintf(path, size, "%s", given);
	else
		shared_default_store(path, size);
	if (!*path)
		return tally_refuse(err, -ENOENT,
			"this user has no place for a store; name one with --store FILE");
	if (access(path, F_OK) == 0 || errno != ENOENT)
		return 0;
	return tally_refuse(err, -ENOENT, "there is no store %s; %s", path,
		given ? "`tally run --store` and `tally observe --store` write one"
		      : "start `tally observe`, or name a file with --store FILE");
}

int stored_open(const char *given, struct stored *ret, struct tally_error *err)
{
	struct log log = {.write = shared_log};
	struct history_options options = {.store = ret->path, .read_only = true, .log = &log};

	ret->history = NULL;
	int r = stored_path(given, ret->path, sizeof(ret->path), err);
	if (r < 0)
		return r;
	r = history_open(&options, &ret->history, err);
	if (r == -EACCES)
		tally_refuse(err, r,
			"cannot read the store %s: Permission denied; be the user that writes it, "
			"or name another with --store FILE",
			ret->path);
	return r;
}

void stored_close(struct stored *stored)
{
	stored->history = history_close(stored->history);
}

/* Keep the ids that have samples: what was pruned leaves its name behind. */
static void leave_out_empty(struct stored *stored, struct history_ids *ids)
{
	size_t kept = 0;

	for (size_t i = 0; i < ids->count; i++) {
		if (history_find(stored->history, ids->at[i]))
			ids->at[kept++] = ids->at[i];
		else
			free(ids->at[i]);
	}
	ids->count = kept;
}

/* "a, b, c and 12 more" */
static void name_some(const struct history_ids *ids, char *out, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < ids->count && i < NAMED_MAX && used < size; i++)
		used += (size_t)snprintf(
			out + used, size - used, "%s%.60s", i ? ", " : "", ids->at[i]);
	if (ids->count > NAMED_MAX && used < size)
		snprintf(out + used, size - used, " and %zu more", ids->count - NAMED_MAX);
}

static int no_such_task(struct stored *stored, const char *word, struct tally_error *err)
{
	struct history_ids ids;
	char some[400] = "";
	int r = history_ids(stored->history, &ids, err);

	leave_out_empty(stored, &ids);
	if (r == 0 && ids.count == 0)
		r = tally_refuse(err, -ENOENT, "store %s has no samples of any task", stored->path);
	name_some(&ids, some, sizeof(some));
	history_ids_done(&ids);
	return r < 0 ? r
		     : tally_refuse(err, -ENOENT, "store %s has no task '%s'; it has %s",
			       stored->path, word, some);
}

struct names {
	char text[400];
	size_t used;
};

static void add_name(void *context, const char *name)
{
	struct names *names = context;

	if (names->used < sizeof(names->text))
		names->used += (size_t)snprintf(names->text + names->used,
			sizeof(names->text) - names->used, "%s%.60s", names->used ? ", " : "",
			name);
}

static int no_such_process(struct stored *stored, struct history_task *task, const char *word,
	const char *process, struct tally_error *err)
{
	struct names names = {"", 0};

	history_processes(stored->history, task, add_name, &names);
	return tally_refuse(err, -ENOENT, "task %s has no process '%s' in the store %s; it has %s",
		word, process, stored->path, names.used ? names.text : "none");
}

int stored_find(struct stored *stored, char *word, struct history_task **ret,
	const char **ret_process, struct tally_error *err)
{
	char *slash = strrchr(word, '/');
	struct history_extent extent;

	*ret_process = NULL;
	*ret = history_find(stored->history, word);
	if (*ret)
		return 0;
	if (!slash)
		return no_such_task(stored, word, err);
	*slash = '\0';
	*ret = history_find(stored->history, word);
	*ret_process = slash + 1;
	if (!*ret) {
		*slash = '/';
		return no_such_task(stored, word, err);
	}
	if (history_extent(stored->history, *ret, slash + 1, &extent) == -ENOENT)
		return no_such_process(stored, *ret, word, slash + 1, err);
	return 0;
}

const char *stored_time(char out[32], int64_t wall_ns, bool tenths)
{
	time_t seconds = (time_t)(wall_ns / NS_PER_S);
	struct tm tm;

	if (!localtime_r(&seconds, &tm) || strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(out, 32, "?");
	if (tenths) {
		size_t used = strlen(out);

		snprintf(out + used, 32 - used, ".%d", (int)(wall_ns % NS_PER_S / (NS_PER_S / 10)));
	}
	return out;
}
