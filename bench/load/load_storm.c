/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A fork storm that tells the truth about itself.
 *
 *     load_storm [--workers W] [--truth FILE] MODE SECONDSs | COUNT
 *
 * Runs MODE (no argument: lists them) in W workers (2; 20 for "twenty") for so many seconds ("10s",
 * at most 600) or so many rounds, then prints one JSON object, to standard output or FILE:
 *
 *     {"mode": "true", "workers": 2, "wall_seconds": 10.002, "rounds": 9120, "processes": 9123,
 *      "cpu_seconds": 11.9, "truth": "cgroup", "rusage_seconds": 11.9}
 *
 * cpu_seconds is all that the whole tree used, this process included. Where it comes from:
 *
 *     "cgroup"  usage_usec of a cgroup made for the storm (root): the kernel's own sum, whoever
 *               reaps; plus CLOCK_PROCESS_CPUTIME_ID of this process, which stays outside.
 *     "rusage"  RUSAGE_SELF + RUSAGE_CHILDREN: complete, because this mode's tree reaps all.
 *     "rusage and self-report"  the modes whose children nobody reaps, without cgroup: each says
 *               what it had used just before it exited; its exit itself is missing (some 50 µs).
 *
 * rusage_seconds is what wait4() alone knows. processes is null where the mode cannot count.
 * The processes are not reaped by any help of ours: a subreaper would hide what is to be shown.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "load.h"
#include "storm.h"

static const int64_t ns_per_s = 1000000000;
static const long max_seconds = 600;
static const long max_rounds = 10000000;

struct arguments {
	const struct storm_mode *mode;
	const char *truth_file;
	long workers, seconds, count;
};

static const struct option long_options[] = {
	{"workers", required_argument, NULL, 'w'},
	{"truth", required_argument, NULL, 't'},
	{0},
};

static void usage(void)
{
	fprintf(stderr, "usage: load_storm [--workers W] [--truth FILE] MODE SECONDSs|COUNT\n");
	for (int i = 0; i < storm_mode_count; i++)
		fprintf(stderr, "  %-9s %s\n", storm_modes[i].name, storm_modes[i].summary);
	exit(2);
}

static const struct storm_mode *find_mode(const char *name)
{
	for (int i = 0; i < storm_mode_count; i++)
		if (strcmp(storm_modes[i].name, name) == 0)
			return &storm_modes[i];
	usage();
	return NULL;
}

static void parse_length(struct arguments *arguments, char *text)
{
	size_t length = strlen(text);

	arguments->seconds = max_seconds;
	if (length > 1 && text[length - 1] == 's') {
		text[length - 1] = '\0';
		arguments->seconds = load_number("SECONDS", text, 1, max_seconds);
	} else {
		arguments->count = load_number("COUNT", text, 1, max_rounds);
	}
}

static void parse(struct arguments *arguments, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == 'w')
			arguments->workers = load_number("--workers", optarg, 1, 1000);
		else if (option == 't')
			arguments->truth_file = optarg;
		else
			usage();
	}
	if (argc - optind != 2)
		usage();
	arguments->mode = find_mode(argv[optind]);
	parse_length(arguments, argv[optind + 1]);
	if (!arguments->workers)
		arguments->workers = strcmp(arguments->mode->name, "twenty") ? 2 : 20;
}

static struct storm *new_storm(const struct arguments *arguments)
{
	struct storm *storm = mmap(
		NULL, sizeof(*storm), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (storm == MAP_FAILED)
		load_die("cannot share memory");
	storm->count = arguments->count;
	storm->end_ns = load_now_ns() + arguments->seconds * ns_per_s;
	storm->workers = (int)arguments->workers;
	return storm;
}

/* The middle process joins the cgroup and makes the workers, so that this one can look on. */
static void run_workers(
	struct storm *storm, const struct storm_mode *mode, const struct truth *truth)
{
	pid_t self = getpid();

	truth_join(truth);
	storm->unmarked_ns = load_cpu_ns();
	for (int i = 0; i < storm->workers; i++) {
		if (load_fork() == 0) {
			load_die_with(self);
			mode->work(storm);
			_exit(0);
		}
	}
	while (wait(NULL) > 0 || errno == EINTR)
		;
	_exit(0);
}

static int64_t rusage_ns(int who)
{
	struct rusage usage;

	getrusage(who, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * ns_per_s +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * INT64_C(1000);
}

static void run_storm(struct storm *storm, const struct storm_mode *mode, const struct truth *truth)
{
	pid_t self = getpid();
	pid_t middle = load_fork();

	if (middle == 0) {
		load_die_with(self);
		run_workers(storm, mode, truth);
	}
	while (waitpid(middle, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Seconds of the whole tree, and the name of the source. */
static double whole_cpu(struct storm *storm, const struct storm_mode *mode, int64_t cgroup_ns,
	int64_t children_ns, const char **source)
{
	int64_t self_ns = load_cpu_ns();

	*source = "cgroup";
	if (cgroup_ns >= 0)
		return (double)(self_ns + storm->unmarked_ns + cgroup_ns) / (double)ns_per_s;
	*source = mode->reaped ? "rusage" : "rusage and self-report";
	return (double)(self_ns + children_ns + storm->unreaped_ns) / (double)ns_per_s;
}

static void print_report(FILE *out, struct storm *storm, const struct storm_mode *mode, double wall,
	int64_t cgroup_ns)
{
	int64_t children_ns = rusage_ns(RUSAGE_CHILDREN);
	int64_t rusage = rusage_ns(RUSAGE_SELF) + children_ns;
	const char *source;
	double cpu = whole_cpu(storm, mode, cgroup_ns, children_ns, &source);
	long extra = storm->workers + 2; /* This process and the middle one. */
	char processes[32] = "null";

	if (mode->counts)
		snprintf(processes, sizeof(processes), "%ld", storm->processes + extra);
	fprintf(out,
		"{\"mode\": \"%s\", \"workers\": %d, \"wall_seconds\": %.6f, \"children\": %ld, "
		"\"processes\": %s, \"cpu_seconds\": %.6f, \"truth\": \"%s\", "
		"\"rusage_seconds\": %.6f}\n",
		mode->name, storm->workers, wall, storm->processes, processes, cpu, source,
		(double)rusage / (double)ns_per_s);
}

int main(int argc, char **argv)
{
	struct arguments arguments = {0};
	struct truth truth;
	struct storm *storm;
	FILE *out = stdout;
	int64_t begin_ns, wall_ns;

	parse(&arguments, argc, argv);
	if (arguments.truth_file && !(out = fopen(arguments.truth_file, "we")))
		load_die("cannot write %s", arguments.truth_file);
	truth_open(&truth);
	storm = new_storm(&arguments);
	begin_ns = load_now_ns();
	run_storm(storm, arguments.mode, &truth);
	wall_ns = load_now_ns() - begin_ns;
	print_report(out, storm, arguments.mode, (double)wall_ns / (double)ns_per_s,
		truth_close(&truth));
	fclose(out);
	return 0;
}
