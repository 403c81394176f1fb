/* SPDX-License-Identifier: Apache-2.0 */
/** Where text goes: to a callback of the embedding program, never straight to a stream. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <tally/log.h>
#include "base/attr.h"

/** A destination for log lines, passed by pointer to whoever may have something to say. */
struct log {
	tally_log_fn *write; /**< NULL: silence. */
	void *context;
};

/** Say one line; formatted into 1 KiB, cut beyond. `log` may be NULL. */
void log_say(const struct log *log, enum tally_log_level level, const char *format, ...)
	PRINTF_LIKE(3, 4);

#endif
