/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What changed, from fanotify: the directory, by a hash of its file handle, and the name in it.
 *
 * Marks are on single directories (FAN_EVENT_ON_CHILD), so that only changes in them are heard,
 * whatever else happens on the machine; since Linux 5.13 they need no privilege. The marks are not
 * evictable: a directory whose inode the kernel lets go would fall silent without a word.
 *
 * Equal events merge while they wait, so a queue that is read now and then costs what changed and
 * not how often. It holds fs.fanotify.max_queued_events, 16,384 by default; then it says that it
 * overflowed.
 */
#ifndef DISK_FAN_H
#define DISK_FAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tally/error.h>

/** Bytes for a read of events. */
#define FAN_BUFFER (64 << 10)

struct fan {
	int fd;	       /**< -1: closed. */
	uint64_t seed; /**< Of the hashes of handles. */
	unsigned long
		type; /**< Of the file system, as statfs() has it: how its handles are read. */
};

/** One change. */
struct fan_event {
	bool overflow; /**< Events were lost; nothing else is set. */
	uint64_t
		handle; /**< As fan_handle() gives it for the directory; 0: none (a marked file). */
	const char *name; /**< What changed in it, or NULL: the directory itself. */
	/**
	 * Inode that changed under that name, which may stand for another by now; 0: not known (Linux
	 * before 5.17, or a file system whose handles are not understood).
	 */
	uint64_t ino;
};

typedef void fan_event_fn(void *context, const struct fan_event *event);

/**
 * Open a group.
 *
 * @type    As in struct fan.
 * @return  0; -ENOSYS, -EINVAL (no such fanotify, before 5.9), -EPERM (before 5.13, or forbidden),
 *          -EUSERS (fs.fanotify.max_user_groups).
 */
int fan_open(struct fan *fan, uint64_t seed, unsigned long type, struct tally_error *err);

void fan_close(struct fan *fan);

/**
 * Hear of changes in a directory, from now on. Idempotent.
 *
 * @return  0; -ENOSPC (fs.fanotify.max_user_marks); -EOPNOTSUPP, -ENODEV, -EXDEV (this file system
 *          cannot be watched); -EACCES.
 */
int fan_mark(const struct fan *fan, int dir);

/** Hear of changes in a file, under whatever name. As fan_mark(). */
int fan_mark_file(const struct fan *fan, int dir, const char *name);

/**
 * Hash of the file handle of a directory: never 0, and another once its inode number is recycled.
 *
 * @name  In dir, or "" for dir itself; a symlink is not followed.
 * @ret   Set on success.
 */
int fan_handle(const struct fan *fan, int dir, const char *name, uint64_t *ret);

/**
 * Read events that wait, one buffer full of them. Never blocks.
 *
 * @buffer  FAN_BUFFER bytes, aligned for 64-bit integers.
 * @return  Events read; 0: none waits; negative errno.
 */
int fan_drain(const struct fan *fan, char *buffer, fan_event_fn *visit, void *context);

/** What fan_drain() does with what it has read. Takes any bytes. @return  Events visited. */
int fan_parse(const struct fan *fan, const char *buffer, size_t length, fan_event_fn *visit,
	void *context);

#endif
