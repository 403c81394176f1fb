/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Parsers of (buffer, length) pairs: hostile input, no NUL expected, nothing read past the end.
 */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tally/error.h>

/** A place in a text and its end; parsers take from the front. */
struct cursor {
	const char *at, *end;
};

static inline struct cursor cursor_of(const char *text, size_t length)
{
	return (struct cursor){text, text + length};
}

/** Skip spaces and tabs. */
void cursor_skip_blank(struct cursor *cursor);

/** Take the line in front, without its newline, into *line. False at the end of the text. */
bool cursor_line(struct cursor *cursor, struct cursor *line);

/** Take a decimal number, blanks before it skipped. False, nothing taken, when there is none or it
 * does not fit. */
bool cursor_u64(struct cursor *cursor, uint64_t *ret);

/** As cursor_u64(), with an optional sign. */
bool cursor_i64(struct cursor *cursor, int64_t *ret);

/** Take a literal text if it is in front. */
bool cursor_literal(struct cursor *cursor, const char *literal);

/** Skip a number of blank-separated words. False when there are fewer. */
bool cursor_skip_words(struct cursor *cursor, unsigned count);

/** Parse a whole text as a decimal number in a range. */
bool parse_u64(const char *text, uint64_t least, uint64_t most, uint64_t *ret);

/**
 * Parse a duration: digits with an optional fraction and a unit of ms, s, m, h, d ("1s", "250ms",
 * "1.5h"); a bare number is seconds.
 *
 * @ret     Nanoseconds, 1 or more.
 * @return  0 or -EINVAL, with a message that points at what is wrong.
 */
int parse_duration(const char *text, int64_t *ret, struct tally_error *err);

/**
 * Parse an instant: RFC 3339 ("2026-11-24T03:25:00Z"; a space may stand for the T, no zone is local
 * time), seconds since the epoch, "HH:MM[:SS]" (the last time the clock showed it), "-5m" (that long
 * ago), "now".
 *
 * @now_ns  Wall clock the relative forms refer to.
 * @ret     Nanoseconds since the epoch.
 */
int parse_time(const char *text, int64_t now_ns, int64_t *ret, struct tally_error *err);

/** Parse a size in bytes with an optional K, M, G or T (powers of 1,024; "KiB", "kB" too). */
int parse_size(const char *text, uint64_t *ret, struct tally_error *err);

#endif
