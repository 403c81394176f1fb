/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

void log_say(const struct log *log, enum tally_log_level level, const char *format, ...)
{
	char line[1024];
	va_list args;

	if (!log || !log->write)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	log->write(log->context, level, line);
}
