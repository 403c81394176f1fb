/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fail.h"

#include <stdio.h>
#include <string.h>

static void PRINTF_LIKE(3, 0)
	write_message(struct tally_error *err, int code, const char *format, va_list args)
{
	if (!err)
		return;
	err->code = code;
	vsnprintf(err->message, sizeof(err->message), format, args);
	for (char *c = err->message; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
}

int tally_fail(struct tally_error *err, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_message(err, code, format, args);
	va_end(args);
	if (err) {
		size_t used = strlen(err->message);

		snprintf(err->message + used, sizeof(err->message) - used, ": %s", strerror(-code));
	}
	return code;
}

int tally_refuse(struct tally_error *err, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_message(err, code, format, args);
	va_end(args);
	return code;
}

int tally_prefix(struct tally_error *err, int code, const char *format, ...)
{
	struct tally_error inner;
	va_list args;

	if (!err)
		return code;
	inner = *err;
	va_start(args, format);
	write_message(err, code, format, args);
	va_end(args);
	size_t used = strlen(err->message);
	snprintf(err->message + used, sizeof(err->message) - used, ": %s", inner.message);
	return code;
}
