/* SPDX-License-Identifier: Apache-2.0 */
/** Making errors: one line where the object's name is known, a prefix on the way up. */
#ifndef BASE_FAIL_H
#define BASE_FAIL_H

#include <stdarg.h>
#include <tally/error.h>
#include "base/attr.h"

/**
 * Fill an error and return its code, so that failing is one line:
 *
 *     return tally_fail(err, -errno, "cannot read %s", path);
 *
 * @err     May be NULL.
 * @code    Negative errno. Its text is appended to the message after ": ".
 * @return  code.
 */
int tally_fail(struct tally_error *err, int code, const char *format, ...) PRINTF_LIKE(3, 4);

/** As tally_fail(), for messages that say why by themselves: no text of errno is appended. */
int tally_refuse(struct tally_error *err, int code, const char *format, ...) PRINTF_LIKE(3, 4);

/** Put context before the message of an error and return its code. */
int tally_prefix(struct tally_error *err, int code, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
