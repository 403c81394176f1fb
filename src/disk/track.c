/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/track.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fail.h"
#include "disk/registry.h"
#include "disk/site.h"

/* File systems whose every change passes through this kernel, and so is heard. */
static const struct {
	unsigned long magic;
	bool delays; /* Blocks are decided on when data is written back. */
} known_types[] = {
	{EXT4_SUPER_MAGIC, true}, /* ext2 and ext3 too. */
	{XFS_SUPER_MAGIC, true},
	{BTRFS_SUPER_MAGIC, true},
	{F2FS_SUPER_MAGIC, true},
	{OVERLAYFS_SUPER_MAGIC, true},
	{TMPFS_MAGIC, false},
};

static int track_probe(struct tally_error *err)
{
	struct fan fan;
	int r = fan_open(&fan, 0, 0, err);

	if (r == 0)
		fan_close(&fan);
	return r;
}

/* -- building --------------------------------------------------------------------------------- */

static void unbuild(struct track *track)
{
	track_close_dirs(track);
	track_search_end(track);
	fan_close(&track->fan);
	tree_done(&track->tree);
	pending_done(&track->heard);
	pending_done(&track->work);
	pending_done(&track->late);
	pending_done(&track->settling);
	scan_done(&track->scan);
	free(track->todo);
	free(track->gone);
	track->gone = NULL;
	track->gone_count = track->gone_capacity = track->file_marks = 0;
	track->todo = NULL;
	track->todo_count = track->todo_capacity = 0;
	track->reading = NODE_NONE;
	track->phase = TRACK_REST;
	track->sweeping = track->checking = track->overflowed = track->built = false;
}

static int check_type(struct track *track, unsigned long *ret, struct tally_error *err)
{
	struct statfs fs;

	if (fstatfs(track->root_fd, &fs) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(known_types); i++)
		if ((unsigned long)fs.f_type == known_types[i].magic) {
			track->delays = known_types[i].delays;
			*ret = known_types[i].magic;
			return 0;
		}
	return tally_refuse(err, -EOPNOTSUPP,
		"file systems of type 0x%lx may change unheard: not tracked",
		(unsigned long)fs.f_type);
}

static int plant(struct track *track)
{
	struct tree *tree = &track->tree;
	uint64_t handle;
	int r = tree_init(tree, track->fan.seed, track->site->limits->each_bytes);

	if (r == 0)
		r = fan_handle(&track->fan, track->root_fd, "", &handle);
	if (r == 0)
		r = tree_set_handle(tree, NODE_ROOT, handle);
	return r < 0 ? r : track_queue(track, NODE_ROOT);
}

static int build(struct track *track, struct tally_error *err)
{
	unsigned long type = 0;
	uint64_t seed;
	int r = check_type(track, &type, err);

	if (r < 0)
		return r;
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = (uint64_t)clock_boot_ns();
	r = fan_open(&track->fan, seed, type, err);
	if (r < 0)
		return r == -EUSERS ? r : -EOPNOTSUPP;
	track->built = true;
	track->tend_ns = NS_PER_S;
	track->all_seeing = geteuid() == 0;
	track->check_ns = clock_boot_ns() + track->site->limits->check_ns;
	r = plant(track);
	if (r < 0 && r != -ENOMEM) {
		tally_fail(err, r, "not tracked: its directories have no handles");
		return -EOPNOTSUPP;
	}
	return r;
}

/* -- a look ----------------------------------------------------------------------------------- */

/* The same directory as before, or another in its place. */
static bool is_same_root(const struct track *track)
{
	uint64_t handle;

	return fan_handle(&track->fan, track->root_fd, "", &handle) == 0 &&
	       handle == track->tree.nodes[NODE_ROOT].handle;
}

static int open_root(struct track *track, struct tally_error *err)
{
	int r = site_open(track->site->path, &track->root_fd, &track->root, err);

	if (r == 0 && track->built && !is_same_root(track)) {
		int fd = take_fd(&track->root_fd);

		unbuild(track);
		track->root_fd = fd;
	}
	if (r == 0 && !track->built)
		r = build(track, err);
	return r;
}

static int sweep(struct track *track)
{
	track->sweeping = true;
	track->overflowed = false;
	track->sweeps++;
	pending_clear(&track->work);
	pending_clear(&track->settling);
	return track_queue(track, NODE_ROOT);
}

static int take_work(struct track *track)
{
	struct pending work = track->work;

	track->work = track->heard;
	track->heard = work;
	for (uint32_t i = 0; i < track->settling.count; i++) {
		const struct pending_item *item = &track->settling.items[i];
		int r = track_add(track, &track->work, item->node, item->name,
			pending_text(&track->settling, item), 0);

		if (r == -ENOSPC)
			r = track_queue(track, item->node);
		if (r < 0)
			return r;
	}
	pending_clear(&track->settling);
	return 0;
}

static int begin_look(struct track *track, struct disk_tools *tools, struct tally_error *err)
{
	track->looked_ns = clock_boot_ns();
	track->looked_wall_ns = clock_wall_ns();
	int r = open_root(track, err);
	if (r < 0)
		return r;
	tree_set_blocks(&track->tree, NODE_ROOT, (int64_t)track->root.stx_blocks);
	r = track_hear(track, tools);
	if (r == 0)
		r = take_work(track);
	track->checking = track->looked_ns >= track->check_ns;
	if (track->checking)
		track->check_ns = track->looked_ns + track->site->limits->check_ns;
	if (r == 0 && (track->overflowed || track->checking))
		r = sweep(track);
	pending_sort(&track->work);
	track->at = 0;
	track->is_late = false;
	track->phase = TRACK_NAMES;
	return r;
}

static void end_look(struct track *track, struct disk_figure *ret)
{
	struct tree *tree = &track->tree;

	tree_reap(tree);
	track_search_end(track);
	track_close_dirs(track);
	scan_done(&track->scan);
	pending_clear(&track->work);
	pending_clear(&track->late);
	track->sweeping = track->checking = false;
	track->phase = TRACK_REST;
	*ret = (struct disk_figure){
		.bytes = tree->blocks * 512,
		.files = tree->files,
		.partial = tree->partial,
		.boot_ns = track->looked_ns,
		.drift_bytes = track->drift_bytes,
		.rereads = track->sweeps,
	};
}

/* 1: the same again; 0: the next phase; negative errno. */
static int do_phase(struct track *track, struct disk_tools *tools, struct tally_error *err)
{
	switch (track->phase) {
	case TRACK_NAMES:
	case TRACK_FOUND:
		return track_names_step(track, tools);
	case TRACK_READ:
		return track_read_step(track, tools, err);
	default:
		return track_search_step(track);
	}
}

static int enter_next_phase(struct track *track, struct disk_figure *ret)
{
	switch (track->phase) {
	case TRACK_NAMES:
		track->phase = TRACK_READ;
		return 1;
	case TRACK_READ:
		track->phase = TRACK_SEARCH;
		return track_search_begin(track) ?: 1;
	case TRACK_SEARCH:
		pending_sort(&track->work);
		track->phase = TRACK_FOUND;
		return 1;
	default:
		/* Directories that turned out to need it are read with the next look. */
		end_look(track, ret);
		return 0;
	}
}

/* Memory over all sandboxes is counted in steps, with those of the tree. */
static int count_memory(struct track *track)
{
	struct disk_limits *limits = track->site->limits;
	size_t bytes = track->built ? track->tree.bytes : 0;
	size_t used = atomic_fetch_add(&limits->used_bytes, bytes - track->counted_bytes);

	used += bytes - track->counted_bytes;
	track->counted_bytes = bytes;
	return limits->all_bytes && used > limits->all_bytes ? -E2BIG : 0;
}

/* Errors of the tree in the terms of a method. */
static int translate(struct track *track, int r, struct tally_error *err)
{
	if (r == -ELOOP) {
		/* What was heard in pieces makes no sense together: begin anew. */
		unbuild(track);
		return 1;
	}
	if (r == -E2BIG) {
		atomic_fetch_add(&track->site->limits->bitten, 1);
		return tally_refuse(err, -EOPNOTSUPP,
			"too many files to remember within %zu MiB: not tracked",
			track->site->limits->each_bytes >> 20);
	}
	if (r == -ENOMEM)
		tally_fail(err, r, "cannot track sandbox %s", track->site->path);
	return r;
}

static int track_step(struct disk_job *job, struct disk_tools *tools, struct disk_figure *ret,
	struct tally_error *err)
{
	struct track *track = (struct track *)job;
	int r;

	if (track->phase == TRACK_REST)
		r = begin_look(track, tools, err) ?: 1;
	else
		r = do_phase(track, tools, err) ?: enter_next_phase(track, ret);
	if (r >= 0) {
		int counted = count_memory(track);

		r = counted < 0 ? counted : r;
	}
	if (r < 0)
		r = translate(track, r, err);
	/* The sandbox is gone, or another look is needed for it: nothing of it is known. */
	if (r < 0)
		unbuild(track);
	return r;
}

/* -- job -------------------------------------------------------------------------------------- */

static int track_open(const struct disk_site *site, struct disk_job **ret, struct tally_error *err)
{
	struct track *track = calloc(1, sizeof(*track));

	if (!track)
		return tally_fail(err, -ENOMEM, "cannot track sandbox %s", site->path);
	track->site = site;
	track->fan.fd = track->root_fd = -1;
	track->reading = track->searching = NODE_NONE;
	for (int i = 0; i < TRACK_FDS; i++)
		track->fds[i].fd = -1;
	*ret = &track->job;
	return 0;
}

static void track_close(struct disk_job *job)
{
	struct track *track = (struct track *)job;

	unbuild(track);
	count_memory(track);
	free(track);
}

const struct disk_method_ops disk_method_track = {
	.name = "track",
	.summary = "reads what changed, as fanotify tells it",
	.remedy =
		"use Linux 5.13 or newer; where groups ran out, raise fs.fanotify.max_user_groups",
	.probe = track_probe,
	.open = track_open,
	.step = track_step,
	.tend = track_tend,
	.outline = track_outline,
	.close = track_close,
};
