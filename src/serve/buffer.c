/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/buffer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/text.h"

#define FIRST_ROOM 4096

void buffer_done(struct buffer *buffer)
{
	free(buffer->at);
	*buffer = (struct buffer){.limit = buffer->limit};
}

static bool grow(struct buffer *buffer, size_t needed)
{
	size_t room = buffer->room ? buffer->room : FIRST_ROOM;

	if (buffer->limit && needed > buffer->limit) {
		buffer->code = -EFBIG;
		return false;
	}
	if (room < needed)
		room = needed > 2 * room ? needed : 2 * room;
	if (buffer->limit && room > buffer->limit)
		room = buffer->limit;

	char *grown = realloc(buffer->at, room);
	if (!grown) {
		buffer->code = -ENOMEM;
		return false;
	}
	buffer->at = grown;
	buffer->room = room;
	return true;
}

void buffer_expect(struct buffer *buffer, size_t length)
{
	if (!buffer->limit || buffer->used + length <= buffer->limit)
		grow(buffer, buffer->used + length);
	buffer->code = 0; /* It was only a hint. */
}

char *buffer_more(struct buffer *buffer, size_t length)
{
	if (buffer->code)
		return NULL;
	if (length > buffer->room - buffer->used && !grow(buffer, buffer->used + length))
		return NULL;

	char *at = buffer->at + buffer->used;
	buffer->used += length;
	return at;
}

void buffer_put(struct buffer *buffer, const char *bytes, size_t length)
{
	char *at = buffer_more(buffer, length);

	if (at && length)
		memcpy(at, bytes, length);
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	int length = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (length > 0)
		buffer_put(buffer, text,
			(size_t)length < sizeof(text) ? (size_t)length : sizeof(text) - 1);
}

/* Write digits before `end`. @return where they begin. */
static char *digits_before(char *end, uint64_t value, unsigned at_least)
{
	for (; value || at_least; value /= 10, at_least -= at_least > 0)
		*--end = (char)('0' + value % 10);
	return end;
}

static uint64_t magnitude_of(int64_t value)
{
	return value < 0 ? -(uint64_t)value : (uint64_t)value;
}

void buffer_put_i64(struct buffer *buffer, int64_t value)
{
	char text[24], *end = text + sizeof(text);
	char *at = digits_before(end, magnitude_of(value), 1);

	if (value < 0)
		*--at = '-';
	buffer_put(buffer, at, (size_t)(end - at));
}

void buffer_put_seconds(struct buffer *buffer, int64_t ns)
{
	char text[32], *end = text + sizeof(text);
	uint64_t magnitude = magnitude_of(ns);
	char *at = digits_before(end, magnitude % 1000000000, 9);

	*--at = '.';
	at = digits_before(at, magnitude / 1000000000, 1);
	if (ns < 0)
		*--at = '-';
	while (end[-1] == '0' && end[-2] != '.')
		end--;
	buffer_put(buffer, at, (size_t)(end - at));
}

void buffer_put_real(struct buffer *buffer, double value)
{
	char text[40];
	int length = snprintf(text, sizeof(text), "%.9g", value);

	buffer_put(buffer, text, (size_t)length);
}

static bool plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void put_json_special(struct buffer *buffer, const char *from, const char *to, int32_t c)
{
	if (c < 0)
		buffer_puts(buffer, "\xef\xbf\xbd");
	else if (c == '"' || c == '\\')
		buffer_put(buffer, (const char[]){'\\', (char)c}, 2);
	else if (c < 0x20 || c == 0x7f)
		buffer_printf(buffer, "\\u%04x", (unsigned)c);
	else
		buffer_put(buffer, from, (size_t)(to - from));
}

void buffer_put_json(struct buffer *buffer, const char *text)
{
	const char *end = text + strlen(text);

	buffer_putc(buffer, '"');
	while (text < end) {
		const char *from = text;

		while (text < end && plain((unsigned char)*text))
			text++;
		buffer_put(buffer, from, (size_t)(text - from));
		if (text < end) {
			from = text;
			int32_t c = text_code_point(&text, end);
			put_json_special(buffer, from, text, c);
		}
	}
	buffer_putc(buffer, '"');
}

char *buffer_take(struct buffer *buffer, size_t *ret_length)
{
	if (buffer->code || !buffer_more(buffer, 0))
		return NULL;

	char *shrunk = buffer->used ? realloc(buffer->at, buffer->used) : NULL;
	char *taken = shrunk ? shrunk : buffer->at;
	*ret_length = buffer->used;
	buffer->at = NULL;
	buffer_done(buffer);
	return taken;
}
