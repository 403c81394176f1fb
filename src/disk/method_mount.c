/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A sandbox that is a mount of its own, of a whole file system that is mounted nowhere else: statfs
 * knows, at the cost of three system calls.
 *
 * bytes is what the file system has in use, files how many inodes. That is more than du sees: what
 * is deleted but open, lost+found, blocks of the file system itself; and names of one inode are
 * one.
 */
#include "disk/registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fail.h"
#include "disk/mounts.h"
#include "disk/site.h"

#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000U
#endif

/* Where f_bfree tells what files leave free, and f_ffree is counted. */
static const char *const known_types[] = {"ext2", "ext3", "ext4", "xfs", "f2fs", "tmpfs"};

struct mount_job {
	struct disk_job job;
	const struct disk_site *site;
	uint64_t id; /* Of the mount. */
};

static int mount_probe(struct tally_error *err)
{
	struct statx stat;

	if (statx(AT_FDCWD, "/", 0, STATX_MNT_ID, &stat) < 0 || !(stat.stx_mask & STATX_MNT_ID) ||
		!(stat.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT))
		return tally_refuse(
			err, -EOPNOTSUPP, "this kernel does not tell mounts from directories");
	return 0;
}

/* -- is it one? ------------------------------------------------------------------------------- */

struct judgement {
	uint64_t id;
	struct mount found; /* That with the id; an empty one when there is none. */
	unsigned others;    /* Mounts of the same device. */
};

static bool equals(const char *text, size_t length, const char *other, size_t other_length)
{
	return length == other_length && memcmp(text, other, length) == 0;
}

static bool find_mount(void *context, const struct mount *mount)
{
	struct judgement *judgement = context;

	if (mount->id == judgement->id)
		judgement->found = *mount;
	return true;
}

static bool count_others(void *context, const struct mount *mount)
{
	struct judgement *judgement = context;
	const struct mount *found = &judgement->found;

	judgement->others += mount->id != found->id && equals(mount->device, mount->device_length,
							       found->device, found->device_length);
	return true;
}

static bool is_known_type(const struct mount *mount)
{
	for (size_t i = 0; i < ARRAY_SIZE(known_types); i++)
		if (equals(mount->type, mount->type_length, known_types[i], strlen(known_types[i])))
			return true;
	return false;
}

static bool is_whole_and_alone(uint64_t id)
{
	CLEANUP_FREE char *text = NULL;
	struct judgement judgement = {.id = id};
	ssize_t length = mounts_read("/proc/self/mountinfo", &text);

	if (length < 0)
		return false;
	mounts_parse(text, (size_t)length, find_mount, &judgement);
	if (!judgement.found.id || !is_known_type(&judgement.found) ||
		!equals(judgement.found.root, judgement.found.root_length, "/", 1))
		return false;
	mounts_parse(text, (size_t)length, count_others, &judgement);
	return judgement.others == 0;
}

/* The id of the mount of which this is the root; 0: it is none, or the kernel does not tell. */
static uint64_t mount_id(int fd)
{
	struct statx stat;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stat) < 0 ||
		!(stat.stx_mask & STATX_MNT_ID) || !(stat.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return 0;
	return stat.stx_mnt_id;
}

/* -- method ----------------------------------------------------------------------------------- */

static int mount_open(const struct disk_site *site, struct disk_job **ret, struct tally_error *err)
{
	CLEANUP_CLOSE int fd = -1;
	struct statx stat;
	struct mount_job *job;
	int r = site_open(site->path, &fd, &stat, err);

	if (r < 0)
		return r;

	uint64_t id = mount_id(fd);
	if (!id || !is_whole_and_alone(id))
		return -EOPNOTSUPP;
	job = calloc(1, sizeof(*job));
	if (!job)
		return tally_fail(err, -ENOMEM, "cannot measure sandbox %s", site->path);
	job->site = site;
	job->id = id;
	*ret = &job->job;
	return 0;
}

static int mount_step(struct disk_job *base, struct disk_tools *tools, struct disk_figure *ret,
	struct tally_error *err)
{
	struct mount_job *job = (struct mount_job *)base;
	CLEANUP_CLOSE int fd = -1;
	int64_t now_ns = clock_boot_ns();
	struct statx stat;
	struct statfs fs;
	int r = site_open(job->site->path, &fd, &stat, err);

	if (r < 0)
		return r;
	/* It was unmounted, or another lies on it; or it does not count inodes. */
	if (mount_id(fd) != job->id || fstatfs(fd, &fs) < 0 || !fs.f_files)
		return -EOPNOTSUPP;
	*ret = (struct disk_figure){
		.bytes = (int64_t)(fs.f_blocks - fs.f_bfree) * (fs.f_frsize ?: fs.f_bsize),
		.files = (int64_t)(fs.f_files - fs.f_ffree),
		.boot_ns = now_ns,
	};
	return 0;
}

static void mount_close(struct disk_job *job)
{
	free(job);
}

const struct disk_method_ops disk_method_mount = {
	.name = "mount",
	.summary = "asks the file system, of a sandbox that is a mount of its own",
	.remedy = "use Linux 5.8 or newer",
	.probe = mount_probe,
	.open = mount_open,
	.step = mount_step,
	.close = mount_close,
};
