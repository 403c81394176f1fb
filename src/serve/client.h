/* SPDX-License-Identifier: Apache-2.0 */
/** Asking an observer of this machine, over its unix socket. */
#ifndef SERVE_CLIENT_H
#define SERVE_CLIENT_H

#include <jansson.h>
#include <tally/error.h>
#include "base/parse.h"
#include "serve/buffer.h"

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

/** An answer as it came. */
struct client_answer {
	struct buffer whole;
	int status;	    /**< Of HTTP. */
	struct cursor body; /**< In `whole`. */
};

/**
 * As client_get(), but the answer stays text, whatever its status is.
 *
 * @ret  Release with client_answer_done() in any case.
 */
int client_ask(
	const char *socket, const char *target, struct client_answer *ret, struct tally_error *err);

void client_answer_done(struct client_answer *answer);

/** Escape a text as a part of a path or query. @return malloc'd, or NULL. */
char *client_escape(const char *text);

#endif
