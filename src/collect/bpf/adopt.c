/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/bpf/inside.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include "base/clock.h"
#include "base/fail.h"
#include "base/file.h"
#include "base/parse.h"

/* ---- identity ---- */

/*
 * "PID (COMM) S PPID …": COMM may hold anything, so that the last ')' ends it. The start time is
 * the 20th word after it, in clock ticks since boot, 100 a second.
 */
static bool parse_start(const char *text, size_t length, int64_t *ret_ns)
{
	const char *end = memrchr(text, ')', length);
	uint64_t ticks;

	if (!end)
		return false;
	struct cursor cursor = cursor_of(end + 1, length - (size_t)(end + 1 - text));
	if (!cursor_skip_words(&cursor, 19) || !cursor_u64(&cursor, &ticks))
		return false;
	*ret_ns = (int64_t)ticks * (NS_PER_S / sysconf(_SC_CLK_TCK));
	return true;
}

static int read_start(const char *procfs, pid_t pid, int64_t *ret_ns)
{
	char path[PATH_MAX], text[1024];

	snprintf(path, sizeof(path), "%s/%d/stat", procfs, pid);
	ssize_t length = file_read_at(AT_FDCWD, path, text, sizeof(text));
	if (length < 0)
		return length == -ENOENT ? -ESRCH : (int)length;
	return parse_start(text, (size_t)length, ret_ns) ? 0 : -ESRCH;
}

/*
 * Open a root by its pid and check that it is the one meant. The descriptor holds on to that one:
 * what is done through it later fails if it has gone, whoever has its number then.
 */
static int open_root(const char *procfs, const struct collect_root *root, int *ret_fd,
	int64_t *ret_start, struct tally_error *err)
{
	CLEANUP_CLOSE int fd = (int)syscall(SYS_pidfd_open, root->pid, 0);

	if (fd < 0 && (errno == ESRCH || errno == EINVAL))
		return tally_fail(err, -ESRCH, "pid %d", root->pid);
	if (fd < 0)
		return tally_fail(err, -errno, "cannot open pid %d", root->pid);
	int r = read_start(procfs, root->pid, ret_start);
	if (r < 0)
		return tally_fail(err, r, "pid %d", root->pid);
	int64_t off = *ret_start - root->start_ns;
	if (root->start_ns && (off > 10 * NS_PER_MS || off < -10 * NS_PER_MS))
		return tally_refuse(err, -ESRCH,
			"pid %d is another process now: it began %" PRId64 " ms after boot",
			root->pid, *ret_start / NS_PER_MS);
	*ret_fd = take_fd(&fd);
	return 0;
}

/* ---- roots ---- */

static int add_slot(struct bpf_collector *c, struct group_state *group, pid_t pid, int64_t start,
	uint32_t *ret_slot)
{
	if (group->root_count == group->root_room) {
		uint32_t room = group->root_room ? group->root_room * 2 : 4;
		uint32_t *roots = reallocarray(group->roots, room, sizeof(*roots));

		if (!roots)
			return -ENOMEM;
		group->roots = roots;
		group->root_room = room;
	}
	int r = roots_take(&c->roots, pid, start, ret_slot);
	if (r < 0)
		return r;
	r = bpf_map_roots(c);
	if (r < 0) {
		roots_drop(&c->roots, *ret_slot);
		return r;
	}
	group->roots[group->root_count++] = *ret_slot;
	return 0;
}

/* Marked at once, so that its children are from now on; if it has a mark already, the next pass
 * gives it a larger set. */
static int mark_root(struct bpf_collector *c, int fd, uint32_t set, uint32_t token, pid_t pid)
{
	struct tally_mark mark = {
		.seen_ns = UINT64_MAX,
		.set = {[DIM_TREE] = set},
		.root = token,
		.flags = MARK_LEADER | MARK_NEW,
		.turn = (uint8_t)pid,
		.run = c->config->run,
		.claimed = 1,
	};
	struct tally_request request = {set, token};

	if (bpf_map_update_elem(c->marks, &fd, &mark, BPF_NOEXIST) == 0)
		return 0;
	if (errno == EEXIST && bpf_map_update_elem(c->requests, &fd, &request, BPF_ANY) == 0)
		return 0;
	return errno == ENOENT ? -ESRCH : -errno;
}

int adopt_pid(struct bpf_collector *c, uint32_t group, const struct collect_root *root,
	struct tally_error *err)
{
	struct group_state *state = &c->groups[group];
	CLEANUP_CLOSE int fd = -1;
	int64_t start = 0;
	uint32_t slot;

	int r = open_root(c->procfs, root, &fd, &start, err);
	if (r < 0)
		return r;
	r = add_slot(c, state, root->pid, start, &slot);
	if (r == -ENOSPC)
		return tally_refuse(err, r, "cannot follow pid %d: %u root pids are the limit",
			root->pid, c->roots.limit - 1);
	if (r < 0)
		return tally_fail(err, r, "cannot follow pid %d", root->pid);

	if (!c->adopt)
		c->config->run++;
	c->adopt = true;
	uint32_t token = c->roots.slots[slot].token;
	c->roots.shared[slot] = (struct tally_root){.token = token};
	r = mark_root(c, fd, state->set, token, root->pid);
	if (r < 0) {
		state->root_count--;
		roots_drop(&c->roots, slot);
		return tally_fail(err, r, "cannot mark pid %d", root->pid);
	}
	return 0;
}

/* ---- sets ---- */

int adopt_set(
	struct bpf_collector *c, const uint32_t *groups, uint32_t count, bool fresh, uint32_t *ret)
{
	uint32_t number;
	int r = fresh ? sets_make(&c->sets, groups, count, &number)
		      : sets_find(&c->sets, groups, count, &number);

	if (r < 0)
		return r;
	if (r == 1) {
		int mapped = bpf_map_sets(c);

		if (mapped < 0) {
			sets_free(&c->sets, number);
			return mapped;
		}
		c->shared[number] = (struct tally_set){0};
	}
	*ret = number;
	return 0;
}

/* Every group that does not get its members for want of a set is incomplete: say so. */
static void limit_groups(struct bpf_collector *c, uint32_t set)
{
	c->limited++;
	for (uint32_t i = 0; i < c->sets.items[set].count; i++)
		c->groups[c->sets.items[set].groups[i]].limited = true;
}

/* Whether a set has a group of the same family, other than this group itself. */
static bool has_kin(const struct bpf_collector *c, uint32_t set, uint32_t group)
{
	const struct set *in = &c->sets.items[set];
	uint32_t family = c->groups[group].family;

	for (uint32_t i = 0; family && i < in->count; i++)
		if (in->groups[i] != group && c->groups[in->groups[i]].family == family)
			return true;
	return false;
}

/* Leave out the groups that have kin in a set. @return how many remain. */
static uint32_t without_kin(
	const struct bpf_collector *c, uint32_t set, uint32_t *groups, uint32_t count)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < count; i++)
		if (!has_kin(c, set, groups[i]))
			groups[kept++] = groups[i];
	return kept;
}

/*
 * Groups of a family share no pid. A root is moved to its group, which is not credited with what the
 * other had; what is handed down does not come where kin is.
 */
static int answer(struct bpf_collector *c, const struct tally_pair *pair)
{
	bool root = pair->b & PAIR_ROOT;
	uint32_t a = pair->a, b = pair->b & ~PAIR_ROOT;
	uint32_t room = c->sets.items[a].count + c->sets.items[b].count;
	CLEANUP_FREE uint32_t *groups = calloc(room + 1, sizeof(*groups));
	struct tally_union answer;

	if (!groups)
		return -ENOMEM;
	uint32_t count = sets_unite(&c->sets, a, b, groups);
	count = without_kin(c, root ? b : a, groups, count);
	int r = adopt_set(c, groups, count, false, &answer.all);
	if (r < 0)
		return r;
	count = sets_rest(&c->sets, a, b, groups);
	count = without_kin(c, a, groups, count);
	r = adopt_set(c, groups, count, false, &answer.rest);
	if (r < 0)
		return r;
	return bpf_map_update_elem(c->unions, pair, &answer, BPF_ANY) < 0 ? -errno : 0;
}

/* The unions are a memory of answers: when it is full, it begins anew. */
static void forget_all_unions(struct bpf_collector *c)
{
	struct tally_pair pair;

	while (bpf_map_get_next_key(c->unions, NULL, &pair) == 0)
		if (bpf_map_delete_elem(c->unions, &pair) < 0)
			return;
}

unsigned adopt_unions(struct bpf_collector *c)
{
	struct tally_pair pair, at, *before = NULL;
	struct tally_union value;
	unsigned answered = 0;

	if (c->news->unions_full) {
		c->news->unions_full = 0;
		forget_all_unions(c);
		return 1;
	}
	while (bpf_map_get_next_key(c->unions, before, &pair) == 0) {
		at = pair;
		before = &at;
		if (bpf_map_lookup_elem(c->unions, &pair, &value) < 0 || value.all)
			continue;
		if (answer(c, &pair) == 0)
			answered++;
		else
			limit_groups(c, pair.b & ~PAIR_ROOT);
	}
	return answered;
}

static void forget_unions(struct bpf_collector *c, uint32_t set)
{
	struct tally_pair pair, next;
	struct tally_union value;
	bool more = bpf_map_get_next_key(c->unions, NULL, &pair) == 0;

	while (more) {
		uint32_t b = pair.b & ~PAIR_ROOT;

		more = bpf_map_get_next_key(c->unions, &pair, &next) == 0;
		if (bpf_map_lookup_elem(c->unions, &pair, &value) == 0 &&
			(pair.a == set || b == set || value.all == set || value.rest == set))
			bpf_map_delete_elem(c->unions, &pair);
		pair = next;
	}
}

/*
 * A number is given back when no pass has met a mark with it for two looks, seconds apart: whoever
 * read it from a mark before the mark changed has long used it by then.
 */
void adopt_sweep(struct bpf_collector *c)
{
	for (uint32_t i = 1; i < c->sets.count; i++) {
		struct set *set = &c->sets.items[i];
		bool met = c->shared[i].met;

		c->shared[i].met = 0;
		if (!set->used || set->pinned || met) {
			set->idle = 0;
			continue;
		}
		if (set->idle++ == 0)
			continue;
		publish_keep(c, i);
		forget_unions(c, i);
		sets_free(&c->sets, i);
	}
}
