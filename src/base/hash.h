/* SPDX-License-Identifier: Apache-2.0 */
/**
 * uthash, told not to end the program when memory runs out: an item that could not be added has
 * hh.tbl == NULL afterwards.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#define HASH_NONFATAL_OOM	  1
#define uthash_nonfatal_oom(item) ((item)->hh.tbl = NULL)

#include <uthash.h>

#endif
