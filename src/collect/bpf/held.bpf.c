/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/**
 * Lists descriptors whose files have no name any more: one record for each. A program of its own,
 * so that a kernel which refuses it costs only this.
 *
 * Files of mounts that only the kernel has are left out: memory files, pipes, sockets.
 */
#include "held.h"
#include "kernel.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "pid.bpf.h"

/* Of super_block.s_flags: the mount is the kernel's own. */
#define SB_KERNMOUNT (1 << 22)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct super_block {
	u32 s_dev;
	unsigned long s_flags;
};

struct inode {
	unsigned int i_nlink;
	struct super_block *i_sb;
	unsigned long i_ino;
	s64 i_size;
	u64 i_blocks;
};

struct file {
	struct inode *f_inode;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
};

#pragma clang attribute pop

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Depth of our pid namespace. */
const volatile __u32 level = 0;

SEC("iter/task_file")
int tally_held(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct tally_held_file held = {};
	struct super_block *block;
	struct inode *inode;

	if (!task || !file)
		return 0;
	inode = file->f_inode;
	if (!inode || inode->i_nlink)
		return 0;
	block = inode->i_sb;
	if (!block || block->s_flags & SB_KERNMOUNT)
		return 0;
	held.inode = inode->i_ino;
	held.size = inode->i_size;
	held.blocks = inode->i_blocks;
	held.device = block->s_dev;
	held.fd = ctx->fd;
	held.thread = read_pid(task, level);
	held.pid = task->group_leader ? read_pid(task->group_leader, level) : held.thread;
	bpf_seq_write(ctx->meta->seq, &held, sizeof(held));
	return 0;
}
