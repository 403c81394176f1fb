/* SPDX-License-Identifier: Apache-2.0 */
/** The worker: figures arrive, stay fresh, and nobody waits for a file system. */
#include "check.h"
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include "base/clock.h"
#include "disk/disk.h"
#include "tree.h"

/* No test depends on how long it takes, only that it comes. */
static void wait_for_looks(
	struct disk *disk, uint32_t sandbox, int64_t looks, struct disk_reading *ret)
{
	for (int i = 0; i < 3000; i++) {
		disk_read(disk, sandbox, ret);
		if (ret->looks >= looks || (ret->code && ret->code != -EINPROGRESS))
			return;
		usleep(10000);
	}
	fail_msg("no figure came");
}

/* Watch a sandbox until it was looked at so often. */
static uint32_t watch_for_looks(
	struct disk *disk, const char *path, int64_t looks, struct disk_reading *ret)
{
	uint32_t sandbox;

	assert_int_equal(disk_watch(disk, path, &sandbox, NULL), 0);
	wait_for_looks(disk, sandbox, looks, ret);
	return sandbox;
}

static struct disk *opened(int64_t interval_ns)
{
	struct disk_options options = {.interval_ns = interval_ns, .share = 1};
	struct disk *disk;

	assert_int_equal(disk_open(&options, &disk, NULL), 0);
	return disk;
}

static void figure_arrives_and_agrees_with_du(void **state)
{
	char *path = tree_new(NULL);
	struct disk *disk = opened(0);
	struct disk_reading reading;

	tree_run(path, "mkdir a; echo >a/x");
	watch_for_looks(disk, path, 1, &reading);
	assert_int_equal(reading.code, 0);
	assert_int_equal(reading.bytes, tree_du(path));
	assert_int_equal(reading.files, 3);
	assert_int_equal(reading.partial, 0);
	assert_between(reading.boot_ns, clock_boot_ns() - 60 * NS_PER_S, clock_boot_ns());
	assert_non_null(reading.method);
	disk_close(disk);
	tree_free(path);
}

static void figure_follows_at_its_interval(void **state)
{
	char *path = tree_new(NULL);
	struct disk *disk = opened(10 * NS_PER_MS);
	struct disk_reading reading;
	uint32_t sandbox;

	sandbox = watch_for_looks(disk, path, 2, &reading);
	tree_run(path, "head -c 100000 /dev/zero >x");
	/* The look under way may have been too early. */
	disk_read(disk, sandbox, &reading);
	wait_for_looks(disk, sandbox, reading.looks + 2, &reading);
	assert_int_equal(reading.bytes, tree_du(path));
	disk_close(disk);
	tree_free(path);
}

static void refresh_does_not_wait_for_the_interval(void **state)
{
	char *path = tree_new(NULL);
	struct disk *disk = opened(3600 * NS_PER_S);
	struct disk_reading reading;
	uint32_t sandbox;

	sandbox = watch_for_looks(disk, path, 1, &reading);
	tree_run(path, "head -c 100000 /dev/zero >x");
	disk_refresh(disk, sandbox);
	wait_for_looks(disk, sandbox, 2, &reading);
	assert_int_equal(reading.bytes, tree_du(path));
	disk_close(disk);
	tree_free(path);
}

static void count_call(void *context)
{
	atomic_fetch_add((atomic_int *)context, 1);
}

static void arrival_is_told(void **state)
{
	atomic_int calls = 0;
	struct disk_options options = {.changed = count_call, .context = &calls, .share = 1};
	struct disk_reading reading;
	struct disk *disk;

	assert_int_equal(disk_open(&options, &disk, NULL), 0);
	watch_for_looks(disk, "/nonexistent/tally", 1, &reading);
	assert_int_equal(reading.code, -ENOENT);
	assert_non_null(strstr(reading.why, "/nonexistent/tally"));
	disk_close(disk);
	assert_int_equal(calls, 1);
}

static void roots_and_relative_paths_are_refused(void **state)
{
	struct disk *disk = opened(0);
	struct tally_error err = {0};
	struct disk_reading reading;
	uint32_t sandbox;

	assert_int_equal(disk_watch(disk, "/", &sandbox, &err), -EINVAL);
	assert_int_equal(disk_watch(disk, "///", &sandbox, &err), -EINVAL);
	assert_int_equal(disk_watch(disk, "relative/path", &sandbox, &err), -EINVAL);
	assert_int_equal(disk_watch(disk, "", &sandbox, &err), -EINVAL);
	assert_int_equal(disk_watch(disk, "/tmp/..", &sandbox, &err), 0);
	wait_for_looks(disk, sandbox, 1, &reading);
	assert_int_equal(reading.code, -EINVAL);
	disk_close(disk);
}

static void sandboxes_come_and_go_while_walked(void **state)
{
	char *path = tree_new(tree_quick());
	struct disk *disk = opened(NS_PER_MS);
	struct disk_reading reading;
	struct disk_status status;
	uint32_t kept, sandboxes[50];

	tree_run(path, "mkdir {1..300}; for i in {1..300}; do echo >$i/x; done");
	assert_int_equal(disk_watch(disk, path, &kept, NULL), 0);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 50; i++)
			assert_int_equal(disk_watch(disk, path, &sandboxes[i], NULL), 0);
		usleep(1000);
		for (int i = 0; i < 50; i++)
			disk_unwatch(disk, sandboxes[i]);
	}
	wait_for_looks(disk, kept, 1, &reading);
	assert_int_equal(reading.bytes, tree_du(path));
	disk_status(disk, &status);
	assert_int_equal(status.sandboxes, 1);
	assert_int_equal(status.stuck, 0);
	disk_close(disk);
	tree_free(path);
}

static void close_during_a_walk_is_clean(void **state)
{
	char *path = tree_new(tree_quick());

	tree_run(path, "mkdir {1..300}; for i in {1..300}; do echo >$i/x; done");
	for (int i = 0; i < 20; i++) {
		struct disk *disk = opened(NS_PER_MS);
		uint32_t sandbox;

		assert_int_equal(disk_watch(disk, path, &sandbox, NULL), 0);
		usleep(100 * (unsigned)i);
		assert_null(disk_close(disk));
	}
	tree_free(path);
}

/* -- a file system that does not answer ------------------------------------------------------- */

/* A FUSE mount of which nobody reads the requests; it answers, with an error, once fd is closed. */
static int mount_silent(const char *path)
{
	char options[100];
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -1;
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (mount("tally-test", path, "fuse", 0, options) == 0)
		return fd;
	close(fd);
	return -1;
}

static void wait_for_stuck(struct disk *disk, size_t wanted, uint32_t sandbox)
{
	struct disk_reading reading;
	struct disk_status status;

	for (int i = 0; i < 3000; i++) {
		disk_read(disk, sandbox, &reading);
		disk_status(disk, &status);
		if (status.stuck == wanted)
			return;
		usleep(10000);
	}
	fail_msg("%zu workers are stuck, not %zu", status.stuck, wanted);
}

static struct disk *opened_impatient(void)
{
	struct disk_options options = {
		.interval_ns = 10 * NS_PER_MS, .share = 1, .stall_ns = 300 * NS_PER_MS};
	struct disk *disk;

	assert_int_equal(disk_open(&options, &disk, NULL), 0);
	return disk;
}

static void silent_file_system_costs_one_worker(void **state)
{
	char *path = tree_new(NULL);
	char silent[300], below[400];
	struct disk *disk = opened_impatient();
	struct disk_reading reading;
	uint32_t good, bad, neighbour;

	tree_run(path, "mkdir good silent; echo >good/x");
	snprintf(silent, sizeof(silent), "%s/silent", path);
	int fd = mount_silent(silent);
	if (fd < 0) {
		disk_close(disk);
		tree_free(path);
		skip_because("no FUSE mounts here");
	}
	assert_int_equal(disk_watch(disk, silent, &bad, NULL), 0);
	snprintf(below, sizeof(below), "%s/below", silent);
	wait_for_stuck(disk, 1, bad);
	/* What lies in the same mount is not tried: it would cost another one. */
	assert_int_equal(disk_watch(disk, below, &neighbour, NULL), 0);
	snprintf(below, sizeof(below), "%s/good", path);
	good = watch_for_looks(disk, below, 50, &reading);
	assert_int_equal(reading.code, 0);
	wait_for_stuck(disk, 1, bad);
	disk_read(disk, bad, &reading);
	assert_int_equal(reading.code, -ETIMEDOUT);
	assert_non_null(strstr(reading.why, "does not answer"));
	disk_read(disk, neighbour, &reading);
	assert_true(reading.code < 0);

	close(fd);
	wait_for_stuck(disk, 0, bad);
	wait_for_looks(disk, good, reading.looks + 50, &reading);
	tree_run(path, "umount silent");
	wait_for_looks(disk, bad, 1, &reading);
	disk_close(disk);
	tree_free(path);
}

static void close_does_not_wait_for_a_silent_file_system(void **state)
{
	char *path = tree_new(NULL);
	struct disk *disk = opened_impatient();
	uint32_t bad;
	int fd = mount_silent(path);

	if (fd < 0) {
		disk_close(disk);
		tree_free(path);
		skip_because("no FUSE mounts here");
	}
	assert_int_equal(disk_watch(disk, path, &bad, NULL), 0);
	wait_for_stuck(disk, 1, bad);
	disk_close(disk);
	close(fd);
	/* The one that was left ends by itself, and frees what it held. */
	usleep(300000);
	assert_int_equal(umount(path), 0);
	tree_free(path);
}

static void unknown_method_is_refused_by_name(void **state)
{
	struct disk_options options = {.methods = "walk,guess"};
	struct tally_error err = {0};
	struct disk *disk;

	assert_int_equal(disk_open(&options, &disk, &err), -EINVAL);
	assert_non_null(strstr(err.message, "guess"));
}

/* -- hostile sandboxes ------------------------------------------------------------------------- */

/* Makes files and directories as fast as it can, until it is ended; at most so many. */
static pid_t start_growing(const char *path)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	alarm(30);
	for (int i = 0; i < 20000; i++) {
		char name[400];

		snprintf(name, sizeof(name), "%s/%d", path, i);
		if (i % 10 == 0)
			mkdir(name, 0755);
		else
			close(open(name, O_WRONLY | O_CREAT, 0644));
	}
	_exit(0);
}

static void check_growing(const char *parent, const char *methods)
{
	char *path = tree_new(parent);
	struct disk_options options = {.interval_ns = NS_PER_MS, .share = 1, .methods = methods};
	struct disk_reading reading;
	struct disk *disk;
	uint32_t sandbox;
	int status;

	assert_int_equal(disk_open(&options, &disk, NULL), 0);
	pid_t grower = start_growing(path);
	sandbox = watch_for_looks(disk, path, 2, &reading);
	assert_int_equal(reading.code, 0);
	kill(grower, SIGKILL);
	assert_int_equal(waitpid(grower, &status, 0), grower);
	/* At rest it is right, whatever was missed on the way. */
	int64_t du = tree_du(path);
	for (int i = 0; i < 1000 && reading.bytes != du; i++) {
		usleep(20000);
		disk_read(disk, sandbox, &reading);
	}
	assert_int_equal(reading.bytes, du);
	disk_close(disk);
	tree_free(path);
}

static void tree_that_grows_faster_than_it_is_walked_has_a_figure(void **state)
{
	check_growing(NULL, "walk");
	check_growing("/dev/shm", "walk");
	check_growing("/dev/shm", "track,walk");
}

static void bind_mount_loop_ends_for_the_tracker(void **state)
{
	char *path = tree_new(NULL);
	struct disk_options options = {
		.interval_ns = 10 * NS_PER_MS, .share = 1, .methods = "track,walk"};
	struct disk_reading reading;
	struct disk *disk;

	if (geteuid() != 0)
		skip_because("needs root to mount");
	tree_run(path, "mkdir -p a/loop; echo >a/x; mount --bind . a/loop");
	assert_int_equal(disk_open(&options, &disk, NULL), 0);
	watch_for_looks(disk, path, 3, &reading);
	int64_t du = tree_du(path);
	tree_run(path, "umount a/loop");
	assert_int_equal(reading.code, 0);
	assert_int_equal(reading.bytes, du);
	assert_int_equal(reading.files, 3);
	disk_close(disk);
	tree_free(path);
}

/* With this a process ends that lacks what its test needs. */
#define LACKING 77

/* A test in a process of its own, which it may bend; the tree is freed. */
static void run_apart(void (*test)(const char *path), char *path, const char *lacking)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		test(path);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	tree_free(path);
	if (WIFEXITED(status) && WEXITSTATUS(status) == LACKING)
		skip_because("%s", lacking);
	assert_int_equal(status, 0);
}

/* As many groups as one user may have are taken already. */
static void exhaust_fanotify(void)
{
	for (int i = 0; i < 4096; i++)
		if (fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME, O_RDONLY) < 0)
			return;
	_exit(LACKING);
}

static void be_right_without_fanotify(const char *path)
{
	struct rlimit files = {8192, 8192};

	setrlimit(RLIMIT_NOFILE, &files);
	/* Not nobody: the limit is each user's, and other tests are nobody. */
	if (geteuid() == 0 && (setgid(65533) < 0 || setuid(65533) < 0))
		_exit(1);
	exhaust_fanotify();

	struct disk *disk = opened(3600 * NS_PER_S);
	struct disk_reading reading;
	uint32_t sandbox;

	sandbox = watch_for_looks(disk, path, 1, &reading);
	assert_string_equal(reading.method, "walk");
	assert_true(strlen(reading.why) > 10);
	assert_int_equal(reading.bytes, tree_du(path));
	tree_run(path, "head -c 100000 /dev/zero >y; rm x");
	disk_refresh(disk, sandbox);
	wait_for_looks(disk, sandbox, 2, &reading);
	assert_int_equal(reading.bytes, tree_du(path));
	disk_close(disk);
}

static void ordinary_user_without_fanotify_is_right_too(void **state)
{
	char *path = tree_new(NULL);

	tree_run(path, "chmod 777 .; mkdir d; echo >x; echo >d/y");
	run_apart(be_right_without_fanotify, path, "there is no end of fanotify here");
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* In a user namespace of its own. */
static struct disk *opened_with_limit(const char *limit, const char *value)
{
	struct disk_options options = {
		.interval_ns = 10 * NS_PER_MS, .share = 1, .methods = "track,walk"};
	struct disk *disk;
	char file[64];

	snprintf(file, sizeof(file), "/proc/sys/user/%s", limit);
	if (unshare(CLONE_NEWUSER) < 0 || !write_file("/proc/self/uid_map", "0 0 1") ||
		!write_file(file, value))
		_exit(LACKING);
	assert_int_equal(disk_open(&options, &disk, NULL), 0);
	return disk;
}

static void get_a_group_when_another_is_gone(const char *path)
{
	struct disk *disk = opened_with_limit("max_fanotify_groups", "1");
	struct disk_reading reading;
	uint32_t first, second;
	char other[300];

	snprintf(other, sizeof(other), "%s/b", path);
	first = watch_for_looks(disk, path, 1, &reading);
	if (strcmp(reading.method, "track") != 0)
		_exit(LACKING);
	second = watch_for_looks(disk, other, 1, &reading);
	assert_string_equal(reading.method, "walk");
	assert_non_null(strstr(reading.why, "max_user_groups"));
	disk_unwatch(disk, first);
	for (int i = 0; i < 3000 && strcmp(reading.method, "track") != 0; i++) {
		usleep(10000);
		disk_read(disk, second, &reading);
	}
	assert_string_equal(reading.method, "track");
	assert_string_equal(reading.why, "");
	assert_int_equal(reading.bytes, tree_du(other));
	disk_close(disk);
}

static void what_had_no_group_is_tracked_when_there_is_one(void **state)
{
	char *path = tree_new(tree_quick());

	tree_run(path, "mkdir b; echo >b/x");
	run_apart(get_a_group_when_another_is_gone, path,
		"no user namespace with a limit of fanotify of its own");
}

static void walk_what_has_too_many_directories(const char *path)
{
	struct disk *disk = opened_with_limit("max_fanotify_marks", "5");
	struct disk_reading reading;
	char below[300];

	snprintf(below, sizeof(below), "%s/1", path);
	watch_for_looks(disk, path, 3, &reading);
	assert_int_equal(reading.code, 0);
	assert_string_equal(reading.method, "walk");
	assert_non_null(strstr(reading.why, "max_user_marks"));
	assert_int_equal(reading.bytes, tree_du((char *)path));
	assert_int_equal(reading.files, tree_files((char *)path));

	/* Its marks were given back: a small one has room. */
	watch_for_looks(disk, below, 1, &reading);
	assert_string_equal(reading.method, "track");
	disk_close(disk);
}

static void more_directories_than_marks_are_walked(void **state)
{
	char *path = tree_new(tree_quick());

	tree_run(path, "mkdir {1..9}; for i in {1..9}; do echo >$i/x; done");
	run_apart(walk_what_has_too_many_directories, path,
		"no user namespace with a limit of fanotify of its own");
}

/* -- a sandbox that becomes something else ---------------------------------------------------- */

static void wait_for_code(struct disk *disk, uint32_t sandbox, int code, struct disk_reading *ret)
{
	for (int i = 0; i < 3000; i++) {
		disk_read(disk, sandbox, ret);
		if (ret->code == code)
			return;
		usleep(10000);
	}
	fail_msg("the sandbox answers %d (%s), not %d", ret->code, ret->why, code);
}

static void swap_for_a_symlink(const char *method)
{
	char *path = tree_new(tree_quick());
	struct disk_options options = {
		.interval_ns = 10 * NS_PER_MS, .share = 1, .methods = method};
	struct disk_reading reading, before;
	char box[300];
	uint32_t sandbox;
	struct disk *disk;

	tree_run(path, "mkdir box other new; echo >box/x; echo >new/a; echo >new/b;"
		       "head -c 1M /dev/zero >other/big");
	snprintf(box, sizeof(box), "%s/box", path);
	assert_int_equal(disk_open(&options, &disk, NULL), 0);
	sandbox = watch_for_looks(disk, box, 1, &before);
	assert_string_equal(before.method, method);

	tree_run(path, "mv box gone; ln -s other box");
	wait_for_code(disk, sandbox, -ENOTDIR, &reading);
	assert_non_null(strstr(reading.why, "a symlink is not followed"));
	assert_int_equal(reading.bytes, before.bytes);

	tree_run(path, "rm box; mv new box");
	wait_for_code(disk, sandbox, 0, &reading);
	assert_int_equal(reading.bytes, tree_du(box));
	assert_int_equal(reading.files, 3);
	disk_close(disk);
	tree_free(path);
}

static void sandbox_swapped_for_a_symlink_is_not_followed(void **state)
{
	swap_for_a_symlink("walk");
	if (access("/proc/sys/fs/fanotify", F_OK) == 0)
		swap_for_a_symlink("track");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(figure_arrives_and_agrees_with_du),
		cmocka_unit_test(figure_follows_at_its_interval),
		cmocka_unit_test(refresh_does_not_wait_for_the_interval),
		cmocka_unit_test(arrival_is_told),
		cmocka_unit_test(roots_and_relative_paths_are_refused),
		cmocka_unit_test(sandboxes_come_and_go_while_walked),
		cmocka_unit_test(close_during_a_walk_is_clean),
		cmocka_unit_test(silent_file_system_costs_one_worker),
		cmocka_unit_test(close_does_not_wait_for_a_silent_file_system),
		cmocka_unit_test(unknown_method_is_refused_by_name),
		cmocka_unit_test(tree_that_grows_faster_than_it_is_walked_has_a_figure),
		cmocka_unit_test(bind_mount_loop_ends_for_the_tracker),
		cmocka_unit_test(ordinary_user_without_fanotify_is_right_too),
		cmocka_unit_test(what_had_no_group_is_tracked_when_there_is_one),
		cmocka_unit_test(more_directories_than_marks_are_walked),
		cmocka_unit_test(sandbox_swapped_for_a_symlink_is_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
