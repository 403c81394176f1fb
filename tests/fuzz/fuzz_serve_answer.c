/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that others chose, on their way out: whatever bytes a task and its processes are called, and
 * whatever their figures are, the answer is JSON, and /metrics has one line per series.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "serve/exposure.h"
#include "serve/metrics.h"
#include "serve/tasks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PARTS 4

static void require(bool held)
{
	if (!held)
		abort();
}

/* Figures from the bytes, over and over. */
static void fill(struct tally_sample *sample, const uint8_t *data, size_t size, size_t from)
{
	tally_sample_clear(sample, TALLY_REASON_KERNEL);
	sample->boot_ns = 1;
	for (int i = 0; i < TALLY_METRIC_COUNT && size > 0; i++) {
		uint64_t value = 0;

		for (size_t j = 0; j < 8; j++)
			value = value << 8 | data[(from + (size_t)i * 8 + j) % size];
		if (value % 3)
			tally_sample_set(sample, i, (int64_t)(value >> 8));
		else
			tally_sample_unset(sample, i, data[from % size]);
	}
}

static void check_json(const struct snapshot *snapshot)
{
	CLEANUP_BUFFER struct buffer out = {0};

	tasks_write(&out, snapshot, 1, &(struct tasks_wanted){0});
	json_t *all = json_loadb(out.at, out.used, JSON_REJECT_DUPLICATES, NULL);
	require(all && json_array_size(json_object_get(all, "tasks")) == snapshot->task_count);
	json_decref(all);
}

static void check_metrics(const struct snapshot *snapshot)
{
	struct self_status self = {.monitor = {.version = "0", .collector = "fixed"}};
	struct exposure exposure = {.limit = 100};
	size_t lines = 0;

	for (uint64_t tick = 1; tick <= 2; tick++) {
		CLEANUP_BUFFER struct buffer out = {0};

		require(exposure_update(&exposure, snapshot, tick) == 0);
		require(exposure.series <= exposure.limit);
		metrics_write(&out, METRICS_OPENMETRICS, &exposure, &self, 0);
		require(out.used > 6 && memcmp(out.at + out.used - 6, "# EOF\n", 6) == 0);
		buffer_putc(&out, '\0');
		lines = 0;
		for (const char *at = out.at; (at = strstr(at, "\ntally_")); at++)
			lines += strstr(at, "{task=") != NULL;
		require(lines >= exposure.series);
	}
	exposure_done(&exposure);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct snapshot_process processes[PARTS];
	struct snapshot_task tasks[PARTS];
	struct snapshot snapshot = {.tasks = tasks,
		.task_count = PARTS,
		.processes = processes,
		.process_count = PARTS};
	char *names[PARTS];

	memset(processes, 0, sizeof(processes));
	memset(tasks, 0, sizeof(tasks));
	for (size_t i = 0; i < PARTS; i++) {
		size_t from = size * i / PARTS, length = size * (i + 1) / PARTS - from;

		/* An id is there once. */
		if (asprintf(&names[i], "%.*s%zu", (int)length, (const char *)data + from, i) < 0)
			return 0;
		tasks[i].info.id = tasks[i].info.sandbox = names[i];
		tasks[i].info.source = "fixed";
		tasks[i].info.life = (enum tally_life)(size % 8);
		tasks[i].first = i;
		tasks[i].count = 1;
		processes[i].info.name = names[i];
		fill(&tasks[i].reading.sample, data, size, from);
		fill(&processes[i].reading.sample, data, size, from + 1);
	}
	check_json(&snapshot);
	check_metrics(&snapshot);
	for (size_t i = 0; i < PARTS; i++)
		free(names[i]);
	return 0;
}
