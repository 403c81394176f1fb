/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Hears of changes in directories at once, for sources that look at files.
 *
 * One inotify instance, and one descriptor to poll. Whoever watches keeps a flag per directory, which
 * is set when something in it changed. Hearing is never certain (a limit of watches, an overflow, a
 * network file system): who watches looks at everything now and then anyway.
 *
 * What is watched may belong to a user who writes to it without a pause. The first change is heard
 * at once; after that the descriptor is silent for 50 ms, so that a change is never 50 ms late and
 * the one who polls is never woken more often than that.
 */
#ifndef SOURCE_WATCH_H
#define SOURCE_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <tally/error.h>
#include "base/log.h"

/** The shortest time between two wake-ups. */
#define WATCH_QUIET_NS (INT64_C(50) * 1000000)

struct watch;

/** @return 0; negative errno: nothing can be heard here (the message says why). */
int watch_open(const struct log *log, struct watch **ret, struct tally_error *err);

/** Takes NULL, returns NULL. */
struct watch *watch_close(struct watch *watch);

/** The descriptor to poll for reading. */
int watch_fd(const struct watch *watch);

/**
 * Watch a directory for entries that come, go or are written.
 *
 * @dir     Descriptor of the directory, O_PATH will do; may be closed afterwards.
 * @flag    Set to true at each change, and when the directory itself goes. A directory may be watched
 *          for several flags. It must live until watch_remove() or watch_close().
 * @return  A number of the watch, 0 or more; negative errno (said in the log, once, when it is the
 *          limit of watches).
 */
int watch_add(struct watch *watch, int dir, bool *flag);

/** Whether a watch is still there: it ends by itself when its directory goes. */
bool watch_lives(const struct watch *watch, int number);

/** End a watch for one flag. A number that is negative, or ended already, is taken, too. */
void watch_remove(struct watch *watch, int number, bool *flag);

/**
 * Set the flags of what changed.
 *
 * @return  1 when any was set, 0 when none, 2 when changes were lost: then all were set.
 */
int watch_drain(struct watch *watch);

/** Make the descriptor readable after a time at the latest: there is more to do. */
void watch_call_again(struct watch *watch, int64_t after_ns);

#endif
