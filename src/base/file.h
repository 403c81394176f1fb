/* SPDX-License-Identifier: Apache-2.0 */
/** Reading small files whole. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>
#include <sys/types.h>

/**
 * Read a file from its start into a buffer with one pread() where possible.
 *
 * @return  Bytes read (less than size: the rest is cut off), or negative errno. Not terminated.
 */
ssize_t file_pread(int fd, char *buffer, size_t size);

/** Open relative to a directory, read, close. O_CLOEXEC. As file_pread(). */
ssize_t file_read_at(int dir, const char *path, char *buffer, size_t size);

#endif
