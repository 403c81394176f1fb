/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A directory that is looked at again and again, and listed only when it changed.
 *
 * Its path is relative to a base directory and may be the work of a hostile user: no symbolic link in
 * it is followed. Whether it changed is told by its mtime (trusted once it is 2 s old, for two changes
 * may share a tick of the kernel's clock) and heard through a watch, which is put on its nearest
 * ancestor while it does not exist.
 */
#ifndef SOURCE_FOLDER_H
#define SOURCE_FOLDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "source/watch.h"

struct folder {
	char *path; /**< Below the base. */
	bool dirty; /**< A change was heard. */
	bool exists;
	bool settled; /**< Its mtime was old when it was listed. */
	int watch;    /**< Number, or negative. */
	dev_t dev;    /**< Of what is watched: itself or an ancestor. */
	ino_t ino;
	int64_t mtime_ns;
};

/**
 * Open a file or directory below another without following any symbolic link.
 *
 * @flags   As open(); O_CLOEXEC and O_NOFOLLOW are added. Use O_NONBLOCK for what may be a FIFO or bear
 *          a lease.
 * @return  A descriptor or negative errno.
 */
int open_beneath(int base, const char *path, int flags);

/** Begin; takes the malloc'd path over. */
void folder_init(struct folder *folder, char *path);

/** @watch  May be NULL: nothing is heard then. */
void folder_done(struct folder *folder, struct watch *watch);

/**
 * Look whether it may have changed, and watch it.
 *
 * @base    Negative: it is not there, and nothing below it.
 * @ret     On 1, a descriptor to list it with.
 * @return  1 it may have; 0 it has not; -ENOENT (it is not there, or is no directory); others: it
 *          cannot be read now, and nothing is known.
 */
int folder_look(struct folder *folder, int base, struct watch *watch, int *ret);

/** Watch it without listing. @return 0, or negative errno as folder_look(). */
int folder_watch(struct folder *folder, int base, struct watch *watch);

/** Called with each name but "." and "..", and its d_type. @return 0 to go on. */
typedef int folder_entry_fn(void *context, int dir, const char *name, unsigned char type);

/**
 * List what folder_look() opened, and close it.
 *
 * @return  0, what `each` said, or negative errno.
 */
int folder_list(struct folder *folder, int dir, folder_entry_fn *each, void *context);

/** Whether an entry is of a kind (DT_REG, DT_DIR), where the file system does not say. */
bool entry_is(int dir, const char *name, unsigned char type, unsigned char wanted);

#endif
