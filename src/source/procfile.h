/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The text of a Procfile, and of an environment file beside it, as foreman has them.
 *
 *     # a comment
 *     web: python3 -m http.server $PORT
 *     worker: ./work.sh
 *
 *     export NAME=value        # no: what follows '=' is the value, to the end of the line
 *     QUOTED="two\nlines"
 *     LITERAL='as it is'
 *
 * What is neither is refused, not skipped: a process that silently does not start is worse.
 */
#ifndef SOURCE_PROCFILE_H
#define SOURCE_PROCFILE_H

#include <stddef.h>
#include <tally/error.h>

/** Most processes of a Procfile, variables of an environment file, and bytes of either. */
#define PROCFILE_PROCESSES_MAX 128
#define PROCFILE_VARIABLES_MAX 4096
#define PROCFILE_BYTES_MAX     ((size_t)1 << 20)

/** Bytes of the longest name of a process. */
#define PROCFILE_NAME_MAX 64

/** NAME and what belongs to it: a command for a shell, or the value of a variable. */
struct procfile_entry {
	char *name;
	char *text;
};

struct procfile {
	struct procfile_entry *entries;
	size_t count;
};

/**
 * Take the text of a Procfile apart: lines of "NAME: COMMAND"; names are letters, digits, '-', '_'.
 *
 * @path    For messages: "PATH:LINE: …".
 * @ret     Filled on success; release with procfile_done().
 * @return  0; -EINVAL (a line that is none, a name that comes twice, no process at all, too many);
 *          -ENOMEM.
 */
int procfile_parse(const char *path, const char *text, size_t length, struct procfile *ret,
	struct tally_error *err);

/**
 * Take the text of an environment file apart: lines of "[export ]NAME=VALUE". A value in double
 * quotes may hold \n and other characters behind a backslash; one in single quotes is as it is.
 *
 * As procfile_parse() otherwise; that there is none is no error, and the last of two with a name wins.
 */
int procfile_parse_environment(const char *path, const char *text, size_t length,
	struct procfile *ret, struct tally_error *err);

/** Value of a variable, or NULL. */
const char *procfile_find(const struct procfile *environment, const char *name);

/** Free what it holds. */
void procfile_done(struct procfile *procfile);

#endif
