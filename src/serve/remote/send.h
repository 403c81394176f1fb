/* SPDX-License-Identifier: Apache-2.0 */
/**
 * One request of remote write at a time, over libcurl, without ever blocking but in sender_wait().
 * Used by one thread, but for sender_wake().
 */
#ifndef SERVE_REMOTE_SEND_H
#define SERVE_REMOTE_SEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tally/error.h>

/** How a request ended. */
enum send_result {
	SEND_UNDER_WAY,
	SEND_TAKEN,   /**< 2xx: the receiver has it. */
	SEND_REFUSED, /**< The receiver will never take it: any other status. */
	SEND_LATER,   /**< No connection, no answer, 429 or 5xx: to be sent again. */
};

struct send_outcome {
	enum send_result result;
	int status;		/**< Of HTTP; 0: there was no answer. */
	int64_t retry_after_ns; /**< As the receiver asks; 0: it does not. */
	char why[256];		/**< For people: the status and what the receiver said of it. */
};

struct sender;

/**
 * Look whether a URL is one to write to.
 *
 * @ret_shown  The URL without user and password; release with free(). May be NULL.
 * @return     0, -EINVAL (the message says what is wrong), -ENOMEM.
 */
int sender_check(const char *url, char **ret_shown, struct tally_error *err);

/**
 * @url      Checked. A user and password in it are sent as basic authentication.
 * @ca_path  Certificates to trust, PEM; NULL: those of the system.
 */
int sender_open(const char *url, const char *ca_path, struct sender **ret, struct tally_error *err);

/** Close, a request under way with it; takes NULL, returns NULL. */
struct sender *sender_close(struct sender *sender);

/** Send "Authorization: Bearer TOKEN" with each request from now on; NULL: none. @return 0, -ENOMEM. */
int sender_set_token(struct sender *sender, const char *token, struct tally_error *err);

/** Begin a request. @bytes must stay until it has ended. @return 0 or an error. */
int sender_begin(struct sender *sender, const void *bytes, size_t length, struct tally_error *err);

/** Go on. @return whether the request under way has ended; `ret` then tells how. */
bool sender_go_on(struct sender *sender, struct send_outcome *ret);

/** Block until there is something to do for the request, a call of sender_wake(), or a time. */
void sender_wait(struct sender *sender, int64_t timeout_ns);

/** Wake the thread that waits. From any thread. */
void sender_wake(struct sender *sender);

#endif
