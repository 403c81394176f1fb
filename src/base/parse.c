/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parse.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

void cursor_skip_blank(struct cursor *cursor)
{
	while (cursor->at < cursor->end && blank(*cursor->at))
		cursor->at++;
}

bool cursor_line(struct cursor *cursor, struct cursor *line)
{
	if (cursor->at >= cursor->end)
		return false;

	const char *newline = memchr(cursor->at, '\n', (size_t)(cursor->end - cursor->at));

	line->at = cursor->at;
	line->end = newline ? newline : cursor->end;
	cursor->at = newline ? newline + 1 : cursor->end;
	return true;
}

bool cursor_u64(struct cursor *cursor, uint64_t *ret)
{
	struct cursor c = *cursor;
	uint64_t value = 0;

	cursor_skip_blank(&c);
	const char *first = c.at;
	for (; c.at < c.end && *c.at >= '0' && *c.at <= '9'; c.at++)
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(*c.at - '0'), &value))
			return false;
	if (c.at == first)
		return false;
	*cursor = c;
	*ret = value;
	return true;
}

bool cursor_i64(struct cursor *cursor, int64_t *ret)
{
	struct cursor c = *cursor;
	uint64_t magnitude;

	cursor_skip_blank(&c);
	bool negative = c.at < c.end && *c.at == '-';
	if (negative)
		c.at++;
	if (c.at >= c.end || !isdigit((unsigned char)*c.at) || !cursor_u64(&c, &magnitude) ||
		magnitude > (uint64_t)INT64_MAX)
		return false;
	*cursor = c;
	*ret = negative ? -(int64_t)magnitude : (int64_t)magnitude;
	return true;
}

bool cursor_literal(struct cursor *cursor, const char *literal)
{
	size_t length = strlen(literal);

	if ((size_t)(cursor->end - cursor->at) < length || memcmp(cursor->at, literal, length) != 0)
		return false;
	cursor->at += length;
	return true;
}

bool cursor_skip_words(struct cursor *cursor, unsigned count)
{
	for (; count > 0; count--) {
		cursor_skip_blank(cursor);
		if (cursor->at >= cursor->end)
			return false;
		while (cursor->at < cursor->end && !blank(*cursor->at))
			cursor->at++;
	}
	return true;
}

bool parse_u64(const char *text, uint64_t least, uint64_t most, uint64_t *ret)
{
	struct cursor c = cursor_of(text, strlen(text));
	uint64_t value;

	if (blank(*text) || !cursor_u64(&c, &value) || c.at != c.end || value < least ||
		value > most)
		return false;
	*ret = value;
	return true;
}
