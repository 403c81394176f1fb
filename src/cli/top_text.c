/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/top_text.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include "base/text.h"

/* A field on its way. */
struct field {
	char *out;
	size_t size, used;
	int columns; /* Filled so far. */
};

static void put(struct field *field, const char *bytes, size_t length, int columns)
{
	if (field->used + length >= field->size)
		return;
	memcpy(field->out + field->used, bytes, length);
	field->used += length;
	field->columns += columns;
}

static void put_blanks(struct field *field, int count)
{
	for (int i = 0; i < count; i++)
		put(field, " ", 1, 1);
}

/* Take one character. @return its columns on the screen; *ret_bad: it is shown as '?'. */
static int take(const char **at, const char *end, bool ascii, bool *ret_bad)
{
	int32_t c = text_code_point(at, end);
	int columns = c < 0 ? 1 : wcwidth((wchar_t)c);

	*ret_bad = c < 0 || text_code_point_hostile(c) || columns < 0 || (ascii && c > 0x7e);
	return *ret_bad ? 1 : columns;
}

/* Columns of a whole text, or so many that it surely does not fit. */
static int measure(const char *text, int most, bool ascii)
{
	const char *end = text + strlen(text);
	int columns = 0;
	bool bad;

	while (text < end && columns <= most)
		columns += take(&text, end, ascii, &bad);
	return columns;
}

int top_text_fit(
	char *out, size_t size, const char *text, int columns, enum top_fill fill, bool ascii)
{
	struct field field = {.out = out, .size = size};
	const char *end = text + strlen(text);
	int whole = measure(text, columns, ascii);
	int room = whole > columns ? columns - 1 : columns;

	if (fill == TOP_RIGHT && whole < columns)
		put_blanks(&field, columns - whole);
	while (text < end && columns > 0) {
		const char *from = text;
		bool bad;
		int wide = take(&text, end, ascii, &bad);

		if (whole > columns && field.columns + wide > room)
			break;
		put(&field, bad ? "?" : from, bad ? 1 : (size_t)(text - from), wide);
	}
	if (whole > columns && columns > 0)
		put(&field, ascii ? "~" : "…", ascii ? 1 : strlen("…"), 1);
	if (fill != TOP_CUT)
		put_blanks(&field, columns - field.columns);
	out[field.used] = '\0';
	return field.columns;
}
