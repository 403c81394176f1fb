/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/** Which registered cgroup a task lies in: that of its own cgroup or the nearest around it. */
#ifndef BPF_CGROUP_H
#define BPF_CGROUP_H

#include "mark.bpf.h"

/* Levels of cgroups that are looked at, from a task's own upwards. */
#define CGROUP_DEPTH 32

/* By id: the inode number of the cgroup's directory. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CGROUP_LIMIT);
	__type(key, u64);
	__type(value, struct tally_cgroup);
} cgroups SEC(".maps");

/* Answers of the walk below. The least used is forgotten when it is full, and walked to again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct tally_resolved);
} resolved SEC(".maps");

/* The nodes are read as plain memory: typed pointers cost the loader a search of all the kernel's
 * types for each step. */
inline_always struct kernfs_node *parent_of(struct kernfs_node *node)
{
	if (bpf_core_field_exists(node->__parent))
		return BPF_CORE_READ(node, __parent);
	return (void *)BPF_CORE_READ((struct kernfs_node___before_6_15 *)node, parent);
}

static void walk_up(struct kernfs_node *node, struct tally_resolved *ret)
{
	for (int i = 0; node && i < CGROUP_DEPTH; i++) {
		u64 id = BPF_CORE_READ(node, id);
		struct tally_cgroup *found = bpf_map_lookup_elem(&cgroups, &id);

		if (found) {
			ret->set = found->set;
			ret->fresh = found->fresh;
			return;
		}
		node = parent_of(node);
	}
}

inline_always struct tally_resolved cgroup_of(struct task_struct *task)
{
	struct tally_resolved answer = {.generation = config.generation};
	struct kernfs_node *node = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn);
	u64 id = BPF_CORE_READ(node, id);
	struct tally_resolved *known = bpf_map_lookup_elem(&resolved, &id);

	if (known && known->generation == answer.generation)
		return *known;
	walk_up(node, &answer);
	bpf_map_update_elem(&resolved, &id, &answer, BPF_ANY);
	return answer;
}

#endif
