/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Reading JSON from its text, front to back, without building a tree of it: `tally top` reads what an
 * observer has of thousands of processes every second, and a tree of that costs ten times as much as
 * all else it does (500 tasks: 30 ms of CPU time).
 *
 * Any text can be read: what is no JSON ends the reading (`bad`), and nothing is read past the end.
 *
 *     scan_open(&s, '{');
 *     while (scan_key(&s, &key))
 *             if (text_is(key, "time")) scan_seconds(&s, &time_ns); else scan_skip(&s);
 */
#ifndef CLI_TOP_SCAN_H
#define CLI_TOP_SCAN_H

#include <stdbool.h>
#include <stdint.h>
#include "base/parse.h"

struct scan {
	struct cursor c;
	bool bad; /**< It is no JSON: every call fails from here on. */
};

/** Begin with a text. */
struct scan scan_of(const char *text, size_t length);

/** First character of the next value: one of {["-0…9tfn, or 0 at the end. Takes nothing. */
char scan_peek(struct scan *scan);

/** Enter an object ('{') or an array ('['). Anything else is skipped. @return whether it was one. */
bool scan_open(struct scan *scan, char bracket);

/**
 * Take the next key of the object entered last; its value comes next and must be taken.
 *
 * @key     As it stands in the text, escapes and all.
 * @return  false: there is no more; the object is left.
 */
bool scan_key(struct scan *scan, struct cursor *key);

/** As scan_key(), of an array. */
bool scan_item(struct scan *scan);

/** Whether a key is this. */
bool scan_is(struct cursor key, const char *name);

/** Take a string. @return malloc'd, without escapes; NULL: it was none, or there is no memory. */
char *scan_string(struct scan *scan);

/** Take a string as it stands in the text. @return false: it was something else, and is skipped. */
bool scan_raw(struct scan *scan, struct cursor *ret);

/** Take a number. @return false: it was something else, and is skipped. */
bool scan_integer(struct scan *scan, int64_t *ret);
bool scan_real(struct scan *scan, double *ret);

/** Take a number of seconds as nanoseconds, exactly. */
bool scan_seconds(struct scan *scan, int64_t *ret_ns);

/** Take true or false. */
bool scan_true(struct scan *scan);

/** Take any value. */
void scan_skip(struct scan *scan);

#endif
