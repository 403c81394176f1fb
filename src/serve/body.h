/* SPDX-License-Identifier: Apache-2.0 */
/** Bodies of answers, counted for as long as any client still has to read them. */
#ifndef SERVE_BODY_H
#define SERVE_BODY_H

#include <microhttpd.h>
#include <stddef.h>

/** Bytes in memory, and the most there may be. */
struct body_account {
	size_t *bytes;
	size_t limit;
};

/**
 * Make a response of a body.
 *
 * @bytes   malloc'd; taken over, also on failure.
 * @return  NULL without memory, or when the account is exhausted.
 */
struct MHD_Response *body_response(struct body_account *account, char *bytes, size_t length);

/** Whether the account would take that many bytes more. */
int body_fits(const struct body_account *account, size_t length);

#endif
