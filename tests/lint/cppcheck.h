/* SPDX-License-Identifier: Apache-2.0 */
/* uthash for cppcheck, which is not shown the real one: what its macros do to their arguments. */
#define UT_hash_handle			   void *
#define HASH_ITER(hh, head, at, next)	   for ((at) = (head), (next) = (at); (at); (at) = (next))
#define HASH_FIND(hh, head, key, size, at) ((at) = hash_find(head, key, size))
#define HASH_FIND_STR(head, key, at)	   ((at) = hash_find(head, key, 0))
#define HASH_FIND_INT(head, key, at)	   ((at) = hash_find(head, key, 0))
