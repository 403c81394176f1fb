/* SPDX-License-Identifier: Apache-2.0 */
/** Inodes with several names, so that each counts once. 24 bytes each, in one table. */
#ifndef DISK_LINKS_H
#define DISK_LINKS_H

#include <stddef.h>
#include <stdint.h>

struct link {
	uint64_t ino;
	int64_t blocks;
	uint32_t names : 30; /**< Names of it that were met; 0 marks an empty slot. */
	uint32_t stale : 1;  /**< Of the caller, as the others. */
	uint32_t counted : 1;
	uint32_t nlink : 30; /**< Names it has in all. */
	uint32_t marked : 1;
	uint32_t searched : 1;
};

/** A zeroed one is empty. */
struct links {
	struct link *slots;
	uint32_t capacity; /**< Power of two, or 0. */
	uint32_t count;
	uint32_t limit; /**< Most there may be; 0: as many as fit. */
};

/** NULL when it is not there. What is returned is valid until the next add or remove. */
struct link *links_find(const struct links *links, uint64_t ino);

/** Find or add; a new one has no names. NULL when there is no memory, or the limit is reached. */
struct link *links_add(struct links *links, uint64_t ino);

void links_remove(struct links *links, struct link *link);

/** Bytes they take. */
size_t links_bytes(const struct links *links);

void links_done(struct links *links);

#endif
