/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Services of runit, s6 and daemontools: "supervise:DIR" takes every DIR/NAME/supervise/status. A task, and
 * its only process, is called as its directory is. daemons.h says which pids are believed. All is looked at
 * once a second.
 *
 * DIR, and the links in it to the services, are the work of whoever runs the supervisor: links are followed.
 */
#ifndef SOURCE_SUPERVISE_H
#define SOURCE_SUPERVISE_H

#include "source/pidfile.h"

/** Open the source on a directory of services, which need not be there yet. */
int supervise_open(const char *path, const struct daemon_options *options, struct source **ret,
	struct tally_error *err);

/**
 * Parse a status file.
 *
 * @ret     0 when the service is down.
 * @return  0, or -EINVAL: of none of the three.
 */
int supervise_parse(const uint8_t *bytes, size_t length, pid_t *ret);

#endif
