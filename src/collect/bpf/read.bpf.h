/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/** Figures of a task, read from the kernel's structures as /proc reads them. */
#ifndef BPF_READ_H
#define BPF_READ_H

#include "kernel.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "pid.bpf.h"
#include "shared.h"

/* Distance of each CPU's own data from the addresses that per-CPU pointers hold; see tally_cpus(). */
__u64 cpu_distance[CPU_LIMIT];
/* How many CPUs memory counters are summed over; 0: their common part alone, as /proc did before
 * 6.17. */
const volatile __u32 cpu_count = 0;

inline_always u32 task_leads(struct task_struct *task)
{
	return task->pid == task->tgid;
}

/* value * part / whole, where part <= whole, without an overflow: part and whole lose what does not
 * fit 32 bits. */
inline_always u64 scale(u64 value, u64 part, u64 whole)
{
#pragma unroll
	for (int bits = 16; bits; bits /= 2)
		if (whole >> (32 + bits - 1)) {
			whole >>= bits;
			part >>= bits;
		}
	if (whole >> 32) {
		whole >>= 1;
		part >>= 1;
	}
	if (!whole)
		return 0;
	u64 fraction = (part << 31) / whole;
	return (value >> 31) * fraction + (((value & 0x7fffffff) * fraction) >> 31);
}

/*
 * System time is the part of the exact run time that the ticks say, as cputime_adjust() has it: a
 * thread that no tick has met is all user time. It neither falls nor takes back user time.
 */
inline_always u64 read_system(struct task_struct *task, const struct tally_mark *mark, u64 run)
{
	u64 user = task->utime, system = task->stime;
	u64 before = mark->reported[COUNT_SYSTEM], run_before = mark->reported[COUNT_CPU];

	if (system)
		system = user ? scale(run, system, user + system) : run;
	if (system < before)
		return before;
	if (run >= run_before && system - before > run - run_before)
		return before + (run - run_before);
	return system;
}

inline_always void read_counters(
	struct task_struct *task, const struct tally_mark *mark, u64 now[COUNTS_REPORTED])
{
	now[COUNT_CPU] = task->se.sum_exec_runtime;
	now[COUNT_SYSTEM] = read_system(task, mark, now[COUNT_CPU]);
	now[COUNT_WAIT] = task->sched_info.run_delay;
	now[COUNT_READ] = task->ioac.read_bytes;
	now[COUNT_WRITE] = task->ioac.write_bytes;
	now[COUNT_MINOR] = task->min_flt;
	now[COUNT_MAJOR] = task->maj_flt;
	now[COUNT_VOLUNTARY] = task->nvcsw;
	now[COUNT_INVOLUNTARY] = task->nivcsw;
}

/*
 * What threads of a process that are dead already had used. Run-queue wait is not kept for them;
 * with their I/O comes that of reaped children, as in /proc/PID/io.
 */
inline_always void read_dead_threads(struct task_struct *task, u64 now[COUNTS_REPORTED])
{
	struct signal_struct *signal = task->signal;
	u64 user = signal->utime, system = signal->stime;

	now[COUNT_CPU] = signal->sum_sched_runtime;
	now[COUNT_SYSTEM] = system ? scale(now[COUNT_CPU], system, user + system) : 0;
	now[COUNT_WAIT] = 0;
	now[COUNT_READ] = signal->ioac.read_bytes;
	now[COUNT_WRITE] = signal->ioac.write_bytes;
	now[COUNT_MINOR] = signal->min_flt;
	now[COUNT_MAJOR] = signal->maj_flt;
	now[COUNT_VOLUNTARY] = signal->nvcsw;
	now[COUNT_INVOLUNTARY] = signal->nivcsw;
}

/* Kinds of pages, as the kernel numbers its memory counters. */
enum { PAGES_FILE, PAGES_ANON, PAGES_SWAP, PAGES_SHMEM, PAGES_KINDS };

struct pages {
	u64 parts[PAGES_KINDS]; /* per-CPU pointers */
	s64 count[PAGES_KINDS];
};

static long add_cpu(u32 cpu, struct pages *pages)
{
	if (cpu >= CPU_LIMIT)
		return 1;
#pragma unroll
	for (int i = 0; i < PAGES_KINDS; i++) {
		s32 part = 0;

		bpf_probe_read_kernel(
			&part, sizeof(part), (void *)(pages->parts[i] + cpu_distance[cpu]));
		pages->count[i] += part;
	}
	return 0;
}

/*
 * A memory counter has a common part and, since 6.2, one per CPU. The kind is a constant here and
 * not a variable, because the whole access is relocated as one.
 */
#define READ_PAGES(mm, kind, pages)                                                                \
	do {                                                                                       \
		if (bpf_core_type_exists(struct mm_rss_stat)) {                                    \
			struct mm_struct___before_6_2 *_old = (void *)(mm);                        \
			bpf_core_read(                                                             \
				&(pages).count[kind], sizeof(s64), &_old->rss_stat.count[kind]);   \
		} else {                                                                           \
			bpf_core_read(&(pages).parts[kind], sizeof(u64),                           \
				&(mm)->rss_stat[kind].counters);                                   \
			(pages).count[kind] = (mm)->rss_stat[kind].count;                          \
		}                                                                                  \
	} while (0)

inline_always u64 no_less_than_0(s64 value)
{
	return value < 0 ? 0 : value;
}

/* Pages of each kind; the sum over all CPUs is exact. */
inline_always void read_pages(struct mm_struct *mm, struct pages *ret)
{
	READ_PAGES(mm, PAGES_FILE, *ret);
	READ_PAGES(mm, PAGES_ANON, *ret);
	READ_PAGES(mm, PAGES_SWAP, *ret);
	READ_PAGES(mm, PAGES_SHMEM, *ret);
	if (cpu_count && !bpf_core_type_exists(struct mm_rss_stat))
		bpf_loop(cpu_count, add_cpu, ret, 0);
}

inline_always u32 ones(u64 word)
{
	word -= (word >> 1) & 0x5555555555555555;
	word = (word & 0x3333333333333333) + ((word >> 2) & 0x3333333333333333);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0f;
	return (word * 0x0101010101010101) >> 56;
}

struct fds {
	u64 bits; /* address of the bitmap of open descriptors */
	u32 count;
};

static long add_word(u32 index, struct fds *fds)
{
	u64 word = 0;

	bpf_probe_read_kernel(&word, sizeof(word), (void *)(fds->bits + index * sizeof(word)));
	fds->count += ones(word);
	return 0;
}

/* Open descriptors: the bits of the table, as the size of /proc/PID/fd since 6.2. */
inline_always u32 read_fds(struct task_struct *task, bool *ret_cut)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	u32 words = (BPF_CORE_READ(table, max_fds) + 63) / 64;
	struct fds fds = {.bits = (u64)BPF_CORE_READ(table, open_fds)};

	*ret_cut = false;
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_loop)) {
		bpf_loop(words < FD_WORDS ? words : FD_WORDS, add_word, &fds, 0);
		*ret_cut = words > FD_WORDS;
	} else {
		for (u32 i = 0; i < FD_WORDS_OLD && i < words; i++)
			add_word(i, &fds);
		*ret_cut = words > FD_WORDS_OLD;
	}
	return fds.count;
}

inline_always u32 read_state(struct task_struct *task)
{
	if (bpf_core_field_exists(task->__state))
		return task->__state;
	return (u32)((struct task_struct___before_5_14 *)task)->state;
}

#endif
