/* SPDX-License-Identifier: Apache-2.0 */
/** Which sandbox of a checkpoint may be walked. */
#ifndef SOURCE_THERMOS_SANDBOX_H
#define SOURCE_THERMOS_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <tally/error.h>

/** Whose directories a sandbox may be. */
struct sandbox_owner {
	uid_t uids[2];	    /**< Twice the same when there is but one. */
	const char *inside; /**< Anything below this directory will do, whoever owns it; or NULL. */
};

/**
 * Decide whether a sandbox named by a checkpoint may be measured.
 *
 * The path comes from a file that the task's user may write, and whoever measures it may be root. It
 * is taken when it is absolute, has no "..", is not "/", and is a directory (itself no symbolic
 * link) that belongs to one of the owner's uids or lies below `inside`, the directory of the task's
 * executor. What lies in such a directory, its user can list without us.
 *
 * @ret     On success the path without symbolic links, malloc'd; what becomes of its parents later
 *          is for the one who walks it to check.
 * @return  0; -ENOENT (not there, yet or any more); -EPERM (refused: the message says why); -ENOMEM;
 *          others as the file system has them.
 */
int sandbox_check(
	const char *path, const struct sandbox_owner *owner, char **ret, struct tally_error *err);

#endif
