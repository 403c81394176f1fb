/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/text.h"
#include "cli/terminal.h"

/* Work as short as this shows nothing, and a line stays for so long. */
#define SHORT_NS (500 * NS_PER_MS)
#define AGAIN_NS (200 * NS_PER_MS)

#define BAR_COLUMNS 20

void progress_begin(struct progress *progress, int fd)
{
	*progress = (struct progress){
		.fd = fd, .wanted = terminal_can_move(fd), .begun_ns = clock_boot_ns()};
}

/* What is left, as if it went on like this; told once a tenth is done. */
static void put_left(char *out, size_t size, double part, int64_t elapsed_ns)
{
	double left = (double)elapsed_ns / 1e9 / part * (1 - part);

	out[0] = '\0';
	if (part < 0.1 || part >= 1)
		return;
	if (left < 60)
		snprintf(out, size, ", %.0f s left", left);
	else
		snprintf(out, size, ", %.0f min left", left / 60);
}

void progress_line(
	char *out, size_t size, int columns, double part, int64_t elapsed_ns, const char *what)
{
	char bar[BAR_COLUMNS + 1], left[32], line[512], shown[512];

	if (part < 0) {
		snprintf(
			line, sizeof(line), "%s, %lld s", what, (long long)(elapsed_ns / NS_PER_S));
	} else {
		part = part > 1 ? 1 : part;
		for (int i = 0; i < BAR_COLUMNS; i++)
			bar[i] = i < (int)(part * BAR_COLUMNS) ? '#' : '.';
		bar[BAR_COLUMNS] = '\0';
		put_left(left, sizeof(left), part, elapsed_ns);
		snprintf(line, sizeof(line), "[%s] %3.0f %%  %s%s", bar, part * 100, what, left);
	}
	text_show(shown, sizeof(shown), line);
	snprintf(out, size, "%.*s", columns > 0 ? columns : 0, shown);
}

/* In the background it is somebody else's terminal. */
static bool may_show(const struct progress *progress)
{
	return progress->wanted && terminal_owner(progress->fd) == TERMINAL_OURS;
}

void progress_tell(struct progress *progress, double part, const char *format, ...)
{
	int64_t now_ns = progress->wanted ? clock_boot_ns() : 0;
	int rows, columns;
	char what[256], line[512];
	va_list args;

	if (!progress->wanted || now_ns - progress->begun_ns < SHORT_NS ||
		now_ns - progress->told_ns < AGAIN_NS || !may_show(progress) ||
		terminal_size(progress->fd, &rows, &columns) < 0)
		return;
	progress->told_ns = now_ns;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	progress_line(line, sizeof(line), columns ? columns - 1 : 79, part,
		now_ns - progress->begun_ns, what);
	dprintf(progress->fd, "\r%s\033[K", line);
	progress->shown = true;
}

void progress_end(struct progress *progress)
{
	if (progress->shown)
		dprintf(progress->fd, "\r\033[K");
	progress->shown = false;
}
