/* SPDX-License-Identifier: Apache-2.0 */
/** Where a sandbox is, and opening it. */
#ifndef DISK_SITE_H
#define DISK_SITE_H

#include <sys/stat.h>
#include <tally/error.h>

/**
 * Open a sandbox.
 *
 * @path      Absolute.
 * @ret_fd    A descriptor of the directory.
 * @ret_stat  What it is.
 * @return    0; -ENOTDIR (a file, a symlink); -EINVAL (the root of the file system, under whatever
 *            name); -ENOENT, -EACCES and others of open().
 */
int site_open(const char *path, int *ret_fd, struct statx *ret_stat, struct tally_error *err);

/**
 * Open a directory below another, in the same mount.
 *
 * @return  A descriptor, or negative errno: -ELOOP (a symlink), -EXDEV (another mount).
 */
int site_open_below(int dir, const char *name);

#endif
