/* SPDX-License-Identifier: Apache-2.0 */
/* The BPF collector: groups that are cgroups. */
#include "puppet.h"

static uint32_t follow_cgroup(struct collector *c, const char *path)
{
	struct collect_root root = {.cgroup_id = cgroup_id(path), .cgroup = path};
	struct tally_error err = {0};
	uint32_t group;

	assert_int_equal(collector_group_add(c, &group, NULL), 0);
	if (collector_root_add(c, group, &root, &err) < 0)
		fail_msg("%s", err.message);
	return group;
}

static void counts_those_inside_from_their_birth(void **state)
{
	struct collector *c = open_bpf();
	struct puppet puppet;
	char path[256];

	make_cgroup(NULL, path);
	puppet_start(&puppet);
	puppet_do(&puppet, BURN, 30);
	puppet_enter(&puppet, path);
	puppet_do(&puppet, THREAD, 20);
	puppet_do(&puppet, BEAR, 0);
	uint32_t group = follow_cgroup(c, path);
	pass(c);
	assert_burnt(group_cpu_ns(c, group), 50);
	assert_int_equal(group_value(c, group, TALLY_PIDS), 2);
	assert_int_equal(group_value(c, group, TALLY_THREADS), 3);
	assert_int_equal(group_value(c, group, TALLY_PIDS_STARTED), 2);
	puppet_do(&puppet, BEAR_BUSY, 60);
	pass(c);
	assert_burnt(group_cpu_ns(c, group), 110);
	assert_int_equal(group_value(c, group, TALLY_PIDS_STARTED), 3);
	puppet_end(&puppet);
	remove_cgroup(path);
	collector_close(c);
}

static void counts_those_who_come_from_then_on(void **state)
{
	struct collector *c = open_bpf();
	struct puppet puppet;
	char path[256], other[256];

	make_cgroup(NULL, path);
	make_cgroup(NULL, other);
	uint32_t group = follow_cgroup(c, path), next = follow_cgroup(c, other);
	pass(c);
	puppet_start(&puppet);
	puppet_do(&puppet, BURN, 120);
	puppet_enter(&puppet, path);
	puppet_do(&puppet, BURN, 50);	   /* no pass between the move and this */
	puppet_do(&puppet, BEAR_BUSY, 50); /* nor this */
	puppet_enter(&puppet, other);
	puppet_do(&puppet, BURN, 70);
	pass(c);
	assert_burnt(group_cpu_ns(c, group), 100);
	assert_burnt(group_cpu_ns(c, next), 70);
	assert_int_equal(group_value(c, group, TALLY_PIDS), 0);
	assert_int_equal(group_value(c, next, TALLY_PIDS), 1);
	assert_true(group_value(c, next, TALLY_RSS) > 0);
	puppet_enter(&puppet, path);
	puppet_do(&puppet, BURN, 50);
	pass(c);
	assert_burnt(group_cpu_ns(c, group), 150);
	assert_int_equal(group_value(c, group, TALLY_PIDS), 1);
	puppet_end(&puppet);
	remove_cgroup(path);
	remove_cgroup(other);
	collector_close(c);
}

static void threads_follow_with_the_next_pass(void **state)
{
	struct collector *c = open_bpf();
	struct puppet puppet;
	char path[256];

	make_cgroup(NULL, path);
	uint32_t group = follow_cgroup(c, path);
	pass(c);
	puppet_start(&puppet);
	puppet_do(&puppet, THREAD, 20);
	puppet_enter(&puppet, path);
	pass(c);
	assert_int_equal(group_value(c, group, TALLY_THREADS), 2);
	assert_between(group_cpu_ns(c, group), 0, BESIDES_MS * NS_PER_MS / 2);
	puppet_end(&puppet);
	remove_cgroup(path);
	collector_close(c);
}

static void cgroups_below_belong(void **state)
{
	struct collector *c = open_bpf();
	struct puppet puppet;
	char outer[256], middle[256], inner[256];

	make_cgroup(NULL, outer);
	make_cgroup(outer, middle);
	make_cgroup(middle, inner);
	puppet_start(&puppet);
	puppet_enter(&puppet, inner);
	puppet_do(&puppet, BURN, 40);
	uint32_t of_inner = follow_cgroup(c, inner), of_outer = follow_cgroup(c, outer);
	pass(c);
	assert_burnt(group_cpu_ns(c, of_inner), 40);
	assert_int_equal(group_cpu_ns(c, of_outer), group_cpu_ns(c, of_inner));
	uint32_t of_middle = follow_cgroup(c, middle);
	puppet_do(&puppet, BURN, 50);
	pass(c);
	assert_burnt(group_cpu_ns(c, of_inner), 90);
	assert_int_equal(group_cpu_ns(c, of_outer), group_cpu_ns(c, of_inner));
	assert_int_equal(group_cpu_ns(c, of_middle), group_cpu_ns(c, of_inner));
	puppet_enter(&puppet, outer);
	puppet_do(&puppet, BURN, 60);
	pass(c);
	assert_burnt(group_cpu_ns(c, of_outer), 150);
	assert_burnt(group_cpu_ns(c, of_middle), 90);
	assert_int_equal(group_value(c, of_middle, TALLY_PIDS), 0);
	assert_int_equal(group_value(c, of_outer, TALLY_PIDS), 1);
	/* The groups around go on when one inside is removed. */
	puppet_enter(&puppet, inner);
	collector_group_remove(c, of_inner);
	puppet_do(&puppet, BURN, 60);
	pass(c);
	assert_burnt(group_cpu_ns(c, of_outer), 210);
	assert_burnt(group_cpu_ns(c, of_middle), 150);
	puppet_end(&puppet);
	remove_cgroup(inner);
	remove_cgroup(middle);
	remove_cgroup(outer);
	collector_close(c);
}

static void a_tree_and_a_cgroup_count_alike(void **state)
{
	struct collector *c = open_bpf();
	struct puppet puppet;
	char path[256];

	make_cgroup(NULL, path);
	puppet_start(&puppet);
	puppet_enter(&puppet, path);
	puppet_do(&puppet, BURN, 30);
	uint32_t of_cgroup = follow_cgroup(c, path), of_tree = follow(c, puppet.pid);
	pass(c);
	puppet_do(&puppet, BEAR_BUSY, 30);
	puppet_do(&puppet, BEAR, 0);
	pass(c);
	for (int i = 0; i < TALLY_PIDS_STARTED; i++)
		assert_int_equal(group_value(c, of_cgroup, i), group_value(c, of_tree, i));
	assert_burnt(group_cpu_ns(c, of_tree), 60);
	puppet_end(&puppet);
	remove_cgroup(path);
	collector_close(c);
}

static void refuses_what_it_cannot_follow(void **state)
{
	struct collector *c = open_bpf();
	struct tally_error err = {0};
	struct collect_root root = {.cgroup_id = 42};
	uint32_t group;
	char path[256];

	make_cgroup(NULL, path);
	assert_int_equal(collector_group_add(c, &group, NULL), 0);
	assert_int_equal(collector_root_add(c, group, &root, &err), -EINVAL);
	root.cgroup = path;
	assert_int_equal(collector_root_add(c, group, &root, &err), -ESRCH);
	root.cgroup = "/tmp";
	assert_int_equal(collector_root_add(c, group, &root, &err), -ENOTSUP);
	root = (struct collect_root){.cgroup = path, .cgroup_id = cgroup_id(path)};
	assert_int_equal(collector_root_add(c, group, &root, &err), 0);
	root = (struct collect_root){.pid = getpid()};
	assert_int_equal(collector_root_add(c, group, &root, &err), -ENOTSUP);
	remove_cgroup(path);
	collector_close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_those_inside_from_their_birth),
		cmocka_unit_test(counts_those_who_come_from_then_on),
		cmocka_unit_test(threads_follow_with_the_next_pass),
		cmocka_unit_test(cgroups_below_belong),
		cmocka_unit_test(a_tree_and_a_cgroup_count_alike),
		cmocka_unit_test(refuses_what_it_cannot_follow),
	};

	return cmocka_run_group_tests_name("bpf cgroups", tests, NULL, NULL);
}
