/* SPDX-License-Identifier: Apache-2.0 */
/** Where the hierarchies of cgroups are mounted, and which cgroups a process is in. */
#ifndef SOURCE_CGROUP_MOUNTS_H
#define SOURCE_CGROUP_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <tally/error.h>
#include "base/parse.h"

struct cgroup_mount {
	char *dir;
	char *controllers; /**< "rw,cpu,cpuacct" or "rw,xattr,name=systemd"; of version 2: "rw". */
	bool unified;	   /**< Version 2. */
	bool whole;	   /**< All of the hierarchy is below it, as far as we may know. */
};

struct cgroup_mounts {
	struct cgroup_mount *items;
	size_t count;
};

/**
 * Take a line of /proc/PID/mountinfo.
 *
 * @return  1 it is a hierarchy of cgroups; 0 it is not; -ENOMEM.
 */
int cgroup_mounts_take(struct cgroup_mounts *mounts, const char *line, size_t length);

/** Read those that we see. @return 0, or negative errno. Free with cgroup_mounts_done(). */
int cgroup_mounts_read(const char *procfs, struct cgroup_mounts *ret, struct tally_error *err);

void cgroup_mounts_done(struct cgroup_mounts *mounts);

/** Version 2, or NULL. */
const struct cgroup_mount *cgroup_mounts_unified(const struct cgroup_mounts *mounts);

/** Version 1's hierarchy of a controller, as "memory" or "name=systemd"; or NULL. */
const struct cgroup_mount *cgroup_mounts_controller(
	const struct cgroup_mounts *mounts, const char *controller);

/**
 * Find the path of a process' cgroup in the text of /proc/PID/cgroup: "4:cpu,cpuacct:/a/b".
 *
 * @controller  Of version 1; NULL is version 2, "0::/a/b".
 * @ret         The path, a part of the text.
 * @return      Whether there is one that begins with '/' and does not leave the hierarchy.
 */
bool cgroup_membership(const char *text, size_t length, const char *controller, struct cursor *ret);

#endif
