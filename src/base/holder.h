/* SPDX-License-Identifier: Apache-2.0 */
/** Who holds what we wanted: for error messages only, as far as /proc tells. */
#ifndef BASE_HOLDER_H
#define BASE_HOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * The program that listens on a TCP port of this machine, as "prometheus (pid 812)".
 *
 * @return  False when it cannot be found out: another user's, without privileges.
 *
 * Walks /proc: may take some hundred milliseconds on a large machine.
 */
bool holder_of_port(uint16_t port, char *text, size_t size);

/** The program that holds the flock of an open file, from /proc/locks. */
bool holder_of_lock(int fd, char *text, size_t size);

#endif
