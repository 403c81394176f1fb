/* SPDX-License-Identifier: Apache-2.0 */
/** Asking an observer of this machine, over its unix socket. */
#ifndef SERVE_CLIENT_H
#define SERVE_CLIENT_H

#include <jansson.h>
#include <tally/error.h>

/**
 * Ask for a document.
 *
 * @socket  Path of the observer's socket.
 * @target  Path and query, escaped: "/api/v1/status".
 * @ret     JSON; new reference.
 * @return  0; -ENOENT, -ECONNREFUSED (nobody answers there), -EACCES (we may not ask); -EREMOTE (it
 *          answered with an error: the message is its own, the code in `ret_status`); -EBADMSG (that
 *          is no observer); -ETIMEDOUT after ten seconds.
 */
int client_get(const char *socket, const char *target, json_t **ret, int *ret_status,
	struct tally_error *err);

/** Escape a text as a part of a path or query. @return malloc'd, or NULL. */
char *client_escape(const char *text);

#endif
