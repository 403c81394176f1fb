/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/proc_read.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/file.h"
#include "collect/proc_parse.h"

/* A listing of 5,000 processes takes three calls. */
#define ENTRIES_SIZE (64 * 1024)

#define PATH_SIZE 64

static char *put_number(char *at, pid_t number)
{
	char digits[12];
	int n = 0;

	do
		digits[n++] = (char)('0' + number % 10);
	while (number /= 10);
	while (n > 0)
		*at++ = digits[--n];
	return at;
}

/* "PID/FILE" or "PID/task/TID/FILE": snprintf() would be a tenth of the cost of a read. */
static void make_path(char path[PATH_SIZE], pid_t pid, pid_t tid, const char *file)
{
	char *at = put_number(path, pid);

	if (tid) {
		memcpy(at, "/task/", 6);
		at = put_number(at + 6, tid);
	}
	*at++ = '/';
	strcpy(at, file);
}

/* How the kernel says that a process has gone depends on the instant. */
static ssize_t vanished(ssize_t result)
{
	return result == -ENOENT || result == -ENOTDIR ? -ESRCH : result;
}

/* What the kernel shows of ourselves tells what it can show. */
static void find_abilities(struct proc_root *root)
{
	struct statfs fs;
	struct stat st;
	int64_t run_ns = 0, wait_ns;

	root->real = fstatfs(root->fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
	if (!root->real)
		return;
	root->fd_counts = fstatat(root->fd, "self/fd", &st, 0) == 0 && st.st_size > 0;
	ssize_t length = file_read_at(root->fd, "self/schedstat", root->text, PROC_TEXT_SIZE);
	root->run_times = length > 0 &&
			  proc_parse_schedstat(root->text, (size_t)length, &run_ns, &wait_ns) &&
			  run_ns > 0;
}

int proc_root_open(const char *path, struct proc_root *ret, struct tally_error *err)
{
	struct proc_root root = {.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};

	if (root.fd < 0)
		return tally_fail(err, -errno, "cannot open %.200s", path);
	root.tick_ns = NS_PER_S / sysconf(_SC_CLK_TCK);
	root.page_bytes = sysconf(_SC_PAGESIZE);
	root.text = malloc(PROC_TEXT_SIZE);
	root.entries = malloc(ENTRIES_SIZE);
	if (!root.text || !root.entries) {
		proc_root_close(&root);
		return tally_fail(err, -ENOMEM, "cannot read %.200s", path);
	}
	find_abilities(&root);
	*ret = root;
	return 0;
}

void proc_root_close(struct proc_root *root)
{
	if (root->fd >= 0)
		close(root->fd);
	free(root->text);
	free(root->entries);
	*root = (struct proc_root){.fd = -1};
}

int proc_open(const struct proc_root *root, pid_t pid, pid_t tid, const char *file)
{
	char path[PATH_SIZE];

	make_path(path, pid, tid, file);
	int fd = openat(root->fd, path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? (int)vanished(-errno) : fd;
}

ssize_t proc_reread(const struct proc_root *root, int fd)
{
	ssize_t length;

	/* One call: the kernel gives these files whole. */
	do
		length = pread(fd, root->text, PROC_TEXT_SIZE, 0);
	while (length < 0 && errno == EINTR);
	return length < 0 ? -errno : length;
}

ssize_t proc_read(const struct proc_root *root, pid_t pid, pid_t tid, const char *file)
{
	CLEANUP_CLOSE int fd = proc_open(root, pid, tid, file);

	return fd < 0 ? fd : proc_reread(root, fd);
}

bool proc_exists(const struct proc_root *root, pid_t pid)
{
	char path[PATH_SIZE];

	make_path(path, pid, 0, ".");
	return faccessat(root->fd, path, F_OK, 0) == 0;
}

/* One entry as the kernel writes it: struct linux_dirent64, which glibc calls dirent64. */
static int list_fd(const struct proc_root *root, int fd, proc_list_fn *visit, void *context)
{
	for (;;) {
		ssize_t got = getdents64(fd, root->entries, ENTRIES_SIZE);

		if (got < 0)
			return -errno;
		if (got == 0)
			return 0;
		for (ssize_t at = 0; at < got;) {
			struct dirent64 *entry = (void *)(root->entries + at);
			pid_t pid = 0;

			if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
				pid = proc_parse_pid(entry->d_name, strlen(entry->d_name));
			if (pid > 0)
				visit(context, pid, entry->d_ino);
			at += entry->d_reclen;
		}
	}
}

int proc_list(const struct proc_root *root, proc_list_fn *visit, void *context)
{
	if (lseek(root->fd, 0, SEEK_SET) < 0)
		return -errno;
	return list_fd(root, root->fd, visit, context);
}

int proc_list_threads(const struct proc_root *root, pid_t pid, proc_list_fn *visit, void *context)
{
	CLEANUP_CLOSE int fd = proc_open(root, pid, 0, "task");

	return fd < 0 ? fd : list_fd(root, fd, visit, context);
}

static void count_one(void *context, pid_t fd, uint64_t inode)
{
	++*(int64_t *)context;
}

/* Descriptor 0 is a name that list_fd() skips: it is asked for by itself. */
static int64_t count_entries(const struct proc_root *root, pid_t pid, pid_t tid)
{
	CLEANUP_CLOSE int fd = proc_open(root, pid, tid, "fd");
	int64_t count = 0;

	if (fd < 0)
		return fd;
	int r = list_fd(root, fd, count_one, &count);
	if (faccessat(fd, "0", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		count++;
	return r < 0 ? r : count;
}

int64_t proc_count_fds(const struct proc_root *root, pid_t pid, pid_t tid)
{
	char path[PATH_SIZE];
	struct stat st;

	if (!root->fd_counts)
		return count_entries(root, pid, tid);
	make_path(path, pid, tid, "fd");
	if (fstatat(root->fd, path, &st, 0) < 0)
		return vanished(-errno);
	return st.st_size;
}
