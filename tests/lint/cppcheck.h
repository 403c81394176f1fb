/* SPDX-License-Identifier: Apache-2.0 */
/* uthash for cppcheck, which is not shown the real one: what its macros do to their arguments. */
#define UT_hash_handle			   void *
#define HASH_ITER(hh, head, at, next)	   for ((at) = (head), (next) = (at); (at); (at) = (next))
#define HASH_FIND(hh, head, key, size, at) ((at) = hash_find(head, key, size))
#define HASH_FIND_STR(head, key, at)	   ((at) = hash_find(head, key, 0))
#define HASH_FIND_INT(head, key, at)	   ((at) = hash_find(head, key, 0))
#define HASH_FIND_PTR(head, key, at)	   ((at) = hash_find(head, key, 0))

/* utlist, likewise. */
#define DL_FOREACH(head, at)		 for ((at) = (head); (at); (at) = (at)->next)
#define DL_FOREACH_SAFE(head, at, after) for ((at) = (head), (after) = (at); (at); (at) = (after))
#define LL_FOREACH(head, at)		 for ((at) = (head); (at); (at) = (at)->next)
#define LL_FOREACH_SAFE(head, at, after) for ((at) = (head), (after) = (at); (at); (at) = (after))

/* GObject. */
#define G_DEFINE_TYPE(name, prefix, parent)
