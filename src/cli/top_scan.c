/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/top_scan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Deeper than any answer; what is deeper is no answer. */
#define DEPTH_MAX 64

/* Longest number that is taken. */
#define NUMBER_SIZE 64

struct scan scan_of(const char *text, size_t length)
{
	return (struct scan){.c = cursor_of(text, length)};
}

static void fail(struct scan *scan)
{
	scan->bad = true;
	scan->c.at = scan->c.end;
}

static void skip_blank(struct scan *scan)
{
	while (scan->c.at < scan->c.end && (*scan->c.at == ' ' || *scan->c.at == '\n' ||
						   *scan->c.at == '\t' || *scan->c.at == '\r'))
		scan->c.at++;
}

char scan_peek(struct scan *scan)
{
	skip_blank(scan);
	return scan->c.at < scan->c.end ? *scan->c.at : '\0';
}

static bool take(struct scan *scan, char wanted)
{
	if (scan_peek(scan) != wanted || scan->c.at == scan->c.end)
		return false;
	scan->c.at++;
	return true;
}

bool scan_open(struct scan *scan, char bracket)
{
	if (take(scan, bracket))
		return true;
	scan_skip(scan);
	return false;
}

/* Before the next member; a comma stands between two. False: there is none. */
static bool more(struct scan *scan, char closing)
{
	if (take(scan, closing))
		return false;
	take(scan, ',');
	if (scan_peek(scan) == '\0')
		fail(scan);
	return !scan->bad;
}

/* Behind the opening quote. */
static bool take_text(struct scan *scan, struct cursor *ret)
{
	const char *from = scan->c.at;

	for (; scan->c.at < scan->c.end; scan->c.at++) {
		if (*scan->c.at == '"') {
			*ret = (struct cursor){from, scan->c.at++};
			return true;
		}
		if (*scan->c.at == '\\' && ++scan->c.at == scan->c.end)
			break;
	}
	fail(scan);
	return false;
}

bool scan_key(struct scan *scan, struct cursor *key)
{
	if (!more(scan, '}'))
		return false;
	if (!take(scan, '"') || !take_text(scan, key) || !take(scan, ':')) {
		fail(scan);
		return false;
	}
	return true;
}

bool scan_item(struct scan *scan)
{
	return more(scan, ']');
}

bool scan_is(struct cursor key, const char *name)
{
	size_t length = strlen(name);

	return (size_t)(key.end - key.at) == length && memcmp(key.at, name, length) == 0;
}

bool scan_raw(struct scan *scan, struct cursor *ret)
{
	if (take(scan, '"'))
		return take_text(scan, ret);
	scan_skip(scan);
	return false;
}

/* ---- escapes ---- */

static bool take_hex(struct cursor *c, uint32_t *ret)
{
	uint32_t value = 0;

	for (int i = 0; i < 4; i++, c->at++) {
		const char *digits = "0123456789abcdef", *digit;

		if (c->at == c->end || *c->at == '\0' || !(digit = strchr(digits, *c->at | 0x20)))
			return false;
		value = value << 4 | (uint32_t)(digit - digits);
	}
	*ret = value;
	return true;
}

/*
 * "D83D\uDE00": a character beyond 16 bits comes in two halves. What is wrong becomes '?', which is
 * never longer than the escape.
 */
static uint32_t take_code_point(struct cursor *c)
{
	uint32_t high, low;

	if (!take_hex(c, &high))
		return '?';
	if (high < 0xd800 || high > 0xdfff)
		return high;
	if (high > 0xdbff || !cursor_literal(c, "\\u") || !take_hex(c, &low) || low < 0xdc00 ||
		low > 0xdfff)
		return '?';
	return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

static char *put_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		*out++ = (char)(c ? c : '?'); /* No name has a NUL. */
	} else if (c < 0x800) {
		*out++ = (char)(0xc0 | c >> 6);
		*out++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*out++ = (char)(0xe0 | c >> 12);
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	} else {
		*out++ = (char)(0xf0 | c >> 18);
		*out++ = (char)(0x80 | (c >> 12 & 0x3f));
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	}
	return out;
}

/* Behind a backslash. An escape is never shorter than what it stands for. */
static char *put_escape(char *out, struct cursor *c)
{
	static const char names[] = "bfnrt", meant[] = "\b\f\n\r\t";
	char letter = *c->at++;
	const char *name = letter ? strchr(names, letter) : NULL;

	if (letter == 'u')
		return put_utf8(out, take_code_point(c));
	*out++ = name ? meant[name - names] : letter ? letter : '?';
	return out;
}

char *scan_string(struct scan *scan)
{
	struct cursor raw;
	char *text, *out;

	if (!scan_raw(scan, &raw))
		return NULL;
	text = out = malloc((size_t)(raw.end - raw.at) + 4);
	while (text && raw.at < raw.end) {
		char byte = *raw.at++;

		if (byte == '\\' && raw.at < raw.end)
			out = put_escape(out, &raw);
		else
			*out++ = byte ? byte : '?';
	}
	if (text)
		*out = '\0';
	return text;
}

/* ---- numbers ---- */

static bool is_number(char first)
{
	return first == '-' || (first >= '0' && first <= '9');
}

/* Copy the number in front, for the C library. */
static bool take_number(struct scan *scan, char out[NUMBER_SIZE])
{
	size_t length = 0;

	if (!is_number(scan_peek(scan))) {
		scan_skip(scan);
		return false;
	}
	while (scan->c.at < scan->c.end && *scan->c.at && strchr("+-.eE0123456789", *scan->c.at) &&
		length + 1 < NUMBER_SIZE)
		out[length++] = *scan->c.at++;
	out[length] = '\0';
	return true;
}

bool scan_integer(struct scan *scan, int64_t *ret)
{
	char text[NUMBER_SIZE];

	if (!take_number(scan, text))
		return false;
	*ret = strtoll(text, NULL, 10);
	return true;
}

bool scan_real(struct scan *scan, double *ret)
{
	char text[NUMBER_SIZE];

	if (!take_number(scan, text))
		return false;
	*ret = strtod(text, NULL);
	return isfinite(*ret);
}

/* "1795508371.859280003": a double would lose the last digits. */
bool scan_seconds(struct scan *scan, int64_t *ret_ns)
{
	char text[NUMBER_SIZE], *point;
	int64_t ns = 0;

	if (!take_number(scan, text))
		return false;
	int64_t seconds = strtoll(text, &point, 10), digit_ns = 1000000000;
	if (*point == 'e' || *point == 'E' || llabs(seconds) > INT64_MAX / digit_ns - 1)
		return false;
	for (point += *point == '.'; *point >= '0' && *point <= '9'; point++)
		ns += (*point - '0') * (digit_ns /= 10);
	*ret_ns = seconds * 1000000000 + (text[0] == '-' ? -ns : ns);
	return true;
}

/* ---- the rest ---- */

bool scan_true(struct scan *scan)
{
	bool is = scan_peek(scan) == 't';

	scan_skip(scan);
	return is;
}

static void skip_word(struct scan *scan)
{
	static const char *const words[] = {"true", "false", "null"};
	char number[NUMBER_SIZE];

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (cursor_literal(&scan->c, words[i]))
			return;
	if (is_number(scan_peek(scan)))
		take_number(scan, number);
	else
		fail(scan);
}

/* Brackets are counted, not matched: an answer that mixes them is read as another, and safely. */
void scan_skip(struct scan *scan)
{
	struct cursor text;
	int depth = 0;

	do {
		char first = scan_peek(scan);

		if (first == '{' || first == '[') {
			depth++;
			scan->c.at++;
		} else if (depth > 0 && (first == '}' || first == ']')) {
			depth--;
			scan->c.at++;
		} else if (depth > 0 && (first == ',' || first == ':')) {
			scan->c.at++;
		} else if (first == '"') {
			scan->c.at++;
			take_text(scan, &text);
		} else {
			skip_word(scan);
		}
	} while (!scan->bad && depth > 0 && depth < DEPTH_MAX);
	if (depth > 0)
		fail(scan);
}
