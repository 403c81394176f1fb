/* SPDX-License-Identifier: Apache-2.0 */
/* `tally store export` */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include "base/fail.h"
#include "cli/csv.h"
#include "cli/progress.h"
#include "cli/store.h"
#include "history/inspect.h"
#include "model/model.h"
#include "serve/tasks.h"

struct export
{
	struct stored *stored;
	bool csv;
	struct progress progress;
	const char *task, *process; /* Of the series being written; NULL: the total. */
	char *names;		    /* As columns of CSV. */
	size_t done, count;	    /* Tasks. */
	uint64_t samples, lost;
	int code;
	struct buffer line;
};

static void tell(struct export *export)
{
	progress_tell(&export->progress, (double)export->done / (double)export->count,
		"task %zu of %zu, %" PRIu64 " samples", export->done + 1, export->count,
		export->samples);
}

static void put_key(struct buffer *line, const char *key)
{
	buffer_puts(line, ",\"");
	buffer_puts(line, key);
	buffer_puts(line, "\":");
}

static void put_json(struct export *export, const struct history_point *point)
{
	struct buffer *line = &export->line;
	int64_t cpu_ns;

	line->used = 0;
	buffer_puts(line, "{\"task\":");
	buffer_put_json(line, export->task);
	put_key(line, "process");
	if (export->process)
		buffer_put_json(line, export->process);
	else
		buffer_puts(line, "null");
	put_key(line, "time");
	buffer_put_seconds(line, point->sample->wall_ns);
	put_key(line, "step_seconds");
	buffer_put_seconds(line, point->step_ns);
	put_key(line, "cpu_seconds");
	if (tally_sample_cpu_ns(point->sample, &cpu_ns) == 0)
		buffer_put_seconds(line, cpu_ns);
	else
		buffer_puts(line, "null");
	for (int m = 0; m < TALLY_METRIC_COUNT; m++) {
		if (export->process && tally_metrics[m].aggregate == TALLY_AGGREGATE_TASK)
			continue;
		put_key(line, tally_metrics[m].key);
		metric_write(line, point->sample, m);
	}
	buffer_puts(line, "}\n");
	if (line->code == 0)
		fwrite(line->at, 1, line->used, stdout);
	else
		export->code = line->code;
}

static bool put_point(void *context, const struct history_point *point)
{
	struct export *export = context;
	char *first = NULL;

	if (!export->csv)
		put_json(export, point);
	else if (asprintf(&first, "%s,%.9g", export->names, (double)point->step_ns / 1e9) >= 0)
		sample_csv_row(stdout, first, point->sample);
	else
		export->code = -ENOMEM;
	free(first);
	export->samples++;
	if (ferror(stdout))
		export->code = -EIO;
	tell(export);
	return export->code == 0;
}

static void put_series(struct export *export, struct history_task *task, const char *process)
{
	uint64_t lost = 0;

	if (export->code < 0)
		return;
	export->process = process;
	export->names = csv_names(export->task, process ? process : "");
	int r = export->names ? history_points(export->stored->history, task, process, INT64_MIN,
					INT64_MAX, put_point, export, &lost)
			      : -ENOMEM;
	free(export->names);
	export->lost += lost;
	if (r < 0 && r != -ENOENT)
		export->code = r;
}

/* Names are copied first: samples must not be asked for while they are visited. */
static void add_name(void *context, const char *name)
{
	struct buffer *names = context;

	buffer_put(names, name, strlen(name) + 1);
}

static void put_task(struct export *export, const char *id)
{
	struct history *history = export->stored->history;
	struct history_task *task = history_find(history, id);
	CLEANUP_BUFFER struct buffer names = {0};

	if (!task)
		return;
	export->task = id;
	put_series(export, task, NULL);
	history_processes(history, task, add_name, &names);
	for (size_t at = 0; at < names.used; at += strlen(names.at + at) + 1)
		put_series(export, task, names.at + at);
	if (names.code < 0)
		export->code = names.code;
}

int store_export(struct stored *stored, bool csv, uint64_t *ret_lost, struct tally_error *err)
{
	struct export export = {.stored = stored, .csv = csv};
	struct history_ids ids;
	int r = history_ids(stored->history, &ids, err);

	if (r == 0 && csv)
		sample_csv_header(stdout, CSV_NAMES ",step_seconds");
	export.count = ids.count;
	progress_begin(&export.progress, STDERR_FILENO);
	export.progress.wanted &= !isatty(STDOUT_FILENO); /* There the samples themselves go by. */
	for (size_t i = 0; i < ids.count && r == 0 && export.code == 0; i++) {
		export.done = i;
		put_task(&export, ids.at[i]);
	}
	progress_end(&export.progress);
	history_ids_done(&ids);
	buffer_done(&export.line);
	*ret_lost = export.lost;
	if (r == 0 && export.code < 0)
		r = tally_fail(err, export.code, "cannot write the samples");
	return r;
}
