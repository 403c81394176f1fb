/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proportional set sizes. smaps_rollup walks all page tables of a process, with its memory locked
 * meanwhile: seconds for a large one. So the time that this may take is a fiftieth of the time
 * between two passes; a reading that took longer is paid for by the passes to come. Those never read
 * come first, then all in turn.
 */
#include <errno.h>
#include <tally/sample.h>
#include "base/clock.h"
#include "collect/procfs.h"

#define SHARE	     50
#define CREDIT_MOST  (20 * NS_PER_MS)
#define CREDIT_FIRST (5 * NS_PER_MS)

static void apply(struct procfs *procfs, struct member *member, ssize_t length)
{
	int64_t bytes = 0;

	/* A zombie and a thread of the kernel have no memory: the file then answers ESRCH. */
	if (length == -ESRCH && proc_exists(&procfs->root, member->pid))
		length = 0;
	else if (length > 0 && !proc_parse_pss(procfs->root.text, (size_t)length, &bytes))
		length = -EBADMSG;
	member->reason[FIGURE_PSS] =
		length < 0 ? procfs_reason(procfs, member, length) : REASON_NONE;
	member->pss_bytes = length < 0 ? 0 : bytes;
}

static void read_pss(struct procfs *procfs, struct member *member)
{
	int64_t begin_ns = clock_boot_ns();

	apply(procfs, member, proc_read(&procfs->root, member->pid, member->face, "smaps_rollup"));
	member->pss_asked = true;
	procfs_mark_dirty(procfs, member);
	procfs->pss_credit_ns -= clock_boot_ns() - begin_ns;
}

static void earn(struct procfs *procfs)
{
	int64_t now_ns = clock_boot_ns();
	int64_t earned = procfs->pss_at_ns ? (now_ns - procfs->pss_at_ns) / SHARE : CREDIT_FIRST;

	procfs->pss_at_ns = now_ns;
	procfs->pss_credit_ns += earned;
	if (procfs->pss_credit_ns > CREDIT_MOST)
		procfs->pss_credit_ns = CREDIT_MOST;
}

static void read_unread(struct procfs *procfs)
{
	for (size_t i = 0; i < procfs->members.count && procfs->pss_credit_ns > 0; i++) {
		struct member *member = procfs->members.order[i];

		if (!member->pss_asked && !member->gone)
			read_pss(procfs, member);
	}
}

void procfs_read_pss(struct procfs *procfs)
{
	size_t count = procfs->members.count;

	earn(procfs);
	read_unread(procfs);
	for (size_t i = 0; i < count && procfs->pss_credit_ns > 0; i++) {
		struct member *member = procfs->members.order[procfs->pss_turn++ % count];

		if (!member->gone)
			read_pss(procfs, member);
	}
}
