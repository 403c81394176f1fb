/* SPDX-License-Identifier: Apache-2.0 */
/* The BPF collector: who belongs to which group, from when on, and what happens at its limits. */
#include <bpf/bpf.h>
#include "collect/bpf/inside.h"
#include "collect/registry.h"
#include "puppet.h"

static struct collector *open_limited(const struct bpf_limits *limits)
{
	static const struct collect_options options;
	struct collector *c = open_bpf();
	struct tally_error err = {0};

	collector_close(c);
	if (bpf_open_limited(&options, limits, &c, &err) < 0)
		fail_msg("%s", err.message);
	c->ops = &collector_bpf;
	return c;
}

static void takes_a_running_tree_in(void **state)
{
	struct collector *c = open_bpf();
	struct puppet puppet;

	puppet_start(&puppet);
	puppet_do(&puppet, BURN, 50);
	puppet_do(&puppet, BEAR_BUSY, 100); /* dead before: not counted */
	puppet_do(&puppet, THREAD, 30);
	puppet_do(&puppet, THREAD_ENDS, 20); /* a part of its process: counted */
	puppet_do(&puppet, BEAR, 0);
	uint32_t group = follow(c, puppet.pid);
	pass(c);
	assert_burnt(group_cpu_ns(c, group), 100);
	assert_int_equal(group_value(c, group, TALLY_PIDS), 2);
	assert_int_equal(group_value(c, group, TALLY_THREADS), 3);
	assert_int_equal(group_value(c, group, TALLY_PIDS_STARTED), 2);
	assert_int_equal(group_value(c, group, TALLY_STATE), 'S');
	puppet_do(&puppet, BEAR_BUSY, 40);
	puppet_do(&puppet, THREAD_ENDS, 10);
	pass(c);
	assert_burnt(group_cpu_ns(c, group), 150);
	assert_int_equal(group_value(c, group, TALLY_PIDS_STARTED), 3);
	puppet_end(&puppet);
	collector_close(c);
}

static void counts_in_every_group_of_nested_roots(void **state)
{
	struct collector *c = open_bpf();
	struct puppet outer;

	puppet_start(&outer);
	puppet_do(&outer, BURN, 30);
	pid_t child = puppet_do(&outer, BEAR, 0);
	uint32_t inner_group = follow(c, child), outer_group = follow(c, outer.pid);
	uint32_t again = follow(c, child), last = follow(c, outer.pid);
	pass(c);
	assert_burnt(group_cpu_ns(c, outer_group), 30);
	assert_between(group_cpu_ns(c, inner_group), 0, BESIDES_MS * NS_PER_MS / 2);
	assert_int_equal(group_cpu_ns(c, again), group_cpu_ns(c, inner_group));
	assert_int_equal(group_cpu_ns(c, last), group_cpu_ns(c, outer_group));
	assert_int_equal(group_value(c, outer_group, TALLY_PIDS), 2);
	assert_int_equal(group_value(c, inner_group, TALLY_PIDS), 1);
	assert_int_equal(group_value(c, last, TALLY_PIDS_STARTED), 2);
	assert_int_equal(group_value(c, again, TALLY_PIDS_STARTED), 1);
	assert_int_equal(group_value(c, again, TALLY_STATE), 'S');
	puppet_do(&outer, BEAR_BUSY, 40);
	pass(c);
	assert_burnt(group_cpu_ns(c, outer_group), 70);
	assert_burnt(group_cpu_ns(c, last), 70);
	assert_between(group_cpu_ns(c, again), 0, BESIDES_MS * NS_PER_MS / 2);
	puppet_end(&outer);
	collector_close(c);
}

static uint32_t follow_in_family(struct collector *c, pid_t pid)
{
	const struct collect_root root = {.pid = pid, .family = 1};
	uint32_t group;

	assert_int_equal(collector_group_add(c, &group, NULL), 0);
	assert_int_equal(collector_root_add(c, group, &root, NULL), 0);
	return group;
}

static void a_family_shares_no_pid(void **state)
{
	struct collector *c = open_bpf();
	struct puppet outer;

	puppet_start(&outer);
	puppet_do(&outer, BURN, 30);
	pid_t child = puppet_do(&outer, BEAR, 0);
	uint32_t inner_group = follow_in_family(c, child);
	uint32_t outer_group = follow_in_family(c, outer.pid), other = follow(c, outer.pid);
	pass(c);
	assert_burnt(group_cpu_ns(c, outer_group), 30);
	assert_int_equal(group_value(c, outer_group, TALLY_PIDS), 1);
	assert_int_equal(group_value(c, inner_group, TALLY_PIDS), 1);
	assert_int_equal(group_value(c, other, TALLY_PIDS), 2);
	puppet_end(&outer);
	collector_close(c);
}

static void a_root_leaves_its_family_with_what_it_consumes_from_then_on(void **state)
{
	struct collector *c = open_bpf();
	const struct collect_root root = {.family = 1};
	struct puppet puppet;
	uint32_t before, after;

	puppet_start(&puppet);
	assert_int_equal(collector_group_add(c, &before, NULL), 0);
	assert_int_equal(collector_group_add(c, &after, NULL), 0);
	struct collect_root own = root, outer = root;
	own.pid = puppet.pid;
	outer.pid = getpid();
	assert_int_equal(collector_root_add(c, before, &outer, NULL), 0);
	pass(c);
	puppet_do(&puppet, BURN, 50);
	pass(c);
	int64_t had_ns = group_cpu_ns(c, before);
	assert_true(had_ns >= 50 * NS_PER_MS);
	assert_int_equal(group_value(c, before, TALLY_PIDS), 2);
	assert_int_equal(collector_root_add(c, after, &own, NULL), 0);
	pass(c);
	puppet_do(&puppet, BURN, 40);
	puppet_do(&puppet, BEAR_BUSY, 20);
	pass(c);
	assert_burnt(group_cpu_ns(c, after), 60);
	assert_int_equal(group_value(c, after, TALLY_PIDS), 1);
	assert_int_equal(group_value(c, before, TALLY_PIDS), 1);
	assert_between(group_cpu_ns(c, before), had_ns, had_ns + 45 * NS_PER_MS);
	puppet_end(&puppet);
	collector_close(c);
}

static void a_later_root_counts_its_life_so_far(void **state)
{
	struct collector *c = open_bpf();
	struct puppet puppet;

	puppet_start(&puppet);
	uint32_t first = follow(c, puppet.pid);
	pass(c);
	puppet_do(&puppet, BURN, 60);
	puppet_do(&puppet, THREAD_ENDS, 20);
	puppet_do(&puppet, BEAR, 0);
	pass(c);
	uint32_t second = follow(c, puppet.pid);
	pass(c);
	assert_burnt(group_cpu_ns(c, second), 80);
	/* The kernel's sum of dead threads lacks what they used after they were released. */
	assert_between(group_cpu_ns(c, first) - group_cpu_ns(c, second), 0, NS_PER_MS);
	assert_int_equal(group_value(c, second, TALLY_PIDS), 2);
	puppet_end(&puppet);
	collector_close(c);
}

static void counters_go_on_with_the_next_root(void **state)
{
	struct collector *c = open_bpf();
	struct puppet first, second;

	puppet_start(&first);
	uint32_t group = follow(c, first.pid);
	puppet_do(&first, BURN, 40);
	pass(c);
	puppet_end(&first);
	pass(c);
	assert_false(tally_sample_has(collector_group(c, group), TALLY_STATE));
	assert_int_equal(collector_group(c, group)->reason[TALLY_STATE], TALLY_REASON_ENDED);
	assert_int_equal(group_value(c, group, TALLY_RSS), 0);
	puppet_start(&second);
	struct collect_root root = {.pid = second.pid};
	assert_int_equal(collector_root_add(c, group, &root, NULL), 0);
	puppet_do(&second, BURN, 50);
	pass(c);
	assert_burnt(group_cpu_ns(c, group), 90);
	assert_int_equal(group_value(c, group, TALLY_PIDS_STARTED), 2);
	assert_int_equal(group_value(c, group, TALLY_STATE), 'S');
	puppet_end(&second);
	collector_close(c);
}

static void a_removed_group_leaves_nothing_to_the_next(void **state)
{
	struct collector *c = open_bpf();
	struct bpf_collector *inside = (struct bpf_collector *)c;
	struct puppet old, new;

	puppet_start(&old);
	puppet_start(&new);
	uint32_t group = follow(c, old.pid);
	pass(c);
	collector_group_remove(c, group);
	puppet_do(&old, BEAR_BUSY, 30);
	uint32_t next = follow(c, new.pid);
	assert_int_equal(next, group);
	pass(c);
	puppet_do(&old, BURN, 60);
	pass(c);
	assert_between(group_cpu_ns(c, next), 0, BESIDES_MS * NS_PER_MS / 2);
	assert_int_equal(group_value(c, next, TALLY_PIDS), 1);
	/* The set is not given back while a live process is marked with it … */
	uint32_t sets = inside->sets.count;
	for (int i = 0; i < 3; i++) {
		adopt_sweep(inside);
		pass(c);
	}
	assert_true(inside->sets.items[1].used);
	/* … which counts its whole life again when it comes back. */
	uint32_t back = follow(c, old.pid);
	pass(c);
	assert_burnt(group_cpu_ns(c, back), 60);
	puppet_end(&old);
	for (int i = 0; i < 3; i++) {
		pass(c);
		adopt_sweep(inside);
	}
	assert_false(inside->sets.items[1].used);
	assert_int_equal(inside->sets.count, sets + 1);
	puppet_end(&new);
	collector_close(c);
}

/* Sets of several groups come and go; what they counted stays with those that are left. */
static void keeps_what_a_forgotten_set_counted(void **state)
{
	struct collector *c = open_bpf();
	struct bpf_collector *inside = (struct bpf_collector *)c;
	struct puppet puppet;

	puppet_start(&puppet);
	uint32_t one = follow(c, puppet.pid), other = follow(c, puppet.pid);
	pass(c);
	puppet_do(&puppet, BURN, 40);
	puppet_end(&puppet);
	pass(c);
	int64_t cpu_ns = group_cpu_ns(c, one);
	assert_burnt(cpu_ns, 40);
	for (int i = 0; i < 3; i++)
		adopt_sweep(inside);
	pass(c);
	assert_int_equal(group_cpu_ns(c, one), cpu_ns);
	assert_int_equal(group_cpu_ns(c, other), cpu_ns);
	collector_group_remove(c, one);
	pass(c);
	assert_int_equal(group_cpu_ns(c, other), cpu_ns);
	collector_close(c);
}

static void refuses_pids_that_are_not_the_one_meant(void **state)
{
	struct collector *c = open_bpf();
	struct tally_error err = {0};
	struct puppet puppet;
	uint32_t group;

	puppet_start(&puppet);
	assert_int_equal(collector_group_add(c, &group, NULL), 0);
	struct collect_root root = {.pid = puppet.pid, .start_ns = NS_PER_S};
	assert_int_equal(collector_root_add(c, group, &root, &err), -ESRCH);
	assert_non_null(strstr(err.message, "another process"));
	puppet_end(&puppet);
	root.start_ns = 0;
	assert_int_equal(collector_root_add(c, group, &root, &err), -ESRCH);
	pass(c);
	assert_int_equal(group_value(c, group, TALLY_PIDS), 0);
	collector_close(c);
}

struct met {
	int count;
	pid_t pids[8];
	const char *why[8];
	int64_t cpu_ns[8];
};

static void meet(void *context, const struct collect_member *member)
{
	struct met *met = context;

	met->pids[met->count] = member->pid;
	met->why[met->count] = member->why;
	met->cpu_ns[met->count++] = member->cpu_ns;
}

static void shows_members_and_why_they_belong(void **state)
{
	struct collector *c = open_bpf();
	struct puppet puppet;
	struct met met = {0};

	puppet_start(&puppet);
	puppet_do(&puppet, THREAD, 30);
	puppet_do(&puppet, THREAD_ENDS, 30);
	pid_t child = puppet_do(&puppet, BEAR, 0);
	uint32_t group = follow(c, puppet.pid);
	pass(c);
	collector_members(c, group, meet, &met);
	assert_int_equal(met.count, 2);
	assert_int_equal(met.pids[0], puppet.pid);
	assert_string_equal(met.why[0], "root");
	assert_burnt(met.cpu_ns[0], 60);
	assert_int_equal(met.pids[1], child);
	assert_string_equal(met.why[1], "child");
	puppet_end(&puppet);
	collector_close(c);
}

/* ---- limits ---- */

static void refuses_more_groups_than_there_are_sets(void **state)
{
	struct collector *c = open_limited(&(struct bpf_limits){.sets = 3});
	struct tally_error err = {0};
	uint32_t group;

	assert_int_equal(collector_group_add(c, &group, NULL), 0);
	assert_int_equal(collector_group_add(c, &group, NULL), 0);
	assert_int_equal(collector_group_add(c, &group, &err), -ENOSPC);
	assert_non_null(strstr(err.message, "2 are the limit"));
	collector_close(c);
}

static void says_that_a_nested_group_has_no_set(void **state)
{
	struct collector *c = open_limited(&(struct bpf_limits){.sets = 3});
	struct collect_status status;
	struct puppet puppet;

	puppet_start(&puppet);
	uint32_t first = follow(c, puppet.pid), second = follow(c, puppet.pid);
	pass(c);
	assert_int_equal(group_value(c, first, TALLY_PIDS), 1);
	assert_false(tally_sample_has(collector_group(c, second), TALLY_CPU_USER));
	assert_int_equal(collector_group(c, second)->reason[TALLY_CPU_USER], TALLY_REASON_LIMIT);
	collector_status(c, &status);
	assert_true(status.limited > 0);
	puppet_end(&puppet);
	collector_close(c);
}

static void refuses_more_roots_than_there_is_room_for(void **state)
{
	struct collector *c = open_limited(&(struct bpf_limits){.roots = 2});
	struct tally_error err = {0};
	struct puppet one, other;
	uint32_t group;

	puppet_start(&one);
	puppet_start(&other);
	group = follow(c, one.pid);
	struct collect_root root = {.pid = other.pid};
	assert_int_equal(collector_root_add(c, group, &root, &err), -ENOSPC);
	puppet_end(&one);
	pass(c); /* its place is free again */
	assert_int_equal(collector_root_add(c, group, &root, &err), 0);
	puppet_end(&other);
	collector_close(c);
}

/* Children, grandchildren and threads, half of which get no mark when they are forked. */
static void bear_much(void)
{
	for (int i = 0; i < 60; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			pthread_t thread;

			pthread_create(&thread, NULL, puppet_short_thread, (void *)(intptr_t)2);
			puppet_bear(2);
			pthread_join(thread, NULL);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
}

static void counts_children_that_could_not_be_marked(void **state)
{
	struct collector *c = open_limited(&(struct bpf_limits){.fail_every = 2});
	struct collect_status status;
	struct watched w = {0};

	watched_start(&w, bear_much);
	uint32_t group = follow(c, w.pid);
	watched_release(&w, c, group);
	watched_wait(&w, c);
	assert_int_equal(collector_settle(c, group, NS_PER_S, NULL), 0);
	assert_between(watched_percent(&w, c, group) * 1000, 99900, 100100);
	assert_int_equal(group_value(c, group, TALLY_PIDS_STARTED), 121);
	collector_status(c, &status);
	assert_int_equal(status.limited, 0);
	remove_cgroup(w.cgroup);
	collector_close(c);
}

static void says_how_many_children_it_lost(void **state)
{
	struct collector *c = open_limited(&(struct bpf_limits){.fail_every = 1, .strays = 1});
	struct collect_status status;
	struct puppet puppet;

	puppet_start(&puppet);
	uint32_t group = follow(c, puppet.pid);
	for (int i = 0; i < 3; i++)
		puppet_do(&puppet, BEAR, 0);
	collector_status(c, &status);
	assert_int_equal(status.limited, 2);
	pass(c); /* and finds those that live, below their parent */
	assert_int_equal(group_value(c, group, TALLY_PIDS), 4);
	puppet_end(&puppet);
	collector_close(c);
}

/* ---- beside others ---- */

static int count_programs(void)
{
	__u32 id = 0;
	int count = 0;

	while (bpf_prog_get_next_id(id, &id) == 0) {
		struct bpf_prog_info info = {0};
		__u32 size = sizeof(info);
		int fd = bpf_prog_get_fd_by_id(id);

		if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0 &&
			info.created_by_uid == geteuid() && strcmp(info.name, "tally_switch") == 0)
			count++;
		close(fd);
	}
	return count;
}

static void two_collectors_count_alike(void **state)
{
	struct collector *c = open_bpf(), *d = open_bpf();
	struct puppet puppet;

	puppet_start(&puppet);
	uint32_t in_c = follow(c, puppet.pid), in_d = follow(d, puppet.pid);
	puppet_do(&puppet, BEAR_BUSY, 30);
	pass(c);
	puppet_do(&puppet, BURN, 30);
	collector_close(c);
	c = open_bpf();
	in_c = follow(c, puppet.pid);
	pass(c);
	pass(d);
	assert_burnt(group_cpu_ns(d, in_d), 60);
	assert_burnt(group_cpu_ns(c, in_c), 30);
	puppet_end(&puppet);
	collector_close(c);
	collector_close(d);
}

/* Other users of the machine may open collectors of their own meanwhile: look until it is so. */
static void nothing_stays_loaded_after_sigkill(void **state)
{
	int before = 0, after = 1, ready[2];
	char byte;

	collector_close(open_bpf());
	for (int turn = 0; turn < 20 && after > before; turn++) {
		before = count_programs();
		assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
		pid_t pid = fork();
		if (pid == 0) {
			struct collector *c;

			if (collector_open("bpf", NULL, &c, NULL, NULL) == 0 &&
				write(ready[1], "r", 1) == 1)
				pause();
			_exit(1);
		}
		assert_int_equal(read(ready[0], &byte, 1), 1);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		for (int i = 0; i < 100 && (after = count_programs()) > before; i++)
			sleep_ms(10);
		close(ready[0]);
		close(ready[1]);
	}
	assert_true(after <= before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_a_running_tree_in),
		cmocka_unit_test(counts_in_every_group_of_nested_roots),
		cmocka_unit_test(a_family_shares_no_pid),
		cmocka_unit_test(a_root_leaves_its_family_with_what_it_consumes_from_then_on),
		cmocka_unit_test(a_later_root_counts_its_life_so_far),
		cmocka_unit_test(counters_go_on_with_the_next_root),
		cmocka_unit_test(a_removed_group_leaves_nothing_to_the_next),
		cmocka_unit_test(keeps_what_a_forgotten_set_counted),
		cmocka_unit_test(refuses_pids_that_are_not_the_one_meant),
		cmocka_unit_test(shows_members_and_why_they_belong),
		cmocka_unit_test(refuses_more_groups_than_there_are_sets),
		cmocka_unit_test(says_that_a_nested_group_has_no_set),
		cmocka_unit_test(refuses_more_roots_than_there_is_room_for),
		cmocka_unit_test(counts_children_that_could_not_be_marked),
		cmocka_unit_test(says_how_many_children_it_lost),
		cmocka_unit_test(two_collectors_count_alike),
		cmocka_unit_test(nothing_stays_loaded_after_sigkill),
	};

	return cmocka_run_group_tests_name("bpf groups", tests, NULL, NULL);
}
