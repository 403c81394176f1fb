/* SPDX-License-Identifier: Apache-2.0 */
/** One task that is a cgroup: its processes, its figures' places, its sandbox. */
#ifndef SOURCE_CGROUP_TASK_H
#define SOURCE_CGROUP_TASK_H

#include "base/hash.h"
#include "source/cgroup_mounts.h"
#include "source/cgroup_node.h"
#include "source/source.h"

/** A named process: the cgroup itself, or one right below it. */
struct cgroup_part {
	char *name;
	char *dir;
	uint64_t id;
};

struct cgroup_task {
	char *id;
	char *path;	/**< In the hierarchy. */
	char *dir;	/**< The directory. */
	char *sandbox;	/**< Or NULL. */
	bool populated; /**< Some process lives in it or below it. */
	bool shaped;	/**< It is known what its processes are. */
	bool met;	/**< Its first process has told what it knows. */
	bool divided;	/**< They are the cgroups right below. */
	bool full;
	int64_t started_wall_ns;
	struct cgroup_part *parts;
	size_t part_count;
	char *memory, *cpu; /**< Directories of version 1, or NULL. */
	struct source_cgroup cgroup;
	UT_hash_handle hh;
};

/** Where a task looks for what it does not find in its cgroup. */
struct cgroup_task_world {
	const char *procfs;
	const struct cgroup_mounts *mounts;
};

/**
 * Begin one.
 *
 * @id      Copied.
 * @return  NULL without memory.
 */
struct cgroup_task *cgroup_task_new(
	const char *id, const struct cgroup_field *field, const struct cgroup_node *node);

/** Takes NULL. */
void cgroup_task_free(struct cgroup_task *task);

/**
 * Look what changed.
 *
 * @dir     Descriptor of its directory.
 * @return  Whether there is anything to tell.
 */
bool cgroup_task_look(struct cgroup_task *task, const struct cgroup_task_world *world, int dir);

#endif
