/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Phase 2 of a pass: read what members consume, parents before children.
 *
 * Most processes did nothing since the last pass, so the question is how to see that for least.
 * A process with one thread did nothing when its schedstat is what it was: three numbers, exact
 * to the nanosecond, at less than half the price of its stat. One with several threads, or on a
 * kernel without schedstat, did nothing when its stat is byte for byte what it was, to 10 ms.
 * Either file is kept open for as long as there are descriptors.
 *
 * Whoever did something is read in full, within a budget; the idle are refreshed in turn, for
 * their memory can be taken away while they sleep.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "collect/procfs.h"

/* Idle members refreshed in a pass: at least so many, or one in so many. */
#define TURN_LEAST 32
#define TURN_SHARE 128

/* Members whose details are read in a pass; above that, each every so many passes. */
#define DETAILS_MOST  256
#define DETAILS_EVERY 8

enum outcome {
	VANISHED,
	IDLE,
	BUSY,
};

static void drop_fd(struct procfs *procfs, struct member *member)
{
	if (member->fd < 0)
		return;
	close(member->fd);
	member->fd = -1;
	procfs->members.fds--;
}

static void deny_fd(struct procfs *procfs, struct member *member)
{
	procfs->limited += !member->denied;
	member->denied = true;
}

/* Keep the file open that tells most cheaply whether something happened. */
static void keep_fd(struct procfs *procfs, struct member *member)
{
	bool quick = procfs->root.run_times && member->threads <= 1;

	if (!procfs->root.real || (member->fd >= 0 && member->quick == quick))
		return;
	drop_fd(procfs, member);
	member->quick = quick;
	if (procfs->members.fds >= procfs->fd_limit) {
		deny_fd(procfs, member);
		return;
	}
	member->fd = proc_open(&procfs->root, member->pid, 0, quick ? "schedstat" : "stat");
	if (member->fd >= 0) {
		procfs->members.fds++;
		/* Whose file this is will be told by the stat: it has to be read once. */
		member->unproven = true;
		return;
	}
	if (member->fd == -EMFILE || member->fd == -ENFILE)
		deny_fd(procfs, member);
	member->fd = -1;
}

/* Is its schedstat what it was? */
static enum outcome check_schedstat(struct procfs *procfs, struct member *member)
{
	int64_t run_ns, wait_ns;
	ssize_t length = proc_reread(&procfs->root, member->fd);

	if (length == -ESRCH)
		return VANISHED;
	if (length <= 0 ||
		!proc_parse_schedstat(procfs->root.text, (size_t)length, &run_ns, &wait_ns))
		return BUSY;
	if (run_ns == member->run_ns && wait_ns == member->wait_ns)
		return IDLE;
	procfs_apply_schedstat(member, run_ns, wait_ns);
	return BUSY;
}

static void read_schedstat(struct procfs *procfs, struct member *member)
{
	int64_t run_ns, wait_ns;
	ssize_t length = proc_read(&procfs->root, member->pid, 0, "schedstat");

	if (length > 0 &&
		proc_parse_schedstat(procfs->root.text, (size_t)length, &run_ns, &wait_ns))
		procfs_apply_schedstat(member, run_ns, wait_ns);
	else if (!member->many && member->threads <= 1)
		member->reason[FIGURE_WAIT] = procfs_reason(procfs, member, length);
}

/* Eight bytes at a time; this is no defence, for nobody gains by a stat that looks unchanged. */
static uint64_t hash_of(const char *text, size_t length)
{
	uint64_t hash = length, chunk;

	for (; length >= sizeof(chunk); text += sizeof(chunk), length -= sizeof(chunk)) {
		memcpy(&chunk, text, sizeof(chunk));
		hash = (hash ^ chunk) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 29;
	}
	for (; length > 0; text++, length--)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 32;
}

static ssize_t stat_text(struct procfs *procfs, struct member *member)
{
	if (member->fd >= 0 && !member->quick)
		return proc_reread(&procfs->root, member->fd);
	return proc_read(&procfs->root, member->pid, 0, "stat");
}

/* Is its stat what it was? If not, take it over. */
static enum outcome check_stat(struct procfs *procfs, struct member *member)
{
	struct proc_stat stat;
	ssize_t length = stat_text(procfs, member);

	if (length == -ESRCH)
		return VANISHED;
	if (length <= 0)
		return IDLE; /* Not readable now: what is known stays. */

	uint64_t hash = hash_of(procfs->root.text, (size_t)length);
	bool ran = member->quick && member->fd >= 0; /* Its schedstat said so. */
	if (hash == member->stat_hash && !ran)
		return IDLE;
	if (!proc_parse_stat(procfs->root.text, (size_t)length, &stat))
		return IDLE;
	/* X: its parent has just reaped it. */
	if (stat.start_ticks != member->start_ticks || stat.pid != member->pid || stat.state == 'X')
		return VANISHED;
	member->stat_hash = hash;
	member->unproven = false;
	if (!ran)
		read_schedstat(procfs, member);
	procfs_apply_stat(procfs, member, &stat);
	return BUSY;
}

/* Within the budget, or its turn beyond it; a new member always. */
static bool may_read_details(struct procfs *procfs, const struct member *member, size_t index)
{
	if (member->detailed && procfs->details_left == 0)
		return (procfs->pass + index) % DETAILS_EVERY == 0;
	procfs->details_left -= procfs->details_left > 0;
	return true;
}

static void read_details(struct procfs *procfs, struct member *member, size_t index)
{
	member->owed = !may_read_details(procfs, member, index);
	if (member->owed)
		return;
	procfs_read_details(procfs, member);
	member->detailed = true;
}

static bool is_turn(const struct procfs *procfs, size_t index)
{
	size_t count = procfs->members.count;

	return (index + count - procfs->turn % count) % count < procfs->turns;
}

/*
 * The schedstat of a process that is on a CPU now is as old as the last tick of the clock: who may
 * have reaped a member is asked for its stat, whatever its schedstat says. So is a zombie, for it
 * does not run any more while it is reaped.
 */
static bool has_to_read_stat(const struct member *member)
{
	bool reparented = member->parent && member->parent->gone;
	bool zombie = member->threads == 0;

	return reparented || zombie || member->pending || member->unproven;
}

static enum outcome check(struct procfs *procfs, struct member *member, bool turn)
{
	bool quick = member->fd >= 0 && member->quick;
	enum outcome outcome = quick ? check_schedstat(procfs, member) : BUSY;

	if (outcome == VANISHED || (outcome == IDLE && !turn && !has_to_read_stat(member)))
		return outcome;
	enum outcome stat = check_stat(procfs, member);
	return stat == VANISHED || !quick ? stat : outcome;
}

static void refresh(struct procfs *procfs, struct member *member, size_t index)
{
	bool turn = is_turn(procfs, index);

	keep_fd(procfs, member);
	enum outcome outcome = check(procfs, member, turn);
	member->pending = false;
	if (outcome == IDLE && !turn && !member->owed && member->detailed)
		return;
	procfs_mark_dirty(procfs, member);
	if (outcome == VANISHED)
		procfs_mark_gone(procfs, member);
	else if (outcome == BUSY || member->owed || !member->detailed || (turn && !member->quick))
		read_details(procfs, member, index);
	else if (turn)
		procfs_read_status(procfs, member);
	if ((outcome == BUSY || turn) && (member->threads > 1 || member->many))
		member->threads_owed = true;
}

/* Whoever vanishes, now or while it was looked at, has to be linked: its parent may have reaped it. */
static void read_member(struct procfs *procfs, struct member *member, size_t index)
{
	if (member->grew) {
		memset(member->growth, 0, sizeof(member->growth));
		member->grew = false;
	}
	if (!member->linked)
		member_link(&procfs->members, member, false);
	if (!member->gone && procfs_is_seen(procfs, member->seen))
		refresh(procfs, member, index);
	else
		procfs_mark_gone(procfs, member);
	if (member->gone) {
		procfs_mark_dirty(procfs, member);
		return;
	}
	if (member->unset)
		procfs_set_bases(member);
	if (!member->linked || (member->parent && member->parent->gone))
		member_link(&procfs->members, member, true);
}

static void begin(struct procfs *procfs)
{
	size_t share = procfs->members.count / TURN_SHARE;

	procfs->turns = share > TURN_LEAST ? share : TURN_LEAST;
	procfs->details_left = DETAILS_MOST;
	if (procfs->disordered && members_reorder(&procfs->members, procfs->pass) == 0) {
		procfs_relist(procfs);
		procfs->disordered = false;
	}
}

void procfs_read(struct procfs *procfs)
{
	begin(procfs);
	for (size_t i = 0; i < procfs->members.count; i++)
		read_member(procfs, procfs->members.order[i], i);
	procfs->turn += procfs->turns;
	procfs_read_threads(procfs);
	if (procfs->pss)
		procfs_read_pss(procfs);
}
