/* SPDX-License-Identifier: Apache-2.0 */
/** Names in directories that will be looked at: a set, bounded in number and bytes. */
#ifndef DISK_PENDING_H
#define DISK_PENDING_H

#include <stddef.h>
#include <stdint.h>

/** Beyond, a whole directory is read instead. */
#define PENDING_MOST  (8 << 10)
#define PENDING_BYTES (256 << 10)

struct pending_item {
	uint64_t name; /**< tree_name() of it. */
	uint64_t ino;  /**< That changed under it; 0: not known. */
	uint32_t node;
	uint32_t text; /**< Where the name lies. */
};

/** A zeroed one is empty. */
struct pending {
	struct pending_item *items;
	uint32_t count, capacity;
	uint32_t *index; /**< Item by node and name; UINT32_MAX: empty place. */
	uint32_t index_capacity;
	char *texts;
	size_t text_used, text_capacity;
};

/**
 * Add a name.
 *
 * @ino        That changed under it, or 0.
 * @ret_other  Another inode that it was added for before; 0: none.
 * @return     1: added; 0: it was there; -ENOSPC (a bound is reached); -ENOMEM.
 */
int pending_add(struct pending *pending, uint32_t node, uint64_t name, const char *text,
	uint64_t ino, uint64_t *ret_other);

static inline const char *pending_text(
	const struct pending *pending, const struct pending_item *item)
{
	return pending->texts + item->text;
}

/** Sort by node, so that those of one directory are together. No more may be added then. */
void pending_sort(struct pending *pending);

/** Forget all, and give memory back that was needed once. */
void pending_clear(struct pending *pending);

void pending_done(struct pending *pending);

#endif
