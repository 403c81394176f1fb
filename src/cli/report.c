/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/report.h"

#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/text.h"
#include "cli/format.h"
#include "cli/procfile.h"
#include "cli/table.h"
#include "cli/terminal.h"

#define EXIT_TIME_LIMIT 124

/* Disk figures older than this say so. */
#define DISK_AGE_TOLD_NS (5 * NS_PER_S)

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int report_gather(struct report *report, const struct run *run, struct tally_error *err)
{
	*report = (struct report){.run = run, .wall_ns = run->ended_boot_ns - run->begun_boot_ns};
	if (run->many)
		procfile_state(run, &report->state);
	else
		source_command_state(run->source, 0, &report->state);
	tally_monitor_status(run->monitor, &report->status);
	/* Both are lower bounds of the truth: one misses what lies between samples, one is of the
	 * largest process alone. */
	report->peak_rss_bytes = run->record.peak_rss_bytes;
	if (report->state.waited_rss_bytes > 0)
		report->peak_rss_bytes =
			larger(report->peak_rss_bytes, report->state.waited_rss_bytes);
	report->peak_pids = run->record.peak_pids;
	return tally_monitor_sample(run->monitor, run->task, &report->total, err);
}

int report_exit_status(const struct report *report)
{
	if (report->run->timed_out)
		return EXIT_TIME_LIMIT;
	return report->state.signal ? 128 + report->state.signal : report->state.exit_code;
}

/* One line of the report: a figure, and what there is to say of it. */
struct entry {
	char figure[FORMAT_SIZE];
	char note[192];
};

static const struct tally_sample *sample_of(const struct report *report)
{
	return &report->total.sample;
}

/* The figure of a metric, or a dash and why. @return whether it is known. */
static bool put_metric(const struct report *report, enum tally_metric metric, struct entry *entry)
{
	const struct tally_sample *sample = sample_of(report);

	if (tally_sample_has(sample, metric)) {
		format_metric(entry->figure, metric, sample->value[metric]);
		return true;
	}
	snprintf(entry->figure, sizeof(entry->figure), "-");
	snprintf(entry->note, sizeof(entry->note), "%s", format_reason(sample->reason[metric]));
	return false;
}

/* "12.3 s" or "unknown", for the notes. */
static const char *metric_text(
	const struct report *report, enum tally_metric metric, char out[FORMAT_SIZE])
{
	const struct tally_sample *sample = sample_of(report);

	if (tally_sample_has(sample, metric))
		return format_metric(out, metric, sample->value[metric]);
	return format_reason(sample->reason[metric]);
}

static void cpu_entry(const struct report *report, struct entry *entry)
{
	char user[FORMAT_SIZE], system[FORMAT_SIZE], waited[FORMAT_SIZE], cores[FORMAT_SIZE];
	int64_t cpu_ns;

	format_duration(waited, report->state.waited_cpu_ns);
	if (tally_sample_cpu_ns(sample_of(report), &cpu_ns) < 0) {
		put_metric(report, TALLY_CPU_USER, entry);
		return;
	}
	format_duration(entry->figure, cpu_ns);
	format_cores(cores, (double)cpu_ns / (double)larger(report->wall_ns, 1));
	snprintf(entry->note, sizeof(entry->note), "%s cores; user %s, system %s; wait4 says %s",
		cores, metric_text(report, TALLY_CPU_USER, user),
		metric_text(report, TALLY_CPU_SYSTEM, system), waited);
}

static void run_queue_entry(const struct report *report, struct entry *entry)
{
	if (put_metric(report, TALLY_RUN_QUEUE_WAIT, entry))
		snprintf(entry->note, sizeof(entry->note), "could have run, had a CPU been free");
}

static void memory_entry(const struct report *report, struct entry *entry)
{
	if (report->peak_rss_bytes < 0) {
		put_metric(report, TALLY_RSS, entry);
		return;
	}
	format_bytes(entry->figure, report->peak_rss_bytes);
	snprintf(entry->note, sizeof(entry->note), "at most, of what was seen");
}

static void read_entry(const struct report *report, struct entry *entry)
{
	if (put_metric(report, TALLY_IO_READ, entry))
		snprintf(entry->note, sizeof(entry->note), "from storage");
}

static void written_entry(const struct report *report, struct entry *entry)
{
	if (put_metric(report, TALLY_IO_WRITE, entry))
		snprintf(entry->note, sizeof(entry->note), "to storage");
}

static void processes_entry(const struct report *report, struct entry *entry)
{
	char most[FORMAT_SIZE] = "?";

	if (!put_metric(report, TALLY_PIDS_STARTED, entry))
		return;
	if (report->peak_pids >= 0)
		format_count(most, report->peak_pids);
	snprintf(entry->note, sizeof(entry->note), "seen, at most %s at a time", most);

	const struct tally_sample *sample = sample_of(report);
	size_t used = strlen(entry->note);
	if (tally_sample_has(sample, TALLY_PIDS) && sample->value[TALLY_PIDS] > 0)
		snprintf(entry->note + used, sizeof(entry->note) - used, "; %s still running",
			format_count(most, sample->value[TALLY_PIDS]));
}

static void faults_entry(const struct report *report, struct entry *entry)
{
	char minor[FORMAT_SIZE];

	if (put_metric(report, TALLY_MAJOR_FAULTS, entry))
		snprintf(entry->note, sizeof(entry->note),
			"page faults that read storage; %s others",
			metric_text(report, TALLY_MINOR_FAULTS, minor));
}

static void switches_entry(const struct report *report, struct entry *entry)
{
	char involuntary[FORMAT_SIZE];

	if (put_metric(report, TALLY_VOLUNTARY_SWITCHES, entry))
		snprintf(entry->note, sizeof(entry->note), "by itself; %s forced",
			metric_text(report, TALLY_INVOLUNTARY_SWITCHES, involuntary));
}

static void disk_entry(const struct report *report, struct entry *entry)
{
	char files[FORMAT_SIZE], folder[96];

	if (!report->run->sandbox) {
		entry->figure[0] = '\0'; /* Not asked for: not worth a line. */
		return;
	}
	if (!put_metric(report, TALLY_DISK, entry))
		return;
	text_show(folder, sizeof(folder), report->run->sandbox);
	snprintf(entry->note, sizeof(entry->note), "in %s entries of %s",
		metric_text(report, TALLY_DISK_FILES, files), folder);

	const struct tally_sample *sample = sample_of(report);
	size_t used = strlen(entry->note);
	if (tally_sample_has(sample, TALLY_DISK_AGE) &&
		sample->value[TALLY_DISK_AGE] >= DISK_AGE_TOLD_NS)
		snprintf(entry->note + used, sizeof(entry->note) - used, ", %s ago",
			metric_text(report, TALLY_DISK_AGE, files));
}

static const struct {
	const char *label;
	void (*fill)(const struct report *report, struct entry *entry);
} lines[] = {
	{"CPU time", cpu_entry},
	{"CPU wait", run_queue_entry},
	{"memory", memory_entry},
	{"read", read_entry},
	{"written", written_entry},
	{"processes", processes_entry},
	{"faults", faults_entry},
	{"switches", switches_entry},
	{"disk", disk_entry},
};

/* What is said of each process of a Procfile besides its CPU time. */
static const struct {
	const char *title;
	enum tally_metric metric;
} process_columns[] = {
	{"READ", TALLY_IO_READ},
	{"WRITTEN", TALLY_IO_WRITE},
	{"PROCESSES", TALLY_PIDS_STARTED},
};

static void put_end(const struct report *report, const struct style *style)
{
	const struct command_state *state = &report->state;
	char limit[FORMAT_SIZE];

	if (report->run->timed_out)
		fprintf(stderr, "%sended by the time limit of %s%s", style->bad,
			format_duration(limit, report->run->options.time_limit_ns), style->off);
	else if (state->signal)
		fprintf(stderr, "%sended by SIG%s%s%s", style->bad,
			sigabbrev_np(state->signal) ? sigabbrev_np(state->signal) : "?",
			state->core ? ", core dumped" : "", style->off);
	else
		fprintf(stderr, "%sexit %d%s", state->exit_code ? style->bad : style->good,
			state->exit_code, style->off);
}

static void put_title(const struct report *report, const struct style *style)
{
	char task[64], wall[FORMAT_SIZE];

	text_show(task, sizeof(task), report->run->task);
	fprintf(stderr, "%s%s%s: ", style->bold, task, style->off);
	put_end(report, style);
	fprintf(stderr, " after %s\n", format_duration(wall, report->wall_ns));
}

/* A row of a process of a Procfile. */
static void add_process(
	void *context, const struct tally_process_info *info, const struct tally_reading *reading)
{
	const struct tally_sample *sample = &reading->sample;
	char text[FORMAT_SIZE];
	int64_t cpu_ns;

	table_add(context, info->name);
	if (info->life == TALLY_LIFE_KILLED)
		snprintf(text, sizeof(text), "killed");
	else
		snprintf(text, sizeof(text), "exit %d", info->return_code);
	table_add(context, text);
	table_add(context,
		tally_sample_cpu_ns(sample, &cpu_ns) < 0 ? "-" : format_duration(text, cpu_ns));
	for (size_t i = 0; i < ARRAY_SIZE(process_columns); i++) {
		enum tally_metric metric = process_columns[i].metric;

		table_add(context, tally_sample_has(sample, metric)
					   ? format_metric(text, metric, sample->value[metric])
					   : "-");
	}
}

static void put_processes(const struct report *report, const struct style *style)
{
	struct table table = {.columns = 3 + ARRAY_SIZE(process_columns),
		.right = {false, false, true, true, true, true}};

	table_add(&table, "PROCESS");
	table_add(&table, "END");
	table_add(&table, "CPU TIME");
	for (size_t i = 0; i < ARRAY_SIZE(process_columns); i++)
		table_add(&table, process_columns[i].title);
	tally_monitor_processes(report->run->monitor, report->run->task, add_process, &table, NULL);
	fputc('\n', stderr);
	table_print(&table, stderr, style);
	fputc('\n', stderr);
}

void report_print(const struct report *report)
{
	const struct style *style = terminal_style(STDERR_FILENO);
	if (isatty(STDERR_FILENO))
		fputc('\n', stderr); /* Apart from what the command wrote. */
	put_title(report, style);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct entry entry = {0};

		lines[i].fill(report, &entry);
		if (entry.figure[0])
			fprintf(stderr, "  %s%-9s%s  %11s  %s%s%s\n", style->dim, lines[i].label,
				style->off, entry.figure, style->dim, entry.note, style->off);
	}
	if (report->run->many)
		put_processes(report, style);
	fprintf(stderr, "  %s%llu samples, one every %g s, by %s%s\n", style->dim,
		(unsigned long long)report->run->record.samples,
		(double)report->run->interval_ns / 1e9, report->status.collector, style->off);
	if (report->run->unsettled)
		fprintf(stderr,
			"  %sthe last moments of some processes are missing: the machine is too "
			"busy to tell them in time%s\n",
			style->bad, style->off);
}
