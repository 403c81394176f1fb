/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/**
 * The kernel side of the BPF collector.
 *
 *   tally_pass   iter/task: reports what live members used and sums their levels; adopts
 *   tally_fork   a child gets its parent's mark before it first runs
 *   tally_switch the last remainder of a thread, when it leaves its CPU for the last time
 *   tally_attach a process moved to another cgroup
 *   tally_dump   iter/task: one record per thread of a member, for people who ask
 *   tally_cpus   iter/bpf_map, once: where each CPU's own data lie
 *
 * Nothing is sent to user space but the dump: it reads the sets from shared memory.
 */
#include "cgroup.bpf.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Tests make every n-th mark fail to be allocated; 0 in life. */
const volatile __u32 fail_every = 0;
__u32 fail_turn;

/* ---- the pass: figures of a member ---- */

/* Levels of the process, read from the first of its threads that moved. */
static void read_levels(struct task_struct *task, struct tally_mark *process)
{
	struct mm_struct *mm = task->mm;
	struct pages pages = {};
	bool cut;

	if (mm)
		read_pages(mm, &pages);
	u64 file = no_less_than_0(pages.count[PAGES_FILE]);
	u64 shmem = no_less_than_0(pages.count[PAGES_SHMEM]);
	process->rss_pages = file + shmem + no_less_than_0(pages.count[PAGES_ANON]);
	process->shared_pages = file + shmem;
	process->swap_pages = no_less_than_0(pages.count[PAGES_SWAP]);
	process->virtual_pages = mm ? mm->total_vm : 0;
	process->threads = task->exit_state ? 0 : task->signal->nr_threads;
	process->fds = read_fds(task, &cut);
	process->flags = cut ? process->flags | MARK_CUT : process->flags & ~MARK_CUT;
}

inline_always void add_levels(struct tally_set *set, const struct tally_mark *mark, s64 sign)
{
	set->level[LEVEL_RSS] += sign * mark->rss_pages;
	set->level[LEVEL_SHARED] += sign * mark->shared_pages;
	set->level[LEVEL_SWAP] += sign * mark->swap_pages;
	set->level[LEVEL_VIRTUAL] += sign * mark->virtual_pages;
	set->level[LEVEL_PIDS] += sign;
	set->level[LEVEL_THREADS] += sign * mark->threads;
	set->level[LEVEL_FDS] += sign * mark->fds;
	if (mark->flags & MARK_CUT)
		set->cut = 1;
}

/* How many of its open marks a pass has met tells how many threads are just about to end. */
inline_always void count_thread(u32 id, u32 done)
{
	struct tally_set *set = set_of(id);

	if (!set)
		return;
	set->met = 1;
	set->seen += !done;
}

inline_always void count_process(const struct tally_mark *mark, s64 sign)
{
	struct tally_set *set = set_of(mark->set[DIM_TREE]);

	if (set)
		add_levels(set, mark, sign);
	set = set_of(mark->set[DIM_CGROUP]);
	if (set)
		add_levels(set, mark, sign);
}

/*
 * Read the levels of a process again because one of its threads moved, or in turn. A leader that is
 * dead leaves that to its threads; with the last of them, the process has no memory any more. When
 * the process was counted before in this pass, the sum is put right.
 */
inline_always void refresh(struct task_struct *task, struct tally_mark *mark)
{
	u16 pass = config.pass;

	if (task_leads(task)) {
		mark->flags |= MARK_LEADER;
		if (task->exit_state && task->signal->live.counter > 0) {
			mark->flags |= MARK_GONE;
			return;
		}
		mark->flags &= ~MARK_GONE;
	} else {
		struct task_struct *leader = task->group_leader;

		if (!leader || !task->mm)
			return;
		mark = mark_of(leader);
		if (!mark)
			return;
	}
	if (mark->refreshed == pass)
		return;
	mark->refreshed = pass;
	bool counted = mark->counted == pass;
	if (counted)
		count_process(mark, -1);
	read_levels(task, mark);
	if (counted)
		count_process(mark, 1);
}

inline_always void see_root(struct task_struct *task, u32 token)
{
	u32 slot = token % ROOT_LIMIT;
	struct tally_root *root = bpf_map_lookup_elem(&roots, &slot);

	if (!root || root->token != token)
		return;
	root->pass = config.pass;
	root->state = read_state(task) | task->exit_state;
	root->nice = task->static_prio - 120;
}

/* An idle thread costs this look and, if it leads its process, the sum of its remembered levels. */
inline_always void visit_member(struct task_struct *task, struct tally_mark *mark)
{
	u64 run = task->se.sum_exec_runtime;

	if (mark->flags & MARK_NEW)
		mark_welcome(task, mark);
	if (run != mark->seen_ns || mark->turn % 64 == config.pass % 64 ||
		mark->flags & MARK_GONE) {
		mark->seen_ns = run;
		mark_report(task, mark);
		refresh(task, mark);
	}
	count_thread(mark->set[DIM_TREE], mark->done);
	count_thread(mark->set[DIM_CGROUP], mark->done);
	if (!(mark->flags & MARK_LEADER))
		return;
	count_process(mark, 1);
	mark->counted = config.pass;
	news.members++;
	if (mark->root)
		see_root(task, mark->root);
}

/* ---- the pass: adoption ---- */

/* a and b, and b without a. What is not known yet is asked of user space, and a stays as it is. */
inline_always u32 unite(u32 a, u32 b, u32 how, u32 *ret_rest)
{
	struct tally_pair pair = {a, b | how};
	struct tally_union *known, question = {};

	*ret_rest = 0;
	if (!b || a == b)
		return a;
	*ret_rest = b;
	if (!a)
		return b;
	known = bpf_map_lookup_elem(&unions, &pair);
	if (known && known->all) {
		*ret_rest = known->rest;
		return known->all;
	}
	if (!known && bpf_map_update_elem(&unions, &pair, &question, BPF_NOEXIST))
		news.unions_full++;
	news.wanted++;
	return a;
}

/* The mark that a task follows: its leader's if it is a thread, else its parent's. Only what joined
 * in this run is followed, and in a repair what has a mark by those that have none. */
inline_always struct tally_mark *mark_above(struct task_struct *task, bool marked)
{
	struct task_struct *up = task_leads(task) ? task->real_parent : task->group_leader;
	struct tally_mark *above = up ? mark_of(up) : NULL;

	if (above && above->run != config.run && (marked || !config.repair))
		return NULL;
	return above;
}

/* What user space has asked for through a pidfd, or what is handed down from above. One of them at
 * a time: the other has its turn in the next round, for this one has changed something. */
inline_always struct tally_mark *adopt(struct task_struct *task, struct tally_mark *mark)
{
	struct tally_request *request = bpf_task_storage_get(&requests, task, 0, 0);
	u32 own = mark ? set_living(mark->set[DIM_TREE]) : 0, more = 0, root = 0, how = 0;
	u32 all, rest;

	if (request && request->set) {
		more = set_living(request->set);
		root = request->root;
		how = PAIR_ROOT;
	} else {
		struct tally_mark *above = mark_above(task, mark != NULL);

		if (above) {
			more = set_living(above->set[DIM_TREE]);
			root = task_leads(task) ? 0 : above->root;
		}
	}
	if (mark && root)
		mark->root = root;
	all = unite(own, more, how, &rest);
	if (request && request->set && (all != own || !rest)) {
		request->set = 0;
		news.changed++;
	}
	if (all == own)
		return mark;
	if (!mark)
		mark = mark_make(task);
	if (!mark)
		return NULL;
	mark_move(task, mark, DIM_TREE, all, rest);
	mark->run = config.run;
	if (root)
		mark->root = root;
	return mark;
}

/* With `fresh`, cgroups that were registered just now take in what was used before. */
inline_always struct tally_mark *join_cgroup(
	struct task_struct *task, struct tally_mark *mark, bool fresh)
{
	struct tally_resolved in = cgroup_of(task);
	u32 own = mark ? mark->set[DIM_CGROUP] : 0, rest = fresh ? in.fresh : 0;

	if (in.set == own)
		return mark;
	if (own && rest) {
		u32 before = news.wanted;

		unite(own, rest, 0, &rest);
		if (news.wanted != before)
			return mark;
	}
	if (!mark)
		mark = mark_make(task);
	if (!mark)
		return NULL;
	mark_move(task, mark, DIM_CGROUP, in.set, rest);
	return mark;
}

/* ---- strays: threads whose marks could not be made when they were forked ---- */

inline_always struct tally_stray *stray_of(struct task_struct *task)
{
	u32 key = task->pid;
	struct tally_stray *stray;

	if (!news.strays)
		return NULL;
	stray = bpf_map_lookup_elem(&strays, &key);
	return stray && stray->start_ns == task->start_boottime ? stray : NULL;
}

inline_always void drop_stray(struct task_struct *task)
{
	u32 key = task->pid;

	if (bpf_map_delete_elem(&strays, &key) == 0)
		__sync_fetch_and_sub(&news.strays, 1);
}

/* No memory for a mark, or the storage was busy on this CPU: remember the child elsewhere. */
inline_always void keep_stray(struct task_struct *child, u32 tree, u32 cgroup)
{
	struct tally_stray stray = {child->start_boottime, {tree, cgroup}};
	u32 key = child->pid;

	if (bpf_map_update_elem(&strays, &key, &stray, BPF_ANY) == 0) {
		__sync_fetch_and_add(&news.strays, 1);
		__sync_fetch_and_add(&news.missed, 1);
	} else {
		__sync_fetch_and_add(&news.lost, 1);
	}
}

/* A pass meets one: it gets its mark now. */
inline_always struct tally_mark *mark_stray(struct task_struct *task)
{
	struct tally_stray *stray = stray_of(task);
	struct tally_mark *mark = stray ? mark_make(task) : NULL;

	if (!mark)
		return NULL;
	set_open(stray->set[DIM_TREE], 1);
	set_open(stray->set[DIM_CGROUP], 1);
	mark->set[DIM_TREE] = stray->set[DIM_TREE];
	mark->set[DIM_CGROUP] = stray->set[DIM_CGROUP];
	drop_stray(task);
	return mark;
}

/* One ends: it has reported nothing yet, so that its whole life is due. */
static void end_stray(struct task_struct *task)
{
	struct tally_stray *stray = stray_of(task);
	struct tally_mark mark = {};

	if (!stray)
		return;
	mark.set[DIM_TREE] = stray->set[DIM_TREE];
	mark.set[DIM_CGROUP] = stray->set[DIM_CGROUP];
	mark_report(task, &mark);
	drop_stray(task);
}

SEC("iter/task")
int tally_pass(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct tally_mark *mark;

	if (!task)
		return 0;
	mark = mark_of(task);
	news.visited++;
	if (!mark && news.strays)
		mark = mark_stray(task);
	if (config.adopt)
		mark = adopt(task, mark);
	if (config.check)
		mark = join_cgroup(task, mark, true);
	if (mark)
		visit_member(task, mark);
	else if ((config.adopt || config.check) && task_leads(task))
		news.strangers++;
	return 0;
}

/* ---- hooks ---- */

SEC("tp_btf/sched_process_fork")
int BPF_PROG(tally_fork, struct task_struct *parent, struct task_struct *child)
{
	struct tally_mark *above = mark_of(parent), *mark = NULL;
	struct tally_stray *stray = above ? NULL : stray_of(parent);
	u32 tree = set_living(above ? above->set[DIM_TREE] : stray ? stray->set[DIM_TREE] : 0);
	u32 cgroup = config.cgroups ? cgroup_of(child).set : 0;

	if (!tree && !cgroup)
		return 0;
	if (task_leads(child)) {
		set_add(tree, COUNT_STARTED, 1);
		set_add(cgroup, COUNT_STARTED, 1);
	}
	if (!fail_every || __sync_fetch_and_add(&fail_turn, 1) % fail_every)
		mark = mark_make(child);
	if (!mark) {
		keep_stray(child, tree, cgroup);
		return 0;
	}
	set_open(tree, 1);
	set_open(cgroup, 1);
	mark->set[DIM_CGROUP] = cgroup;
	mark->set[DIM_TREE] = tree;
	if (!(mark->flags & MARK_LEADER) && above)
		mark->root = above->root;
	return 0;
}

/* Every switch on the machine comes by here: all but the last ones of threads leave at once. */
SEC("tp_btf/sched_switch")
int BPF_PROG(tally_switch, bool preempt, struct task_struct *task)
{
	struct tally_mark *mark;

	if (!(read_state(task) & TASK_DEAD))
		return 0;
	mark = mark_of(task);
	if (mark)
		mark_end(task, mark);
	else if (news.strays)
		end_stray(task);
	return 0;
}

/* The leader moves now, the threads of a threaded process with the next pass. */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(tally_attach, struct cgroup *to, const char *path, struct task_struct *task)
{
	if (!config.cgroups)
		return 0;
	news.moved++;
	join_cgroup(task, mark_of(task), false);
	return 0;
}

/* ---- on demand ---- */

SEC("iter/task")
int tally_dump(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task, *parent;
	struct tally_thread thread = {};
	struct tally_mark *mark;

	if (!task)
		return 0;
	mark = mark_of(task);
	if (!mark)
		return 0;
	thread.start_ns = task->start_boottime;
	thread.cpu_ns = task->se.sum_exec_runtime;
	thread.set[DIM_TREE] = mark->set[DIM_TREE];
	thread.set[DIM_CGROUP] = mark->set[DIM_CGROUP];
	thread.root = mark->root;
	thread.pid = read_pid(task, config.level);
	if (task_leads(task)) {
		thread.cpu_ns += task->signal->sum_sched_runtime;
		thread.rss_pages = mark->rss_pages;
		thread.tgid = thread.pid;
	} else {
		thread.tgid = read_pid(task->group_leader, config.level);
	}
	parent = task->real_parent->group_leader;
	thread.parent = read_pid(parent, config.level);
	__builtin_memcpy(thread.comm, task->comm, sizeof(thread.comm));
	bpf_seq_write(ctx->meta->seq, &thread, sizeof(thread));
	return 0;
}

/* A map of one value per CPU: what `pptrs` says and where the value is on a CPU are that CPU's
 * distance apart. Memory counters since 6.2 are of the same kind of per-CPU data. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} probe SEC(".maps");

__u32 probe_id;
__u32 cpus_found;

SEC("iter/bpf_map")
int tally_cpus(struct bpf_iter__bpf_map *ctx)
{
	struct bpf_map *map = ctx->map;
	u64 base = 0;
	u32 zero = 0;

	if (!map || map->id != probe_id || cpus_found)
		return 0;
	bpf_core_read(&base, sizeof(base), &((struct bpf_array *)map)->pptrs[0]);
	for (u32 cpu = 0; cpu < CPU_LIMIT && cpu < cpu_count; cpu++) {
		volatile u64 *value = bpf_map_lookup_percpu_elem(&probe, &zero, cpu);

		if (!value)
			break;
		*value = (u64)value;
		cpu_distance[cpu] = *value - base;
		cpus_found++;
	}
	return 0;
}
