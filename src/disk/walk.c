/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/fail.h"
#include "disk/links.h"
#include "disk/site.h"

enum {
	FDS_KEPT = 32, /* Descriptors of the deepest directories; the root's besides. */
	DEPTH_LIMIT = 1 << 16,
	NAMES_LIMIT = 4 << 20, /* Bytes of names that wait; beyond, a level reads no further. */
	NAMES_MOST = 16 << 20, /* Beyond, directories are left out and counted as partial. */
	LINKS_LIMIT = 3 << 20,
};

/*
 * One directory on the way down. The names that wait to be entered lie on one stack for all
 * levels: those of the deepest directory on top, above the name by which it was entered.
 */
struct level {
	int fd;	      /* -1: closed to save descriptors. */
	uint64_t ino; /* Set when the descriptor was closed. */
	size_t name;  /* Where the name by which it was entered lies; its children follow. */
	size_t names; /* Where the names of its children begin. */
	off_t offset; /* Where reading goes on, once the descriptor was closed. */
	bool reading; /* The scan is in it now. */
	bool unread;  /* There is more to read. */
	bool partial; /* Already counted as such. */
	struct walk_sum before; /* What was counted before it was entered, itself included. */
	int64_t own;		/* Its own blocks. */
};

struct walk {
	struct walk_sum sum;
	struct statx root;
	struct links links;
	struct scan scan;
	struct level *levels;
	size_t depth, level_capacity;
	char *names;
	size_t names_used, names_capacity;
	struct outline *outline; /* Or NULL. */
};

static struct level *deepest(struct walk *walk)
{
	return &walk->levels[walk->depth - 1];
}

static void mark_partial(struct walk *walk, struct level *level)
{
	walk->sum.partial += !level->partial;
	level->partial = true;
}

/* -- names ------------------------------------------------------------------------------------ */

static int push_name(struct walk *walk, const char *name)
{
	size_t length = strlen(name) + 1;

	if (walk->names_used + length > walk->names_capacity) {
		size_t capacity = walk->names_capacity ? walk->names_capacity * 2 : 4096;
		char *names = realloc(walk->names, capacity);

		if (!names)
			return -ENOMEM;
		walk->names = names;
		walk->names_capacity = capacity;
	}
	memcpy(walk->names + walk->names_used, name, length);
	walk->names_used += length;
	return 0;
}

/* Where the topmost name begins: behind the NUL of the one below it. */
static size_t top_name(const struct walk *walk, size_t bottom)
{
	size_t at = walk->names_used - 1;

	while (at > bottom && walk->names[at - 1])
		at--;
	return at;
}

/* -- levels ----------------------------------------------------------------------------------- */

static int reserve_level(struct walk *walk)
{
	if (walk->depth < walk->level_capacity)
		return 0;

	size_t capacity = walk->level_capacity ? walk->level_capacity * 2 : 16;
	struct level *levels = reallocarray(walk->levels, capacity, sizeof(*levels));
	if (!levels)
		return -ENOMEM;
	walk->levels = levels;
	walk->level_capacity = capacity;
	return 0;
}

/* The root keeps its descriptor: from there a lost level is found again, by its inode. */
static void close_far_level(struct walk *walk)
{
	if (walk->depth <= FDS_KEPT + 1)
		return;

	struct level *level = &walk->levels[walk->depth - 1 - FDS_KEPT];
	struct statx stat;
	if (level->fd < 0 || scan_stat(level->fd, "", &stat) < 0)
		return;
	level->ino = stat.stx_ino;
	level->offset = lseek(level->fd, 0, SEEK_CUR);
	close(level->fd);
	level->fd = -1;
}

static void begin_reading(struct walk *walk, struct level *level)
{
	scan_begin(&walk->scan, level->fd);
	level->reading = true;
}

/* -- the heaviest ----------------------------------------------------------------------------- */

void walk_outline(struct walk *walk, struct outline *outline)
{
	walk->outline = outline;
}

/* What is counted from now on, until it is left, is below it. */
static void begin_weighing(struct walk *walk, struct level *level)
{
	struct statx stat;

	level->before = walk->sum;
	if (walk->outline && scan_stat(level->fd, "", &stat) == 0)
		level->own = (int64_t)stat.stx_blocks;
}

/* Names down to the deepest level. False: they are too long. */
static bool join_names(const struct walk *walk, char path[OUTLINE_PATH_SIZE])
{
	size_t used = 0;

	for (size_t i = 1; i < walk->depth; i++) {
		const char *name = walk->names + walk->levels[i].name;
		size_t length = strlen(name);

		if (used + length + 2 > OUTLINE_PATH_SIZE)
			return false;
		if (used)
			path[used++] = '/';
		memcpy(path + used, name, length);
		used += length;
	}
	path[used] = '\0';
	return true;
}

/* Of the root nothing was counted before it, but itself. */
static void end_weighing(struct walk *walk, const struct level *level)
{
	unsigned depth = (unsigned)(walk->depth - 1);
	struct outline_dir dir = {
		.depth = depth, .bytes = walk->sum.bytes, .files = walk->sum.files};
	char path[OUTLINE_PATH_SIZE];

	if (!walk->outline)
		return;
	if (depth) {
		dir.bytes += level->own * 512 - level->before.bytes;
		dir.files += 1 - level->before.files;
	}
	if (outline_wants(walk->outline, dir.bytes, depth) && join_names(walk, path))
		outline_add(walk->outline, path, &dir);
}

static int enter(struct walk *walk, int fd, size_t name)
{
	int r = reserve_level(walk);

	if (r < 0) {
		close(fd);
		return r;
	}
	walk->levels[walk->depth++] =
		(struct level){.fd = fd, .name = name, .names = walk->names_used, .unread = true};
	begin_weighing(walk, deepest(walk));
	close_far_level(walk);
	begin_reading(walk, deepest(walk));
	return 1;
}

static bool is_level(const struct walk *walk, int fd, const struct level *level)
{
	struct statx stat;

	return fd >= 0 && scan_stat(fd, "", &stat) == 0 && stat.stx_ino == level->ino &&
	       stat.stx_dev_major == walk->root.stx_dev_major &&
	       stat.stx_dev_minor == walk->root.stx_dev_minor;
}

/* Down from the root by the names on the stack; -1 when one of them is not there any more. */
static int find_level(const struct walk *walk, size_t depth)
{
	int fd = walk->levels[0].fd;

	for (size_t i = 1; i <= depth; i++) {
		const struct level *level = &walk->levels[i];
		int below = site_open_below(fd, walk->names + level->name);

		if (fd != walk->levels[0].fd)
			close(fd);
		if (!is_level(walk, below, level)) {
			if (below >= 0)
				close(below);
			return -1;
		}
		fd = below;
	}
	return fd;
}

/* By ".." of the deepest level, unless that one was moved away meanwhile. */
static int find_parent(const struct walk *walk)
{
	const struct level *level = &walk->levels[walk->depth - 1];
	int fd = openat(level->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (is_level(walk, fd, level - 1))
		return fd;
	if (fd >= 0)
		close(fd);
	return find_level(walk, walk->depth - 2);
}

static void reopen_parent(struct walk *walk)
{
	struct level *parent = deepest(walk) - 1;

	if (parent->fd >= 0)
		return;
	parent->fd = find_parent(walk);
	if (parent->fd >= 0)
		lseek(parent->fd, parent->offset, SEEK_SET);
}

/* A level that was moved or removed meanwhile: what is left of it cannot be reached. */
static void give_up_unreachable(struct walk *walk)
{
	struct level *level = deepest(walk);

	if (level->fd >= 0)
		return;
	if (level->unread || walk->names_used > level->names)
		mark_partial(walk, level);
	level->unread = false;
	walk->names_used = level->names;
}

static int leave(struct walk *walk)
{
	struct level *level = deepest(walk);

	end_weighing(walk, level);
	if (walk->depth > 1)
		reopen_parent(walk);
	if (level->fd >= 0)
		close(level->fd);
	walk->names_used = level->name;
	walk->depth--;
	if (!walk->depth)
		return 0;
	give_up_unreachable(walk);
	return 1;
}

/* -- counting --------------------------------------------------------------------------------- */

static void count_blocks(struct walk *walk, int64_t blocks)
{
	walk->sum.bytes += blocks * 512;
}

/* Names beyond the limit are left out, so that the figure stays a lower bound. */
static void count_linked(struct walk *walk, const struct statx *stat)
{
	struct link *link = links_add(&walk->links, stat->stx_ino);

	if (!link) {
		mark_partial(walk, deepest(walk));
		return;
	}
	if (link->names++ == 0)
		count_blocks(walk, (int64_t)stat->stx_blocks);
	if (link->names >= stat->stx_nlink)
		links_remove(&walk->links, link);
}

static int count_entry(void *context, const struct scan_entry *entry)
{
	struct walk *walk = context;
	const struct statx *stat = &entry->stat;

	if (entry->code < 0) {
		walk->sum.files++;
		mark_partial(walk, deepest(walk));
		return 0;
	}
	if (scan_is_elsewhere(stat, &walk->root))
		return 0;
	walk->sum.files++;
	if (S_ISDIR(stat->stx_mode)) {
		count_blocks(walk, (int64_t)stat->stx_blocks);
		if (walk->names_used < NAMES_MOST)
			return push_name(walk, entry->name);
		mark_partial(walk, deepest(walk));
		return 0;
	}
	if (stat->stx_nlink > 1)
		count_linked(walk, stat);
	else
		count_blocks(walk, (int64_t)stat->stx_blocks);
	return 0;
}

/* -- steps ------------------------------------------------------------------------------------ */

static int read_batch(struct walk *walk, struct scan_batch *batch)
{
	struct level *level = deepest(walk);
	int r = scan_step(&walk->scan, batch, count_entry, walk);

	if (r == -ENOMEM)
		return r;
	if (r < 0)
		mark_partial(walk, level);
	if (r <= 0)
		level->reading = level->unread = false;
	/* A directory of a million directories: enter those met so far before reading on. */
	if (walk->names_used > NAMES_LIMIT && walk->names_used > level->names &&
		scan_is_even(&walk->scan))
		level->reading = false;
	return 1;
}

/* A directory that cannot be opened was counted with its own blocks, as du does. */
static int enter_next(struct walk *walk)
{
	struct level *level = deepest(walk);
	size_t name = top_name(walk, level->names);
	int fd = walk->depth < DEPTH_LIMIT ? site_open_below(level->fd, walk->names + name)
					   : -EMFILE;

	if (fd >= 0)
		return enter(walk, fd, name);
	walk->names_used = name;
	if (fd != -ENOENT && fd != -ENOTDIR && fd != -ELOOP && fd != -EXDEV)
		walk->sum.partial++;
	return 1;
}

int walk_step(struct walk *walk, struct scan_batch *batch)
{
	struct level *level = deepest(walk);

	if (level->reading)
		return read_batch(walk, batch);
	if (walk->names_used > level->names)
		return enter_next(walk);
	if (level->unread) {
		begin_reading(walk, level);
		return 1;
	}
	return leave(walk);
}

const struct walk_sum *walk_sum(const struct walk *walk)
{
	return &walk->sum;
}

int walk_open(const char *path, struct walk **ret, struct tally_error *err)
{
	struct walk *walk = calloc(1, sizeof(*walk));
	int fd = -1;
	int r = walk ? site_open(path, &fd, &walk->root, err)
		     : tally_fail(err, -ENOMEM, "cannot walk sandbox %s", path);

	if (r == 0)
		r = push_name(walk, "");
	if (r == 0)
		r = enter(walk, take_fd(&fd), 0);
	if (r < 0) {
		walk_close(walk);
		return r;
	}
	walk->links.limit = LINKS_LIMIT;
	walk->sum.files = 1;
	count_blocks(walk, (int64_t)walk->root.stx_blocks);
	*ret = walk;
	return 0;
}

struct walk *walk_close(struct walk *walk)
{
	if (!walk)
		return NULL;
	for (size_t i = 0; i < walk->depth; i++)
		if (walk->levels[i].fd >= 0)
			close(walk->levels[i].fd);
	scan_done(&walk->scan);
	links_done(&walk->links);
	free(walk->levels);
	free(walk->names);
	free(walk);
	return NULL;
}
