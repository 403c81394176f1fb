/* SPDX-License-Identifier: Apache-2.0 */
/** The observer of this machine, for the commands that ask it when there is one. */
#ifndef CLI_OBSERVED_H
#define CLI_OBSERVED_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <tally/error.h>

#define HELP_SOCKET "socket of the observer to ask (default: where `tally observe` has it)"

/**
 * Ask the observer; as client_get().
 *
 * @socket  NULL: the default one.
 */
int observed_get(const char *socket, const char *target, json_t **ret, int *ret_status,
	struct tally_error *err);

/** Whether what observed_get() returned means that there is none, or none for us. */
bool observed_absent(int code);

/**
 * Make a target of printf-like text.
 *
 * @return  malloc'd, or NULL.
 */
char *observed_target(const char *format, ...) __attribute__((format(printf, 1, 2)));

/**
 * Ask about "TASK" or "TASK/PROCESS". An id may hold a slash itself: the whole word is tried first.
 *
 * @word    Cut in two when it names a process.
 * @tail    What comes behind the task in the target, as "/history?step=0"; "" is nothing.
 * @by_process  Tell the process in the query, as a history is asked for.
 * @ret_process Set to NULL, or into the word.
 */
int observed_get_task(const char *socket, char *word, const char *tail, bool by_process,
	const char **ret_process, json_t **ret, struct tally_error *err);

/** "1795508020.710286335": a time as the observer takes it. @return out */
const char *observed_time(char out[32], int64_t wall_ns);

#endif
