/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A directory named by a person: what a source looks at is relative to it. Symbolic links in its path are
 * followed, for the person wrote it. It may come later, go, and be made anew.
 */
#ifndef SOURCE_ANCHOR_H
#define SOURCE_ANCHOR_H

#include <stdbool.h>
#include <sys/types.h>
#include <tally/error.h>
#include "base/log.h"

struct anchor {
	char *path; /**< As named. */
	char *real; /**< Without symbolic links; NULL while it is not there. */
	int fd;	    /**< O_PATH, or -1 while it is not there. */
	dev_t dev;
	ino_t ino;
	bool said; /**< That it is not there. */
};

/**
 * Begin.
 *
 * @return  0; -ENOTDIR, -ENAMETOOLONG (it can never be a directory); -ENOMEM.
 */
int anchor_init(struct anchor *anchor, const char *path, struct tally_error *err);

void anchor_done(struct anchor *anchor);

/**
 * Look whether it is there and still the same; says once when it is not.
 *
 * @source  Name of the source, for the log.
 * @return  Whether it is another than at the last look.
 */
bool anchor_look(struct anchor *anchor, const char *source, const struct log *log);

#endif
