/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Tally as a monitor of many tasks and nothing else, on the public API alone.
 *
 *     tally_monitor [--collector C] [--interval MS] [--warm-up N] [--seconds S]
 *
 * Reads lines NAME=PID up to a line "ready" or the end of its standard input, follows each as a
 * task of one process, prints "started", and ticks for S seconds (30) or until standard input
 * ends. Then it prints one JSON object: CPU per tick of this whole program after N ticks of
 * warm-up (3), its memory, and whether ticks were skipped.
 */
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tally/tally.h>
#include <unistd.h>
#include "load.h"

static struct arguments {
	const char *collector;
	long interval_ms, warm_up, seconds;
} arguments = {.collector = "auto", .interval_ms = 1000, .warm_up = 3, .seconds = 30};

static const struct option long_options[] = {
	{"collector", required_argument, NULL, 'c'},
	{"interval", required_argument, NULL, 'i'},
	{"warm-up", required_argument, NULL, 'w'},
	{"seconds", required_argument, NULL, 's'},
	{0},
};

static void parse(int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == 'c')
			arguments.collector = optarg;
		else if (option == 'i')
			arguments.interval_ms = load_number("--interval", optarg, 10, 3600000);
		else if (option == 'w')
			arguments.warm_up = load_number("--warm-up", optarg, 0, 1000);
		else if (option == 's')
			arguments.seconds = load_number("--seconds", optarg, 1, 3600);
		else
			exit(2);
	}
}

static void say(void *context, enum tally_log_level level, const char *line)
{
	if (level <= TALLY_LOG_WARN)
		fprintf(stderr, "tally_monitor: %s\n", line);
}

static struct tally_monitor *make_monitor(void)
{
	struct tally_monitor_options options = {
		.collector = arguments.collector,
		.interval_ns = arguments.interval_ms * INT64_C(1000000),
		.log = say,
	};
	struct tally_monitor *monitor;
	struct tally_error error;

	if (tally_monitor_new(&options, &monitor, &error) < 0) {
		fprintf(stderr, "tally_monitor: %s\n", error.message);
		exit(1);
	}
	return monitor;
}

static void follow(struct tally_monitor *monitor, char *line)
{
	char *pid = strchr(line, '=');
	struct tally_error error;

	if (!pid)
		load_die("\"%s\" is not NAME=PID", line);
	*pid++ = '\0';
	if (tally_monitor_add_pid(monitor, line, line, (pid_t)atol(pid), &error) < 0)
		fprintf(stderr, "tally_monitor: %s\n", error.message);
}

/* Unbuffered, so that poll() later sees all there is. */
static bool read_line(char *line, size_t size)
{
	size_t used = 0;

	while (used + 1 < size && read(STDIN_FILENO, line + used, 1) == 1 && line[used] != '\n')
		used++;
	line[used] = '\0';
	return used > 0;
}

static void follow_all(struct tally_monitor *monitor)
{
	char line[256];

	while (read_line(line, sizeof(line)) && strcmp(line, "ready") != 0)
		follow(monitor, line);
}

/* Sleep, or less when standard input ends. Returns whether to go on. */
static bool wait_ms(long ms)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	char byte;

	return poll(&input, 1, (int)ms) == 0 || read(STDIN_FILENO, &byte, 1) > 0;
}

static void report(const struct tally_status *before, const struct tally_status *after)
{
	uint64_t ticks = after->ticks - before->ticks;
	double cpu_ms = (double)(after->self_cpu_ns - before->self_cpu_ns) / 1e6;

	printf("{\"collector\": \"%s\", \"tasks\": %zu, \"pids\": %zu, \"ticks\": %llu, "
	       "\"ticks_skipped\": %llu, \"cpu_ms_per_tick\": %.3f, \"tick_cpu_ms\": %.3f, "
	       "\"rss_bytes\": %lld, \"history_bytes\": %zu, \"limited\": %llu, "
	       "\"faults\": %llu}\n",
		after->collector, after->tasks, after->pids, (unsigned long long)ticks,
		(unsigned long long)(after->ticks_skipped - before->ticks_skipped),
		ticks ? cpu_ms / (double)ticks : 0.0, (double)after->tick_cpu_ns / 1e6,
		(long long)after->self_rss_bytes, after->history_bytes,
		(unsigned long long)after->collector_limited, (unsigned long long)after->faults);
}

/* The window begins and ends between two ticks, so that it holds whole ones. */
static void run(struct tally_monitor *monitor)
{
	long warm_up_ms = arguments.warm_up * arguments.interval_ms - arguments.interval_ms / 2;
	struct tally_status before, after;

	tally_monitor_status(monitor, &before);
	if (wait_ms(warm_up_ms > 0 ? warm_up_ms : 0)) {
		tally_monitor_status(monitor, &before);
		wait_ms(arguments.seconds * 1000);
	}
	tally_monitor_status(monitor, &after);
	report(&before, &after);
}

int main(int argc, char **argv)
{
	struct tally_monitor *monitor;
	struct tally_error error;

	parse(argc, argv);
	monitor = make_monitor();
	follow_all(monitor);
	if (tally_monitor_start(monitor, &error) < 0)
		load_die("%s", error.message);
	printf("started\n");
	fflush(stdout);
	run(monitor);
	tally_monitor_free(monitor);
	return 0;
}
