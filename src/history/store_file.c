/* SPDX-License-Identifier: Apache-2.0 */
/** The store as a file: who owns it, where links lead, what to do with a damaged one. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include "base/fail.h"
#include "base/holder.h"
#include "history/store.h"

/* What SQLite keeps beside a file, by its suffix. */
static const char *const companions[] = {"-wal", "-shm", "-journal"};

/* What the one that writes has locked. Not the file itself: closing a descriptor of that would undo
 * SQLite's own locks. */
#define LOCK_SUFFIX "-lock"

/* 1 there is one that may be used, 0 there is none. */
static int check_one(const char *path, struct tally_error *err)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : tally_fail(err, -errno, "cannot look at %s", path);
	if (S_ISLNK(st.st_mode))
		return tally_refuse(err, -ELOOP,
			"%s is a symbolic link, and a store does not follow one; name the file it "
			"points to",
			path);
	if (!S_ISREG(st.st_mode))
		return tally_refuse(err, -EISDIR, "%s is no regular file", path);
	if (st.st_uid != geteuid() && geteuid() != 0)
		return tally_refuse(err, -EPERM, "%s belongs to another user (uid %u)", path,
			(unsigned)st.st_uid);
	if (st.st_nlink > 1)
		return tally_refuse(err, -EPERM,
			"%s has another name somewhere (a hard link), which a store must not",
			path);
	return 1;
}

int store_file_check(const char *path, struct tally_error *err)
{
	int r = check_one(path, err);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(companions); i++) {
		char name[PATH_MAX];

		snprintf(name, sizeof(name), "%s%s", path, companions[i]);
		int c = check_one(name, err);
		if (c < 0)
			r = c;
	}
	return r;
}

/* Create the last folder of the path if it is missing. */
static int create_folder(const char *path, struct tally_error *err)
{
	char copy[PATH_MAX];

	if (strlen(path) >= sizeof(copy) - 64)
		return tally_fail(err, -ENAMETOOLONG, "cannot use %.80s… as a store", path);
	strcpy(copy, path);

	const char *folder = dirname(copy);
	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return tally_fail(err, -errno, "cannot create the folder %s", folder);
	return 0;
}

int store_file_create(const char *path, struct tally_error *err)
{
	int r = create_folder(path, err);

	if (r < 0)
		return r;

	CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return tally_fail(err, -errno, "cannot create the store %s", path);
	return 0;
}

int store_file_lock(const char *path, int *ret_fd, struct tally_error *err)
{
	char name[PATH_MAX], holder[128] = "another Tally";

	snprintf(name, sizeof(name), "%s" LOCK_SUFFIX, path);

	CLEANUP_CLOSE int fd = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return tally_fail(err, -errno, "store %s: cannot lock it by %s", path, name);
	int r = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
	if (r == -EWOULDBLOCK) {
		holder_of_lock(fd, holder, sizeof(holder));
		return tally_refuse(err, -EBUSY,
			"store %s is being written by %s; stop that one, or name another file",
			path, holder);
	}
	if (r < 0)
		return tally_fail(err, r, "store %s: cannot lock it", path);
	*ret_fd = take_fd(&fd);
	return 0;
}

int store_file_set_aside(
	const char *path, const char *what, char ret[4096], struct tally_error *err)
{
	char from[PATH_MAX], to[PATH_MAX + 16], when[32];
	struct tm tm;
	time_t now = time(NULL);

	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(ret, 4096, i ? "%s.%s-%s-%u" : "%s.%s-%s", path, what, when, i);
		if (access(ret, F_OK) < 0)
			break;
	}
	if (rename(path, ret) < 0)
		return tally_fail(err, -errno, "cannot set the damaged store %s aside", path);
	for (size_t i = 0; i < ARRAY_SIZE(companions); i++) {
		snprintf(from, sizeof(from), "%s%s", path, companions[i]);
		snprintf(to, sizeof(to), "%s%s", ret, companions[i]);
		rename(from, to);
	}
	return 0;
}

static uint64_t bytes_of(const char *path, const char *suffix)
{
	char name[PATH_MAX];
	struct stat st;

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	return stat(name, &st) == 0 ? (uint64_t)st.st_size : 0;
}

uint64_t store_file_wal_bytes(const char *path)
{
	return bytes_of(path, "-wal");
}

uint64_t store_file_bytes(const char *path)
{
	return bytes_of(path, "") + bytes_of(path, "-wal") + bytes_of(path, "-shm");
}
