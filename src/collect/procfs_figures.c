/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a process mean for a member. */
#include <errno.h>
#include <string.h>
#include <tally/sample.h>
#include "collect/procfs.h"

/* More than any process can have: 73 years of CPU time. Keeps sums of false trees in range. */
#define MOST (INT64_C(1) << 61)

int64_t procfs_times(int64_t value, int64_t factor)
{
	return value > MOST / factor ? MOST : value * factor;
}

static int64_t sum(int64_t a, int64_t b)
{
	return a > MOST - b ? MOST : a + b;
}

static void rise_to(int64_t *value, int64_t now)
{
	if (now > *value)
		*value = now;
}

/* Its main thread has ended and it has no other: it only waits to be reaped. */
static bool is_zombie(const struct member *member)
{
	return member->threads == 0;
}

/* The kernel shows waiting and switches of one thread only: procfs_read_threads() adds them up. */
static bool summed_by_thread(const struct member *member)
{
	return member->many || member->threads > 1;
}

/* A figure of the kind that can grow by reaping; how much it grew settles who was reaped. */
static void set_reaped(struct member *member, enum count count, int64_t now)
{
	int64_t grown = now - member->usage.reaped[count];
	bool first = count < COUNT_READ ? !member->known : !member->detailed;

	if (grown <= 0)
		return;
	member->usage.reaped[count] = now;
	if (first)
		return;
	member->growth[count] += grown;
	member->grew = true;
}

/* A process that is just being released shows zeroes: what was read before is not less true. */
static void apply_cpu(struct procfs *procfs, struct member *member, const struct proc_stat *stat)
{
	int64_t tick_ns = procfs->root.tick_ns;
	int64_t own[COUNT_MODES] = {
		procfs_times(stat->user_ticks, tick_ns), procfs_times(stat->system_ticks, tick_ns)};
	int64_t children[COUNT_MODES] = {procfs_times(stat->children_user_ticks, tick_ns),
		procfs_times(stat->children_system_ticks, tick_ns)};
	int64_t now[COUNT_MODES];

	cpu_split(member->run_ns > member->run_ns_all ? member->run_ns : member->run_ns_all, own,
		now);
	if (now[0] + now[1] >= member->cpu_ns[0] + member->cpu_ns[1])
		memcpy(member->cpu_ns, now, sizeof(now));
	for (int mode = 0; mode < COUNT_MODES; mode++) {
		set_reaped(member, mode, children[mode]);
		member->usage.total[mode] = sum(member->cpu_ns[mode], member->usage.reaped[mode]);
		rise_to(&member->usage.shown[mode], sum(own[mode], children[mode]));
	}
}

static void apply_faults(struct member *member, const struct proc_stat *stat)
{
	set_reaped(member, COUNT_MINOR, stat->children_minor_faults);
	set_reaped(member, COUNT_MAJOR, stat->children_major_faults);
	rise_to(&member->usage.total[COUNT_MINOR],
		sum(stat->minor_faults, stat->children_minor_faults));
	rise_to(&member->usage.total[COUNT_MAJOR],
		sum(stat->major_faults, stat->children_major_faults));
}

/* A child that has another parent now was reparented. */
static void apply_parent(struct member *member, pid_t parent)
{
	if (member->parent_pid == parent)
		return;
	member->parent_pid = parent;
	member->linked = false;
	for (struct membership *m = member->groups; m; m = m->next)
		if (m->why == WHY_CHILD)
			m->why = WHY_REPARENTED;
}

void procfs_apply_stat(struct procfs *procfs, struct member *member, const struct proc_stat *stat)
{
	bool ended = stat->state == 'Z';

	apply_parent(member, stat->parent);
	apply_cpu(procfs, member, stat);
	apply_faults(member, stat);
	memcpy(member->comm, stat->comm, sizeof(member->comm));
	member->session = stat->session;
	member->state = stat->state;
	member->nice = stat->nice;
	member->threads = ended && stat->threads <= 1 ? 0 : stat->threads;
	/* The memory is shown by its main thread; when that has ended first, ask another. */
	member->headless = ended && member->threads > 0;
	member->virtual_bytes = stat->virtual_bytes;
	member->rss_bytes = procfs_times(stat->rss_pages, procfs->root.page_bytes);
	member->known = true;
}

void procfs_set_bases(struct member *member)
{
	for (struct membership *m = member->groups; m; m = m->next) {
		if (!m->unset)
			continue;
		m->unset = false;
		if (m->moved)
			account_join(&m->account, &member->usage);
		else if (m->why == WHY_ROOT || member->start_ticks < m->since_ticks)
			account_adopt(&m->account, &member->usage);
	}
	member->unset = false;
}

uint8_t procfs_reason(struct procfs *procfs, struct member *member, ssize_t error)
{
	switch (-error) {
	case ESRCH:
		/* No such file, or no such process any more? */
		if (!proc_exists(&procfs->root, member->pid))
			procfs_mark_gone(procfs, member);
		return TALLY_REASON_KERNEL;
	case EACCES:
	case EPERM:
		return TALLY_REASON_PERMISSION;
	case EMFILE:
	case ENFILE:
		procfs->limited++;
		return TALLY_REASON_LIMIT;
	default:
		return TALLY_REASON_KERNEL;
	}
}

/* A thread of a process without its main thread, which still shows its memory and files. */
static void remember_thread(void *context, pid_t tid, uint64_t inode)
{
	struct member *member = context;

	if (tid != member->pid)
		member->face = tid;
}

static void apply_memory(struct member *member, const struct proc_status *status)
{
	bool none = status->rss_bytes < 0; /* A zombie, or a thread of the kernel. */

	member->shared_bytes = status->shared_bytes < 0 ? 0 : status->shared_bytes;
	member->swap_bytes = status->swap_bytes < 0 ? 0 : status->swap_bytes;
	member->reason[FIGURE_MEMORY] =
		none || status->shared_bytes >= 0 ? REASON_NONE : TALLY_REASON_KERNEL;
	if (!member->headless || none)
		return;
	member->rss_bytes = status->rss_bytes;
	member->virtual_bytes = status->virtual_bytes < 0 ? 0 : status->virtual_bytes;
}

static void apply_switches(struct member *member, const struct proc_status *status)
{
	bool known = status->voluntary >= 0 && status->involuntary >= 0;

	if (summed_by_thread(member))
		return;
	member->reason[FIGURE_SWITCHES] = known ? REASON_NONE : TALLY_REASON_KERNEL;
	rise_to(&member->usage.total[COUNT_VOLUNTARY], status->voluntary);
	rise_to(&member->usage.total[COUNT_INVOLUNTARY], status->involuntary);
}

void procfs_read_status(struct procfs *procfs, struct member *member)
{
	struct proc_status status;
	ssize_t length = proc_read(&procfs->root, member->pid, member->face, "status");

	if (length > 0 && proc_parse_status(procfs->root.text, (size_t)length, &status)) {
		apply_memory(member, &status);
		apply_switches(member, &status);
		return;
	}
	uint8_t reason = procfs_reason(procfs, member, length);
	member->reason[FIGURE_MEMORY] = reason;
	if (!summed_by_thread(member))
		member->reason[FIGURE_SWITCHES] = reason;
}

static void read_io(struct procfs *procfs, struct member *member)
{
	int64_t read_bytes, write_bytes;
	ssize_t length = proc_read(&procfs->root, member->pid, 0, "io");

	if (length <= 0 ||
		!proc_parse_io(procfs->root.text, (size_t)length, &read_bytes, &write_bytes)) {
		member->reason[FIGURE_IO] = procfs_reason(procfs, member, length);
		return;
	}
	set_reaped(member, COUNT_READ, read_bytes);
	set_reaped(member, COUNT_WRITE, write_bytes);
	rise_to(&member->usage.total[COUNT_READ], read_bytes);
	rise_to(&member->usage.total[COUNT_WRITE], write_bytes);
	member->reason[FIGURE_IO] = REASON_NONE;
}

static void read_fds(struct procfs *procfs, struct member *member)
{
	int64_t count =
		is_zombie(member) ? 0 : proc_count_fds(&procfs->root, member->pid, member->face);

	member->reason[FIGURE_FDS] = count < 0 ? procfs_reason(procfs, member, count) : REASON_NONE;
	member->fds = count < 0 ? 0 : count;
}

void procfs_read_details(struct procfs *procfs, struct member *member)
{
	member->face = 0;
	if (member->headless)
		proc_list_threads(&procfs->root, member->pid, remember_thread, member);
	procfs_read_status(procfs, member);
	read_io(procfs, member);
	read_fds(procfs, member);
}

void procfs_apply_schedstat(struct member *member, int64_t run_ns, int64_t wait_ns)
{
	rise_to(&member->run_ns, run_ns);
	rise_to(&member->wait_ns, wait_ns);
	if (summed_by_thread(member))
		return;
	rise_to(&member->usage.total[COUNT_WAIT], wait_ns);
	member->reason[FIGURE_WAIT] = REASON_NONE;
}
