/* SPDX-License-Identifier: Apache-2.0 */
/** Who is at the other end of a local connection. */
#ifndef SERVE_PEER_H
#define SERVE_PEER_H

#include <sys/types.h>

/** Nobody knows: another machine, or a client that has gone. */
#define PEER_UNKNOWN ((uid_t)-1)

/**
 * User at the other end of a connected socket.
 *
 * @fd  A unix socket (SO_PEERCRED: the user who connected) or a TCP socket of this machine (the owner
 *      of the socket at the other end, as the kernel's sock_diag has it; where that is missing, as
 *      /proc/net/tcp has it).
 *
 * Never blocks.
 */
uid_t peer_uid(int fd);

#endif
