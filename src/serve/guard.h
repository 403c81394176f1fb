/* SPDX-License-Identifier: Apache-2.0 */
/** Who may ask: the Host of a request and the secrets that open the door. Pure but for the file. */
#ifndef SERVE_GUARD_H
#define SERVE_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <tally/error.h>

/** Secrets, one per line of a file: "TOKEN", or "USER:PASSWORD". A zeroed one has none. */
struct secrets {
	char **lines;
	size_t count;
};

/** Longest secret, and how many there may be. */
#define SECRET_MAX  256
#define SECRETS_MAX 64

/**
 * Read secrets from a file. Empty lines and those that begin with '#' are skipped.
 *
 * @ret     Replaced on success, untouched on failure.
 * @return  0; -EPERM (others than its owner and group can read the file); -EINVAL (none in it, a
 *          secret of less than 16 characters, too many, too long); errno of reading.
 */
int secrets_read(const char *path, struct secrets *ret, struct tally_error *err);

/** Free; there are then none. */
void secrets_done(struct secrets *secrets);

/**
 * Whether an Authorization header opens the door: "Bearer TOKEN", or "Basic" with a USER:PASSWORD of
 * the file, or with a TOKEN as the password of any user (browsers ask for nothing else).
 *
 * Takes the same time whatever part of a secret is right.
 *
 * @header  Its value, or NULL.
 */
bool secrets_open(const struct secrets *secrets, const char *header);

/**
 * Whether a Host header names this machine's loopback: a page of another site that resolves its own
 * name to 127.0.0.1 sends that name here.
 *
 * @header  Its value, or NULL: only HTTP/1.0 can have none, and browsers do not speak it.
 * @extra   More names that are ours, NULL-terminated; may be NULL.
 */
bool host_is_ours(const char *header, const char *const *extra);

#endif
