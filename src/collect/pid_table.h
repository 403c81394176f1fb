/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A table of the machine's processes by pid: members and strangers alike.
 *
 * Open addressing in one array: an entry is 48 bytes, and a pass touches no other memory for a
 * stranger. Allocates only in pid_table_reserve().
 */
#ifndef COLLECT_PID_TABLE_H
#define COLLECT_PID_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct member;

/** A process, as it was when its stat was last read. */
struct pid_entry {
	pid_t pid; /**< 0: the slot is free. */
	pid_t parent, session;
	uint32_t seen;	   /**< Pass whose listing had it last. */
	uint32_t resolved; /**< Pass that decided where it belongs; 0: not yet. */
	uint32_t born;	   /**< Pass that saw it first. */
	uint64_t inode;	   /**< Of its directory in /proc; 0: not known. */
	int64_t start_ticks;
	struct member *member; /**< NULL: a stranger. */
};

struct pid_table {
	struct pid_entry *slots;
	size_t capacity; /**< A power of two, or 0. */
	size_t count;
};

void pid_table_done(struct pid_table *table);

/**
 * Make room for more entries, so that the next `more` calls of pid_table_add() succeed and move
 * nothing. Gives memory back that a flood of processes took.
 *
 * @return  0 or -ENOMEM. Moves entries: pointers to them are void afterwards.
 */
int pid_table_reserve(struct pid_table *table, size_t more);

/** Find a pid. NULL: it is not there. */
struct pid_entry *pid_table_find(const struct pid_table *table, pid_t pid);

/** Add a pid that is not there; room was reserved. Its entry is zero but for the pid. */
struct pid_entry *pid_table_add(struct pid_table *table, pid_t pid);

/** Remove an entry. Moves others: pointers to them are void afterwards. */
void pid_table_remove(struct pid_table *table, struct pid_entry *entry);

/** Remove all entries that a pass has not seen. */
void pid_table_sweep(struct pid_table *table, uint32_t pass);

/** Visit all entries: for (e = NULL; (e = pid_table_next(table, e));) */
struct pid_entry *pid_table_next(const struct pid_table *table, struct pid_entry *entry);

#endif
