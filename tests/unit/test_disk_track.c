/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The tracker and the walk agree with du, byte for byte, after any mutation has settled.
 *
 * TALLY_DISK_MUTATIONS is how many there are per file system and user (default 1,000), and
 * TALLY_DISK_SEED makes them others. TALLY_DISK_TRIES is how many looks it may take until tracker
 * and du agree (default 5: blocks settle late on a busy machine).
 */
#include "check.h"
#include <dirent.h>
#include <ftw.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/wait.h>
#include "disk/registry.h"
#include "disk/track.h"
#include "disk/walk.h"
#include "tree.h"

/* -- a tracker, driven by hand ---------------------------------------------------------------- */

static struct disk_tools tools;
static struct disk_limits limits = {.each_bytes = 32 << 20, .check_ns = INT64_MAX / 4};

static struct disk_job *job_open(struct disk_site *site)
{
	struct disk_job *job;

	assert_int_equal(disk_method_track.open(site, &job, NULL), 0);
	job->ops = &disk_method_track;
	return job;
}

static int look(struct disk_job *job, struct disk_figure *ret, struct tally_error *err)
{
	int r;

	while ((r = job->ops->step(job, &tools, ret, err)) > 0)
		;
	return r;
}

static struct disk_figure looked(struct disk_job *job)
{
	struct tally_error err = {0};
	struct disk_figure figure;

	if (look(job, &figure, &err) < 0)
		fail_msg("%s", err.message);
	return figure;
}

static bool is_tracking_here(void)
{
	return disk_method_track.probe(NULL) == 0;
}

static struct walk_sum walked(const char *path)
{
	struct walk *walk;
	struct walk_sum sum;

	assert_int_equal(walk_open(path, &walk, NULL), 0);
	while (walk_step(walk, &tools.batch) > 0)
		;
	sum = *walk_sum(walk);
	walk_close(walk);
	return sum;
}

/* -- mutations -------------------------------------------------------------------------------- */

enum { NAMES = 12, PATHS = 4000 };

/* All paths under the base, which has the sandbox "in" and beside it "out". */
static char *dirs[PATHS], *files[PATHS];
static int dir_count, file_count;
static unsigned state_of_random;
static char base_path[256];

static unsigned pick(unsigned below)
{
	state_of_random = state_of_random * 1103515245 + 12345;
	return (state_of_random >> 8) % below;
}

static void list_below(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char *below = NULL;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		assert_true(asprintf(&below, "%s/%s", path, entry->d_name) > 0);
		if (entry->d_type == DT_DIR && dir_count < PATHS) {
			dirs[dir_count++] = below;
			list_below(below);
		} else if (entry->d_type != DT_DIR && file_count < PATHS) {
			files[file_count++] = below;
		} else {
			free(below);
		}
	}
	if (dir)
		closedir(dir);
}

static void list_paths(void)
{
	while (dir_count)
		free(dirs[--dir_count]);
	while (file_count)
		free(files[--file_count]);
	list_below(base_path);
}

static void new_name(char path[4096])
{
	snprintf(path, 4096, "%s/n%u", dirs[pick((unsigned)dir_count)], pick(NAMES));
}

static const char *some_file(void)
{
	return file_count ? files[pick((unsigned)file_count)] : "";
}

/* Not the sandbox itself, nor what is beside it. */
static const char *some_dir(void)
{
	const char *dir = dirs[pick((unsigned)dir_count)];

	return strlen(dir) > strlen(base_path) + 4 ? dir : "";
}

static void write_at(const char *path, int flags, off_t at, size_t size)
{
	static const char data[64 << 10];
	int fd = open(path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | flags, 0644);

	if (fd < 0)
		return;
	if (pwrite(fd, data, size, at) < 0) {
		/* What cannot be written to is as it was: that too must agree. */
	}
	close(fd);
}

/*
 * When a file of the sandbox gets another name where nobody listens (outside, in a directory that
 * cannot be read or was made since the last look), the kernel tells nobody; what is then written by
 * that name is not heard until the file is looked at for another reason.
 */
static const struct track *listener;
static ino_t unheard[100000];
static int unheard_count;

/* Nobody listens to the directory of this name. */
static bool is_silent(const char *path)
{
	const struct tree *tree = &listener->tree;
	char parent[4096];
	uint64_t handle;

	snprintf(parent, sizeof(parent), "%.*s", (int)(strrchr(path, '/') - path), path);
	if (fan_handle(&listener->fan, AT_FDCWD, parent, &handle) < 0)
		return true;

	uint32_t node = tree_by_handle(tree, handle);
	return node == NODE_NONE || tree->nodes[node].flags & NODE_UNREAD;
}

static bool is_unheard(const char *path)
{
	struct stat stat;

	if (!is_silent(path) || lstat(path, &stat) < 0)
		return false;
	for (int i = 0; i < unheard_count; i++)
		if (unheard[i] == stat.st_ino)
			return true;
	return false;
}

static int link_file(const char *from, const char *to)
{
	struct stat stat;
	int r = link(from, to);

	if (r == 0 && is_silent(to) && lstat(to, &stat) == 0 && unheard_count < 100000)
		unheard[unheard_count++] = stat.st_ino;
	return r;
}

static void mutate_file(unsigned kind, const char *file)
{
	int fd;

	if (!*file || is_unheard(file))
		return;
	switch (kind) {
	case 0:
		write_at(file, O_APPEND, 0, pick(60000));
		break;
	case 1:
		if (truncate(file, pick(2) ? pick(100000) : 0) < 0)
			break;
		break;
	case 2: /* Holes everywhere: many extents. */
		for (int i = 0; i < 20; i++)
			write_at(file, 0, (off_t)pick(1000) * 8192, 100);
		break;
	default:
		fd = open(file, O_WRONLY | O_NOFOLLOW | O_NONBLOCK);
		if (fd < 0)
			break;
		if (fallocate(fd, pick(2) ? FALLOC_FL_KEEP_SIZE : 0, 0, pick(500000) + 1) == 0)
			fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				(off_t)pick(20) * 4096, 1 + pick(100000));
		close(fd);
	}
}

static void remove_tree(const char *path)
{
	char *command = NULL;

	if (!*path)
		return;
	assert_true(asprintf(&command, "rm -rf '%s' 2>/dev/null", path) > 0);
	if (system(command) < 0)
		fail();
	free(command);
}

static void mutate_once(void)
{
	char path[4096];
	int r = 0;

	new_name(path);
	switch (pick(20)) {
	case 0 ... 3:
		if (!is_unheard(path))
			write_at(path, O_CREAT, 0, pick(3) ? pick(20000) : 0);
		break;
	case 4 ... 5:
		r = mkdir(path, 0755);
		break;
	case 6:
		r = symlink("anything at all, which may be long or not", path);
		break;
	case 7 ... 8:
		r = link_file(some_file(), path);
		break;
	case 9:
		r = unlink(some_file());
		break;
	case 10 ... 11: /* Within, out, in, and over others. */
		r = rename(some_file(), path);
		break;
	case 12 ... 13:
		r = rename(some_dir(), path);
		break;
	case 14:
		if (pick(4) == 0)
			remove_tree(some_dir());
		break;
	case 15:
		r = *some_dir() ? chmod(some_dir(), (const mode_t[]){0, 0755, 0444, 0311}[pick(4)])
				: 0;
		break;
	default:
		mutate_file(pick(4), some_file());
	}
	/* Half of them cannot be: that is as good a test as the others. */
	(void)r;
}

static void settle(void)
{
	int fd = open(base_path, O_RDONLY | O_DIRECTORY);

	if (syncfs(fd) < 0)
		fail();
	close(fd);
}

/* -- what it is that they do not agree on ----------------------------------------------------- */

static const struct track *explained;
static size_t explained_length;

static const struct entry *known_entry(const char *path)
{
	const struct tree *tree = &explained->tree;
	const struct entry *entry = NULL;
	uint32_t node = NODE_ROOT;
	char copy[4096];

	snprintf(copy, sizeof(copy), "%s", path + explained_length);
	for (char *at = NULL, *name = strtok_r(copy, "/", &at); name;
		name = strtok_r(NULL, "/", &at)) {
		if (entry && entry->kind != ENTRY_DIR)
			return NULL;
		entry = tree_find(tree, node, tree_name(tree, name));
		if (!entry)
			return NULL;
		node = (uint32_t)entry->value;
	}
	return entry;
}

static int explain_path(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
	const struct tree *tree = &explained->tree;
	const struct entry *entry = known_entry(path);
	int64_t blocks = -1;

	if (entry && entry->kind == ENTRY_DIR)
		blocks = tree->nodes[entry->value].blocks;
	else if (entry && entry->kind == ENTRY_LINK && links_find(&tree->links, entry->value))
		blocks = links_find(&tree->links, entry->value)->blocks;
	else if (entry)
		blocks = (int64_t)entry->value;
	if (ftw->level && blocks != stat->st_blocks)
		print_error("%s: kind %d, known %lld blocks, has %lld, %d links, mode %o\n", path,
			entry ? (int)entry->kind : -1, (long long)blocks,
			(long long)stat->st_blocks, (int)stat->st_nlink, stat->st_mode);
	return 0;
}

static void explain(const struct disk_job *job, const char *sandbox)
{
	explained = (const struct track *)job;
	explained_length = strlen(sandbox);
	nftw(sandbox, explain_path, 16, FTW_PHYS);
}

static int number_wanted(const char *variable, int otherwise)
{
	const char *text = getenv(variable);

	return text ? atoi(text) : otherwise;
}

/* Whether they agree, once it has settled: on a busy machine that may take more than one look. */
static void compare(struct disk_job *job, const char *sandbox, int done)
{
	int tries = number_wanted("TALLY_DISK_TRIES", 5);
	struct disk_figure figure;
	struct walk_sum sum;
	int64_t du;

	do {
		settle();
		looked(job);
		figure = looked(job);
		sum = walked(sandbox);
		du = tree_du(sandbox);
	} while (
		--tries > 0 && (sum.bytes != du || figure.bytes != du ||
				       figure.files != sum.files || figure.partial != sum.partial));

	if (sum.bytes != du)
		fail_msg("after %d mutations the walk says %lld, du %lld", done,
			(long long)sum.bytes, (long long)du);
	if (figure.bytes == du && figure.files == sum.files && figure.partial == sum.partial)
		return;
	explain(job, sandbox);
	fail_msg("after %d mutations the tracker says %lld bytes, %lld files, %lld "
		 "partial; du %lld, %lld, %lld",
		done, (long long)figure.bytes, (long long)figure.files, (long long)figure.partial,
		(long long)du, (long long)sum.files, (long long)sum.partial);
}

/* Batches of growing size: one at a time finds what a crowd hides, and the other way round. */
static void mutate_and_compare(const char *base, unsigned seed)
{
	char sandbox[300];
	struct disk_site site = {.path = sandbox, .limits = &limits};
	int wanted = number_wanted("TALLY_DISK_MUTATIONS", 1000);

	snprintf(base_path, sizeof(base_path), "%s", base);
	snprintf(sandbox, sizeof(sandbox), "%s/in", base);
	tree_run(base, "mkdir in out in/a in/a/b in/c; echo >in/x; chmod 777 in out");
	state_of_random = seed + (unsigned)number_wanted("TALLY_DISK_SEED", 0) * 1000;
	struct disk_job *job = job_open(&site);
	struct tally_error err = {0};
	struct disk_figure figure;
	/* The groups are each user's: others may have them all by now. */
	if (look(job, &figure, &err) < 0 && strstr(err.message, "max_user_groups")) {
		job->ops->close(job);
		skip_because("%s", err.message);
	}
	listener = (const struct track *)job;
	compare(job, sandbox, 0);
	for (int done = 0, batch = 1; done < wanted; batch = batch % 40 + 1) {
		for (int i = 0; i < batch; i++, done++) {
			list_paths();
			mutate_once();
		}
		compare(job, sandbox, done);
	}
	job->ops->close(job);
}

static const char *nobody_base;
static unsigned nobody_seed;

static void agrees_with_du_as_nobody(void **state)
{
	mutate_and_compare(nobody_base, nobody_seed);
}

/* In a program of its own: a failure there must not go on with the tests here. */
static void be_nobody_in(char *base, unsigned seed)
{
	char text[16];
	int status;

	snprintf(text, sizeof(text), "%u", seed);
	tree_run(base, "rm -rf in out; chmod 777 .");
	pid_t pid = fork();
	if (pid == 0) {
		dup2(STDERR_FILENO, STDOUT_FILENO);
		if (setgid(65534) == 0 && setuid(65534) == 0)
			execl("/proc/self/exe", "as-nobody", base, text, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void check_file_system(const char *parent, unsigned seed)
{
	char *base = tree_new(parent);

	if (!is_tracking_here())
		skip_because("no fanotify for this user");
	mutate_and_compare(base, seed);
	if (geteuid() == 0)
		be_nobody_in(base, seed + 1);
	tree_free(base);
}

static void agrees_with_du_where_tests_run(void **state)
{
	check_file_system(NULL, 1);
}

static void agrees_with_du_on_tmpfs(void **state)
{
	if (access("/dev/shm", W_OK) < 0)
		skip_because("no tmpfs at /dev/shm");
	check_file_system("/dev/shm", 2);
}

static void agrees_with_du_on_ext4(void **state)
{
	char *base = tree_new(NULL);
	char mount[300];

	if (geteuid() != 0)
		skip_because("needs root for a loop device");
	tree_run(base, "chmod 755 .; truncate -s 300M image; mkfs.ext4 -q -b 1024 image; mkdir m;"
		       "mount -o loop image m || exit 9");
	snprintf(mount, sizeof(mount), "%s/m", base);
	check_file_system(mount, 3);
	tree_run(base, "umount m");
	tree_free(base);
}

/* -- what events do not tell ------------------------------------------------------------------ */

static struct disk_job *job_on(struct disk_site *site, const char *path, struct disk_limits *own)
{
	if (!is_tracking_here())
		skip_because("no fanotify for this user");
	*site = (struct disk_site){.path = path, .limits = own};
	return job_open(site);
}

static void lost_events_make_it_read_all(void **state)
{
	struct disk_limits own = {.each_bytes = 32 << 20, .check_ns = INT64_MAX / 4};
	char *path = tree_new(tree_quick());
	struct disk_site site;
	struct disk_job *job = job_on(&site, path, &own);
	int64_t most = tree_number("/proc/sys/fs/fanotify", "cat max_queued_events");
	char script[200];

	assert_int_equal(looked(job).rereads, 0);
	if (most > 100000)
		skip_because("%lld events wait before any is lost", (long long)most);
	tree_run(path, "mkdir d; echo >d/x");
	looked(job);
	snprintf(script, sizeof(script), "seq -f d/%%g %lld | xargs touch; echo >d/1; rm d/2",
		(long long)most + 1000);
	tree_run(path, script);
	struct disk_figure figure = looked(job);
	assert_int_equal(figure.rereads, 1);
	assert_int_equal(figure.files, most + 1000 + 2);
	assert_int_equal(figure.bytes, tree_du(path));
	job->ops->close(job);
	tree_free(path);
}

/* A write through a mapping is no event; a check finds it and counts it. */
static void check_counts_what_events_did_not_tell(void **state)
{
	enum { SIZE = 1 << 20 };
	struct disk_limits own = {.each_bytes = 32 << 20};
	char *path = tree_new(tree_quick());
	char name[300];
	struct disk_site site;
	struct disk_job *job = job_on(&site, path, &own);

	snprintf(name, sizeof(name), "%s/mapped", path);
	int fd = open(name, O_RDWR | O_CREAT, 0644);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	looked(job);
	int64_t before = looked(job).bytes;
	memset(map, 1, SIZE);
	fsync(fd);
	struct disk_figure figure = looked(job);
	assert_int_equal(figure.bytes, tree_du(path));
	assert_int_equal(figure.drift_bytes, figure.bytes - before);
	assert_true(figure.drift_bytes >= SIZE);
	munmap(map, SIZE);
	close(fd);
	job->ops->close(job);
	tree_free(path);
}

static void more_than_may_be_remembered_is_not_tracked(void **state)
{
	struct disk_limits own = {.each_bytes = 64 << 10, .check_ns = INT64_MAX / 4};
	char *path = tree_new(tree_quick());
	struct disk_site site;
	struct disk_job *job = job_on(&site, path, &own);
	struct tally_error err = {0};
	struct disk_figure figure;

	tree_run(path, "seq 20000 | xargs touch");
	assert_int_equal(look(job, &figure, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.message, "too many files"));
	assert_int_equal(own.bitten, 1);
	job->ops->close(job);
	assert_int_equal(own.used_bytes, 0);
	tree_free(path);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest as_nobody[] = {
		cmocka_unit_test(agrees_with_du_as_nobody),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_du_where_tests_run),
		cmocka_unit_test(agrees_with_du_on_tmpfs),
		cmocka_unit_test(agrees_with_du_on_ext4),
		cmocka_unit_test(lost_events_make_it_read_all),
		cmocka_unit_test(check_counts_what_events_did_not_tell),
		cmocka_unit_test(more_than_may_be_remembered_is_not_tracked),
	};

	if (argc == 3) {
		nobody_base = argv[1];
		nobody_seed = (unsigned)atoi(argv[2]);
		return cmocka_run_group_tests(as_nobody, NULL, NULL);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
