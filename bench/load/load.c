/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static const int64_t ns_per_s = 1000000000;

static int64_t read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * ns_per_s + now.tv_nsec;
}

void load_die(const char *format, ...)
{
	int code = errno;
	va_list arguments;

	va_start(arguments, format);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, format, arguments);
	fprintf(stderr, code ? ": %s\n" : "\n", strerror(code));
	va_end(arguments);
	exit(1);
}

long load_number(const char *what, const char *text, long min, long max)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(text, &end, 10);
	if (errno || end == text || *end || number < min || number > max) {
		fprintf(stderr, "%s: %s: \"%s\" is not a whole number from %ld to %ld\n",
			program_invocation_short_name, what, text, min, max);
		exit(2);
	}
	return number;
}

int64_t load_cpu_ns(void)
{
	return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t load_now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

void load_burn(int64_t ns)
{
	int64_t end = read_clock(CLOCK_THREAD_CPUTIME_ID) + ns;

	while (read_clock(CLOCK_THREAD_CPUTIME_ID) < end)
		;
}

void load_die_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
}

pid_t load_fork(void)
{
	pid_t pid = fork();

	if (pid < 0)
		load_die("cannot fork");
	return pid;
}
