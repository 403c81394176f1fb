/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/text.h"
#include "cli/daemon.h"
#include "serve/buffer.h"

/* Set before there are threads. */
static enum log_format chosen = LOG_TEXT;

/* Priorities of syslog(3), and words. */
static const struct {
	int priority;
	const char *word;
} levels[] = {
	[TALLY_LOG_ERROR] = {3, "error"},
	[TALLY_LOG_WARN] = {4, "warning"},
	[TALLY_LOG_INFO] = {6, "info"},
	[TALLY_LOG_DEBUG] = {7, "debug"},
};

/* JOURNAL_STREAM is "DEVICE:INODE" of the socket that standard error was at the start. */
static bool goes_to_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

int daemon_log_format(const char *name)
{
	static const char *const names[] = {
		[LOG_TEXT] = "text", [LOG_JOURNAL] = "journal", [LOG_JSON] = "json"};

	if (!name) {
		chosen = goes_to_journal() ? LOG_JOURNAL : LOG_TEXT;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i], name) == 0) {
			chosen = (enum log_format)i;
			return 0;
		}
	return -EINVAL;
}

static void put_json(struct buffer *out, enum tally_log_level level, const char *line)
{
	buffer_puts(out, "{\"time\":");
	buffer_put_seconds(out, clock_wall_ns());
	buffer_printf(out, ",\"level\":\"%s\",\"message\":", levels[level].word);
	buffer_put_json(out, line);
	buffer_puts(out, "}\n");
}

static void put_text(struct buffer *out, enum tally_log_level level, const char *line)
{
	char shown[1024];

	text_show(shown, sizeof(shown), line);
	if (chosen == LOG_JOURNAL)
		buffer_printf(out, "<%d>%s\n", levels[level].priority, shown);
	else
		buffer_printf(out, "tally: %s\n", shown);
}

/* One write per line, so that lines of several threads do not mix. */
void daemon_log(void *context, enum tally_log_level level, const char *line)
{
	CLEANUP_BUFFER struct buffer out = {0};

	if (level > TALLY_LOG_INFO)
		return;
	if (chosen == LOG_JSON)
		put_json(&out, level, line);
	else
		put_text(&out, level, line);
	if (out.used && write(STDERR_FILENO, out.at, out.used) < 0)
		return; /* There is no other place to say so. */
}
