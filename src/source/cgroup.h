/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The source of tasks that are cgroups: services and scopes of systemd, containers, pods, or whatever a
 * pattern names. docs/cgroups.md has the rules.
 */
#ifndef SOURCE_CGROUP_H
#define SOURCE_CGROUP_H

#include "source/source.h"

/** Tasks of one source, cgroups it looks at, processes of one task; further ones are left out. */
#define CGROUP_TASKS_MAX 4096
#define CGROUP_NODES_MAX 16384
#define CGROUP_PARTS_MAX 64

/** A zeroed one is the default. */
struct cgroup_options {
	const char *procfs;  /**< NULL: "/proc". */
	const char *root;    /**< What the files of runtimes are below; NULL: "". */
	const char *unified; /**< Where version 2 is mounted; NULL: as procfs tells. */
	int64_t poll_ns;     /**< How often all is looked at; 0: 5 s. */
	const struct log *log;
};

/**
 * Open with one pattern, as source_ops.open does.
 *
 * @return  0; -ENOTSUP (no cgroups are mounted here); -EINVAL; -ENOMEM.
 */
int cgroup_source_open(const char *pattern, const struct cgroup_options *options,
	struct source **ret, struct tally_error *err);

/** Whether a cgroup, by its path in the hierarchy of version 2, is a task of it or lies in one. */
bool cgroup_source_covers(const struct source *source, const char *path, size_t length);

/** Number of tasks. */
size_t cgroup_source_count(const struct source *source);

#endif
