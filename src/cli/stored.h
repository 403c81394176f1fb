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

/** A task that was alive at an instant. */
struct stored_task {
	char *id;
	struct history_task *task;
	struct tally_sample sample; /**< Nearest to the instant. */
	struct tally_sample before; /**< The one before that; boot_ns 0: there is none. */
	int64_t distance_ns;	    /**< Of the sample's wall clock from the instant. */
};

struct stored_tasks {
	struct stored_task *at;
	size_t count, room;
	bool failed; /**< Some are missing for want of memory. */
};

/**
 * List the tasks that were alive at an instant of the wall clock, those that ended long ago too, the
 * earliest sampled first.
 *
 * @ret     Zeroed before; release with stored_tasks_done() in any case.
 * @return  0, or negative errno: what could be read is there.
 */
int stored_alive(struct stored *stored, int64_t at_ns, struct stored_tasks *ret);

void stored_tasks_done(struct stored_tasks *tasks);

/** "2026-11-24 05:41:54", local time, with tenths when asked for. @return out */
const char *stored_time(char out[32], int64_t wall_ns, bool tenths);

#endif
