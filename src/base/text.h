/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Text that others chose (names of processes and tasks, paths), made fit to be shown.
 *
 * It is any bytes but NUL. A terminal obeys control characters, and JSON must be UTF-8.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Take one code point of UTF-8 from the front of a text.
 *
 * @at      Moved behind what was taken: the code point, or one byte that begins none.
 * @return  The code point, or -1: not UTF-8 (overlong forms, surrogates and cut ones included).
 */
int32_t text_code_point(const char **at, const char *end);

/** Whether a terminal or a reader would be led astray by it: control characters, and those that
 * turn the direction of writing round. */
bool text_code_point_hostile(int32_t code_point);

/**
 * Copy a text for a person to read: whatever is hostile or no UTF-8 becomes '?'.
 *
 * @out     Always terminated, cut between two characters where it is too small. Not NULL.
 * @size    Of out; 1 or more.
 * @return  Columns it takes on a terminal.
 */
size_t text_show(char *out, size_t size, const char *text);

/** Copy a text as UTF-8 for JSON: what is none becomes U+FFFD. @return malloc'd, or NULL. */
char *text_utf8(const char *text);

#endif
