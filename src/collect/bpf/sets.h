/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Sets of groups, numbered for the kernel program, which knows nothing of groups.
 *
 * A number may be given anew only when no mark in the kernel can hold it any more; the caller knows
 * that. Number 0 is the empty set.
 */
#ifndef BPF_SETS_H
#define BPF_SETS_H

#include <stdbool.h>
#include <stdint.h>

struct set {
	uint32_t *groups; /**< Ascending. Empty in use: all its groups were removed. */
	uint32_t count;
	bool used;
	bool pinned;  /**< Not to be given back: a group's own, or a registered cgroup's. */
	uint8_t idle; /**< Looks at which nothing held it. */
};

struct set_table {
	struct set *items; /**< Indexed by number. */
	uint32_t count;	   /**< Numbers ever used, the empty set included. */
	uint32_t room;	   /**< Length of items. */
	uint32_t limit;	   /**< Most there may be. */
	uint32_t free;	   /**< No unused number is below. */
};

/** @limit Numbers there may be, the empty set included. @return 0 or -ENOMEM. */
int sets_init(struct set_table *table, uint32_t limit);
void sets_done(struct set_table *table);

/**
 * Number of a set of groups, which is made if there is none.
 *
 * @groups  Ascending, without repetition.
 * @ret     Untouched on failure.
 * @return  0, 1 (newly made), -ENOSPC (the limit), -ENOMEM.
 */
int sets_find(struct set_table *table, const uint32_t *groups, uint32_t count, uint32_t *ret);

/** Make a set of one group without looking for an equal one. As sets_find(). */
int sets_make(struct set_table *table, const uint32_t *groups, uint32_t count, uint32_t *ret);

/** Is a group in a set? */
bool sets_have(const struct set_table *table, uint32_t set, uint32_t group);

/** Groups of a set and of another, and of the other alone, ascending; room for both is needed. */
uint32_t sets_unite(const struct set_table *table, uint32_t a, uint32_t b, uint32_t *all);
uint32_t sets_rest(const struct set_table *table, uint32_t a, uint32_t b, uint32_t *rest);

/** Take a group out of all sets. */
void sets_drop(struct set_table *table, uint32_t group);

/** Give a number back. */
void sets_free(struct set_table *table, uint32_t set);

#endif
