/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Figures that the kernel keeps per thread and adds up nowhere: time in the run queue, context
 * switches, and CPU time to the nanosecond. They are added up here, thread by thread, within a
 * budget per pass; what threads had that ended between two looks is kept, what they did after the
 * last look is not seen.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <tally/sample.h>
#include "collect/procfs.h"

/* Files read in a pass for all members together. */
#define READS_MOST 256

static bool grow(void **list, size_t size, size_t *capacity, size_t wanted)
{
	size_t wider = *capacity ? *capacity : 8;

	if (wanted <= *capacity)
		return true;
	while (wider < wanted)
		wider *= 2;
	void *moved = reallocarray(*list, wider, size);
	if (!moved)
		return false;
	*list = moved;
	*capacity = wider;
	return true;
}

static void add_tid(void *context, pid_t tid, uint64_t inode)
{
	struct procfs *procfs = context;

	if (!grow((void **)&procfs->tids, sizeof(pid_t), &procfs->tid_capacity,
		    procfs->tid_count + 1)) {
		procfs->out_of_memory = true;
		return;
	}
	procfs->tids[procfs->tid_count++] = tid;
}

static int by_tid(const void *a, const void *b)
{
	return *(const pid_t *)a - *(const pid_t *)b;
}

/* Threads are listed in the order of their birth, which pids follow until they wrap. */
static void sort_tids(struct procfs *procfs)
{
	for (size_t i = 1; i < procfs->tid_count; i++)
		if (procfs->tids[i - 1] > procfs->tids[i]) {
			qsort(procfs->tids, procfs->tid_count, sizeof(pid_t), by_tid);
			return;
		}
}

static void bury(struct many_threads *many, const struct thread_figures *thread)
{
	many->dead.run_ns += thread->run_ns;
	many->dead.wait_ns += thread->wait_ns;
	many->dead.voluntary += thread->voluntary;
	many->dead.involuntary += thread->involuntary;
}

/* Keep the threads that are still listed. Both lists are sorted. */
static void drop_ended(struct procfs *procfs, struct many_threads *many)
{
	size_t kept = 0, at = 0;

	for (size_t i = 0; i < many->count; i++) {
		while (at < procfs->tid_count && procfs->tids[at] < many->list[i].tid)
			at++;
		if (at < procfs->tid_count && procfs->tids[at] == many->list[i].tid)
			many->list[kept++] = many->list[i];
		else
			bury(many, &many->list[i]);
	}
	many->count = kept;
}

/* All that are in the list of threads are in tids[]: fill the gaps from behind. */
static bool add_born(struct procfs *procfs, struct many_threads *many)
{
	size_t from = many->count;

	if (!grow((void **)&many->list, sizeof(*many->list), &many->capacity, procfs->tid_count))
		return false;
	for (size_t to = procfs->tid_count; to-- > 0;)
		if (from > 0 && many->list[from - 1].tid == procfs->tids[to])
			many->list[to] = many->list[--from];
		else
			many->list[to] = (struct thread_figures){.tid = procfs->tids[to]};
	many->count = procfs->tid_count;
	return true;
}

static int list_threads(struct procfs *procfs, struct member *member)
{
	struct many_threads *many = member->many;

	procfs->tid_count = 0;
	int r = proc_list_threads(&procfs->root, member->pid, add_tid, procfs);
	if (r < 0)
		return r;
	sort_tids(procfs);
	drop_ended(procfs, many);
	return add_born(procfs, many) ? 0 : -ENOMEM;
}

static void read_switches(
	struct procfs *procfs, const struct member *member, struct thread_figures *thread)
{
	struct proc_status status;
	ssize_t length = proc_read(&procfs->root, member->pid, thread->tid, "status");

	if (length <= 0 || !proc_parse_status(procfs->root.text, (size_t)length, &status) ||
		status.voluntary < 0 || status.involuntary < 0)
		return;
	thread->voluntary = status.voluntary;
	thread->involuntary = status.involuntary;
	thread->counted = true;
}

/*
 * Whether a thread ran since it was last read. One that has less than it had is another with its
 * tid. Without schedstat it is taken to have run.
 */
static bool read_times(struct procfs *procfs, struct member *member, struct thread_figures *thread)
{
	int64_t run_ns, wait_ns;
	ssize_t length = proc_read(&procfs->root, member->pid, thread->tid, "schedstat");

	if (length <= 0 ||
		!proc_parse_schedstat(procfs->root.text, (size_t)length, &run_ns, &wait_ns)) {
		member->many->without_times |=
			length >= 0 || proc_exists(&procfs->root, thread->tid);
		return true;
	}
	if (run_ns < thread->run_ns) {
		bury(member->many, thread);
		*thread = (struct thread_figures){.tid = thread->tid};
	}
	if (thread->counted && run_ns == thread->run_ns && wait_ns == thread->wait_ns)
		return false;
	thread->run_ns = run_ns;
	thread->wait_ns = wait_ns;
	return true;
}

static void read_thread(struct procfs *procfs, struct member *member, struct thread_figures *thread)
{
	procfs->thread_reads_left--;
	if (!read_times(procfs, member, thread))
		return;
	procfs->thread_reads_left -= procfs->thread_reads_left > 0;
	read_switches(procfs, member, thread);
}

static void rise_to(int64_t *value, int64_t now)
{
	if (now > *value)
		*value = now;
}

static void add_up(struct member *member)
{
	const struct many_threads *many = member->many;
	struct thread_figures sum = many->dead;

	for (size_t i = 0; i < many->count; i++) {
		sum.run_ns += many->list[i].run_ns;
		sum.wait_ns += many->list[i].wait_ns;
		sum.voluntary += many->list[i].voluntary;
		sum.involuntary += many->list[i].involuntary;
	}
	rise_to(&member->run_ns_all, sum.run_ns);
	rise_to(&member->usage.total[COUNT_WAIT], sum.wait_ns);
	rise_to(&member->usage.total[COUNT_VOLUNTARY], sum.voluntary);
	rise_to(&member->usage.total[COUNT_INVOLUNTARY], sum.involuntary);
}

static void mark_missing(struct member *member, uint8_t reason)
{
	for (int i = FIGURE_SWITCHES; i <= FIGURE_WAIT; i++)
		if (member->reason[i] != REASON_NONE)
			member->reason[i] = reason;
}

/* One round over its threads; it may take several passes. */
static void scan(struct procfs *procfs, struct member *member)
{
	struct many_threads *many = member->many;

	if (many->next == 0) {
		int r = list_threads(procfs, member);

		if (r < 0) {
			member->threads_owed = false;
			mark_missing(member, procfs_reason(procfs, member, r));
			return;
		}
	}
	mark_missing(member, TALLY_REASON_BUDGET);
	while (many->next < many->count && procfs->thread_reads_left > 0)
		read_thread(procfs, member, &many->list[many->next++]);
	add_up(member);
	if (many->next < many->count)
		return;
	many->next = 0;
	member->threads_owed = false;
	member->reason[FIGURE_SWITCHES] = REASON_NONE;
	member->reason[FIGURE_WAIT] = many->without_times ? TALLY_REASON_KERNEL : REASON_NONE;
	many->without_times = false;
}

static bool begin_scan(struct member *member)
{
	if (!member->many)
		member->many = calloc(1, sizeof(*member->many));
	return member->many != NULL;
}

void procfs_read_threads(struct procfs *procfs)
{
	size_t count = procfs->members.count, at = procfs->threads_turn;

	procfs->thread_reads_left = READS_MOST;
	for (size_t i = 0; i < count && procfs->thread_reads_left > 0; i++, at++) {
		struct member *member = procfs->members.order[at % count];

		procfs->threads_turn = at % count;
		if (member->threads_owed && !member->gone && begin_scan(member))
			scan(procfs, member);
	}
}
