/* SPDX-License-Identifier: Apache-2.0 */
/* The BPF collector: levels of odd processes, who may use it, and what it costs. */
#include <grp.h>
#include <malloc.h>
#include "collect/bpf/bpf.h"
#include "puppet.h"

static int64_t read_word(pid_t pid, const char *file, int word)
{
	char path[64], text[512];
	uint64_t value = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	ssize_t length = file_read_at(AT_FDCWD, path, text, sizeof(text));
	struct cursor cursor = cursor_of(text, length > 0 ? (size_t)length : 0);
	assert_true(cursor_skip_words(&cursor, (unsigned)word) && cursor_u64(&cursor, &value));
	return (int64_t)value;
}

/* "size resident shared …" in pages; the kernel sums it over all CPUs since 6.17. */
static void memory_is_that_of_statm(void **state)
{
	struct collector *c = open_bpf();
	int64_t page = sysconf(_SC_PAGESIZE);
	struct puppet puppet;

	puppet_start(&puppet);
	uint32_t group = follow(c, puppet.pid);
	for (int i = 0; i < 3; i++) {
		puppet_do(&puppet, MAP, 777);
		puppet_do(&puppet, SHARE, 333);
		pass(c);
		assert_int_equal(group_value(c, group, TALLY_VIRTUAL),
			page * read_word(puppet.pid, "statm", 0));
		assert_between(
			group_value(c, group, TALLY_RSS) / page - read_word(puppet.pid, "statm", 1),
			-192, 192);
		assert_between(group_value(c, group, TALLY_SHARED) / page -
				       read_word(puppet.pid, "statm", 2),
			-128, 128);
	}
	puppet_end(&puppet);
	collector_close(c);
}

/* Beyond one word and one page of the table, up to what this user may open. */
static void counts_many_descriptors(void **state)
{
	struct collector *c = open_bpf();
	struct puppet puppet;

	puppet_start(&puppet);
	uint32_t group = follow(c, puppet.pid);
	pass(c);
	int64_t before = group_value(c, group, TALLY_FDS);
	if (puppet_do(&puppet, OPEN, 9000) < 0)
		skip_because("not so many descriptors may be opened here");
	pass(c);
	assert_int_equal(group_value(c, group, TALLY_FDS), before + 9000);
	puppet_end(&puppet);
	collector_close(c);
}

static void *exec_sleep(void *unused)
{
	execl("/bin/sleep", "sleep", "1000", NULL);
	_exit(1);
}

static void exec_in_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, exec_sleep, NULL);
	pause();
}

static void sleep_in_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, puppet_thread, (void *)(intptr_t)20);
	pthread_exit(NULL);
}

static void end_watched(struct watched *w)
{
	kill(w->pid, SIGKILL);
	waitpid(w->pid, NULL, 0);
	remove_cgroup(w->cgroup);
}

static void a_root_that_execs_in_a_thread_stays_the_root(void **state)
{
	struct collector *c = open_bpf();
	struct watched w;

	watched_start(&w, exec_in_thread);
	uint32_t group = follow(c, w.pid);
	watched_release(&w, c, group);
	sleep_ms(200);
	for (int i = 0; i < 2; i++) {
		pass(c);
		assert_int_equal(group_value(c, group, TALLY_PIDS), 1);
		assert_int_equal(group_value(c, group, TALLY_THREADS), 1);
		assert_int_equal(group_value(c, group, TALLY_STATE), 'S');
		assert_true(group_value(c, group, TALLY_RSS) > 0);
	}
	end_watched(&w);
	pass(c);
	assert_int_equal(group_value(c, group, TALLY_PIDS), 0);
	collector_close(c);
}

static void a_process_without_its_leader_keeps_its_levels(void **state)
{
	struct collector *c = open_bpf();
	struct watched w;

	watched_start(&w, sleep_in_thread);
	uint32_t group = follow(c, w.pid);
	watched_release(&w, c, group);
	sleep_ms(200);
	for (int i = 0; i < 70; i++) { /* the idle are read again, too */
		pass(c);
		assert_int_equal(group_value(c, group, TALLY_PIDS), 1);
		assert_int_equal(group_value(c, group, TALLY_THREADS), 2);
		assert_true(group_value(c, group, TALLY_RSS) > 0);
		assert_true(group_value(c, group, TALLY_FDS) > 0);
		assert_int_equal(group_value(c, group, TALLY_STATE), 'Z');
	}
	end_watched(&w);
	collector_close(c);
}

/* As /proc has it: a pid that is there, and has nothing. */
static void a_zombie_is_a_pid_without_levels(void **state)
{
	struct collector *c = open_bpf();
	struct puppet puppet;

	puppet_start(&puppet);
	uint32_t group = follow(c, puppet.pid);
	pass(c);
	kill(puppet.pid, SIGKILL);
	sleep_ms(100);
	pass(c);
	assert_int_equal(group_value(c, group, TALLY_PIDS), 1);
	assert_int_equal(group_value(c, group, TALLY_THREADS), 0);
	assert_int_equal(group_value(c, group, TALLY_RSS), 0);
	assert_int_equal(group_value(c, group, TALLY_FDS), 0);
	assert_int_equal(group_value(c, group, TALLY_STATE), 'Z');
	close(puppet.wire);
	waitpid(puppet.pid, NULL, 0);
	pass(c);
	assert_int_equal(group_value(c, group, TALLY_PIDS), 0);
	collector_close(c);
}

/* An idle process is looked at in turn: what others do to it is seen within 64 passes. */
static void a_reniced_idle_root_is_seen(void **state)
{
	struct collector *c = open_bpf();
	struct puppet puppet;

	puppet_start(&puppet);
	uint32_t group = follow(c, puppet.pid);
	pass(c);
	assert_int_equal(setpriority(PRIO_PROCESS, (id_t)puppet.pid, 7), 0);
	pass(c);
	assert_int_equal(group_value(c, group, TALLY_NICE), 7);
	puppet_end(&puppet);
	collector_close(c);
}

/* ---- who may use it ---- */

static bool become_nobody(void)
{
	return setgroups(0, NULL) == 0 && setresgid(65534, 65534, 65534) == 0 &&
	       setresuid(65534, 65534, 65534) == 0;
}

/* Run something as nobody in a child; its exit status. */
static int as_nobody(int (*run)(void *), void *context)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(become_nobody() ? run(context) : 99);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int open_in_vain(void *context)
{
	struct tally_error err = {0};
	struct collector *c;

	if (collector_open("bpf", NULL, &c, NULL, &err) != -ENOTSUP)
		return 1;
	return strstr(err.message, "CAP_BPF") && strstr(err.message, "run as root") ? 0 : 2;
}

static void an_ordinary_user_hears_what_is_missing(void **state)
{
	collector_close(open_bpf());
	assert_int_equal(as_nobody(open_in_vain, NULL), 0);
}

static int use_without_privileges(void *context)
{
	struct collector *c = context;
	struct collect_root root = {.pid = getpid()};
	uint32_t group;

	if (collector_group_add(c, &group, NULL) < 0 ||
		collector_root_add(c, group, &root, NULL) < 0)
		return 1;
	burn_ms(10);
	if (collector_pass(c, NULL) < 0 || group_value(c, group, TALLY_PIDS) != 1)
		return 2;
	return group_cpu_ns(c, group) > 5 * NS_PER_MS ? 0 : 3;
}

static void works_after_all_privileges_are_dropped(void **state)
{
	struct collector *c = open_bpf();
	int result = as_nobody(use_without_privileges, c);

	if (result == 1)
		skip_because("this kernel wants CAP_BPF for maps that are open already");
	assert_int_equal(result, 0);
	collector_close(c);
}

static void hear(void *context, const char *requirement, bool met, const char *remedy)
{
	assert_true(strlen(requirement) > 0 && strlen(remedy) > 0);
	*(int *)context += met;
}

static void requirements_are_met_where_it_opens(void **state)
{
	int met = 0;

	collector_close(open_bpf());
	assert_int_equal(bpf_requirements(hear, &met), 0);
	assert_true(met >= 7);
}

/* ---- cost ---- */

static void steady_passes_allocate_nothing(void **state)
{
	struct collector *c = open_bpf();
	struct puppet puppet;

	puppet_start(&puppet);
	follow(c, puppet.pid);
	pass(c);
	struct mallinfo2 before = mallinfo2();
	for (int i = 0; i < 100; i++)
		pass(c);
	struct mallinfo2 after = mallinfo2();
	assert_int_equal(after.uordblks, before.uordblks);
	assert_int_equal(after.arena, before.arena);
	puppet_end(&puppet);
	collector_close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_that_of_statm),
		cmocka_unit_test(counts_many_descriptors),
		cmocka_unit_test(a_root_that_execs_in_a_thread_stays_the_root),
		cmocka_unit_test(a_process_without_its_leader_keeps_its_levels),
		cmocka_unit_test(a_zombie_is_a_pid_without_levels),
		cmocka_unit_test(a_reniced_idle_root_is_seen),
		cmocka_unit_test(an_ordinary_user_hears_what_is_missing),
		cmocka_unit_test(works_after_all_privileges_are_dropped),
		cmocka_unit_test(requirements_are_met_where_it_opens),
		cmocka_unit_test(steady_passes_allocate_nothing),
	};

	return cmocka_run_group_tests_name("bpf processes", tests, NULL, NULL);
}
