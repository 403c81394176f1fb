/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Programs under supervisord: "supervisord:SOCKET" asks it, over its unix socket, what it runs. A task, and its
 * only process, is called as `supervisorctl` calls it: NAME, or GROUP:NAME where they differ.
 *
 * It is asked every 2 s, and the answer is read when it comes: only the first look waits for it, a quarter of
 * a second at most. A server that asks for a password is not spoken to.
 */
#ifndef SOURCE_SUPERVISORD_H
#define SOURCE_SUPERVISORD_H

#include "source/pidfile.h"

/** Open the source on a socket, which need not be there yet. */
int supervisord_open(const char *path, const struct daemon_options *options, struct source **ret,
	struct tally_error *err);

/** Called with each program: its name as people know it, and its pid, 0 when it does not run. */
typedef void supervisord_program_fn(void *context, const char *name, pid_t pid);

/**
 * Parse an answer to supervisor.getAllProcessInfo: HTTP and XML-RPC.
 *
 * @return  0; -EACCES (it asks for a password); -EPROTO (it is no such answer); with a message.
 */
int supervisord_parse(const char *text, size_t length, supervisord_program_fn *each, void *context,
	struct tally_error *err);

#endif
