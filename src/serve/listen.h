/* SPDX-License-Identifier: Apache-2.0 */
/** Sockets to listen on: TCP addresses, a unix socket, and those that systemd hands over. */
#ifndef SERVE_LISTEN_H
#define SERVE_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <tally/error.h>

/** A socket that is listened on. */
struct listener {
	int fd;		/**< Non-blocking. */
	bool tcp;	/**< Else a unix socket. */
	bool loopback;	/**< TCP, and no other machine reaches it. */
	char *path;	/**< Of a unix socket that we made: unlinked in the end. Else NULL. */
	int lock_fd;	/**< Lock that keeps others from taking the path over, or -1. */
	char name[160]; /**< "127.0.0.1:1338", "/run/tally/tally.sock": for people. */
};

/**
 * Say whether an address is loopback without opening anything.
 *
 * @spec    "ADDRESS:PORT", "[ADDRESS]:PORT", "PORT" (of 127.0.0.1), or a path, which begins with '/'.
 * @return  1, 0, or -EINVAL. Names are not resolved, but for "localhost".
 */
int listen_is_local(const char *spec, struct tally_error *err);

/**
 * Open one.
 *
 * @spec    As above. Port 0 takes any free one: ret->name tells which.
 * @return  0; -EINVAL; -EADDRINUSE (another holds it: the message says who, where that can be
 *          known); errno of socket(), bind() and others.
 *
 * A unix socket is made with mode 0660 in a directory that is made if it is missing (mode 0755); one
 * left behind by an observer that was killed is replaced, one that is answered is not.
 */
int listener_open(const char *spec, struct listener *ret, struct tally_error *err);

/**
 * Take over a socket that is listening already.
 *
 * @fd      Taken over on success.
 * @return  0; -EINVAL (no listening stream socket).
 */
int listener_adopt(int fd, struct listener *ret, struct tally_error *err);

/** Close, and remove a unix socket that we made. */
void listener_close(struct listener *listener);

#endif
