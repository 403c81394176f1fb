/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A file that a user asked for: there whole, or as it was before.
 *
 * It is written beside its place and moved there at the end. What is no regular file (a pipe,
 * /dev/fd/3, a device) is written straight to.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdio.h>
#include <tally/error.h>

/** A zeroed one is none: committing and aborting it does nothing. */
struct output {
	FILE *stream;	 /**< To write to, or NULL. */
	char *path;	 /**< Where it goes. */
	char *temporary; /**< Where it is now, or NULL: it is there. */
};

/** Open; says now what would go wrong in the end. @return 0 or negative errno. */
int output_open(struct output *output, const char *path, struct tally_error *err);

/** Put it in its place, and close it. @return 0 or negative errno: it is as it was before. */
int output_commit(struct output *output, struct tally_error *err);

/** Throw it away. */
void output_abort(struct output *output);

#endif
