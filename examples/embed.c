/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Embedding libtally: a program that watches itself for ten seconds.
 *
 *     cc embed.c $(pkg-config --cflags --libs libtally) -o embed && ./embed
 *
 * The optional argument is the number of seconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <tally/tally.h>

/* Something to measure: half a second of work, half a second of sleep. */
static void work_a_second(void)
{
	volatile unsigned long sink = 0;
	clock_t end = clock() + CLOCKS_PER_SEC / 2;

	while (clock() < end)
		sink++;
	usleep(500000);
}

static void print_line(const struct tally_reading *reading)
{
	const struct tally_sample *sample = &reading->sample;
	long long cpu_ns = 0;
	int64_t ns;

	if (tally_sample_cpu_ns(sample, &ns) == 0)
		cpu_ns = ns;
	printf("%8.3f s CPU", (double)cpu_ns / 1e9);
	if (reading->has_cpu_rate)
		printf("  %5.2f cores", reading->cpu_rate);
	if (tally_sample_has(sample, TALLY_RSS))
		printf("  %6.1f MiB", (double)sample->value[TALLY_RSS] / (1 << 20));
	else
		printf("  memory unknown: %s", tally_reason_text(sample->reason[TALLY_RSS]));
	putchar('\n');
}

int main(int argc, char **argv)
{
	struct tally_monitor_options options = {0}; /* Zero is the default. */
	struct tally_monitor *monitor;
	struct tally_reading reading;
	struct tally_error err;
	int seconds = argc > 1 ? atoi(argv[1]) : 10;

	if (tally_monitor_new(&options, &monitor, &err) < 0 ||
		tally_monitor_add_pid(monitor, "embed", "main", getpid(), &err) < 0 ||
		tally_monitor_start(monitor, &err) < 0) {
		fprintf(stderr, "embed: %s\n", err.message);
		return 1;
	}
	for (int i = 0; i < seconds; i++) {
		work_a_second();
		if (tally_monitor_sample(monitor, "embed", &reading, &err) < 0)
			fprintf(stderr, "embed: %s\n", err.message);
		else
			print_line(&reading);
	}
	tally_monitor_free(monitor);
	return 0;
}
