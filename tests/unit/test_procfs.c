/* SPDX-License-Identifier: Apache-2.0 */
/* The procfs collector on real processes: what they consume against what wait4() says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "collect/procfs.h"
#include "processes.h"

/* rusage cuts each of its two times to microseconds. */
#define CUT_NS (2 * NS_PER_US)

static struct collector *collector;

static int set_up(void **state)
{
	return collector_open("procfs", NULL, &collector, NULL, NULL);
}

static int tear_down(void **state)
{
	collector = collector_close(collector);
	return 0;
}

static uint32_t group_with(const struct collect_root *root)
{
	struct tally_error err = {0};
	uint32_t group;

	assert_int_equal(collector_group_add(collector, &group, NULL), 0);
	if (collector_root_add(collector, group, root, &err) < 0)
		fail_msg("%s", err.message);
	return group;
}

static uint32_t group_of(pid_t pid)
{
	return group_with(&(struct collect_root){.pid = pid});
}

static void pass(void)
{
	struct tally_error err = {0};

	if (collector_pass(collector, &err) < 0)
		fail_msg("%s", err.message);
}

static int64_t value(uint32_t group, enum tally_metric metric)
{
	const struct tally_sample *sample = collector_group(collector, group);

	assert_true(tally_sample_has(sample, metric));
	return sample->value[metric];
}

static int64_t cpu_ns(uint32_t group)
{
	return value(group, TALLY_CPU_USER) + value(group, TALLY_CPU_SYSTEM);
}

static void reaped(uint32_t group, pid_t pid, const struct rusage *usage)
{
	collector_reaped(collector, group, pid, usage);
}

static void assert_near(int64_t value_ns, int64_t truth_ns, int64_t tolerance_ns)
{
	if (value_ns < truth_ns - tolerance_ns || value_ns > truth_ns + tolerance_ns)
		fail_msg("%lld ns is not within %lld ns of %lld ns", (long long)value_ns,
			(long long)tolerance_ns, (long long)truth_ns);
}

static int burn_a_little(struct actor *self)
{
	actor_wait(self);
	burn(3 * NS_PER_MS);
	return 0;
}

static void a_short_command_is_measured_to_the_microsecond(void **state)
{
	struct actor actor = actor_start(burn_a_little);
	uint32_t group = group_of(actor.pid);

	actor_go(&actor);
	wait_until_ended(actor.pid);
	pass();
	struct rusage usage = reap(actor.pid);
	assert_near(cpu_ns(group), rusage_cpu_ns(&usage), CUT_NS);
	assert_int_equal(value(group, TALLY_STATE), 'Z');
	assert_int_equal(value(group, TALLY_MINOR_FAULTS), usage.ru_minflt);
	reaped(group, actor.pid, &usage);
	assert_near(cpu_ns(group), rusage_cpu_ns(&usage), CUT_NS);
	assert_int_equal(value(group, TALLY_VOLUNTARY_SWITCHES), usage.ru_nvcsw);
	pass();
	assert_near(cpu_ns(group), rusage_cpu_ns(&usage), CUT_NS);
	assert_int_equal(value(group, TALLY_PIDS), 0);
	assert_int_equal(value(group, TALLY_PIDS_STARTED), 1);
	actor_leave(&actor);
}

static int fork_and_reap(struct actor *self)
{
	actor_wait(self);
	for (int i = 0; i < 20; i++) {
		pid_t child = fork();

		if (child == 0) {
			burn(4 * NS_PER_MS);
			_exit(0);
		}
		waitpid(child, NULL, 0);
	}
	actor_tell(self);
	actor_wait(self);
	return 0;
}

static void children_that_no_pass_has_seen_are_counted(void **state)
{
	struct actor actor = actor_start(fork_and_reap);
	uint32_t group = group_of(actor.pid);

	pass();
	actor_go(&actor);
	actor_hear(&actor);
	pass();
	/* The kernel shows those of children in ticks of 10 ms: less than one is hidden per mode. */
	assert_in_range(cpu_ns(group), 60 * NS_PER_MS, INT64_MAX);
	actor_go(&actor);
	wait_until_ended(actor.pid);
	pass();
	int64_t before_ns = cpu_ns(group);
	struct rusage usage = reap(actor.pid);
	assert_near(before_ns, rusage_cpu_ns(&usage), 20 * NS_PER_MS);
	reaped(group, actor.pid, &usage);
	assert_near(cpu_ns(group), rusage_cpu_ns(&usage), CUT_NS);
	actor_leave(&actor);
}

static int storm(struct actor *self)
{
	actor_wait(self);
	for (int i = 0; i < 150; i++) {
		pid_t child = fork();

		if (child == 0) {
			pid_t grandchild = fork();

			if (grandchild == 0) {
				burn(NS_PER_MS);
				_exit(0);
			}
			burn(NS_PER_MS);
			waitpid(grandchild, NULL, 0);
			_exit(0);
		}
		if (i % 3 == 0)
			while (waitpid(-1, NULL, 0) > 0)
				;
	}
	while (waitpid(-1, NULL, 0) > 0)
		;
	return 0;
}

static bool has_ended(pid_t pid)
{
	siginfo_t info = {0};

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | WNOHANG) == 0 && info.si_pid;
}

static void a_storm_of_forks_is_counted_once(void **state)
{
	struct actor actor = actor_start(storm);
	uint32_t group = group_of(actor.pid);
	int64_t last_ns = 0, last_faults = 0;

	actor_go(&actor);
	while (!has_ended(actor.pid)) {
		pass();
		assert_true(cpu_ns(group) >= last_ns);
		assert_true(value(group, TALLY_MINOR_FAULTS) >= last_faults);
		last_ns = cpu_ns(group);
		last_faults = value(group, TALLY_MINOR_FAULTS);
	}
	pass();
	pass();
	last_ns = cpu_ns(group);
	struct rusage usage = reap(actor.pid);
	assert_near(last_ns, rusage_cpu_ns(&usage), 20 * NS_PER_MS);
	assert_int_equal(value(group, TALLY_MINOR_FAULTS), usage.ru_minflt);
	reaped(group, actor.pid, &usage);
	pass();
	assert_near(cpu_ns(group), rusage_cpu_ns(&usage), 20 * NS_PER_MS);
	assert_true(cpu_ns(group) >= rusage_cpu_ns(&usage));
	actor_leave(&actor);
}

static int ignore_children(struct actor *self)
{
	signal(SIGCHLD, SIG_IGN);
	actor_wait(self);
	pid_t child = fork();
	if (child == 0) {
		burn(50 * NS_PER_MS);
		actor_tell(self);
		actor_wait(self);
		_exit(0);
	}
	/* Returns when all children are gone. */
	waitpid(-1, NULL, 0);
	actor_tell(self);
	actor_wait(self);
	return 0;
}

static void a_child_that_nobody_reaps_keeps_what_a_pass_saw(void **state)
{
	struct actor actor = actor_start(ignore_children);
	uint32_t group = group_of(actor.pid);

	pass();
	actor_go(&actor);
	actor_hear(&actor);
	pass();
	int64_t seen_ns = cpu_ns(group);
	assert_true(seen_ns >= 50 * NS_PER_MS);
	assert_int_equal(value(group, TALLY_PIDS), 2);
	actor_go(&actor);
	actor_hear(&actor);
	for (int i = 0; i < 3; i++) {
		pass();
		assert_true(cpu_ns(group) >= seen_ns);
	}
	assert_int_equal(value(group, TALLY_PIDS), 1);
	actor_go(&actor);
	reap(actor.pid);
	pass();
	assert_true(cpu_ns(group) >= seen_ns);
	actor_leave(&actor);
}

/* The middle process lives for no pass to see; its child is handed to this test. */
static int daemonise(struct actor *self)
{
	actor_wait(self);
	pid_t middle = fork();
	if (middle == 0) {
		if (fork() == 0) {
			burn(20 * NS_PER_MS);
			actor_tell(self);
			actor_wait(self);
			_exit(0);
		}
		_exit(0);
	}
	waitpid(middle, NULL, 0);
	actor_wait(self);
	return 0;
}

static void remember_reparented(void *context, const struct collect_member *member)
{
	if (strcmp(member->why, "reparented") == 0)
		*(pid_t *)context = member->pid;
}

static void a_daemon_of_a_subreaper_stays_counted(void **state)
{
	struct actor actor = actor_start(daemonise);
	pid_t daemon = 0;

	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	uint32_t group =
		group_with(&(struct collect_root){.pid = actor.pid, .subreaper = getpid()});
	pass();
	actor_go(&actor);
	actor_hear(&actor);
	pass();
	assert_int_equal(value(group, TALLY_PIDS), 2);
	collector_members(collector, group, remember_reparented, &daemon);
	assert_int_not_equal(daemon, 0);
	assert_true(cpu_ns(group) >= 20 * NS_PER_MS);
	actor_go(&actor);
	actor_go(&actor);
	struct rusage first = reap(actor.pid), second = reap(daemon);
	reaped(group, actor.pid, &first);
	reaped(group, daemon, &second);
	int64_t truth_ns = rusage_cpu_ns(&first) + rusage_cpu_ns(&second);
	assert_near(cpu_ns(group), truth_ns, 2 * CUT_NS);
	pass();
	assert_near(cpu_ns(group), truth_ns, 2 * CUT_NS);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	actor_leave(&actor);
}

static void a_child_reaped_unseen_is_counted_by_the_call(void **state)
{
	struct actor actor = actor_start(burn_a_little);
	struct rusage usage = {
		.ru_utime = {.tv_usec = 1500}, .ru_minflt = 40, .ru_inblock = 2, .ru_nvcsw = 3};
	uint32_t group = group_of(actor.pid);

	pass();
	int64_t before_ns = cpu_ns(group), faults = value(group, TALLY_MINOR_FAULTS);
	reaped(group, 1 << 22, &usage);
	assert_int_equal(cpu_ns(group), before_ns + 1500 * NS_PER_US);
	assert_int_equal(value(group, TALLY_MINOR_FAULTS), faults + 40);
	assert_int_equal(value(group, TALLY_PIDS_STARTED), 2);
	actor_kill(&actor);
}

static void a_pass_between_wait4_and_the_word_of_it_doubles_nothing(void **state)
{
	struct actor actor = actor_start(fork_and_reap);
	uint32_t group = group_of(actor.pid);

	pass();
	actor_go(&actor);
	actor_hear(&actor);
	pass();
	actor_go(&actor);
	struct rusage usage = reap(actor.pid);
	pass();
	assert_int_equal(value(group, TALLY_PIDS), 0);
	reaped(group, actor.pid, &usage);
	assert_near(cpu_ns(group), rusage_cpu_ns(&usage), CUT_NS);
	assert_int_equal(value(group, TALLY_MINOR_FAULTS), usage.ru_minflt);
	assert_int_equal(value(group, TALLY_PIDS_STARTED), 1);
	actor_leave(&actor);
}

/* Its last child is seen by a pass, and gone with it before the next. */
static int end_with_a_child(struct actor *self)
{
	pid_t child = fork();

	if (child == 0) {
		burn(30 * NS_PER_MS);
		actor_tell(self);
		actor_wait(self);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	return 0;
}

static void what_ended_with_the_root_is_not_doubled_by_wait4(void **state)
{
	struct actor actor = actor_start(end_with_a_child);
	uint32_t group = group_of(actor.pid);

	actor_hear(&actor);
	pass();
	assert_int_equal(value(group, TALLY_PIDS), 2);
	actor_go(&actor);
	struct rusage usage = reap(actor.pid);
	reaped(group, actor.pid, &usage);
	assert_near(cpu_ns(group), rusage_cpu_ns(&usage), CUT_NS);
	pass();
	assert_near(cpu_ns(group), rusage_cpu_ns(&usage), CUT_NS);
	assert_int_equal(value(group, TALLY_MINOR_FAULTS), usage.ru_minflt);
	actor_leave(&actor);
}

static void *burn_in_a_thread(void *argument)
{
	struct timespec start, now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
	do
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	while ((now.tv_sec - start.tv_sec) * NS_PER_S + now.tv_nsec - start.tv_nsec <
		30 * NS_PER_MS);
	actor_tell(argument);
	actor_wait(argument);
	return NULL;
}

static int run_threads(struct actor *self)
{
	pthread_t threads[3];

	actor_wait(self);
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, burn_in_a_thread, self);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	actor_tell(self);
	actor_wait(self);
	return 0;
}

static void threads_count_and_are_kept_when_they_end(void **state)
{
	struct actor actor = actor_start(run_threads);
	uint32_t group = group_of(actor.pid);

	pass();
	actor_go(&actor);
	for (int i = 0; i < 3; i++)
		actor_hear(&actor);
	pass();
	assert_int_equal(value(group, TALLY_THREADS), 4);
	pass();
	assert_true(cpu_ns(group) >= 80 * NS_PER_MS);
	int64_t switches = value(group, TALLY_VOLUNTARY_SWITCHES);
	assert_true(switches >= 3);
	for (int i = 0; i < 3; i++)
		actor_go(&actor);
	actor_hear(&actor);
	pass();
	assert_int_equal(value(group, TALLY_THREADS), 1);
	assert_true(value(group, TALLY_VOLUNTARY_SWITCHES) >= switches);
	assert_true(cpu_ns(group) >= 80 * NS_PER_MS);
	actor_go(&actor);
	struct rusage usage = reap(actor.pid);
	reaped(group, actor.pid, &usage);
	assert_near(cpu_ns(group), rusage_cpu_ns(&usage), CUT_NS);
	actor_leave(&actor);
}

static void *outlive_the_leader(void *argument)
{
	struct actor *self = argument;
	char name[64];
	struct stat st;

	/* Until the main thread has ended: its descriptors are gone then. */
	snprintf(name, sizeof(name), "/proc/%d/task/%d/fd/0", getpid(), getpid());
	while (lstat(name, &st) == 0)
		usleep(1000);
	actor_tell(self);
	actor_wait(self);
	_exit(0);
}

static int leave_a_thread_behind(struct actor *self)
{
	pthread_t thread;

	actor_wait(self);
	pthread_create(&thread, NULL, outlive_the_leader, self);
	pthread_exit(NULL);
}

static void a_process_without_its_main_thread_still_has_memory(void **state)
{
	struct actor actor = actor_start(leave_a_thread_behind);
	uint32_t group = group_of(actor.pid);

	pass();
	actor_go(&actor);
	actor_hear(&actor);
	pass();
	assert_int_equal(value(group, TALLY_PIDS), 1);
	assert_int_equal(value(group, TALLY_THREADS), 2);
	assert_true(value(group, TALLY_RSS) > 0);
	assert_true(value(group, TALLY_FDS) > 0);
	actor_go(&actor);
	struct rusage usage = reap(actor.pid);
	reaped(group, actor.pid, &usage);
	assert_near(cpu_ns(group), rusage_cpu_ns(&usage), CUT_NS);
	actor_leave(&actor);
}

/* Fork until a child has the pid. False: this machine does not let us, or somebody was faster. */
static bool fork_with_pid(pid_t pid, actor_fn *act, struct actor *ret)
{
	for (int tries = 0; tries < 50; tries++) {
		char text[16];
		int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);

		if (fd < 0)
			return false;
		int length = snprintf(text, sizeof(text), "%d", pid - 1);
		bool written = write(fd, text, (size_t)length) == length;
		close(fd);
		if (!written)
			return false;
		*ret = actor_start(act);
		if (ret->pid == pid)
			return true;
		actor_kill(ret);
	}
	return false;
}

static int burn_and_wait(struct actor *self)
{
	burn(20 * NS_PER_MS);
	actor_tell(self);
	actor_wait(self);
	return 0;
}

static void recycle(bool with_descriptors)
{
	struct collect_options options = {.fd_limit = with_descriptors ? 0 : 1};

	collector_close(collector);
	assert_int_equal(collector_open("procfs", &options, &collector, NULL, NULL), 0);
	/* The first takes the one descriptor that there may be. */
	struct actor other = actor_start(burn_and_wait), actor = actor_start(burn_and_wait), again;
	uint32_t others = group_of(other.pid), group = group_of(actor.pid);

	actor_hear(&other);
	actor_hear(&actor);
	pass();
	int64_t before_ns = cpu_ns(group);
	actor_go(&actor);
	reap(actor.pid);
	actor_leave(&actor);
	if (!fork_with_pid(actor.pid, burn_and_wait, &again)) {
		actor_kill(&other);
		print_message("ns_last_pid cannot be written here\n");
		skip();
	}
	actor_hear(&again);
	for (int i = 0; i < 3; i++) {
		pass();
		assert_int_equal(value(group, TALLY_PIDS), 0);
		assert_true(cpu_ns(group) >= before_ns);
		assert_true(cpu_ns(group) < before_ns + 10 * NS_PER_MS);
	}
	assert_int_equal(value(others, TALLY_PIDS), 1);
	/* And it can be followed for what it is. */
	uint32_t second = group_of(again.pid);
	pass();
	assert_int_equal(value(second, TALLY_PIDS), 1);
	assert_int_equal(value(group, TALLY_PIDS), 0);
	actor_kill(&again);
	actor_kill(&other);
}

static void a_recycled_pid_is_never_mistaken(void **state)
{
	recycle(true);
}

static void nor_is_one_without_a_kept_descriptor(void **state)
{
	recycle(false);
}

static int wait_only(struct actor *self)
{
	actor_wait(self);
	return 0;
}

static void descriptors_have_a_limit(void **state)
{
	struct collect_options options = {.fd_limit = 2};
	struct collect_status status;
	struct actor actors[5];
	uint32_t groups[5];

	collector_close(collector);
	assert_int_equal(collector_open("procfs", &options, &collector, NULL, NULL), 0);
	for (int i = 0; i < 5; i++) {
		actors[i] = actor_start(i == 4 ? burn_and_wait : wait_only);
		groups[i] = group_of(actors[i].pid);
	}
	actor_hear(&actors[4]);
	for (int i = 0; i < 3; i++)
		pass();
	collector_status(collector, &status);
	assert_int_equal(status.pids, 5);
	assert_int_equal(status.limited, 3);
	assert_int_equal(((struct procfs *)collector)->members.fds, 2);
	assert_true(cpu_ns(groups[4]) >= 20 * NS_PER_MS);
	for (int i = 0; i < 5; i++)
		actor_kill(&actors[i]);
	pass();
	for (int i = 0; i < 5; i++)
		assert_int_equal(value(groups[i], TALLY_PIDS), 0);
	assert_int_equal(((struct procfs *)collector)->members.fds, 0);
}

/* In a child that is nobody: its own collector looks at a process of root. */
static int look_as_nobody(struct actor *self)
{
	struct collector *mine;
	struct collect_root root = {.pid = getppid()};
	uint32_t group;

	if (setgid(65534) < 0 || setuid(65534) < 0)
		return 2;
	if (collector_open("procfs", NULL, &mine, NULL, NULL) < 0 ||
		collector_group_add(mine, &group, NULL) < 0 ||
		collector_root_add(mine, group, &root, NULL) < 0 || collector_pass(mine, NULL) < 0)
		return 3;
	const struct tally_sample *sample = collector_group(mine, group);
	bool io_absent = !tally_sample_has(sample, TALLY_IO_READ) &&
			 sample->reason[TALLY_IO_READ] == TALLY_REASON_PERMISSION;
	bool rest_known = tally_sample_has(sample, TALLY_CPU_USER) &&
			  tally_sample_has(sample, TALLY_RSS) &&
			  tally_sample_has(sample, TALLY_SWAP) &&
			  tally_sample_has(sample, TALLY_RUN_QUEUE_WAIT) &&
			  tally_sample_has(sample, TALLY_VOLUNTARY_SWITCHES);
	collector_close(mine);
	return !io_absent ? 4 : !rest_known ? 5 : 0;
}

static void what_may_not_be_read_is_absent_with_the_reason(void **state)
{
	int status;

	if (getuid() != 0) {
		print_message("needs root, to look as nobody at a process of root\n");
		skip();
	}
	struct actor actor = actor_start(look_as_nobody);
	waitpid(actor.pid, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	actor_leave(&actor);
}

static int fork_when_told(struct actor *self)
{
	for (bool parent = true; parent;) {
		actor_wait(self);
		parent = fork() != 0;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	actor_tell(self);
	pause();
	return 0;
}

static void ranges_of_new_pids_miss_nobody(void **state)
{
	struct procfs *procfs = (struct procfs *)collector;
	struct actor actor = actor_start(fork_when_told);
	uint32_t group = group_of(actor.pid);

	pass();
	pass();
	for (int i = 1; i <= 12; i++) {
		actor_go(&actor);
		actor_hear(&actor);
		pass();
		assert_int_equal(value(group, TALLY_PIDS), 1 + i);
	}
	assert_false(procfs->ranges_failed);
	if (procfs->root.loadavg >= 0) {
		assert_true(procfs->root.ranged);
		assert_true(procfs->pass - procfs->all_listed >= 6);
	}
	/* A listing of all agrees. */
	procfs->listed_all_ns = 0;
	pass();
	assert_int_equal(procfs->all_listed, procfs->pass);
	assert_false(procfs->ranges_failed);
	assert_int_equal(value(group, TALLY_PIDS), 13);
	actor_kill(&actor);
}

static void the_pss_of_this_process_lies_within_its_rss(void **state)
{
	struct collect_options options = {.pss = true};

	collector_close(collector);
	assert_int_equal(collector_open("procfs", &options, &collector, NULL, NULL), 0);
	uint32_t group = group_of(getpid());
	pass();
	assert_true(value(group, TALLY_PSS) > 0);
	assert_true(value(group, TALLY_PSS) <= value(group, TALLY_RSS) + (1 << 20));
}

#define live_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		live_test(a_short_command_is_measured_to_the_microsecond),
		live_test(children_that_no_pass_has_seen_are_counted),
		live_test(a_storm_of_forks_is_counted_once),
		live_test(a_child_that_nobody_reaps_keeps_what_a_pass_saw),
		live_test(a_daemon_of_a_subreaper_stays_counted),
		live_test(a_child_reaped_unseen_is_counted_by_the_call),
		live_test(a_pass_between_wait4_and_the_word_of_it_doubles_nothing),
		live_test(what_ended_with_the_root_is_not_doubled_by_wait4),
		live_test(threads_count_and_are_kept_when_they_end),
		live_test(a_process_without_its_main_thread_still_has_memory),
		live_test(a_recycled_pid_is_never_mistaken),
		live_test(nor_is_one_without_a_kept_descriptor),
		live_test(descriptors_have_a_limit),
		live_test(what_may_not_be_read_is_absent_with_the_reason),
		live_test(ranges_of_new_pids_miss_nobody),
		live_test(the_pss_of_this_process_lies_within_its_rss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
