/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Who is in a cgroup and the cgroups below it, version 1 or 2: the pids of their cgroup.procs.
 *
 * Every cgroup costs two kept descriptors and two system calls per reading. Which cgroups there
 * are below is listed again only when a directory's number of links has changed, or when one of
 * them has been removed.
 */
#ifndef COLLECT_CGROUP_TREE_H
#define COLLECT_CGROUP_TREE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <tally/error.h>

struct cgroup_tree;

/**
 * Open a cgroup.
 *
 * @path   Its directory.
 * @id     Inode number that the directory has to have, or 0 for any.
 * @return 0; -ESRCH (there is no such cgroup, or it is another than id says); -EACCES; -ENOTSUP
 *         (no cgroup.procs is in it); -ENOMEM.
 */
int cgroup_tree_open(
	const char *path, uint64_t id, struct cgroup_tree **ret, struct tally_error *err);

/** Let two be read as one; the first may be NULL. @return the union, which owns both. */
struct cgroup_tree *cgroup_tree_join(struct cgroup_tree *tree, struct cgroup_tree *other);

/** Close what has been removed since it was opened. @return what is left; may be NULL. */
struct cgroup_tree *cgroup_tree_prune(struct cgroup_tree *tree);

/** Close; takes NULL, returns NULL. */
struct cgroup_tree *cgroup_tree_close(struct cgroup_tree *tree);

/** Descriptors that it keeps open. */
size_t cgroup_tree_fds(const struct cgroup_tree *tree);

/** Receives one pid of a process; one may come twice when it moves meanwhile. */
typedef void cgroup_pid_fn(void *context, pid_t pid);

/**
 * Visit all processes in the cgroup and below it.
 *
 * @return  0, also when the cgroup has been removed: nobody is in it then. Negative errno when
 *          it could not be read, so that who was not visited may still be in it.
 */
int cgroup_tree_pids(struct cgroup_tree *tree, cgroup_pid_fn *visit, void *context);

#endif
