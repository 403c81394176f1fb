/* SPDX-License-Identifier: Apache-2.0 */
/** A store as the commands that look into the past open it: to read, whoever writes it. */
#ifndef CLI_STORED_H
#define CLI_STORED_H

#include "history/history.h"

#define HELP_STORED "store to read (default: that of `tally observe`)"

struct stored {
	char path[4096];
	struct history *history;
};

/** Find out which file is meant. @given NULL: the default one. @return 0 or -ENOENT. */
int stored_path(const char *given, char *path, size_t size, struct tally_error *err);

/** Open it, reading only. @return 0 or negative errno; release in both cases. */
int stored_open(const char *given, struct stored *ret, struct tally_error *err);

void stored_close(struct stored *stored);

/**
 * Find a task, or "TASK/PROCESS". An id may hold a slash itself: the whole word is tried first.
 *
 * @word         Cut in two when it names a process.
 * @ret_process  Set to NULL, or into the word.
 * @return       0 or -ENOENT: the message names some that there are.
 */
int stored_find(struct stored *stored, char *word, struct history_task **ret,
	const char **ret_process, struct tally_error *err);

/** "2026-11-24 05:41:54", local time, with tenths when asked for. @return out */
const char *stored_time(char out[32], int64_t wall_ns, bool tenths);

#endif
