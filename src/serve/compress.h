/* SPDX-License-Identifier: Apache-2.0 */
/** Content codings of answers. */
#ifndef SERVE_COMPRESS_H
#define SERVE_COMPRESS_H

#include <stddef.h>
#include "serve/accept.h"

/** Shorter bodies are sent as they are: the headers would weigh more than what is saved. */
#define COMPRESS_LEAST 1024

/**
 * Compress a body, fast rather than well.
 *
 * @ret_length  Set on success.
 * @return      malloc'd, or NULL: no memory, or nothing would be saved.
 */
char *compress_body(enum encoding encoding, const char *body, size_t length, size_t *ret_length);

#endif
