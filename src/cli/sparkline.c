/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/sparkline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "base/attr.h"

static const char *const levels[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

/* As setlocale() would choose the encoding; the program itself always runs in UTF-8. */
bool sparkline_shown(int fd)
{
	static const char *const variables[] = {"LC_ALL", "LC_CTYPE", "LANG"};

	for (size_t i = 0; i < ARRAY_SIZE(variables); i++) {
		const char *value = getenv(variables[i]);

		if (value && *value)
			return isatty(fd) &&
			       (strcasestr(value, "UTF-8") || strcasestr(value, "UTF8"));
	}
	return false;
}

/* The largest of values[from … to - 1] that is known; NaN: none is. */
static double largest(const double *values, size_t from, size_t to)
{
	double most = NAN;

	for (size_t i = from; i < to; i++)
		if (isnan(most) || values[i] > most)
			most = values[i];
	return most;
}

static size_t level_of(double value, double top)
{
	return top > 0 && value > 0 ? (size_t)(value / top * (ARRAY_SIZE(levels) - 1) + 0.5) : 0;
}

const char *sparkline_draw(char out[SPARKLINE_SIZE], const double *values, size_t count)
{
	size_t columns = count < SPARKLINE_COLUMNS ? count : SPARKLINE_COLUMNS;
	double top = largest(values, 0, count);

	out[0] = '\0';
	for (size_t i = 0; i < columns; i++) {
		double most = largest(values, i * count / columns, (i + 1) * count / columns);

		strcat(out, isnan(most) ? " " : levels[level_of(most, top)]);
	}
	return out;
}

static const char *level_word(double value, double top, bool ascii)
{
	static const char *const plain[] = {"_", ".", "-", "+", "*", "#"};
	size_t level = level_of(value, top);

	return ascii ? plain[level * (ARRAY_SIZE(plain) - 1) / (ARRAY_SIZE(levels) - 1)]
		     : levels[level];
}

char *sparkline_put(
	char *out, const double *values, size_t count, const struct sparkline_style *style)
{
	double most = largest(values, 0, count), top = most > style->top ? most : style->top;
	char *at = out;

	*at = '\0';
	for (size_t i = 0; i < count; i++)
		at = stpcpy(at, isnan(values[i]) ? " " : level_word(values[i], top, style->ascii));
	return out;
}
