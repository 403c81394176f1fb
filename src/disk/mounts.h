/* SPDX-License-Identifier: Apache-2.0 */
/** The mounts there are, from /proc/self/mountinfo: read without a question to any file system. */
#ifndef DISK_MOUNTS_H
#define DISK_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** One mount. Texts are as in the file (blanks and such as \\040), and not terminated. */
struct mount {
	uint64_t id;
	const char *device; /**< "major:minor". */
	size_t device_length;
	const char *root; /**< What of its file system is mounted; "/": all. */
	size_t root_length;
	const char *point;
	size_t point_length;
	const char *type;
	size_t type_length;
};

/** Return false to end. */
typedef bool mount_fn(void *context, const struct mount *mount);

/** Visit the mounts that a text tells of. Takes any bytes. */
void mounts_parse(const char *text, size_t length, mount_fn *visit, void *context);

/** Read the file. *ret is the caller's to free. @return  Its length, or negative errno. */
ssize_t mounts_read(const char *path, char **ret);

/** Id of the mount that an absolute path lies in, by its name alone; 0: none is known. */
uint64_t mounts_find(const char *text, size_t length, const char *path);

#endif
