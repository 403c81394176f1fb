/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include "base/attr.h"

/* Length of a sequence, the payload of its first byte, and the least code point it may hold. */
static size_t sequence_of(unsigned char first, int32_t *ret_payload, int32_t *ret_least)
{
	static const struct {
		unsigned char mask, mark;
		int32_t least;
	} forms[] = {
		{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		if ((first & forms[i].mask) == forms[i].mark) {
			*ret_payload = first & (unsigned char)~forms[i].mask;
			*ret_least = forms[i].least;
			return i + 1;
		}
	return 0;
}

int32_t text_code_point(const char **at, const char *end)
{
	const char *from = (*at)++;
	int32_t value, least;
	size_t length = sequence_of((unsigned char)*from, &value, &least);

	if (length == 0 || (size_t)(end - from) < length)
		return -1;
	for (size_t i = 1; i < length; i++) {
		if ((from[i] & 0xc0) != 0x80)
			return -1;
		value = value << 6 | (from[i] & 0x3f);
	}
	if (value < least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return -1;
	*at = from + length;
	return value;
}

bool text_code_point_hostile(int32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x200e || c == 0x200f ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

/* wcwidth() knows wide and combining characters where the locale does. */
static size_t columns_of(int32_t code_point)
{
	int columns = wcwidth((wchar_t)code_point);

	return columns < 0 ? 1 : (size_t)columns;
}

size_t text_show(char *out, size_t size, const char *text)
{
	const char *end = text + strlen(text);
	size_t used = 0, columns = 0;

	while (text < end) {
		const char *from = text;
		int32_t c = text_code_point(&text, end);
		bool bad = c < 0 || text_code_point_hostile(c);
		size_t length = bad ? 1 : (size_t)(text - from);

		if (used + length >= size)
			break;
		memcpy(out + used, bad ? "?" : from, length);
		used += length;
		columns += bad ? 1 : columns_of(c);
	}
	out[used] = '\0';
	return columns;
}

char *text_utf8(const char *text)
{
	static const char replacement[] = "\xef\xbf\xbd";
	size_t length = strlen(text), used = 0;
	const char *end = text + length;
	char *out = malloc(length * (sizeof(replacement) - 1) + 1);

	while (out && text < end) {
		const char *from = text;
		bool bad = text_code_point(&text, end) < 0;
		size_t taken = bad ? sizeof(replacement) - 1 : (size_t)(text - from);

		memcpy(out + used, bad ? replacement : from, taken);
		used += taken;
	}
	if (out)
		out[used] = '\0';
	return out;
}
