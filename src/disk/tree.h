/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What a tracker remembers of a sandbox: its directories by name, and of each entry what it
 * weighs. Pure: whoever reads the file system tells it what is there.
 *
 * About 100 bytes and the name for a directory, 22 for an entry, 24/0.6 for an inode with several
 * names; counted, and limited. Totals are kept with each change.
 */
#ifndef DISK_TREE_H
#define DISK_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "disk/links.h"
#include "disk/entries.h"

#define NODE_NONE UINT32_MAX
/** The sandbox itself. */
#define NODE_ROOT 0

enum node_flags {
	NODE_FREE = 1 << 0,
	NODE_ORPHAN = 1 << 1, /**< Found nowhere; taken in again, or reaped at the end of a look. */
	NODE_PARTIAL = 1 << 2, /**< Something of it could not be read. */
	NODE_UNREAD = 1 << 3,  /**< Its entries are not known yet, or could not be read. */
	NODE_QUEUED = 1 << 4,  /**< Waits to be read. */
	NODE_OWED = 1 << 5,    /**< It was to be read, and not where it was looked for. */
};

/** A directory. */
struct node {
	uint64_t handle; /**< Hash of its file handle: its identity; 0: not known yet. */
	char *name;	 /**< In its parent; NULL: none (the root). */
	int64_t blocks;	 /**< Its own. */
	struct entries table;
	uint32_t
		parent; /**< Of an orphan none. Or the next free node, or the next to be removed. */
	uint32_t flags;
};

struct tree {
	struct node *nodes;
	uint32_t node_capacity, node_count, node_free;
	uint32_t *index; /**< Node by handle; NODE_NONE: empty place. */
	uint32_t index_capacity, index_count;
	uint32_t *orphans;
	uint32_t orphan_capacity, orphan_count;
	struct links links;
	/**
	 * Inodes with several names of which something is not certain. Either not all names are
	 * known, and one may be in the tree as a file of its own (link.searched is not set). Or one
	 * went away, and with it what was heard of it (link.stale).
	 */
	uint32_t unsearched;
	uint64_t seed; /**< Of the hashes of names and handles. */
	int64_t blocks, files, partial;
	size_t bytes, bytes_limit; /**< Memory it takes, and may take; 0: as much as there is. */

	/* The node whose entries are being replaced, and those not met again so far. */
	uint32_t renewed;
	struct entries before;
};

/** What was seen under a name. */
struct tree_seen {
	enum entry_kind kind;
	uint64_t ino;
	int64_t blocks; /**< Not of a directory: those are its node's. */
	uint32_t nlink; /**< Of a link. */
	uint32_t node;	/**< Of a directory. */
};

/** Make a tree of the root alone. 0 or -ENOMEM. */
int tree_init(struct tree *tree, uint64_t seed, size_t bytes_limit);

void tree_done(struct tree *tree);

/** Hash of a name, for the calls below. */
uint64_t tree_name(const struct tree *tree, const char *name);

/** An inode number as the value of an entry and key of links. */
uint64_t tree_fold(uint64_t ino);

/** Add a directory that is under no name yet. 0, -ENOMEM, -E2BIG (the limit of memory). */
int tree_add(struct tree *tree, uint32_t parent, const char *name, uint32_t *ret);

/** Node of a handle, or NODE_NONE. */
uint32_t tree_by_handle(const struct tree *tree, uint64_t handle);

/** Set the handle of a node that has none. 0 or -ENOMEM. */
int tree_set_handle(struct tree *tree, uint32_t node, uint64_t handle);

/** Put a known directory under another name. -ELOOP: it is above that place itself. */
int tree_move(struct tree *tree, uint32_t node, uint32_t parent, const char *name);

void tree_set_blocks(struct tree *tree, uint32_t node, int64_t blocks);
void tree_set_partial(struct tree *tree, uint32_t node, bool partial);

const struct entry *tree_find(const struct tree *tree, uint32_t node, uint64_t name);

/**
 * Something is under a name, instead of what was.
 *
 * A directory of which the node is elsewhere is moved here first (tree_move).
 *
 * @return  0; -ENOMEM; -E2BIG.
 */
int tree_put(struct tree *tree, uint32_t node, uint64_t name, const struct tree_seen *seen);

/** Nothing is under a name any more. */
void tree_drop(struct tree *tree, uint32_t node, uint64_t name);

/** A link was searched for among files. */
void tree_link_is_searched(struct tree *tree, struct link *link);

/** A link changed under a name that is not to be found any more. */
void tree_link_is_stale(struct tree *tree, uint64_t ino);

/** Whatever could be learnt of a link that was stale was learnt. */
void tree_link_is_fresh(struct tree *tree, uint64_t ino);

/** All entries of a directory will be put anew: those that are not are dropped at the end. */
void tree_renew_begin(struct tree *tree, uint32_t node);
void tree_renew_end(struct tree *tree);

/** Remove the directories that were dropped and not taken in again, with all below. */
void tree_reap(struct tree *tree);

#endif
