/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/** The pid of a task, as a pid namespace has it. */
#ifndef BPF_PID_H
#define BPF_PID_H

#include "kernel.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define inline_always static inline __attribute__((always_inline))

/* Pid of a task in the pid namespace that lies `level` below the first. */
inline_always s32 read_pid(struct task_struct *task, u32 level)
{
	u64 pid = 0;
	s32 nr = 0;

	bpf_core_read(&pid, sizeof(pid), &task->thread_pid);
	bpf_probe_read_kernel(&nr, sizeof(nr),
		(void *)(pid + bpf_core_field_offset(struct pid, numbers) +
			 level * bpf_core_type_size(struct upid) +
			 bpf_core_field_offset(struct upid, nr)));
	return nr;
}

#endif
