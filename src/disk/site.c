/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/site.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include "base/fail.h"
#include "disk/scan.h"

enum { OPEN_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

/* Reading must not look like use: without O_NOATIME, which only owners may say, atime moves. */
static int open_unseen(const char *path)
{
	int fd = open(path, OPEN_FLAGS | O_NOATIME);

	if (fd < 0 && errno == EPERM)
		fd = open(path, OPEN_FLAGS);
	return fd < 0 ? -errno : fd;
}

static bool is_root(const struct statx *stat)
{
	struct statx root;

	return statx(AT_FDCWD, "/", 0, STATX_INO, &root) == 0 && root.stx_ino == stat->stx_ino &&
	       root.stx_dev_major == stat->stx_dev_major &&
	       root.stx_dev_minor == stat->stx_dev_minor;
}

int site_open(const char *path, int *ret_fd, struct statx *ret_stat, struct tally_error *err)
{
	CLEANUP_CLOSE int fd = open_unseen(path);
	int r = fd < 0 ? fd : scan_stat(fd, "", ret_stat);

	if (r == -ENOTDIR || r == -ELOOP)
		return tally_refuse(err, -ENOTDIR,
			"sandbox %s is not a directory (a symlink is not followed)", path);
	if (r < 0)
		return tally_fail(err, r, "cannot open sandbox %s", path);
	if (is_root(ret_stat))
		return tally_refuse(err, -EINVAL,
			"sandbox %s is the root of the file system; name a directory", path);
	*ret_fd = take_fd(&fd);
	return 0;
}

static int open_how(int dir, const char *name, uint64_t flags)
{
	struct open_how how = {
		.flags = flags,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV | RESOLVE_BENEATH,
	};
	int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* Kernels before 5.6, and filters that do not know it, answer ENOSYS or EPERM to openat2. */
static int open_plain(int dir, const char *name)
{
	int fd = openat(dir, name, OPEN_FLAGS);

	return fd < 0 ? -errno : fd;
}

int site_open_below(int dir, const char *name)
{
	static _Atomic bool with_atime, without_openat2;
	int fd = -EPERM;

	if (atomic_load_explicit(&without_openat2, memory_order_relaxed))
		return open_plain(dir, name);
	if (!atomic_load_explicit(&with_atime, memory_order_relaxed))
		fd = open_how(dir, name, OPEN_FLAGS | O_NOATIME);
	if (fd != -EPERM)
		goto out;
	fd = open_how(dir, name, OPEN_FLAGS);
	if (fd >= 0)
		atomic_store_explicit(&with_atime, true, memory_order_relaxed);
out:
	if (fd == -ENOSYS || fd == -EPERM) {
		atomic_store_explicit(&without_openat2, true, memory_order_relaxed);
		fd = open_plain(dir, name);
	}
	return fd;
}
