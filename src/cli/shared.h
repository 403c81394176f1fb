/* SPDX-License-Identifier: Apache-2.0 */
/** What several commands have in common. */
#ifndef CLI_SHARED_H
#define CLI_SHARED_H

#include <stddef.h>
#include <tally/log.h>

/* Help of the options that mean the same everywhere. */
#define HELP_INTERVAL	   "time between two samples (default: 1s)"
#define HELP_DISK_INTERVAL "time between two looks at the sandbox (default: 60s)"
#define HELP_COLLECTOR	   "auto, bpf or procfs (default: auto, the best that works here)"
#define HELP_PSS	   "read pss_bytes, too: costly, within a budget"

/** Prints warnings and errors of the library on standard error; keeps the rest to itself. */
void shared_log(void *context, enum tally_log_level level, const char *line);

/**
 * Where the history is kept unless somebody says otherwise: /var/lib/tally/history.db for root, for
 * others below XDG_STATE_HOME or ~/.local/state. Empty when there is no such place.
 */
void shared_default_store(char *path, size_t size);

#endif
