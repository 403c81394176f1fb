/* SPDX-License-Identifier: Apache-2.0 */
/** The cheapest method that serves a sandbox is taken, and the next one when it cannot any more. */
#include "check.h"
#include "base/clock.h"
#include "disk/disk.h"
#include "disk/mounts.h"
#include "disk/registry.h"
#include "tree.h"

static struct disk_reading read_next(struct disk *disk, uint32_t sandbox, int64_t looks)
{
	struct disk_reading reading;

	disk_refresh(disk, sandbox);
	for (int i = 0; i < 3000; i++) {
		disk_read(disk, sandbox, &reading);
		if (reading.looks > looks || (reading.code && reading.code != -EINPROGRESS))
			return reading;
		usleep(10000);
	}
	fail_msg("no figure came");
	return reading;
}

static struct disk *opened(const char *methods)
{
	struct disk_options options = {
		.interval_ns = 3600 * NS_PER_S, .share = 1, .methods = methods};
	struct disk *disk;

	assert_int_equal(disk_open(&options, &disk, NULL), 0);
	return disk;
}

static const char *method_for(const char *path, const char *methods)
{
	struct disk *disk = opened(methods);
	struct disk_reading reading;
	uint32_t sandbox;

	assert_int_equal(disk_watch(disk, path, &sandbox, NULL), 0);
	reading = read_next(disk, sandbox, 0);
	disk_close(disk);
	assert_int_equal(reading.code, 0);
	return reading.method;
}

static void need_root(void)
{
	if (geteuid() != 0)
		skip_because("needs root to mount");
}

static void mount_of_its_own_is_asked(void **state)
{
	char *path = tree_new(NULL);

	need_root();
	tree_run(path, "mount -t tmpfs tally-test .");
	struct disk *disk = opened(NULL);
	uint32_t sandbox;
	assert_int_equal(disk_watch(disk, path, &sandbox, NULL), 0);
	struct disk_reading before = read_next(disk, sandbox, 0);
	tree_run(path, "mkdir a b; head -c 100000 /dev/zero >a/x; head -c 5000 /dev/zero >b/y");
	struct disk_reading after = read_next(disk, sandbox, before.looks);
	assert_string_equal(before.method, "mount");
	assert_int_equal(before.bytes, 0);
	assert_int_equal(before.files, 1);
	assert_string_equal(after.method, "mount");
	assert_int_equal(after.bytes, tree_du(path));
	assert_int_equal(after.files, 5);

	/* Unmounted, it is a directory as others. */
	char *script = NULL;
	assert_true(asprintf(&script, "umount '%s'; echo >'%s/z'", path, path) > 0);
	tree_run("/", script);
	after = read_next(disk, sandbox, after.looks);
	assert_string_not_equal(after.method, "mount");
	assert_int_equal(after.bytes, tree_du(path));
	free(script);
	disk_close(disk);
	tree_free(path);
}

static void mount_of_a_part_is_not_asked(void **state)
{
	char *path = tree_new(NULL);
	char bound[300];

	need_root();
	tree_run(path, "mkdir a b; echo >a/x; mount --bind a b");
	snprintf(bound, sizeof(bound), "%s/b", path);
	const char *method = method_for(bound, NULL);
	tree_run(path, "umount b");
	assert_string_not_equal(method, "mount");
	tree_free(path);
}

static void file_system_mounted_twice_is_not_asked(void **state)
{
	char *path = tree_new(NULL);
	char once[300];

	need_root();
	tree_run(path, "mkdir a b; mount -t tmpfs tally-test a; mount --bind a b; echo >a/x");
	snprintf(once, sizeof(once), "%s/a", path);
	const char *method = method_for(once, NULL);
	tree_run(path, "umount b; umount a");
	assert_string_not_equal(method, "mount");
	tree_free(path);
}

/* With the project set but no account kept, the tree is tracked or walked. */
static void project_without_account_is_not_asked(void **state)
{
	char *path = tree_new(NULL);
	char project[300];

	need_root();
	if (tree_try(path, "truncate -s 300M image; mkdir m; exec 2>/dev/null;"
			   "mkfs.ext4 -q -O project -I 256 image && mount -o loop image m ||"
			   "mkfs.xfs -q -f image && mount -o loop image m")) {
		tree_free(path);
		skip_because("no file system with projects");
	}
	tree_run(path, "mkdir m/p; chattr -p 7 +P m/p; echo >m/p/x");
	snprintf(project, sizeof(project), "%s/m/p", path);
	const char *method = method_for(project, NULL);
	tree_run(path, "umount m");
	assert_string_not_equal(method, "quota");
	tree_free(path);
}

static void walk_is_taken_where_nothing_else_may_be(void **state)
{
	char *path = tree_new(NULL);

	assert_string_equal(method_for(path, "walk"), "walk");
	tree_free(path);
}

static void method_that_does_not_serve_says_why(void **state)
{
	struct disk *disk = opened("quota,walk");
	struct disk_reading reading;
	uint32_t sandbox;
	char *path = tree_new(NULL);

	assert_int_equal(disk_watch(disk, path, &sandbox, NULL), 0);
	reading = read_next(disk, sandbox, 0);
	assert_string_equal(reading.method, "walk");
	/* Having no project is nothing to be said. */
	assert_string_equal(reading.why, "");
	disk_close(disk);

	disk = opened("mount");
	assert_int_equal(disk_watch(disk, path, &sandbox, NULL), 0);
	reading = read_next(disk, sandbox, 0);
	assert_int_equal(reading.code, -EOPNOTSUPP);
	assert_non_null(strstr(reading.why, path));
	disk_close(disk);
	tree_free(path);
}

static void every_method_has_a_name_and_a_summary(void **state)
{
	for (size_t i = 0; disk_methods[i]; i++) {
		assert_non_null(disk_methods[i]->name);
		assert_true(strlen(disk_methods[i]->summary) > 10);
		struct tally_error err = {0};
		if (disk_methods[i]->probe(&err) < 0)
			assert_true(strlen(err.message) > 10);
	}
}

static void mount_of_a_path_is_the_longest_and_last(void **state)
{
	static const char text[] =
		"20 1 8:1 / / rw shared:1 - ext4 /dev/root rw\n"
		"21 20 0:5 / /mnt rw - tmpfs t rw\n"
		"22 20 0:6 / /mnt/a\\040b rw master:1 propagate_from:2 - tmpfs t rw\n"
		"23 20 0:7 / /mnt rw - xfs hides rw\n"
		"24 20 broken line\n"
		"25 20 0:8 / /mnt/c rw without the dash\n"
		"26 20 0:9 / /mnt/d rw - tmpfs";

	assert_int_equal(mounts_find(text, sizeof(text) - 1, "/var/x"), 20);
	assert_int_equal(mounts_find(text, sizeof(text) - 1, "/mnt"), 23);
	assert_int_equal(mounts_find(text, sizeof(text) - 1, "/mnt/x"), 23);
	assert_int_equal(mounts_find(text, sizeof(text) - 1, "/mntx"), 20);
	assert_int_equal(mounts_find(text, sizeof(text) - 1, "/mnt/a b/c"), 22);
	assert_int_equal(mounts_find(text, sizeof(text) - 1, "/mnt/c"), 23);
	assert_int_equal(mounts_find(text, sizeof(text) - 1, "/mnt/d/e"), 26);
	assert_int_equal(mounts_find(text, 0, "/mnt"), 0);
	for (size_t i = 0; i < sizeof(text); i++)
		mounts_find(text, i, "/mnt/a b/c");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mount_of_its_own_is_asked),
		cmocka_unit_test(mount_of_a_part_is_not_asked),
		cmocka_unit_test(file_system_mounted_twice_is_not_asked),
		cmocka_unit_test(project_without_account_is_not_asked),
		cmocka_unit_test(walk_is_taken_where_nothing_else_may_be),
		cmocka_unit_test(method_that_does_not_serve_says_why),
		cmocka_unit_test(every_method_has_a_name_and_a_summary),
		cmocka_unit_test(mount_of_a_path_is_the_longest_and_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
