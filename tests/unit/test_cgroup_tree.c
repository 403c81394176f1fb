/* SPDX-License-Identifier: Apache-2.0 */
/* Groups that are cgroups: on a tree of plain files, and on a real cgroup where one can be made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include "collect/cgroup_tree.h"
#include "collect/procfs.h"
#include "proc_tree.h"
#include "processes.h"

#define TICK  (10 * NS_PER_MS)
#define LATER INT64_C(100000000000)

static struct proc_tree tree, cgroups;
static struct collector *collector;
static char path[128];

static int set_up(void **state)
{
	struct collect_options options = {.procfs = tree.path};

	tree_open(&tree);
	tree_open(&cgroups);
	tree_dir(&cgroups, "web");
	tree_write(&cgroups, "web/cgroup.procs", "%s", "");
	snprintf(path, sizeof(path), "%s/web", cgroups.path);
	return collector_open("procfs", &options, &collector, NULL, NULL);
}

static int tear_down(void **state)
{
	collector = collector_close(collector);
	tree_close(&tree);
	tree_close(&cgroups);
	return 0;
}

/* Written in place: the collector keeps the file open, as it does the kernel's. */
static void set_procs(const char *name, const char *pids)
{
	char file[256];
	FILE *out;

	snprintf(file, sizeof(file), "%s/%s/cgroup.procs", cgroups.path, name);
	out = fopen(file, "w");
	assert_non_null(out);
	fputs(pids, out);
	fclose(out);
}

static void count_pid(void *context, pid_t pid)
{
	*(int64_t *)context += pid;
}

static int64_t sum_of_pids(struct cgroup_tree *its)
{
	int64_t sum = 0;

	assert_int_equal(cgroup_tree_pids(its, count_pid, &sum), 0);
	return sum;
}

static void lists_those_below_too(void **state)
{
	struct cgroup_tree *its;

	set_procs("web", "1\n2\n");
	tree_dir(&cgroups, "web/a/b");
	set_procs("web/a", "10\n");
	set_procs("web/a/b", "100\n0\n");
	tree_dir(&cgroups, "web/no-cgroup");
	assert_int_equal(cgroup_tree_open(path, 0, &its, NULL), 0);
	assert_int_equal(sum_of_pids(its), 113);
	assert_int_equal(cgroup_tree_fds(its), 6);
	/* One comes, one goes, and the number of links is what it was. */
	tree_dir(&cgroups, "web/c");
	set_procs("web/c", "1000\n");
	assert_int_equal(sum_of_pids(its), 1113);
	char gone[160];
	snprintf(gone, sizeof(gone), "%s/a", path);
	tree_remove_path(gone);
	assert_int_equal(sum_of_pids(its), 1003);
	assert_null(cgroup_tree_close(its));
	assert_null(cgroup_tree_close(NULL));
}

static void a_long_list_is_read_in_pieces(void **state)
{
	static char text[64 * 1024];
	struct cgroup_tree *its;
	int64_t sum = 0;
	size_t used = 0;

	for (int pid = 10000; pid < 18000; pid++) {
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%d\n", pid);
		sum += pid;
	}
	set_procs("web", text);
	assert_int_equal(cgroup_tree_open(path, 0, &its, NULL), 0);
	assert_int_equal(sum_of_pids(its), sum);
	cgroup_tree_close(its);
}

static void what_is_no_cgroup_is_refused(void **state)
{
	struct cgroup_tree *its;
	struct tally_error err;
	struct stat st;

	assert_int_equal(cgroup_tree_open("/nonexistent/cgroup", 0, &its, &err), -ESRCH);
	assert_non_null(strstr(err.message, "/nonexistent/cgroup"));
	assert_int_equal(cgroup_tree_open(cgroups.path, 0, &its, &err), -ENOTSUP);
	assert_non_null(strstr(err.message, "cgroup.procs"));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(cgroup_tree_open(path, st.st_ino + 1, &its, &err), -ESRCH);
	assert_int_equal(cgroup_tree_open(path, st.st_ino, &its, &err), 0);
	cgroup_tree_close(its);
}

static uint32_t group_of_web(void)
{
	struct collect_root root = {.cgroup = path};
	uint32_t group;

	assert_int_equal(collector_group_add(collector, &group, NULL), 0);
	assert_int_equal(collector_root_add(collector, group, &root, NULL), 0);
	return group;
}

static void pass(void)
{
	assert_int_equal(collector_pass(collector, NULL), 0);
}

static int64_t value(uint32_t group, enum tally_metric metric)
{
	const struct tally_sample *sample = collector_group(collector, group);

	assert_true(tally_sample_has(sample, metric));
	return sample->value[metric];
}

static int64_t ticks(uint32_t group)
{
	return value(group, TALLY_CPU_USER) / TICK;
}

static void who_is_in_it_when_it_is_added_counts_in_full(void **state)
{
	tree_put(&tree, (struct fixture){
				.pid = 10, .parent = 1, .user = 5, .children_user = 90, .nice = 4});
	tree_put(&tree, (struct fixture){.pid = 11, .parent = 10, .user = 3});
	tree_put(&tree, (struct fixture){.pid = 12, .parent = 10, .user = 100});
	set_procs("web", "10\n11\n");
	uint32_t group = group_of_web();

	pass();
	assert_int_equal(ticks(group), 8);
	assert_int_equal(value(group, TALLY_PIDS), 2);
	assert_int_equal(value(group, TALLY_PIDS_STARTED), 2);
	assert_int_equal(value(group, TALLY_NICE), 4);
	/* 12 is a child of a member, and in another cgroup: it is none. */
	pass();
	assert_int_equal(value(group, TALLY_PIDS), 2);
}

static void who_is_forked_in_it_counts_from_birth(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 5});
	set_procs("web", "10\n");
	uint32_t group = group_of_web();

	pass();
	tree_put(&tree,
		(struct fixture){
			.pid = 9, .parent = 10, .user = 7, .children_user = 2, .start = LATER});
	set_procs("web", "9\n10\n");
	pass();
	assert_int_equal(ticks(group), 14);
	/* Reaped by its parent, it counts once, though it came first in the list. */
	tree_drop(&tree, 9);
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 5, .children_user = 9});
	set_procs("web", "10\n");
	pass();
	assert_int_equal(ticks(group), 14);
	pass();
	assert_int_equal(ticks(group), 14);
}

static void who_moves_in_counts_from_then_on(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 5, .minor = 50});
	uint32_t group = group_of_web();

	pass();
	pass();
	set_procs("web", "10\n");
	pass();
	assert_int_equal(ticks(group), 0);
	assert_int_equal(value(group, TALLY_PIDS), 1);
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 7, .minor = 51});
	pass();
	assert_int_equal(ticks(group), 2);
	assert_int_equal(value(group, TALLY_MINOR_FAULTS), 1);
}

static void who_moves_out_leaves_what_it_did_here(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 5});
	tree_put(&tree, (struct fixture){.pid = 11, .parent = 10, .user = 3, .minor = 9});
	set_procs("web", "10\n11\n");
	uint32_t group = group_of_web();

	pass();
	/* What it did until the pass that sees it out is counted here. */
	tree_put(&tree, (struct fixture){.pid = 11, .parent = 10, .user = 4, .minor = 9});
	set_procs("web", "10\n");
	pass();
	assert_int_equal(ticks(group), 9);
	assert_int_equal(value(group, TALLY_PIDS), 1);
	tree_put(&tree, (struct fixture){.pid = 11, .parent = 10, .user = 50, .minor = 9});
	pass();
	assert_int_equal(ticks(group), 9);
	/* Its parent, who stayed, reaps it: nothing of it counts again. */
	tree_drop(&tree, 11);
	tree_put(&tree, (struct fixture){.pid = 10,
				.parent = 1,
				.user = 5,
				.children_user = 50,
				.children_minor = 9});
	pass();
	pass();
	assert_int_equal(ticks(group), 9);
}

static void who_comes_back_counts_from_then_on(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 5});
	set_procs("web", "10\n");
	uint32_t group = group_of_web();

	pass();
	set_procs("web", "");
	pass();
	assert_int_equal(value(group, TALLY_PIDS), 0);
	assert_int_equal(value(group, TALLY_RSS), 0);
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 100});
	pass();
	set_procs("web", "10\n");
	pass();
	assert_int_equal(ticks(group), 5);
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 101});
	pass();
	assert_int_equal(ticks(group), 6);
	assert_int_equal(value(group, TALLY_PIDS_STARTED), 1);
}

/* The kernel does not list zombies. */
static void a_zombie_has_not_left(void **state)
{
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 5});
	set_procs("web", "10\n");
	uint32_t group = group_of_web();

	pass();
	tree_put(&tree, (struct fixture){.pid = 10, .parent = 1, .user = 6, .state = 'Z'});
	set_procs("web", "");
	pass();
	assert_int_equal(value(group, TALLY_PIDS), 1);
	assert_int_equal(ticks(group), 6);
}

static int burn_and_wait(struct actor *self)
{
	actor_wait(self);
	burn(20 * NS_PER_MS);
	actor_tell(self);
	actor_wait(self);
	return 0;
}

static bool move_to(const char *cgroup, pid_t pid)
{
	char file[160], text[16];
	int length = snprintf(text, sizeof(text), "%d", pid);

	snprintf(file, sizeof(file), "%s/cgroup.procs", cgroup);
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	bool moved = fd >= 0 && write(fd, text, (size_t)length) == length;
	if (fd >= 0)
		close(fd);
	return moved;
}

static void a_real_cgroup_is_followed(void **state)
{
	static const char *const mounts[] = {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"};
	char real[128], below[160];
	int made = -1;

	for (int i = 0; made < 0 && i < 2; i++) {
		snprintf(real, sizeof(real), "%s/tally-test-%d", mounts[i], getpid());
		made = mkdir(real, 0755);
	}
	if (made < 0) {
		print_message("no cgroup can be made here\n");
		skip();
	}
	struct actor actor = actor_start(burn_and_wait);
	snprintf(below, sizeof(below), "%s/below", real);
	if (!move_to(real, actor.pid)) {
		actor_kill(&actor);
		rmdir(real);
		print_message("no process can be moved to a cgroup here\n");
		skip();
	}
	collector_close(collector);
	assert_int_equal(collector_open("procfs", NULL, &collector, NULL, NULL), 0);
	struct collect_root root = {.cgroup = real};
	uint32_t group;
	assert_int_equal(collector_group_add(collector, &group, NULL), 0);
	assert_int_equal(collector_root_add(collector, group, &root, NULL), 0);
	pass();
	assert_int_equal(value(group, TALLY_PIDS), 1);
	assert_int_equal(mkdir(below, 0755), 0);
	assert_true(move_to(below, actor.pid));
	pass();
	assert_int_equal(value(group, TALLY_PIDS), 1);
	actor_go(&actor);
	actor_hear(&actor);
	pass();
	int64_t cpu_ns = value(group, TALLY_CPU_USER) + value(group, TALLY_CPU_SYSTEM);
	assert_true(cpu_ns >= 20 * NS_PER_MS);
	actor_kill(&actor);
	pass();
	assert_int_equal(value(group, TALLY_PIDS), 0);
	assert_int_equal(rmdir(below), 0);
	assert_int_equal(rmdir(real), 0);
	pass();
	assert_true(value(group, TALLY_CPU_USER) + value(group, TALLY_CPU_SYSTEM) >= cpu_ns);
}

#define tree_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		tree_test(lists_those_below_too),
		tree_test(a_long_list_is_read_in_pieces),
		tree_test(what_is_no_cgroup_is_refused),
		tree_test(who_is_in_it_when_it_is_added_counts_in_full),
		tree_test(who_is_forked_in_it_counts_from_birth),
		tree_test(who_moves_in_counts_from_then_on),
		tree_test(who_moves_out_leaves_what_it_did_here),
		tree_test(who_comes_back_counts_from_then_on),
		tree_test(a_zombie_has_not_left),
		tree_test(a_real_cgroup_is_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
