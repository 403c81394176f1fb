/* SPDX-License-Identifier: Apache-2.0 */
/** Files without a name count as long as a process of the task holds them open, and each once. */
#include "check.h"
#include <sys/mman.h>
#include "base/clock.h"
#include "collect/collector.h"
#include "disk/disk.h"
#include "tree.h"

/* -- a disk, with and without the kernel's list ------------------------------------------------ */

struct held_visit {
	disk_held_visit_fn *visit;
	void *context;
};

static struct collector *collector;

static int pass_on(void *context, const struct collect_held *held)
{
	const struct held_visit *to = context;
	struct disk_held file = {held->pid, held->thread, held->fd, held->device, held->inode,
		held->blocks, held->size};

	return to->visit(to->context, &file);
}

static int list_held(void *context, disk_held_visit_fn *visit, void *visit_context)
{
	return collector_held(collector, pass_on, &(struct held_visit){visit, visit_context});
}

static int open_kernel_list(void **state)
{
	/* Without it, what is proved of it is skipped. */
	if (collector_open("bpf", NULL, &collector, NULL, NULL) < 0)
		collector = NULL;
	return 0;
}

static int close_kernel_list(void **state)
{
	collector = collector_close(collector);
	return 0;
}

static struct disk *opened(bool listed)
{
	struct disk_options options = {.interval_ns = 20 * NS_PER_MS,
		.share = 1,
		.methods = "track,walk",
		.held = listed ? list_held : NULL};
	struct disk *disk;

	assert_int_equal(disk_open(&options, &disk, NULL), 0);
	return disk;
}

static uint32_t watched(struct disk *disk, const char *path)
{
	uint32_t sandbox;

	assert_int_equal(disk_watch(disk, path, &sandbox, NULL), 0);
	return sandbox;
}

static void hold(struct disk *disk, uint32_t sandbox, pid_t pid, pid_t other)
{
	struct disk_holder holders[] = {{.pid = pid, .tag = 7}, {.pid = other, .tag = 8}};

	assert_int_equal(disk_hold(disk, sandbox, holders, other ? 2 : 1), 0);
}

/* A figure of a look that began after this call. */
static struct disk_reading read_new(struct disk *disk, uint32_t sandbox)
{
	struct disk_reading reading;
	int64_t since_ns = clock_boot_ns();

	for (int i = 0; i < 3000; i++) {
		disk_refresh(disk, sandbox);
		disk_read(disk, sandbox, &reading);
		if (reading.boot_ns > since_ns && reading.deleted_code != -EINPROGRESS)
			return reading;
		usleep(5000);
	}
	fail_msg("no figure came: %d, %d", reading.code, reading.deleted_code);
	return reading;
}

struct found {
	struct disk_deleted files[8];
	char names[8][400];
	int count;
	int64_t left_out;
};

static void note(void *context, const struct disk_deleted *file)
{
	struct found *found = context;

	if (found->count < 8) {
		found->files[found->count] = *file;
		snprintf(found->names[found->count], 400, "%s", file->name ?: "");
	}
	found->count++;
}

static struct found listed(struct disk *disk, uint32_t sandbox)
{
	struct found found = {0};

	disk_deleted(disk, sandbox, note, &found, &found.left_out);
	return found;
}

/* -- files ------------------------------------------------------------------------------------- */

static int make(const char *folder, const char *name, off_t size)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	/* Not every file system can: then it is written. */
	if (fallocate(fd, 0, 0, size) < 0)
		for (off_t at = 0; at < size; at += 4096)
			assert_int_equal(pwrite(fd, "x", 1, at), 1);
	return fd;
}

static int make_nameless(const char *folder, const char *name, off_t size)
{
	char path[400];
	int fd = make(folder, name, size);

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	assert_int_equal(unlink(path), 0);
	return fd;
}

static int64_t bytes_of(int fd)
{
	struct stat stat;

	assert_int_equal(fstat(fd, &stat), 0);
	return (int64_t)stat.st_blocks * 512;
}

/* -- tests ------------------------------------------------------------------------------------- */

static void check_held_file(bool with_list)
{
	char *path = tree_new(NULL);
	struct disk *disk = opened(with_list);
	uint32_t sandbox = watched(disk, path);
	char name[400];

	hold(disk, sandbox, getpid(), 0);
	assert_int_equal(read_new(disk, sandbox).deleted_bytes, 0);
	int fd = make(path, "big one", 1 << 30);
	struct disk_reading reading = read_new(disk, sandbox);
	assert_int_equal(reading.deleted_code, 0);
	assert_int_equal(reading.deleted_bytes, 0);
	assert_int_equal(reading.bytes, tree_du(path));

	snprintf(name, sizeof(name), "%s/big one", path);
	unlink(name);
	reading = read_new(disk, sandbox);
	assert_int_equal(reading.bytes, tree_du(path));
	assert_int_equal(reading.deleted_bytes, bytes_of(fd));
	assert_int_equal(reading.deleted_files, 1);
	struct found found = listed(disk, sandbox);
	assert_int_equal(found.count, 1);
	assert_int_equal(found.left_out, 0);
	assert_int_equal(found.files[0].holder, 7);
	assert_int_equal(found.files[0].pid, getpid());
	assert_int_equal(found.files[0].fd, fd);
	assert_int_equal(found.files[0].bytes, bytes_of(fd));
	assert_int_equal(found.files[0].size, 1 << 30);
	assert_string_equal(found.names[0], name);

	close(fd);
	assert_int_equal(read_new(disk, sandbox).deleted_bytes, 0);
	assert_int_equal(listed(disk, sandbox).count, 0);
	disk_close(disk);
	tree_free(path);
}

static void file_held_open_counts_until_it_is_closed(void **state)
{
	check_held_file(false);
}

static int visit_nothing(void *context, const struct disk_held *held)
{
	return 0;
}

static void kernels_list_finds_the_same(void **state)
{
	struct held_visit none = {visit_nothing, NULL};

	if (!collector || collector_held(collector, pass_on, &none) == -ENOTSUP)
		skip_because("the kernel lists no open files here");
	check_held_file(true);
}

/* Another name, another file system, memory: none of them is a loss of this sandbox. */
static void check_others(bool with_list)
{
	char *path = tree_new(NULL);
	char *elsewhere = tree_new("/dev/shm");
	struct disk *disk = opened(with_list);
	uint32_t sandbox = watched(disk, path);

	hold(disk, sandbox, getpid(), 0);
	int linked = make(path, "one", 50000);
	tree_run(path, "ln one two; rm one");
	int other = make_nameless(elsewhere, "x", 50000);
	int memory = memfd_create("x", MFD_CLOEXEC);
	assert_int_equal(ftruncate(memory, 50000), 0);
	struct disk_reading reading = read_new(disk, sandbox);
	assert_int_equal(reading.deleted_code, 0);
	assert_int_equal(reading.deleted_bytes, 0);
	assert_int_equal(reading.deleted_files, 0);
	close(linked);
	close(other);
	close(memory);
	disk_close(disk);
	tree_free(elsewhere);
	tree_free(path);
}

static void what_is_not_lost_does_not_count(void **state)
{
	check_others(false);
	if (collector)
		check_others(true);
}

/* A child has all its parent has: two processes, three descriptors, one file. */
static void check_shared(bool with_list)
{
	char *path = tree_new(NULL);
	struct disk *disk = opened(with_list);
	uint32_t sandbox = watched(disk, path);
	int fd = make_nameless(path, "x", 100000), again = dup(fd), end[2];

	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	pid_t child = fork();
	if (child == 0) {
		char byte;

		close(again);
		close(end[1]);
		_exit(read(end[0], &byte, 1) != 0);
	}
	hold(disk, sandbox, getpid(), child);
	struct disk_reading reading = read_new(disk, sandbox);
	while (listed(disk, sandbox).count > 3) /* The child has not closed its own yet. */
		reading = read_new(disk, sandbox);
	struct found found = listed(disk, sandbox);
	assert_int_equal(reading.deleted_bytes, bytes_of(fd));
	assert_int_equal(reading.deleted_files, 1);
	assert_int_equal(found.count, 3);
	assert_int_equal(found.files[0].ino, found.files[2].ino);

	close(fd);
	close(again);
	reading = read_new(disk, sandbox);
	assert_int_equal(reading.deleted_files, 1);
	found = listed(disk, sandbox);
	assert_int_equal(found.count, 1);
	assert_int_equal(found.files[0].pid, child);
	assert_int_equal(found.files[0].holder, 8);
	close(end[1]);
	waitpid(child, NULL, 0);
	assert_int_equal(read_new(disk, sandbox).deleted_bytes, 0);
	close(end[0]);
	disk_close(disk);
	tree_free(path);
}

static void file_counts_once_and_every_descriptor_is_listed(void **state)
{
	check_shared(false);
	if (collector)
		check_shared(true);
}

static void another_process_with_the_pid_holds_nothing(void **state)
{
	char *path = tree_new(NULL);
	struct disk *disk = opened(false);
	uint32_t sandbox = watched(disk, path);
	struct disk_holder other = {.pid = getpid(), .start_ns = NS_PER_S};
	int fd = make_nameless(path, "x", 100000);

	assert_int_equal(disk_hold(disk, sandbox, &other, 1), 0);
	struct disk_reading reading = read_new(disk, sandbox);
	assert_int_equal(reading.deleted_code, 0);
	assert_int_equal(reading.deleted_bytes, 0);
	close(fd);
	disk_close(disk);
	tree_free(path);
}

static void heaviest_are_listed_and_the_others_counted(void **state)
{
	char *path = tree_new(NULL);
	struct disk *disk = opened(false);
	uint32_t sandbox = watched(disk, path);
	int fds[300];
	int64_t bytes = 0;

	for (int i = 0; i < 300; i++) {
		fds[i] = make_nameless(path, "x", 4096 * (1 + i * 7 % 300));
		bytes += bytes_of(fds[i]);
	}
	hold(disk, sandbox, getpid(), 0);
	struct disk_reading reading = read_new(disk, sandbox);
	struct found found = listed(disk, sandbox);
	assert_int_equal(reading.deleted_bytes, bytes);
	assert_int_equal(reading.deleted_files, 300);
	assert_int_equal(found.count, 256);
	assert_int_equal(found.left_out, 300 - 256);
	assert_int_equal(found.files[0].size, 4096 * 300);
	for (int i = 1; i < 8; i++)
		assert_true(found.files[i].bytes <= found.files[i - 1].bytes);
	for (int i = 0; i < 300; i++)
		close(fds[i]);
	disk_close(disk);
	tree_free(path);
}

/* What may not be read is not known, and not zero. */
static void descriptors_of_others_are_not_known(void **state)
{
	char *path = tree_new(NULL);
	int status;

	if (geteuid() != 0)
		skip_because("needs root to become somebody else");
	tree_run(path, "chmod 755 .");
	pid_t parent = getpid(), pid = fork();
	if (pid == 0) {
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(1);
		struct disk *disk = opened(false);
		uint32_t sandbox = watched(disk, path);

		hold(disk, sandbox, parent, 0);
		struct disk_reading reading = read_new(disk, sandbox);
		disk_close(disk);
		_exit(reading.code == 0 && reading.deleted_code == -EACCES ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	tree_free(path);
}

static void nothing_is_known_before_its_processes_are(void **state)
{
	char *path = tree_new(NULL);
	struct disk *disk = opened(false);
	uint32_t sandbox = watched(disk, path);
	struct disk_reading reading;

	do {
		usleep(5000);
		disk_read(disk, sandbox, &reading);
	} while (reading.looks < 3);
	assert_int_equal(reading.deleted_code, -EINPROGRESS);
	assert_int_equal(disk_hold(disk, sandbox, NULL, 0), 0);
	reading = read_new(disk, sandbox);
	assert_int_equal(reading.deleted_code, 0);
	assert_int_equal(reading.deleted_bytes, 0);
	disk_close(disk);
	tree_free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_held_open_counts_until_it_is_closed),
		cmocka_unit_test(kernels_list_finds_the_same),
		cmocka_unit_test(what_is_not_lost_does_not_count),
		cmocka_unit_test(file_counts_once_and_every_descriptor_is_listed),
		cmocka_unit_test(another_process_with_the_pid_holds_nothing),
		cmocka_unit_test(heaviest_are_listed_and_the_others_counted),
		cmocka_unit_test(descriptors_of_others_are_not_known),
		cmocka_unit_test(nothing_is_known_before_its_processes_are),
	};

	return cmocka_run_group_tests(tests, open_kernel_list, close_kernel_list);
}
