/* SPDX-License-Identifier: Apache-2.0 */
/** What `tally disk` and `tally show --deleted` share. */
#ifndef CLI_DISK_H
#define CLI_DISK_H

#include <jansson.h>
#include "cli/options.h"
#include "monitor/monitor.h"

/**
 * Ask the observer something of a task, again while it is not ready to tell.
 *
 * @socket  NULL: the default one.
 * @what    What follows the task in the address, as "disk?depth=2".
 * @ret     New reference.
 */
int disk_ask(const char *socket, const char *task, const char *what, json_t **ret,
	struct tally_error *err);

/**
 * Show the files without a name that the processes of a task hold open.
 *
 * @monitor  That samples the task, already once; NULL: the observer is asked.
 * @return   Exit status.
 */
int show_deleted(struct command_line *line, struct tally_monitor *monitor, const char *task,
	const char *socket, bool json);

#endif
