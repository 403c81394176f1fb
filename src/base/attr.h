/* SPDX-License-Identifier: Apache-2.0 */
/** Compiler attributes and the cleanup idiom: resources free themselves at the end of a scope. */
#ifndef BASE_ATTR_H
#define BASE_ATTR_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/** Part of the ABI of libtally; everything else is hidden. */
#define TALLY_API __attribute__((visibility("default")))

#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#define CLEANUP(function)	 __attribute__((cleanup(function)))

/** char *, freed at the end of its scope. */
#define CLEANUP_FREE CLEANUP(cleanup_free)
/** int descriptor, closed at the end of its scope unless negative. */
#define CLEANUP_CLOSE CLEANUP(cleanup_close)
/** FILE *, closed at the end of its scope. */
#define CLEANUP_FILE CLEANUP(cleanup_file)
/** DIR *, closed at the end of its scope. */
#define CLEANUP_DIR CLEANUP(cleanup_dir)

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static inline void cleanup_free(void *pointer)
{
	free(*(void **)pointer);
}

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_file(FILE **file)
{
	if (*file)
		fclose(*file);
}

static inline void cleanup_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/** Take a descriptor out of a variable that would close it. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/** Take a pointer out of a variable that would free it. */
#define TAKE(pointer)                                                                              \
	({                                                                                         \
		__typeof__(pointer) _t = pointer;                                                  \
		(pointer) = NULL;                                                                  \
		_t;                                                                                \
	})

#endif
