/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Output of several processes, line by line, each with the name of its process before it.
 *
 * A thread of its own reads pipes and writes whole lines: a line is never torn by another, and who
 * reads us slowly holds up the processes, not our supervision of them. A line that is longer than
 * PREFIX_LINE_MAX is cut there and goes on as another. What a process writes is passed on as it is.
 */
#ifndef CLI_PREFIX_H
#define CLI_PREFIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tally/error.h>

/** Bytes of a line. */
#define PREFIX_LINE_MAX ((size_t)64 << 10)

struct prefix;

/**
 * Make the pipes of so many processes; nothing is read yet.
 *
 * @names   Of the processes; they are needed until prefix_free().
 * @return  0 or negative errno.
 *
 * Where our standard output and error are one and the same, each process has one pipe for both, so
 * that their order is kept.
 */
int prefix_new(
	const char *const *names, size_t count, struct prefix **ret, struct tally_error *err);

/** Ends of the pipes that process i is to have as its standard output and error. */
int prefix_output(const struct prefix *prefix, size_t i);
int prefix_errors(const struct prefix *prefix, size_t i);

/** Close our copies of these ends, and start the thread. @return 0 or negative errno. */
int prefix_start(struct prefix *prefix, struct tally_error *err);

/** Write a line of our own about process i, or about all (SIZE_MAX), to standard error. */
void prefix_say(struct prefix *prefix, size_t i, const char *text);

/** Whether nobody reads our standard output any more. */
bool prefix_broken(struct prefix *prefix);

/**
 * Wait until all pipes have ended and all was written, and free it. Takes NULL.
 *
 * @patience_ns  What is not written by then (nobody reads us; something still holds a pipe) is lost.
 */
void prefix_free(struct prefix *prefix, int64_t patience_ns);

#endif
