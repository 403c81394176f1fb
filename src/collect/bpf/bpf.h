/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The BPF collector: the kernel itself adds up what members use.
 *
 * Children are marked at the instant of their fork, and the last remainder of a thread is added
 * after it has run for the last time: nothing that lives between two passes is missed, and no
 * nanosecond counts twice. A pass is one read of a task iterator; it sends nothing to user space,
 * which reads the sums from shared memory.
 *
 * Where the figures come from, and how they differ from those of /proc:
 *   cpu         task_struct.se.sum_exec_runtime, exact. Of a thread that runs at this moment it is
 *               as of its last tick or switch: up to one tick (1 to 10 ms) late, never lost.
 *               System time is the part that the ticks say, by the rule of cputime_adjust(), but for
 *               each thread by itself, where /proc applies it to the sum of a process.
 *   run queue   sched_info.run_delay of each thread. That of threads which were dead when their
 *               process was added is not kept by the kernel.
 *   I/O         ioac.read_bytes and write_bytes of each thread. What threads had done that were dead
 *               when their process was added is left out: the kernel keeps it in one figure with
 *               that of reaped children.
 *   rss …       mm->rss_stat, all CPUs' parts of it summed where the kernel allows (else the common
 *               part, which may lack up to 32 pages per CPU and kind); file + shmem is shared.
 *   levels      are read again when any thread of the process has run since the last pass, and of
 *               idle ones in turn, every 64 passes: what others do to them (reclaim, renice) shows
 *               that late. Zombies count as pids, with one thread and nothing else.
 *
 * A group is a tree (roots are pids) or cgroups (roots are cgroups of the v2 hierarchy, with those
 * below them), not both. A member of a cgroup group counts for what it uses while it is in there;
 * those that are inside when the root is added count for their life so far, too.
 *
 * After open, reading needs no capability on Linux 5.19 and later, and CAP_BPF before that (where
 * kernel.unprivileged_bpf_disabled is set). Nothing is pinned: all ends with the process.
 */
#ifndef BPF_BPF_H
#define BPF_BPF_H

#include <stdbool.h>
#include <stdint.h>
#include "collect/collector.h"

/** Hears of one thing that the BPF collector needs. All texts are static, one line. */
typedef void bpf_requirement_fn(
	void *context, const char *requirement, bool met, const char *remedy);

/**
 * Visit all that the BPF collector needs, in the order in which it is needed.
 *
 * @visit   Gets each requirement, whether this machine meets it for this user, and what would
 *          restore it.
 * @return  0 when all are met, -ENOTSUP otherwise.
 *
 * Loads and drops small programs: takes tens of milliseconds.
 */
int bpf_requirements(bpf_requirement_fn *visit, void *context);

#endif
