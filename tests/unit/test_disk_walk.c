/* SPDX-License-Identifier: Apache-2.0 */
/** A walk agrees with du, whatever the tree. */
#include "check.h"
#include <sys/wait.h>
#include "disk/walk.h"
#include "tree.h"

static struct walk_sum walked(const char *path)
{
	static struct scan_batch batch;
	struct walk *walk;
	struct tally_error err = {0};
	struct walk_sum sum;
	int r = walk_open(path, &walk, &err);

	if (r < 0)
		fail_msg("%s", err.message);
	while ((r = walk_step(walk, &batch)) > 0)
		;
	assert_int_equal(r, 0);
	sum = *walk_sum(walk);
	walk_close(walk);
	return sum;
}

static void check_tree(char *path)
{
	struct walk_sum sum = walked(path);

	assert_int_equal(sum.bytes, tree_du(path));
	assert_int_equal(sum.files, tree_files(path));
	assert_int_equal(sum.partial, 0);
	tree_free(path);
}

static void check_in(const char *parent, const char *script)
{
	char *path = tree_new(parent);

	tree_run(path, script);
	check_tree(path);
}

static void check(const char *script)
{
	check_in(NULL, script);
}

static void empty_sandbox_counts_itself(void **state)
{
	check("true");
}

static void files_of_all_kinds_count_their_blocks(void **state)
{
	check("head -c 100000 /dev/urandom >plain; truncate -s 1G sparse; echo end >>sparse;"
	      "mkfifo fifo; ln -s nowhere short; ln -s \"$(head -c 900 /dev/zero | tr '\\0' x)\" long;"
	      "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")'");
}

static void names_may_be_any_bytes(void **state)
{
	check("echo 1 >$'\\xff\\xfe'; echo 2 >$'new\\nline'; mkdir $'\\x80'; echo 3 >$'\\x80/ '; "
	      "mkdir -- -x ... ..a .b; echo 4 >...\"/\"' *'; echo 5 >.b/\"$(head -c 255 /dev/zero | "
	      "tr '\\0' n)\"");
}

static void hard_links_count_once(void **state)
{
	check("mkdir a b; head -c 50000 /dev/urandom >a/1; ln a/1 a/2; ln a/1 b/3; ln a/1 ../outside-$$;"
	      "trap 'rm ../outside-$$' EXIT; for i in {1..300}; do printf %5000s >f$i; done; ln f* b");
}

static void symlinks_are_not_followed(void **state)
{
	check("mkdir a; ln -s .. a/up; ln -s / root; ln -s a b; echo >a/x");
}

static void wide_directories_are_read_whole(void **state)
{
	check_in(tree_quick(), "seq 6000 | xargs touch; mkdir d; cd d; seq 2000 | xargs mkdir");
}

/* Deeper than PATH_MAX, and than the descriptors that are kept. */
static void deep_trees_are_walked_to_the_bottom(void **state)
{
	char *path = tree_new(tree_quick());
	int dir = open(path, O_RDONLY | O_DIRECTORY);

	for (int i = 0; i < 1200; i++) {
		char name[32];

		snprintf(name, sizeof(name), "directory-%d", i);
		assert_int_equal(mkdirat(dir, name, 0755), 0);
		assert_int_equal(mkdirat(dir, "side", 0755), 0);
		int file = openat(dir, "side/f", O_WRONLY | O_CREAT, 0644);
		assert_int_equal(write(file, "x", 1), 1);
		close(file);
		int below = openat(dir, name, O_RDONLY | O_DIRECTORY);
		close(dir);
		dir = below;
	}
	close(dir);
	check_tree(path);
}

static void other_mounts_are_not_crossed(void **state)
{
	char *path = tree_new(NULL);

	if (geteuid() != 0)
		skip_because("needs root to mount");
	tree_run(path, "mkdir a m; echo >a/x");
	int64_t before = tree_du(path);
	tree_run(path, "mount -t tmpfs tally-test m; head -c 9999 /dev/zero >m/y");
	struct walk_sum sum = walked(path);
	tree_run(path, "umount m");
	assert_int_equal(sum.bytes, before - 4096);
	assert_int_equal(sum.files, 3);
	assert_int_equal(sum.partial, 0);
	tree_free(path);
}

/* du itself walks into bind mounts of the same device; it only stops where it meets a parent. */
static void bind_mount_loop_ends(void **state)
{
	char *path = tree_new(NULL);

	if (geteuid() != 0)
		skip_because("needs root to mount");
	tree_run(path, "mkdir -p a/loop; echo >a/x; mount --bind a a/loop; mount --bind . a/loop");
	struct walk_sum sum = walked(path);
	int64_t du = tree_du(path);
	tree_run(path, "umount a/loop; umount a/loop");
	assert_int_equal(sum.bytes, du);
	assert_int_equal(sum.files, 3);
	tree_free(path);
}

static void unreadable_directories_are_partial(void **state)
{
	char *path = tree_new(NULL);

	if (geteuid() == 0) {
		/* Root reads all: be nobody in a child. */
		tree_run(path, "chmod 755 .; mkdir a b c; echo >a/x; echo >b/y; echo >c/z;"
			       "chmod 711 a; chmod 700 b; chmod 744 c");
		pid_t pid = fork();
		if (pid == 0) {
			if (setgid(65534) < 0 || setuid(65534) < 0)
				_exit(1);
			struct walk_sum sum = walked(path);
			_exit(sum.partial == 3 && sum.bytes == tree_du(path) ? 0 : 2);
		}
		int status;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	} else {
		tree_run(path, "mkdir a; echo >a/x; chmod 000 a");
		struct walk_sum sum = walked(path);
		assert_int_equal(sum.partial, 1);
		assert_int_equal(sum.bytes, tree_du(path));
	}
	tree_free(path);
}

static int refused(const char *path)
{
	struct walk *walk = NULL;

	return walk_open(path, &walk, NULL);
}

static void what_is_no_sandbox_is_refused(void **state)
{
	char *path = tree_new(NULL);
	char other[300];

	tree_run(path, "mkdir d; ln -s d link; echo >file; ln -s / root");
	snprintf(other, sizeof(other), "%s/link", path);
	assert_int_equal(refused(other), -ENOTDIR);
	snprintf(other, sizeof(other), "%s/file", path);
	assert_int_equal(refused(other), -ENOTDIR);
	snprintf(other, sizeof(other), "%s/missing", path);
	assert_int_equal(refused(other), -ENOENT);
	snprintf(other, sizeof(other), "%s/root/", path);
	assert_int_equal(refused(other), -EINVAL);
	assert_int_equal(refused("/proc/../"), -EINVAL);
	tree_free(path);
}

/* What vanishes while it is walked is left out; what stays is counted. */
static void tree_that_changes_underneath_does_not_confuse(void **state)
{
	char *path = tree_new(NULL);
	static struct scan_batch batch;
	struct walk *walk;
	int r;

	tree_run(path, "mkdir -p d{1..100}/e/f; for i in {1..100}; do echo >d$i/x; done;"
		       "mkdir -p $(seq -s/ 60); mv 1 deep");
	assert_int_equal(walk_open(path, &walk, NULL), 0);
	for (int i = 0; (r = walk_step(walk, &batch)) > 0; i++) {
		if (i == 50)
			tree_run(path, "rm -r d?; python3 -c 'import os\nfor i in range(10, 61):"
				       " os.rename(f\"d{i}\", f\"n{i}\")'");
		if (i == 55 && access(path, F_OK) == 0)
			tree_run(path, "mv deep/2/3/4/5/6/7 elsewhere; rm -rf deep");
	}
	assert_int_equal(r, 0);
	assert_between(walk_sum(walk)->files, 40, 600);
	walk_close(walk);
	tree_free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_sandbox_counts_itself),
		cmocka_unit_test(files_of_all_kinds_count_their_blocks),
		cmocka_unit_test(names_may_be_any_bytes),
		cmocka_unit_test(hard_links_count_once),
		cmocka_unit_test(symlinks_are_not_followed),
		cmocka_unit_test(wide_directories_are_read_whole),
		cmocka_unit_test(deep_trees_are_walked_to_the_bottom),
		cmocka_unit_test(other_mounts_are_not_crossed),
		cmocka_unit_test(bind_mount_loop_ends),
		cmocka_unit_test(unreadable_directories_are_partial),
		cmocka_unit_test(what_is_no_sandbox_is_refused),
		cmocka_unit_test(tree_that_changes_underneath_does_not_confuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
