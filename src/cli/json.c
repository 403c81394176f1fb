/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/json.h"

#include <errno.h>
#include "base/attr.h"
#include "base/text.h"

json_t *json_text(const char *text)
{
	CLEANUP_FREE char *utf8 = text ? text_utf8(text) : NULL;

	return utf8 ? json_string(utf8) : json_null();
}

/* Fifteen digits: seconds since the epoch to ten microseconds, and 0.1 as 0.1. */
int json_write(const json_t *value, FILE *out)
{
	if (json_dumpf(value, out, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) < 0)
		return -EIO;
	return fputc('\n', out) == EOF ? -EIO : 0;
}
