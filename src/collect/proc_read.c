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

/* loadavg speaks of the reader's pid namespace, which a procfs of another one does not show. */
static bool is_our_namespace(const struct proc_root *root)
{
	char link[16];
	ssize_t length = readlinkat(root->fd, "self", link, sizeof(link));

	return length > 0 && proc_parse_pid(link, (size_t)length) == getpid();
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
	if (is_our_namespace(root))
		root->loadavg = openat(root->fd, "loadavg", O_RDONLY | O_CLOEXEC);
}

int proc_root_open(const char *path, struct proc_root *ret, struct tally_error *err)
{
	struct proc_root root = {
		.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.loadavg = -1,
	};

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
	if (root->loadavg >= 0)
		close(root->loadavg);
	free(root->text);
	free(root->entries);
	*root = (struct proc_root){.fd = -1, .loadavg = -1};
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

/* A listing under way. */
struct listing {
	proc_list_fn *visit;
	void *context;
	size_t size;   /* Of the buffer: how much to ask the kernel for at once. */
	pid_t last;    /* End behind this one; 0: at the end. */
	int64_t at;    /* Position of the next entry, which the one before tells. */
	int64_t shift; /* Position less pid, of the entries so far. */
	bool even;     /* It was the same for all. */
};

/* False: the end of the range is reached. */
static bool take_entry(struct listing *listing, const struct dirent64 *entry)
{
	pid_t pid = 0;

	if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
		pid = proc_parse_pid(entry->d_name, strlen(entry->d_name));
	if (pid <= 0)
		return true;
	if (listing->last && pid > listing->last)
		return false;
	if (listing->shift && listing->shift != listing->at - pid)
		listing->even = false;
	if (listing->at)
		listing->shift = listing->at - pid;
	listing->at = entry->d_off;
	listing->visit(listing->context, pid, entry->d_ino);
	return true;
}

/* struct linux_dirent64 of the kernel is what glibc calls dirent64. */
static int list_fd(const struct proc_root *root, int fd, struct listing *listing)
{
	for (;;) {
		ssize_t got = getdents64(fd, root->entries, listing->size);

		if (got < 0)
			return -errno;
		if (got == 0)
			return 0;
		for (ssize_t at = 0; at < got;) {
			struct dirent64 *entry = (void *)(root->entries + at);

			if (!take_entry(listing, entry))
				return 0;
			at += entry->d_reclen;
		}
	}
}

int proc_list(struct proc_root *root, proc_list_fn *visit, void *context)
{
	struct listing listing = {
		.visit = visit,
		.context = context,
		.size = ENTRIES_SIZE,
		.even = true,
	};

	if (lseek(root->fd, 0, SEEK_SET) < 0)
		return -errno;
	int r = list_fd(root, root->fd, &listing);
	root->ranged = r == 0 && root->loadavg >= 0 && listing.even && listing.shift > 0;
	root->offset = listing.shift;
	return r;
}

/* "0.00 0.01 0.05 1/123 4567" */
pid_t proc_last_pid(const struct proc_root *root)
{
	ssize_t length = root->loadavg < 0 ? -ENOTSUP : proc_reread(root, root->loadavg);

	if (length < 0)
		return (pid_t)length;
	if (length > 0 && root->text[length - 1] == '\n')
		length--;
	const char *blank = memrchr(root->text, ' ', (size_t)length);
	if (!blank)
		return -EINVAL;
	pid_t pid = proc_parse_pid(blank + 1, (size_t)(root->text + length - blank - 1));
	return pid > 0 ? pid : -EINVAL;
}

int proc_list_range(
	const struct proc_root *root, pid_t after, pid_t last, proc_list_fn *visit, void *context)
{
	/* No more than there can be in the range: an entry takes 24 or 32 bytes. */
	size_t wanted = ((size_t)(last - after) + 1) * 32;
	struct listing listing = {
		.visit = visit,
		.context = context,
		.size = wanted < 256		? 256
			: wanted < ENTRIES_SIZE ? wanted
						: ENTRIES_SIZE,
		.last = last,
	};

	if (lseek(root->fd, after + 1 + root->offset, SEEK_SET) < 0)
		return -errno;
	return list_fd(root, root->fd, &listing);
}

int proc_list_threads(const struct proc_root *root, pid_t pid, proc_list_fn *visit, void *context)
{
	CLEANUP_CLOSE int fd = proc_open(root, pid, 0, "task");
	struct listing listing = {.visit = visit, .context = context, .size = ENTRIES_SIZE};

	return fd < 0 ? fd : list_fd(root, fd, &listing);
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
	struct listing listing = {.visit = count_one, .context = &count, .size = ENTRIES_SIZE};

	if (fd < 0)
		return fd;
	int r = list_fd(root, fd, &listing);
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
