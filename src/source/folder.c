/* SPDX-License-Identifier: Apache-2.0 */
#include "source/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/clock.h"

#define SETTLED_NS (2 * NS_PER_S)

/* For kernels and sandboxes without openat2(): component by component. */
static int walk_beneath(int base, const char *path, int flags)
{
	CLEANUP_CLOSE int at = dup(base);
	char name[NAME_MAX + 1];

	while (at >= 0) {
		size_t length = strcspn(path, "/");

		if (length == 0 || length > NAME_MAX)
			return length ? -ENAMETOOLONG : -EINVAL;
		memcpy(name, path, length);
		name[length] = 0;
		if (strcmp(name, "..") == 0)
			return -EXDEV;
		path += length;
		if (!*path) {
			int fd = openat(at, name, flags);
			return fd < 0 ? -errno : fd;
		}

		int next = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return -errno;
		close(at);
		at = next;
		path++;
	}
	return -errno;
}

int open_beneath(int base, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, base, path, &how, sizeof(how));

	if (fd >= 0)
		return (int)fd;
	if (errno == ENOSYS || errno == EPERM)
		return walk_beneath(base, path, flags | O_CLOEXEC | O_NOFOLLOW);
	return -errno;
}

void folder_init(struct folder *folder, char *path)
{
	*folder = (struct folder){.path = path, .watch = -1};
}

static void unwatch(struct folder *folder, struct watch *watch)
{
	if (watch)
		watch_remove(watch, folder->watch, &folder->dirty);
	folder->watch = -1;
}

void folder_done(struct folder *folder, struct watch *watch)
{
	unwatch(folder, watch);
	free(folder->path);
	folder->path = NULL;
}

/* Unless that very directory is watched already. */
static void watch_this(struct folder *folder, int dir, const struct stat *st, struct watch *watch)
{
	bool same = folder->dev == st->st_dev && folder->ino == st->st_ino;

	folder->dev = st->st_dev;
	folder->ino = st->st_ino;
	if (!watch || (same && watch_lives(watch, folder->watch)))
		return;
	unwatch(folder, watch);
	folder->watch = watch_add(watch, dir, &folder->dirty);
}

/* What is not there comes about in the nearest directory above it that is. */
static void watch_ancestor(struct folder *folder, int base, struct watch *watch)
{
	CLEANUP_FREE char *path = strdup(folder->path);
	struct stat st;

	while (path) {
		char *slash = strrchr(path, '/');

		if (slash)
			*slash = 0;
		CLEANUP_CLOSE int dir =
			open_beneath(base, slash ? path : ".", O_PATH | O_DIRECTORY);
		if (dir >= 0 && fstat(dir, &st) == 0) {
			watch_this(folder, dir, &st, watch);
			return;
		}
		if (!slash)
			return;
	}
}

static int64_t mtime_ns(const struct stat *st)
{
	return st->st_mtim.tv_sec * NS_PER_S + st->st_mtim.tv_nsec;
}

static bool unchanged(const struct folder *folder, const struct stat *st)
{
	return folder->exists && folder->settled && !folder->dirty && folder->dev == st->st_dev &&
	       folder->ino == st->st_ino && folder->mtime_ns == mtime_ns(st);
}

/* The watch comes first: what changes after it is heard, what changed before is listed. */
static int take_up(struct folder *folder, int dir, struct watch *watch)
{
	struct stat st;

	if (fstat(dir, &st) < 0)
		return -errno;
	watch_this(folder, dir, &st, watch);
	folder->dirty = false;
	folder->exists = true;
	folder->mtime_ns = mtime_ns(&st);
	folder->settled = clock_wall_ns() - folder->mtime_ns > SETTLED_NS;
	return 0;
}

static int is_missing(struct folder *folder, int base, struct watch *watch, int code)
{
	if (code != -ENOENT && code != -ENOTDIR && code != -ELOOP && base >= 0)
		return code;
	if (base >= 0)
		watch_ancestor(folder, base, watch);
	folder->dirty = false;
	folder->exists = false;
	return -ENOENT;
}

int folder_look(struct folder *folder, int base, struct watch *watch, int *ret)
{
	struct stat st;

	if (fstatat(base, folder->path, &st, AT_SYMLINK_NOFOLLOW) == 0 && unchanged(folder, &st))
		return 0;

	CLEANUP_CLOSE int dir =
		open_beneath(base, folder->path, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
	if (dir < 0)
		return is_missing(folder, base, watch, dir);
	int r = take_up(folder, dir, watch);
	if (r < 0)
		return r;
	*ret = take_fd(&dir);
	return 1;
}

int folder_watch(struct folder *folder, int base, struct watch *watch)
{
	CLEANUP_CLOSE int dir = open_beneath(base, folder->path, O_PATH | O_DIRECTORY);

	if (dir < 0)
		return is_missing(folder, base, watch, dir);
	return take_up(folder, dir, watch);
}

int folder_list(struct folder *folder, int dir, folder_entry_fn *each, void *context)
{
	CLEANUP_DIR DIR *entries = fdopendir(dir);
	struct dirent *entry;
	int r = 0;

	if (!entries) {
		r = -errno;
		close(dir);
		folder->dirty = true;
		return r;
	}
	for (errno = 0; r == 0 && (entry = readdir(entries)); errno = 0)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = each(context, dir, entry->d_name, entry->d_type);
	if (r == 0 && errno)
		r = -errno;
	if (r < 0)
		folder->dirty = true; /* To be listed again. */
	return r;
}

bool entry_is(int dir, const char *name, unsigned char type, unsigned char wanted)
{
	struct stat st;

	if (type != DT_UNKNOWN)
		return type == wanted;
	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && IFTODT(st.st_mode) == wanted;
}
