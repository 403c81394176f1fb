/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What it costs to watch Thermos tasks that do nothing.
 *
 *     thermos_refresh [--active N] [--finished N] [--polls N] [--pace MS]
 *
 * Makes a checkpoint root of 1,000 active tasks, each with a live process behind it, and 5,000
 * finished ones; opens the source on it as `tally observe` does, and prints one JSON object: CPU
 * and wall-clock time from opening to the first whole list, CPU time of each poll afterwards when
 * nothing has changed (as often as asked, at that pace), CPU time until one new record is known,
 * and memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "load.h"
#include "source/registry.h"
#include "source/thermos.h"
#include "thermos_wire.h"

/* Longer than a directory's mtime takes to be trusted. */
#define SETTLE_US 2500000

static const char definition[] =
	"{\"name\": \"web\", \"processes\": [{\"name\": \"web\", \"cmdline\": \"exec sleep 1000\", "
	"\"max_failures\": 1, \"daemon\": false, \"ephemeral\": false, \"min_duration\": 5, "
	"\"final\": false}], \"finalization_wait\": 30, \"max_failures\": 1, "
	"\"max_concurrency\": 0, \"resources\": {\"cpu\": 1.0, \"ram\": 134217728, "
	"\"disk\": 134217728}, \"constraints\": []}";

static struct arguments {
	long active, finished, polls, pace_ms;
} arguments = {.active = 1000, .finished = 5000, .polls = 21, .pace_ms = 200};

static const struct option long_options[] = {
	{"active", required_argument, NULL, 'a'},
	{"finished", required_argument, NULL, 'f'},
	{"polls", required_argument, NULL, 'p'},
	{"pace", required_argument, NULL, 'm'},
	{0},
};

static void parse(int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == 'a')
			arguments.active = load_number("--active", optarg, 1, 20000);
		else if (option == 'f')
			arguments.finished = load_number("--finished", optarg, 0, 40000);
		else if (option == 'p')
			arguments.polls = load_number("--polls", optarg, 1, 1000);
		else if (option == 'm')
			arguments.pace_ms = load_number("--pace", optarg, 0, 10000);
		else
			exit(2);
	}
}

static char base[] = "/tmp/thermos_refresh-XXXXXX";

__attribute__((format(printf, 1, 2))) static const char *below(const char *format, ...)
{
	static char path[PATH_MAX];
	va_list args;
	int used = snprintf(path, sizeof(path), "%s/", base);

	va_start(args, format);
	vsnprintf(path + used, sizeof(path) - (size_t)used, format, args);
	va_end(args);
	return path;
}

static void make_folder(const char *path)
{
	if (mkdir(path, 0755) < 0)
		load_die("mkdir %s", path);
}

static void write_file(const char *path, const void *bytes, size_t length, int flags)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);

	if (fd < 0 || write(fd, bytes, length) != (ssize_t)length)
		load_die("write %s", path);
	close(fd);
}

/* A header with ports, a status, and for a finished task the rest of a life. */
static void make_task(const char *where, const char *id, pid_t pid)
{
	struct wire wire = {0};
	double now = (double)clock_wall_ns() / 1e9;

	wire_header(&wire, id, base, (int)getuid());
	wire_task(&wire, 0, (int64_t)(now * 1000), 1);
	wire_running(&wire, "setup", 0, 1, 99999999, now);
	wire_process(&wire, "setup", 3, 3, 0, now);
	wire_running(&wire, "web", 0, 1, pid ? pid : 99999999, now);
	if (!pid) {
		wire_process(&wire, "web", 3, 3, 0, now);
		wire_task(&wire, 1, (int64_t)(now * 1000), 1);
	}
	make_folder(below("checkpoints/%s", id));
	write_file(below("checkpoints/%s/runner", id), wire.bytes, wire.length, 0);
	write_file(below("tasks/%s/%s", where, id), definition, strlen(definition), 0);
	wire_done(&wire);
}

static pid_t sleeper(void)
{
	pid_t parent = getpid(), pid = load_fork();

	if (pid == 0) {
		load_die_with(parent);
		pause();
		_exit(0);
	}
	return pid;
}

static void make_tasks(void)
{
	char id[64];

	if (!mkdtemp(base))
		load_die("mkdtemp");
	make_folder(below("tasks"));
	make_folder(below("tasks/active"));
	make_folder(below("tasks/finished"));
	make_folder(below("checkpoints"));
	for (long i = 0; i < arguments.finished; i++) {
		snprintf(id, sizeof(id), "1764000000000-role-prod-done-%ld-0001", i);
		make_task("finished", id, 0);
	}
	for (long i = 0; i < arguments.active; i++) {
		snprintf(id, sizeof(id), "1764000000000-role-prod-web-%ld-0002", i);
		make_task("active", id, sleeper());
	}
}

static void remove_all(void)
{
	pid_t pid = load_fork();

	if (pid == 0) {
		execlp("rm", "rm", "-rf", base, (char *)NULL);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
}

static void count_known(void *context, const struct source_task *task)
{
	long *counts = context;

	counts[0]++;
	for (size_t i = 0; i < task->process_count; i++)
		counts[1] += task->processes[i].pid > 0;
}

static void refresh(struct source *source)
{
	struct tally_error err;

	if (source_refresh(source, &err) < 0)
		load_die("%s", err.message);
}

static bool ready(struct source *source, int timeout_ms)
{
	struct pollfd fd = {.fd = source_fd(source), .events = POLLIN};

	return poll(&fd, 1, timeout_ms) == 1;
}

static void check_known(struct source *source)
{
	long counts[2] = {0};

	source_list(source, count_known, counts);
	if (counts[0] != arguments.active + arguments.finished || counts[1] != arguments.active) {
		errno = 0;
		load_die("%ld tasks with %ld live pids are known", counts[0], counts[1]);
	}
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static long rss_kib(void)
{
	char line[256];
	long kib = 0;
	FILE *file = fopen("/proc/self/status", "re");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmRSS: %ld", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

static struct source *start(int64_t *ret_cpu_ns, int64_t *ret_wall_ns)
{
	const struct thermos_options options = {.poll_ns = 1};
	struct source *source;
	struct tally_error err;
	int64_t cpu_ns = clock_thread_cpu_ns(), wall_ns = load_now_ns();

	if (thermos_open(&source_thermos, base, &options, &source, &err) < 0)
		load_die("%s", err.message);
	do
		refresh(source);
	while (ready(source, 0));
	check_known(source);
	*ret_cpu_ns = clock_thread_cpu_ns() - cpu_ns;
	*ret_wall_ns = load_now_ns() - wall_ns;
	return source;
}

static void measure_polls(struct source *source, int64_t *ret)
{
	usleep(SETTLE_US);
	refresh(source);
	refresh(source);
	for (long i = 0; i < arguments.polls; i++) {
		usleep((useconds_t)arguments.pace_ms * 1000);
		int64_t cpu_ns = clock_thread_cpu_ns();
		refresh(source);
		ret[i] = clock_thread_cpu_ns() - cpu_ns;
	}
	qsort(ret, (size_t)arguments.polls, sizeof(*ret), by_size);
}

/* Heard, not polled: the source that is measured here polls once an hour. */
static int64_t measure_record(void)
{
	const struct thermos_options options = {.poll_ns = 3600 * NS_PER_S};
	struct wire wire = {0};
	struct source *source;
	struct tally_error err;

	if (thermos_open(&source_thermos, base, &options, &source, &err) < 0)
		load_die("%s", err.message);
	do
		refresh(source);
	while (ready(source, 100));
	wire_task(&wire, 5, 1, 1);
	write_file(below("checkpoints/1764000000000-role-prod-web-0-0002/runner"), wire.bytes,
		wire.length, O_APPEND);
	wire_done(&wire);
	if (!ready(source, 1000))
		load_die("a new record is not heard of");
	int64_t cpu_ns = clock_thread_cpu_ns();
	refresh(source);
	cpu_ns = clock_thread_cpu_ns() - cpu_ns;
	source_close(source);
	return cpu_ns;
}

int main(int argc, char **argv)
{
	int64_t start_cpu_ns, start_wall_ns;

	parse(argc, argv);
	int64_t *polls = calloc((size_t)arguments.polls, sizeof(*polls));
	make_tasks();
	long before_kib = rss_kib();
	struct source *source = start(&start_cpu_ns, &start_wall_ns);
	measure_polls(source, polls);
	long after_kib = rss_kib();
	source_close(source);
	int64_t record_ns = measure_record();
	printf("{\"active\": %ld, \"finished\": %ld, \"start_cpu_ms\": %.1f, "
	       "\"start_wall_ms\": %.1f, \"poll_cpu_ms_median\": %.2f, \"poll_cpu_ms_max\": %.2f, "
	       "\"record_cpu_ms\": %.2f, \"rss_grown_kib\": %ld}\n",
		arguments.active, arguments.finished, (double)start_cpu_ns / 1e6,
		(double)start_wall_ns / 1e6, (double)polls[arguments.polls / 2] / 1e6,
		(double)polls[arguments.polls - 1] / 1e6, (double)record_ns / 1e6,
		after_kib - before_kib);
	free(polls);
	remove_all();
	return 0;
}
