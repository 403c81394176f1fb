/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/**
 * Marks, sets and the rule that makes each nanosecond count once.
 *
 * A mark remembers what has been reported of its thread. Whoever reports (the pass, the hook at
 * the thread's end) exchanges that with what the kernel says now and adds the difference to the
 * sets: in any order of two reporters the differences add up to the last value exchanged.
 *
 * That has to be the final one. The thread's last switch away from its CPU, when it is dead already,
 * is the instant at which the scheduler has just accounted its last nanosecond. (sched_process_exit
 * is too early: the memory is still to be torn down. sched_process_free is a grace period late, and
 * runs on top of any other task, for which some kernels leave tracing out.) The thread runs no more
 * while its hook does; a pass that reads before the hook and exchanges after it finds `done` set,
 * and takes the final values again.
 */
#ifndef BPF_MARK_H
#define BPF_MARK_H

#include "read.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct tally_mark);
} marks SEC(".maps");

/* Written by user space through a pidfd: a marked pid is to be a root as well. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct tally_request);
} requests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SET_LIMIT);
	__type(key, u32);
	__type(value, struct tally_set);
} sets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, ROOT_LIMIT);
	__type(key, u32);
	__type(value, struct tally_root);
} roots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, UNION_LIMIT);
	__type(key, struct tally_pair);
	__type(value, struct tally_union);
} unions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STRAY_LIMIT);
	__type(key, u32);
	__type(value, struct tally_stray);
} strays SEC(".maps");

struct tally_config config;
struct tally_news news;

inline_always struct tally_mark *mark_of(struct task_struct *task)
{
	return bpf_task_storage_get(&marks, task, 0, 0);
}

inline_always struct tally_set *set_of(u32 id)
{
	return id ? bpf_map_lookup_elem(&sets, &id) : NULL;
}

/* A set that may be handed on: those whose groups are all gone are not. */
inline_always u32 set_living(u32 id)
{
	struct tally_set *set = set_of(id);

	return set && !set->dead ? id : 0;
}

/* So many marks more have it that are not done. */
inline_always void set_open(u32 id, s64 by)
{
	struct tally_set *set = set_of(id);

	if (set)
		__sync_fetch_and_add(&set->open, by);
}

inline_always void set_add(u32 id, int count, s64 by)
{
	struct tally_set *set = set_of(id);

	if (set)
		__sync_fetch_and_add(&set->count[count], by);
}

inline_always void set_add_all(u32 id, const u64 by[COUNTS_REPORTED])
{
	struct tally_set *set = set_of(id);

	if (!set)
		return;
#pragma unroll
	for (int i = 0; i < COUNTS_REPORTED; i++)
		if (by[i])
			__sync_fetch_and_add(&set->count[i], by[i]);
}

/* Report what a thread has used since it was last reported. If it ended meanwhile, what was read may
 * have been less than its end has reported: once more, then. */
static void mark_report(struct task_struct *task, struct tally_mark *mark)
{
	for (int turn = 0; turn < 2; turn++) {
		u64 rise[COUNTS_REPORTED];

		read_counters(task, mark, rise);
#pragma unroll
		for (int i = 0; i < COUNTS_REPORTED; i++)
			rise[i] -= __sync_lock_test_and_set(&mark->reported[i], rise[i]);
		set_add_all(mark->set[DIM_TREE], rise);
		set_add_all(mark->set[DIM_CGROUP], rise);
		if (!*(volatile u8 *)&mark->done)
			return;
	}
}

/* Credit a set with a process that joins it: one more, and what its dead threads had used. When it
 * is being released, the kernel has added its leader's own part to theirs. */
static void credit_process(struct task_struct *task, struct tally_mark *mark, u32 id)
{
	bool released = task->exit_state & EXIT_DEAD;
	u64 dead[COUNTS_REPORTED];

	read_dead_threads(task, dead);
#pragma unroll
	for (int i = 0; i < COUNTS_REPORTED; i++)
		if (released)
			dead[i] = dead[i] > mark->reported[i] ? dead[i] - mark->reported[i] : 0;
	set_add_all(id, dead);
	set_add(id, COUNT_STARTED, 1);
}

/* A mark from user space has no history yet: its set holds it, and is credited. */
static void mark_welcome(struct task_struct *task, struct tally_mark *mark)
{
	mark->flags &= ~MARK_NEW;
	set_open(mark->set[DIM_TREE], 1);
	mark_report(task, mark);
	credit_process(task, mark, mark->set[DIM_TREE]);
}

/* Make an empty mark; of two who try at the same instant, one gets it. */
inline_always struct tally_mark *mark_make(struct task_struct *task)
{
	struct tally_mark *mark =
		bpf_task_storage_get(&marks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!mark || __sync_val_compare_and_swap(&mark->claimed, 0, 1))
		return NULL;
	mark->turn = task->pid;
	mark->seen_ns = ~0ull; /* never looked at: that is not idle */
	if (task_leads(task))
		mark->flags = MARK_LEADER;
	return mark;
}

/*
 * Move a mark to another set of one dimension. What was used so far belongs to the old set; `credit`
 * is the set, or 0, that also gets what was used before.
 */
inline_always void mark_move(
	struct task_struct *task, struct tally_mark *mark, int dim, u32 to, u32 credit)
{
	u32 from = mark->set[dim];

	mark_report(task, mark);
	if (__sync_val_compare_and_swap(&mark->set[dim], from, to) != from)
		return;
	if (!mark->done) {
		set_open(from, -1);
		set_open(to, 1);
	}
	set_add_all(credit, mark->reported);
	if (credit && task_leads(task))
		credit_process(task, mark, credit);
	news.changed++;
}

/* The thread has run for the last time. */
inline_always void mark_end(struct task_struct *task, struct tally_mark *mark)
{
	if (mark->flags & MARK_NEW)
		mark_welcome(task, mark);
	*(volatile u8 *)&mark->done = 1; /* before the exchange, which is a barrier */
	mark_report(task, mark);
	set_open(mark->set[DIM_TREE], -1);
	set_open(mark->set[DIM_CGROUP], -1);
}

#endif
