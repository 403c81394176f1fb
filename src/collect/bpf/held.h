/* SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause OR GPL-2.0 */
/** What the program that lists nameless files and the user side share; see shared.h. */
#ifndef BPF_HELD_H
#define BPF_HELD_H

#include <linux/types.h>

struct tally_held_file {
	__u64 inode;
	__s64 size;
	__s64 blocks;
	__u32 device; /* MKDEV(): 12 bits of major, 20 of minor */
	__u32 fd;
	__s32 pid, thread; /* in our pid namespace */
};

_Static_assert(sizeof(struct tally_held_file) == 40, "held file");

#endif
