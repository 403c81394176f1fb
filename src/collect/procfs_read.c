/* SPDX-License-Identifier: Apache-2.0 */
/* Phase 2 of a pass: read what members consume, parents before children. */
#include <errno.h>
#include <string.h>
#include <tally/sample.h>
#include <unistd.h>
#include "collect/procfs.h"

/* More than any process can have: 73 years of CPU time. Keeps sums of false trees in range. */
#define MOST (INT64_C(1) << 61)

static int64_t times(int64_t value, int64_t factor)
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

static bool is_zombie(const struct member *member)
{
	return member->state == 'Z' || member->state == 'X';
}

/* A figure of the kind that can grow by reaping; how much it grew settles who was reaped. */
static void set_reaped(struct member *member, enum count count, int64_t now)
{
	int64_t grown = now - member->usage.reaped[count];

	if (grown <= 0)
		return;
	member->growth[count] += grown;
	member->usage.reaped[count] = now;
}

static void apply_cpu(struct procfs *procfs, struct member *member, const struct proc_stat *stat)
{
	int64_t tick_ns = procfs->root.tick_ns;
	int64_t own[COUNT_MODES] = {
		times(stat->user_ticks, tick_ns), times(stat->system_ticks, tick_ns)};
	int64_t children[COUNT_MODES] = {times(stat->children_user_ticks, tick_ns),
		times(stat->children_system_ticks, tick_ns)};

	cpu_split(member->run_ns, own, member->cpu_ns);
	for (int mode = 0; mode < COUNT_MODES; mode++) {
		set_reaped(member, mode, children[mode]);
		rise_to(&member->usage.total[mode],
			sum(member->cpu_ns[mode], member->usage.reaped[mode]));
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

/* A child that is given to another parent was reparented, whatever it was before. */
static void apply_parent(struct member *member, pid_t parent)
{
	if (member->known && member->parent_pid != parent) {
		for (struct membership *m = member->groups; m; m = m->next)
			if (m->why == WHY_CHILD)
				m->why = WHY_REPARENTED;
		member->linked = false;
	}
	member->parent_pid = parent;
}

void procfs_apply_stat(struct procfs *procfs, struct member *member, const struct proc_stat *stat)
{
	apply_parent(member, stat->parent);
	apply_cpu(procfs, member, stat);
	apply_faults(member, stat);
	memcpy(member->comm, stat->comm, sizeof(member->comm));
	member->session = stat->session;
	member->state = stat->state;
	member->nice = stat->nice;
	member->virtual_bytes = stat->virtual_bytes;
	member->rss_bytes = times(stat->rss_pages, procfs->root.page_bytes);
	member->threads = is_zombie(member) && stat->threads <= 1 ? 0 : stat->threads;
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
}

/* Why a file could not be read. A missing one may mean that the process has gone meanwhile. */
static uint8_t reason_of(struct procfs *procfs, struct member *member, ssize_t error)
{
	if (error == -ESRCH && !proc_exists(&procfs->root, member->pid))
		member->gone = true;
	return error == -EACCES || error == -EPERM ? TALLY_REASON_PERMISSION : TALLY_REASON_KERNEL;
}

static void read_status(struct procfs *procfs, struct member *member)
{
	struct proc_status status;
	ssize_t length = proc_read(&procfs->root, member->pid, 0, "status");
	bool ok = length > 0 && proc_parse_status(procfs->root.text, (size_t)length, &status);

	if (!ok) {
		member->reason[FIGURE_MEMORY] = member->reason[FIGURE_SWITCHES] =
			reason_of(procfs, member, length);
		return;
	}
	member->shared_bytes = status.shared_bytes < 0 ? 0 : status.shared_bytes;
	member->swap_bytes = status.swap_bytes < 0 ? 0 : status.swap_bytes;
	/* No lines of memory at all: a zombie, or a thread of the kernel. */
	bool without = status.shared_bytes < 0 && status.rss_bytes > 0;
	member->reason[FIGURE_MEMORY] = without ? TALLY_REASON_KERNEL : REASON_NONE;
	member->reason[FIGURE_SWITCHES] =
		status.voluntary < 0 || status.involuntary < 0 ? TALLY_REASON_KERNEL : REASON_NONE;
	rise_to(&member->usage.total[COUNT_VOLUNTARY], status.voluntary);
	rise_to(&member->usage.total[COUNT_INVOLUNTARY], status.involuntary);
}

static void read_io(struct procfs *procfs, struct member *member)
{
	int64_t read_bytes, write_bytes;
	ssize_t length = proc_read(&procfs->root, member->pid, 0, "io");

	if (length <= 0 ||
		!proc_parse_io(procfs->root.text, (size_t)length, &read_bytes, &write_bytes)) {
		member->reason[FIGURE_IO] = reason_of(procfs, member, length);
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
	int64_t count = is_zombie(member) ? 0 : proc_count_fds(&procfs->root, member->pid, 0);

	member->reason[FIGURE_FDS] = count < 0 ? reason_of(procfs, member, count) : REASON_NONE;
	member->fds = count < 0 ? 0 : count;
}

static void apply_schedstat(struct member *member, int64_t run_ns, int64_t wait_ns)
{
	rise_to(&member->run_ns, run_ns);
	rise_to(&member->wait_ns, wait_ns);
	rise_to(&member->usage.total[COUNT_WAIT], wait_ns);
	member->reason[FIGURE_WAIT] = REASON_NONE;
}

static void read_schedstat(struct procfs *procfs, struct member *member)
{
	int64_t run_ns, wait_ns;
	ssize_t length = proc_read(&procfs->root, member->pid, 0, "schedstat");

	if (length > 0 &&
		proc_parse_schedstat(procfs->root.text, (size_t)length, &run_ns, &wait_ns))
		apply_schedstat(member, run_ns, wait_ns);
	else
		member->reason[FIGURE_WAIT] = reason_of(procfs, member, length);
}

static bool read_stat(struct procfs *procfs, struct member *member)
{
	struct proc_stat stat;
	ssize_t length = proc_read(&procfs->root, member->pid, 0, "stat");

	if (length <= 0 || !proc_parse_stat(procfs->root.text, (size_t)length, &stat) ||
		stat.start_ticks != member->start_ticks)
		return false;
	procfs_apply_stat(procfs, member, &stat);
	return true;
}

/* All that is known of a member. False: it has vanished. */
static bool read_all(struct procfs *procfs, struct member *member)
{
	read_schedstat(procfs, member);
	if (!read_stat(procfs, member))
		return false;
	read_status(procfs, member);
	read_io(procfs, member);
	read_fds(procfs, member);
	return !member->gone;
}

static void read_member(struct procfs *procfs, struct member *member)
{
	if (member->gone)
		return;
	if (member->seen != procfs->pass || !read_all(procfs, member)) {
		member->gone = true;
		return;
	}
	procfs_set_bases(member);
	if (!member->linked || (member->parent && member->parent->gone))
		member_link(&procfs->members, member);
}

void procfs_read(struct procfs *procfs)
{
	if (procfs->disordered && members_reorder(&procfs->members, procfs->pass) == 0)
		procfs->disordered = false;
	for (size_t i = 0; i < procfs->members.count; i++)
		read_member(procfs, procfs->members.order[i]);
}
