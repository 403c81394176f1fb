/* SPDX-License-Identifier: Apache-2.0 */
/**
 * How far a long piece of work is: one line on a terminal that goes away when it is done. Nothing at
 * all where standard error is no terminal, or the work is short.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/attr.h"

struct progress {
	int fd;
	bool wanted; /**< There is a terminal to show it. */
	bool shown;  /**< A line stands there. */
	int64_t begun_ns, told_ns;
};

/** Begin; nothing is shown yet. */
void progress_begin(struct progress *progress, int fd);

/**
 * Tell how far it is; cheap, and shown a few times a second at most, after the first half second.
 *
 * @part    0 to 1, for the bar and the time that is left; negative: unknown.
 * @format  What is being done.
 */
void progress_tell(struct progress *progress, double part, const char *format, ...)
	PRINTF_LIKE(3, 4);

/** Take the line away. */
void progress_end(struct progress *progress);

/**
 * The text of a line: "[####......] 42 %  task 3 of 7, 12 s left".
 *
 * @columns  Most that it may take.
 */
void progress_line(
	char *out, size_t size, int columns, double part, int64_t elapsed_ns, const char *what);

#endif
