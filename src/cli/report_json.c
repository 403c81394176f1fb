/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "cli/json.h"
#include "cli/procfile.h"
#include "cli/report.h"
#include "model/model.h"

static json_t *known_or_null(bool known, int64_t value)
{
	return known ? json_integer(value) : json_null();
}

static json_t *words_json(char *const *words)
{
	json_t *array = json_array();

	for (; *words; words++)
		json_array_append_new(array, json_text(*words));
	return array;
}

/* Where the processes of a report go, and what there is to say of each. */
struct listing {
	const struct run *run;
	json_t *processes;
};

/* What a Procfile knows of its processes besides. */
static void add_part(json_t *object, const struct procfile_run *many, const char *name)
{
	for (size_t i = 0; i < many->count; i++) {
		const struct part *part = &many->parts[i];

		if (strcmp(many->names[i], name) != 0)
			continue;
		json_object_set_new(object, "command", json_text(many->file.entries[i].text));
		json_object_set_new(object, "port", json_integer((json_int_t)part->port));
		json_object_set_new(
			object, "exit_code", known_or_null(!part->signal, part->exit_code));
		json_object_set_new(object, "signal", known_or_null(part->signal, part->signal));
	}
}

static void add_process(
	void *context, const struct tally_process_info *info, const struct tally_reading *reading)
{
	struct listing *listing = context;
	json_t *object = json_object();

	json_object_set_new(object, "process", json_text(info->name));
	if (listing->run->many)
		add_part(object, listing->run->many, info->name);
	sample_json_put(&reading->sample, false, object);
	json_array_append_new(listing->processes, object);
}

json_t *report_json(const struct report *report)
{
	const struct run *run = report->run;
	const struct command_state *state = &report->state;
	json_t *object = json_object();
	struct listing listing = {run, json_array()};

	json_object_set_new(object, "task", json_text(run->task));
	json_object_set_new(object, "command", run->many ? json_null() : words_json(run->words));
	if (run->many)
		json_object_set_new(object, "procfile", json_text(run->many->path));
	json_object_set_new(object, "exit_code", known_or_null(!state->signal, state->exit_code));
	json_object_set_new(object, "signal", known_or_null(state->signal, state->signal));
	json_object_set_new(object, "wall_seconds", json_real((double)report->wall_ns / 1e9));
	int r = sample_json_put(&report->total.sample, true, object);
	json_object_set_new(
		object, "waited_cpu_seconds", json_real((double)state->waited_cpu_ns / 1e9));
	json_object_set_new(object, "peak_rss_bytes",
		known_or_null(report->peak_rss_bytes >= 0, report->peak_rss_bytes));
	json_object_set_new(
		object, "peak_pids", known_or_null(report->peak_pids >= 0, report->peak_pids));
	json_object_set_new(object, "samples", json_integer((json_int_t)run->record.samples));
	json_object_set_new(object, "interval_seconds", json_real((double)run->interval_ns / 1e9));
	json_object_set_new(object, "collector", json_text(report->status.collector));
	tally_monitor_processes(run->monitor, run->task, add_process, &listing, NULL);
	json_object_set_new(object, "processes", listing.processes);
	json_object_set_new(object, "missing", sample_json_missing(&report->total.sample, true));
	if (r == 0)
		return object;
	json_decref(object);
	return NULL;
}
