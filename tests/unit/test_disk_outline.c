/* SPDX-License-Identifier: Apache-2.0 */
/** The heaviest directories are those that du has, for the walk and for the tracker. */
#include "check.h"
#include "base/clock.h"
#include "disk/disk.h"
#include "disk/walk.h"
#include "tree.h"

static void offer(struct outline *outline, int64_t bytes)
{
	struct outline_dir dir = {.depth = 1, .bytes = bytes, .files = 1};
	char path[32];

	snprintf(path, sizeof(path), "%lld", (long long)bytes);
	if (outline_wants(outline, bytes, 1))
		assert_int_equal(outline_add(outline, path, &dir), 0);
}

static void heaviest_are_kept_whatever_the_order(void **state)
{
	static struct outline outline, copy;

	for (int64_t i = 0; i < 5000; i++)
		offer(&outline, i * 2741 % 5000);
	outline_sort(&outline);
	assert_int_equal(outline.count, OUTLINE_DIRS);
	assert_int_equal(outline.left_out, 5000 - OUTLINE_DIRS);
	for (int i = 0; i < OUTLINE_DIRS; i++) {
		assert_int_equal(outline.dirs[i].bytes, 4999 - i);
		assert_int_equal(atoi(outline.dirs[i].path), 4999 - i);
	}
	assert_int_equal(outline_copy(&outline, &copy), 0);
	outline_done(&outline);
	assert_string_equal(copy.dirs[0].path, "4999");
	outline_done(&copy);
}

static void too_deep_ones_are_left_out(void **state)
{
	static struct outline outline;

	assert_true(outline_wants(&outline, 1, OUTLINE_DEPTH_MOST));
	assert_false(outline_wants(&outline, 1 << 30, OUTLINE_DEPTH_MOST + 1));
	assert_int_equal(outline.left_out, 1);
}

/* Hard links are within one directory: which of two counts them is not the same for all. */
static char *make_tree(void)
{
	char *path = tree_new(NULL);

	tree_run(path, "for i in {1..40}; do mkdir -p a$((i % 7))/b$i/c d$i; "
		       "printf %${i}000s >a$((i % 7))/b$i/c/x; printf %$((i * 7 % 40))000s >d$i/y; "
		       "done; ln d5/y d5/z; mkdir empty $'\\xff'");
	return path;
}

/* Every directory that du knows of is there with the same weight. */
static void check_against_du(const char *path, const struct outline *outline)
{
	char *script = NULL;

	assert_true(asprintf(&script, "cd '%s' && du -xB1", path) > 0);
	FILE *pipe = popen(script, "re");
	char line[4096];
	unsigned seen = 0;
	while (fgets(line, sizeof(line), pipe)) {
		char *tab = strchr(line, '\t');
		const char *name;

		line[strcspn(line, "\n")] = '\0';
		name = strcmp(tab + 1, ".") == 0 ? "" : tab + 3;
		unsigned i = 0;
		while (i < outline->count && strcmp(outline->dirs[i].path, name) != 0)
			i++;
		if (i == outline->count)
			fail_msg("'%s' is missing", name);
		if (outline->dirs[i].bytes != atoll(line))
			fail_msg("'%s' has %lld bytes, by du %s", name,
				(long long)outline->dirs[i].bytes, line);
		seen++;
	}
	pclose(pipe);
	assert_int_equal(seen, outline->count);
	assert_int_equal(outline->left_out, 0);
	free(script);
}

static void walk_agrees_with_du(void **state)
{
	static struct scan_batch batch;
	static struct outline outline;
	char *path = make_tree();
	struct walk *walk;

	assert_int_equal(walk_open(path, &walk, NULL), 0);
	walk_outline(walk, &outline);
	while (walk_step(walk, &batch) > 0)
		;
	walk_close(walk);
	check_against_du(path, &outline);
	outline_done(&outline);
	tree_free(path);
}

static int read_outline(struct disk *disk, uint32_t sandbox, struct outline *ret)
{
	int r = -EAGAIN;

	for (int i = 0; i < 3000 && (r == -EAGAIN || r == -EINPROGRESS); i++) {
		r = disk_outline(disk, sandbox, ret);
		if (r < 0)
			usleep(10000);
	}
	return r;
}

static void check_method(const char *methods)
{
	static struct outline outline;
	struct disk_options options = {
		.interval_ns = 3600 * NS_PER_S, .share = 1, .methods = methods};
	char *path = make_tree();
	struct disk_reading before, now;
	struct disk *disk;
	uint32_t sandbox;

	assert_int_equal(disk_open(&options, &disk, NULL), 0);
	assert_int_equal(disk_watch(disk, path, &sandbox, NULL), 0);
	assert_int_equal(read_outline(disk, sandbox, &outline), 0);
	check_against_du(path, &outline);
	outline_done(&outline);

	/* The newest figure's, not that of before. */
	disk_read(disk, sandbox, &before);
	tree_run(path, "mkdir -p new/below; head -c 70000 /dev/zero >new/below/x; rm -r a1");
	disk_refresh(disk, sandbox);
	do {
		usleep(10000);
		disk_read(disk, sandbox, &now);
	} while (now.looks == before.looks);
	assert_int_equal(read_outline(disk, sandbox, &outline), 0);
	check_against_du(path, &outline);
	assert_int_equal(outline.dirs[0].bytes, now.bytes);
	assert_int_equal(outline.dirs[0].files, now.files);
	outline_done(&outline);
	disk_close(disk);
	tree_free(path);
}

static void tracker_agrees_with_du_and_follows(void **state)
{
	check_method("track,walk");
}

static void walks_of_the_worker_agree_too(void **state)
{
	check_method("walk");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heaviest_are_kept_whatever_the_order),
		cmocka_unit_test(too_deep_ones_are_left_out),
		cmocka_unit_test(walk_agrees_with_du),
		cmocka_unit_test(tracker_agrees_with_du_and_follows),
		cmocka_unit_test(walks_of_the_worker_agree_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
