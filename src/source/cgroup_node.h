/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The cgroups below a place that may be tasks, found by one pattern, and kept up to date.
 *
 * A pattern is a path with '*', '?' and '[…]' in its components. Every cgroup that it matches is a
 * task; or, where it ends in '/' or "**", the natural ones below: units, containers, and processes
 * that lie in no cgroup of a better name.
 */
#ifndef SOURCE_CGROUP_NODE_H
#define SOURCE_CGROUP_NODE_H

#include <stdbool.h>
#include <sys/stat.h>
#include <tally/error.h>
#include "source/watch.h"

struct cgroup_task;

struct cgroup_node {
	struct cgroup_node *children, *next;
	char *path; /**< In the hierarchy, "" for its root. */
	unsigned depth;
	ino_t inode;
	nlink_t links; /**< When it was listed; 0: it is to be listed. */
	int watch;
	bool dirty;  /**< A change was heard. */
	bool listed; /**< For the listing of the one above. */
	bool gone;
	bool leaf_tried;
	struct cgroup_task *task; /**< What it is, and then it has no children. */
};

/** A pattern and what it found. */
struct cgroup_field {
	char *mount;   /**< Directory of the hierarchy. */
	bool unified;  /**< Of version 2. */
	char *pattern; /**< Without a slash at its ends. */
	char **parts;  /**< Its components. */
	size_t part_count;
	bool natural;
	struct cgroup_node *root;
};

/** What the tree asks of its owner. */
struct cgroup_field_ops {
	/** A cgroup is a task: take it. False: there is no room. */
	bool (*begin)(void *context, struct cgroup_field *field, struct cgroup_node *node, int dir);
	/** It is there still: look what changed. */
	void (*look)(void *context, struct cgroup_field *field, struct cgroup_node *node, int dir);
	/** It is gone. */
	void (*end)(void *context, struct cgroup_node *node);
};

/**
 * Begin.
 *
 * @pattern  Below the mount: "system.slice/x-*.service".
 * @return   0, -EINVAL (it can match nothing), -ENOMEM.
 */
int cgroup_field_init(struct cgroup_field *field, const char *mount, bool unified,
	const char *pattern, struct tally_error *err);

void cgroup_field_done(struct cgroup_field *field, struct watch *watch);

/**
 * Look at what changed.
 *
 * @all    At everything, not only at what was heard of.
 * @nodes  Number of nodes of all fields; kept within CGROUP_NODES_MAX.
 */
void cgroup_field_look(struct cgroup_field *field, bool all, struct watch *watch, size_t *nodes,
	const struct cgroup_field_ops *ops, void *context);

#endif
