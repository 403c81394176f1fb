/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of `tally show`. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/attr.h"
#include "cli/format.h"
#include "cli/show.h"
#include "cli/table.h"
#include "cli/tasks_json.h"

/* The columns of the table that are figures. */
static const struct {
	const char *title;
	enum tally_metric metric;
} figures[] = {
	{"MEMORY", TALLY_RSS},
	{"READ", TALLY_IO_READ},
	{"WRITTEN", TALLY_IO_WRITE},
	{"PIDS", TALLY_PIDS},
	{"THREADS", TALLY_THREADS},
	{"FDS", TALLY_FDS},
};

static void add_absent(struct showing *showing, const struct tally_sample *sample, int metric)
{
	if (sample->reason[metric] < TALLY_REASON_COUNT)
		showing->absent[sample->reason[metric]] = true;
	table_add(&showing->table, "-");
}

static void add_figures(struct showing *showing, const struct tally_reading *reading)
{
	const struct tally_sample *sample = &reading->sample;
	char text[FORMAT_SIZE];
	int64_t cpu_ns;

	if (tally_sample_cpu_ns(sample, &cpu_ns) == 0)
		table_add(&showing->table, format_duration(text, cpu_ns));
	else
		add_absent(showing, sample, TALLY_CPU_USER);
	table_add(&showing->table,
		reading->has_cpu_rate ? format_cores(text, reading->cpu_rate) : "-");
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++) {
		enum tally_metric metric = figures[i].metric;

		if (tally_sample_has(sample, metric))
			table_add(&showing->table,
				format_metric(text, metric, sample->value[metric]));
		else
			add_absent(showing, sample, metric);
	}
}

/* What the sandbox uses, and how that is known. To have none is nothing that should be explained. */
static void add_disk(struct showing *showing, const struct tally_sample *sample, const char *method)
{
	uint8_t reason = sample->reason[TALLY_DISK];
	char bytes[FORMAT_SIZE], text[2 * FORMAT_SIZE];

	if (!tally_sample_has(sample, TALLY_DISK)) {
		if (reason == TALLY_REASON_DISK_PENDING || reason == TALLY_REASON_DISK_FAILED)
			add_absent(showing, sample, TALLY_DISK);
		else
			table_add(&showing->table, "");
		return;
	}
	format_metric(bytes, TALLY_DISK, sample->value[TALLY_DISK]);
	snprintf(text, sizeof(text), "%s (%s)", bytes, method);
	table_add(&showing->table, *method ? text : bytes);
}

void showing_add(struct showing *showing, const char *name, const char *life, const char *pid,
	const struct tally_reading *reading, const char *disk_method)
{
	table_add(&showing->table, name);
	table_add(&showing->table, life);
	table_add(&showing->table, pid);
	add_figures(showing, reading);
	add_disk(showing, &reading->sample, disk_method);
}

static void show_task(
	void *context, const struct tally_task_info *info, const struct tally_reading *reading)
{
	struct showing *showing = context;
	const struct wanted *wanted = showing->wanted;

	snprintf(showing->task, sizeof(showing->task), "%s", info->id);
	if (wanted->process)
		return;
	showing_add(showing, info->id, tally_life_name(info->life), "", reading,
		info->disk_method ?: "");
}

static void show_process(
	void *context, const struct tally_process_info *info, const struct tally_reading *reading)
{
	struct showing *showing = context;
	const char *process = showing->wanted->process;
	char name[512], pid[FORMAT_SIZE] = "";

	if (process && strcmp(process, info->name) != 0)
		return;
	if (process)
		snprintf(name, sizeof(name), "%s/%s", showing->task, info->name);
	else
		snprintf(name, sizeof(name), "  %s", info->name);
	if (info->pid)
		snprintf(pid, sizeof(pid), "%d", (int)info->pid);
	showing_add(showing, name, tally_life_name(info->life), pid, reading, "");
}

void showing_begin(struct showing *showing)
{
	struct table *table = &showing->table;
	static const char *const titles[] = {"TASK", "LIFE", "PID", "CPU", "CORES"};

	for (size_t i = 0; i < ARRAY_SIZE(titles); i++)
		table_add(table, titles[i]);
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++)
		table_add(table, figures[i].title);
	table_add(table, "DISK");
	table->columns = table->count;
	table->last_may_go = true;
	for (size_t i = 2; i < table->columns - 1; i++)
		table->right[i] = true;
}

int showing_print(struct showing *showing)
{
	int r = table_print(&showing->table, stdout, terminal_style(STDOUT_FILENO));

	for (int i = 0; i < TALLY_REASON_COUNT; i++)
		if (showing->absent[i])
			printf("- %s: %s\n", format_reason(i), tally_reason_text(i));
	return r;
}

int show_tasks(struct tally_monitor *monitor, const struct wanted *wanted)
{
	struct showing showing = {.wanted = wanted};

	showing_begin(&showing);
	monitor_visit(monitor, wanted->task, show_task, show_process, &showing, NULL);
	return showing_print(&showing);
}

/* The pids of one task on their way into the table. */
struct listing {
	struct table *table;
	const struct wanted *wanted;
	const char *task;
};

static void list_pid(void *context, const struct tally_pid_info *info)
{
	struct listing *listing = context;
	char name[512], text[FORMAT_SIZE];

	if (listing->wanted->process && strcmp(listing->wanted->process, info->process) != 0)
		return;
	snprintf(name, sizeof(name), "%s/%s", listing->task, info->process);
	table_add(listing->table, name);
	snprintf(text, sizeof(text), "%d", (int)info->pid);
	table_add(listing->table, text);
	snprintf(text, sizeof(text), "%d", (int)info->parent);
	table_add(listing->table, text);
	table_add(listing->table, info->why);
	table_add(listing->table, info->cpu_ns >= 0 ? format_duration(text, info->cpu_ns) : "-");
	table_add(listing->table, info->rss_bytes >= 0 ? format_bytes(text, info->rss_bytes) : "-");
	table_add(listing->table, info->comm);
}

void pids_table_begin(struct table *table)
{
	static const char *const titles[] = {
		"PROCESS", "PID", "PARENT", "WHY", "CPU", "MEMORY", "NAME"};

	*table = (struct table){.columns = ARRAY_SIZE(titles),
		.right = {false, true, true, false, true, true, false}};
	for (size_t i = 0; i < ARRAY_SIZE(titles); i++)
		table_add(table, titles[i]);
}

int show_pids(struct tally_monitor *monitor, const struct wanted *wanted)
{
	struct table table;
	struct task_ids ids;

	pids_table_begin(&table);
	int r = task_ids_take(&ids, monitor, wanted->task);
	for (size_t i = 0; i < ids.count && r == 0; i++) {
		struct listing listing = {&table, wanted, ids.at[i]};

		tally_monitor_pids(monitor, ids.at[i], list_pid, &listing, NULL);
	}
	task_ids_done(&ids);
	int printed = table_print(&table, stdout, terminal_style(STDOUT_FILENO));
	return r < 0 ? r : printed;
}
