/* SPDX-License-Identifier: Apache-2.0 */
/** A course of figures as a word of block characters: "▁▂▅█▂". */
#ifndef CLI_SPARKLINE_H
#define CLI_SPARKLINE_H

#include <stdbool.h>
#include <stddef.h>

/** Most characters of one, and room for them. */
#define SPARKLINE_COLUMNS 8
#define SPARKLINE_SIZE	  (3 * SPARKLINE_COLUMNS + 1)

/** Whether a descriptor is a terminal that can show them: LC_ALL, LC_CTYPE or LANG says UTF-8. */
bool sparkline_shown(int fd);

/**
 * Draw values from 0 to the largest of them: several fall into one character, which shows the
 * largest. NaN is an absent value, and a blank.
 *
 * @return out
 */
const char *sparkline_draw(char out[SPARKLINE_SIZE], const double *values, size_t count);

/** How a sparkline is drawn. */
struct sparkline_style {
	double top; /**< A full character: at least this, whatever the largest value is. */
	bool ascii; /**< With ASCII alone: "_.-+*#". */
};

/**
 * As sparkline_draw(), one character for each value, of any number.
 *
 * @out   3 × count + 1 bytes.
 */
char *sparkline_put(
	char *out, const double *values, size_t count, const struct sparkline_style *style);

#endif
