/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listing of a pass: all processes, or only those forked since.
 *
 * Listing a process costs a third of reading a file of it, so most passes list no more than the
 * pids that were given out since the pass before the last one: a pid is given out shortly before its
 * process can be seen, so every range is listed twice. Members that end are noticed by their
 * descriptors. A pid that is used again lies in the range too. All processes are listed now and
 * then, to forget strangers that ended, and whenever the pids may have gone round. Each time this
 * proves that the ranges have missed nobody; if they have, they are not used any more.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/file.h"
#include "base/parse.h"
#include "collect/procfs.h"

/* Longest time between two listings of all. */
#define LIST_ALL_NS (10 * NS_PER_S)

/* More pids than this are not given out in a second for long; procfs_prove_ranges() will tell. */
#define PIDS_PER_S 8192

#define PID_MAX_DEFAULT 32768

void procfs_mark_seen(struct procfs *procfs, struct pid_entry *entry)
{
	entry->seen = procfs->pass;
	if (entry->member)
		entry->member->seen = procfs->pass;
}

static void add_newcomer(struct procfs *procfs, pid_t pid, uint64_t inode)
{
	if (procfs->newcomer_count == procfs->newcomer_capacity) {
		size_t capacity = procfs->newcomer_capacity ? procfs->newcomer_capacity * 2 : 64;
		void *wider = reallocarray(procfs->newcomers, capacity, sizeof(struct newcomer));

		if (!wider) {
			procfs->out_of_memory = true;
			return;
		}
		procfs->newcomers = wider;
		procfs->newcomer_capacity = capacity;
	}
	procfs->newcomers[procfs->newcomer_count++] = (struct newcomer){pid, inode};
}

/* A pid whose directory has the inode number it had is the process it was. */
static void on_listed(void *context, pid_t pid, uint64_t inode)
{
	struct procfs *procfs = context;
	struct pid_entry *entry = pid_table_find(&procfs->members.table, pid);

	if (entry && entry->inode == inode)
		procfs_mark_seen(procfs, entry);
	else
		add_newcomer(procfs, pid, inode);
}

static int64_t read_pid_max(const struct procfs *procfs)
{
	char text[32];
	ssize_t length = file_read_at(procfs->root.fd, "sys/kernel/pid_max", text, sizeof(text));
	struct cursor c = cursor_of(text, length > 0 ? (size_t)length : 0);
	uint64_t value;

	return cursor_u64(&c, &value) && value <= INT_MAX ? (int64_t)value : PID_MAX_DEFAULT;
}

static bool range_will_do(const struct procfs *procfs, int64_t now_ns, pid_t last)
{
	int64_t since_ns = now_ns - procfs->ranges[1].at_ns;

	return procfs->root.ranged && !procfs->ranges_failed && !procfs->adopting && last > 0 &&
	       procfs->ranges[1].last > 0 && now_ns - procfs->listed_all_ns < LIST_ALL_NS &&
	       since_ns < procfs->pid_max * (NS_PER_S / PIDS_PER_S);
}

static int list_since(struct procfs *procfs, pid_t from, pid_t last)
{
	if (from == last)
		return 0;
	if (from < last)
		return proc_list_range(&procfs->root, from, last, on_listed, procfs);
	/* The pids have gone round. */
	int r = proc_list_range(&procfs->root, from, INT_MAX, on_listed, procfs);
	return r < 0 ? r : proc_list_range(&procfs->root, 0, last, on_listed, procfs);
}

static int list_all(struct procfs *procfs, int64_t now_ns)
{
	int r = proc_list(&procfs->root, on_listed, procfs);

	if (r < 0)
		return r;
	procfs->all_listed = procfs->pass;
	procfs->listed_all_ns = now_ns;
	if (procfs->root.ranged)
		procfs->pid_max = read_pid_max(procfs);
	return 0;
}

int procfs_list(struct procfs *procfs)
{
	int64_t now_ns = clock_boot_ns();
	pid_t last = proc_last_pid(&procfs->root);

	procfs->newcomer_count = 0;
	int r = range_will_do(procfs, now_ns, last)
			? list_since(procfs, procfs->ranges[1].last, last)
			: list_all(procfs, now_ns);
	if (r < 0)
		return r;
	procfs->ranges[1] = procfs->ranges[0];
	procfs->ranges[0] = (struct range_end){last > 0 ? last : 0, now_ns};
	return 0;
}

/*
 * A process that started well before the last pass should not be new now. (A known one is here
 * because its directory got another inode number.)
 */
void procfs_prove_ranges(struct procfs *procfs, const struct pid_entry *newcomer)
{
	int64_t seen_ticks = (procfs->ranges[1].at_ns - 100 * NS_PER_MS) / procfs->root.tick_ns;

	if (!newcomer->resolved && newcomer->start_ticks < seen_ticks - 1)
		procfs->ranges_failed = true;
}
