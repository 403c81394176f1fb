/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A text that grows up to a limit: what an answer is written into.
 *
 * A buffer that could not take something (its limit, no memory) is spent: it takes nothing more and
 * says so at the end, so that writers need not look at each step. Not thread-safe.
 */
#ifndef SERVE_BUFFER_H
#define SERVE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include "base/attr.h"

struct buffer {
	char *at; /**< Not terminated. NULL while nothing was put. */
	size_t used, room;
	size_t limit; /**< Most bytes it may hold; 0: no limit. */
	int code;     /**< 0, -EFBIG (the limit) or -ENOMEM: spent. */
};

/** Free what it holds; it is then empty. */
void buffer_done(struct buffer *buffer);

/** struct buffer, freed at the end of its scope. */
#define CLEANUP_BUFFER CLEANUP(buffer_done)

/** Make room at once for what is expected, so that growing copies nothing. Only a hint. */
void buffer_expect(struct buffer *buffer, size_t length);

/** Make room for more bytes. @return where they go, or NULL: the buffer is spent. */
char *buffer_more(struct buffer *buffer, size_t length);

/** Put bytes. */
void buffer_put(struct buffer *buffer, const char *bytes, size_t length);

/** Put a terminated text, or a literal one. */
static inline void buffer_puts(struct buffer *buffer, const char *text)
{
	buffer_put(buffer, text, strlen(text));
}

static inline void buffer_putc(struct buffer *buffer, char c)
{
	buffer_put(buffer, &c, 1);
}

void buffer_printf(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);

/** Put a decimal number. */
void buffer_put_i64(struct buffer *buffer, int64_t value);

/** Put nanoseconds as seconds, exactly: "1.25", "-0.000000001", "3.0". */
void buffer_put_seconds(struct buffer *buffer, int64_t ns);

/** Put a real number with nine digits that count; finite ones only. */
void buffer_put_real(struct buffer *buffer, double value);

/** Put any bytes but NUL as a string of JSON, quotes included; what is no UTF-8 becomes U+FFFD. */
void buffer_put_json(struct buffer *buffer, const char *text);

/** Take the bytes out of a buffer. @ret_length Their number. @return malloc'd, NULL when spent. */
char *buffer_take(struct buffer *buffer, size_t *ret_length);

#endif
