/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The memory of an observer after an hour, without waiting for it.
 *
 *     history_observer STORE WAKE < roots
 *
 * Reads lines TASK/PROCESS=PID up to "ready" or the end, follows them as the observer does, and
 * takes three real ticks. From then on a clock that is only simulated goes on: for an hour of
 * seconds, every task's samples are kept again. Where WAKE is not 0, one process in so many wakes up
 * in each second, some microseconds of CPU and a context switch or two dearer, and now and then its
 * memory has changed by a page. Prints one JSON object: the resident memory of this whole process
 * before and after, and what the history says it takes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "load/load.h"
#include "monitor/internal.h"

#define HOUR_SECONDS  3600
#define PROCESSES_MAX 64

static void say(void *context, enum tally_log_level level, const char *line)
{
	if (level <= TALLY_LOG_WARN)
		fprintf(stderr, "history_observer: %s\n", line);
}

static void follow(struct tally_monitor *monitor, char *line)
{
	char *slash = strchr(line, '/'), *pid = strchr(line, '=');
	struct tally_error err;

	if (!slash || !pid || slash > pid)
		load_die("\"%s\" is not TASK/PROCESS=PID", line);
	*slash = *pid = '\0';
	if (tally_monitor_add_pid(monitor, line, slash + 1, (pid_t)atol(pid + 1), &err) < 0)
		load_die("%s", err.message);
}

static void follow_all(struct tally_monitor *monitor)
{
	char line[256];

	while (fgets(line, sizeof(line), stdin) && strcmp(line, "ready\n") != 0) {
		line[strcspn(line, "\n")] = '\0';
		follow(monitor, line);
	}
}

static int64_t resident_bytes(void)
{
	long pages = 0, unused;
	FILE *file = fopen("/proc/self/statm", "r");

	if (!file || fscanf(file, "%ld %ld", &unused, &pages) != 2)
		load_die("cannot read /proc/self/statm");
	fclose(file);
	return pages * sysconf(_SC_PAGESIZE);
}

static int wake;

/* A timer, a keep-alive. */
static void live(struct tally_sample *sample)
{
	if (wake > 0 && rand() % wake == 0) {
		sample->value[TALLY_CPU_USER] += 20000 + rand() % 30000;
		sample->value[TALLY_CPU_SYSTEM] += 10000 + rand() % 30000;
		sample->value[TALLY_RUN_QUEUE_WAIT] += rand() % 50000;
		sample->value[TALLY_VOLUNTARY_SWITCHES] += 1 + rand() % 3;
	}
	if (wake > 0 && rand() % (wake * 20) == 0) {
		sample->value[TALLY_RSS] += (rand() % 9 - 4) * 4096;
		sample->value[TALLY_MINOR_FAULTS] += 1 + rand() % 4;
	}
}

static void keep(struct tally_monitor *monitor, struct task *task, int64_t wall_ns, int64_t boot_ns)
{
	struct history_process processes[PROCESSES_MAX];
	struct tally_sample total;
	struct tally_error err;

	tally_sample_start(&total, wall_ns, boot_ns);
	for (size_t i = 0; i < task->process_count && i < PROCESSES_MAX; i++) {
		struct process *process = &task->processes[i];

		live(&process->figures.now);
		tally_sample_add(&total, &process->figures.now);
		processes[i] = (struct history_process){process->name, &process->figures.now};
	}
	struct history_record record = {wall_ns, boot_ns, &total, processes, task->process_count};
	if (history_append(monitor->history, task->history, &record, &err) < 0)
		load_die("%s", err.message);
}

static void simulate(struct tally_monitor *monitor)
{
	int64_t wall_ns = clock_wall_ns(), boot_ns = clock_boot_ns();
	struct task *task, *next;

	for (int i = 1; i <= HOUR_SECONDS; i++) {
		HASH_ITER (hh, monitor->tasks, task, next)
			if (task->history)
				keep(monitor, task, wall_ns + i * NS_PER_S, boot_ns + i * NS_PER_S);
		history_commit(monitor->history);
		if (i % 60 == 0)
			history_flush(monitor->history); /* A simulated minute takes no real one. */
	}
}

int main(int argc, char **argv)
{
	struct tally_monitor_options options = {.collector = "auto", .log = say};
	struct tally_monitor *monitor;
	struct tally_status status;
	struct tally_error err;

	if (argc != 3) {
		fprintf(stderr, "usage: history_observer STORE WAKE < roots\n");
		return 2;
	}
	options.store = argv[1];
	wake = (int)load_number("WAKE", argv[2], 0, 1000000);
	if (tally_monitor_new(&options, &monitor, &err) < 0)
		load_die("%s", err.message);
	follow_all(monitor);
	for (int i = 0; i < 3; i++)
		if (tally_monitor_tick(monitor, &err) < 0)
			load_die("%s", err.message);
	int64_t before = resident_bytes();
	simulate(monitor);
	tally_monitor_status(monitor, &status);
	printf("{\"collector\": \"%s\", \"tasks\": %zu, \"processes\": %zu, \"rss_before\": %lld, "
	       "\"rss_after\": %lld, \"history_bytes\": %zu, \"dropped\": %llu}\n",
		status.collector, status.tasks, status.processes, (long long)before,
		(long long)resident_bytes(), status.history_bytes,
		(unsigned long long)status.history_dropped);
	tally_monitor_free(monitor);
	return 0;
}
