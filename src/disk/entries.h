/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What is remembered of the entries of one directory: 16 bytes for each, in an open-addressing
 * table that is between 7/12 and 7/8 full. Names are not kept, only 56 bits of a keyed hash: two names of
 * a directory of a million entries are taken for one once in 100,000 such directories.
 */
#ifndef DISK_ENTRIES_H
#define DISK_ENTRIES_H

#include <stddef.h>
#include <stdint.h>

enum entry_kind {
	ENTRY_NONE, /**< An empty place. */
	ENTRY_FILE, /**< Anything with one name that is not a directory; the value is its blocks. */
	ENTRY_DIR,  /**< The value is its node. */
	ENTRY_LINK, /**< One of several names; the value is its inode, folded (tree.h). */
};

#define ENTRY_NAME_BITS	 56
#define ENTRY_INO_BITS	 22
#define ENTRY_VALUE_BITS 48
#define ENTRY_VALUE_MOST ((UINT64_C(1) << ENTRY_VALUE_BITS) - 1)

struct entry {
	uint64_t name : ENTRY_NAME_BITS;
	uint64_t ino_low : 8;
	uint64_t kind : 2;
	uint64_t value : ENTRY_VALUE_BITS;
	uint64_t ino_high : ENTRY_INO_BITS - 8;
};

_Static_assert(sizeof(struct entry) == 16, "an entry is 16 bytes");

/** A zeroed one is empty. */
struct entries {
	struct entry *entries;
	uint32_t capacity, count;
};

/** The low bits of its inode: enough to look for one in a tree. */
static inline uint32_t entry_ino(const struct entry *entry)
{
	return (uint32_t)entry->ino_high << 8 | entry->ino_low;
}

#define ENTRY_INO_MASK ((UINT64_C(1) << ENTRY_INO_BITS) - 1)

struct entry entry_make(uint64_t name, uint64_t ino, enum entry_kind kind, uint64_t value);

/** NULL when it is not there. Valid until the next insertion or removal. */
struct entry *entries_find(const struct entries *all, uint64_t name);

/** Insert one that is not there. 0 or -ENOMEM. */
int entries_insert(struct entries *all, struct entry entry);

void entries_remove(struct entries *all, struct entry *entry);

/** Bytes it takes. */
size_t entries_bytes(const struct entries *all);

void entries_done(struct entries *all);

#endif
