/* SPDX-License-Identifier: Apache-2.0 */
/* The collector interface, on its trivial implementation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "base/clock.h"
#include "collect/fake.h"
#include "collect/registry.h"

static struct collector *fake(void)
{
	struct collector *collector;

	assert_int_equal(fake_open(&collector, NULL), 0);
	return collector;
}

static void an_unknown_name_is_refused(void **state)
{
	struct collector *collector = NULL;
	struct tally_error err;

	assert_int_equal(collector_open("crystal-ball", NULL, &collector, NULL, &err), -ENOENT);
	assert_non_null(strstr(err.message, "crystal-ball"));
	assert_null(collector);
}

static void auto_says_which_and_why(void **state)
{
	struct collector *collector;
	char reason[256] = "";

	assert_int_equal(collector_open("auto", NULL, &collector, reason, NULL), 0);
	assert_true(strlen(reason) > 0);
	collector_close(collector);
}

static void a_wrong_procfs_is_refused_with_its_path(void **state)
{
	struct collect_options options = {.procfs = "/nonexistent/proc"};
	struct collector *collector;
	struct tally_error err;

	assert_int_equal(collector_open("procfs", &options, &collector, NULL, &err), -ENOENT);
	assert_non_null(strstr(err.message, "/nonexistent/proc"));
	options.procfs = "/etc/passwd";
	assert_int_equal(collector_open("procfs", &options, &collector, NULL, &err), -ENOTDIR);
}

static void a_group_is_absent_before_its_first_pass(void **state)
{
	struct collector *collector = fake();
	uint32_t group;

	assert_int_equal(collector_group_add(collector, &group, NULL), 0);
	const struct tally_sample *sample = collector_group(collector, group);
	assert_false(tally_sample_has(sample, TALLY_PIDS));
	assert_int_equal(sample->reason[TALLY_PIDS], TALLY_REASON_NOT_SAMPLED);
	collector_close(collector);
}

static void a_removed_group_gives_its_number_to_the_next(void **state)
{
	struct collector *collector = fake();
	uint32_t first, second, third;

	assert_int_equal(collector_group_add(collector, &first, NULL), 0);
	assert_int_equal(collector_group_add(collector, &second, NULL), 0);
	assert_int_not_equal(first, second);
	fake_set(collector, first, TALLY_RSS, 4096);
	assert_int_equal(collector_pass(collector, NULL), 0);
	assert_int_equal(collector_group(collector, first)->value[TALLY_RSS], 4096);
	collector_group_remove(collector, first);
	assert_int_equal(collector_group_add(collector, &third, NULL), 0);
	assert_int_equal(third, first);
	assert_false(tally_sample_has(collector_group(collector, third), TALLY_RSS));
	collector_close(collector);
}

static void more_groups_than_there_is_room_for_are_refused(void **state)
{
	struct collector *collector = fake();
	struct tally_error err;
	uint32_t group;

	for (int i = 0; i < FAKE_GROUPS; i++)
		assert_int_equal(collector_group_add(collector, &group, NULL), 0);
	assert_int_equal(collector_group_add(collector, &group, &err), -ENOMEM);
	collector_close(collector);
}

static void a_group_with_nobody_in_it_has_zeroes_and_no_state(void **state)
{
	struct collector *collector = fake();
	uint32_t group;

	assert_int_equal(collector_group_add(collector, &group, NULL), 0);
	assert_int_equal(collector_pass(collector, NULL), 0);
	const struct tally_sample *sample = collector_group(collector, group);
	assert_true(tally_sample_has(sample, TALLY_CPU_USER));
	assert_true(tally_sample_has(sample, TALLY_RSS));
	assert_int_equal(sample->value[TALLY_RSS], 0);
	assert_false(tally_sample_has(sample, TALLY_STATE));
	assert_int_equal(sample->reason[TALLY_STATE], TALLY_REASON_ENDED);
	assert_false(tally_sample_has(sample, TALLY_DISK));
	assert_int_equal(sample->reason[TALLY_DISK], TALLY_REASON_TASK_ONLY);
	collector_close(collector);
}

static void a_failed_pass_leaves_the_samples(void **state)
{
	struct collector *collector = fake();
	struct tally_error err;
	uint32_t group;

	assert_int_equal(collector_group_add(collector, &group, NULL), 0);
	fake_set(collector, group, TALLY_PIDS, 3);
	assert_int_equal(collector_pass(collector, NULL), 0);
	fake_set(collector, group, TALLY_PIDS, 4);
	fake_of(collector)->pass_error = -EIO;
	assert_int_equal(collector_pass(collector, &err), -EIO);
	assert_int_equal(collector_group(collector, group)->value[TALLY_PIDS], 3);
	fake_of(collector)->pass_error = 0;
	fake_unset(collector, group, TALLY_IO_READ, TALLY_REASON_PERMISSION);
	assert_int_equal(collector_pass(collector, NULL), 0);
	assert_int_equal(collector_group(collector, group)->value[TALLY_PIDS], 4);
	assert_false(tally_sample_has(collector_group(collector, group), TALLY_IO_READ));
	assert_int_equal(fake_of(collector)->passes, 3);
	collector_close(collector);
}

static void a_pass_takes_as_long_as_it_was_told_to(void **state)
{
	struct collector *collector = fake();
	int64_t begin_ns = clock_boot_ns();

	fake_of(collector)->pass_ns = 20 * NS_PER_MS;
	assert_int_equal(collector_pass(collector, NULL), 0);
	assert_true(clock_boot_ns() - begin_ns >= 20 * NS_PER_MS);
	collector_close(collector);
}

static void count_member(void *context, const struct collect_member *member)
{
	*(int64_t *)context += member->pid;
}

static void what_it_was_asked_for_is_on_record(void **state)
{
	struct collector *collector = fake();
	struct collect_root root = {.pid = 812, .start_ns = 5};
	struct rusage usage = {.ru_minflt = 7};
	struct tally_error err;
	int64_t pids = 0;
	uint32_t group;

	assert_int_equal(collector_group_add(collector, &group, NULL), 0);
	assert_int_equal(collector_root_add(collector, group, &root, NULL), 0);
	collector_reaped(collector, group, 812, &usage);
	struct fake_group *record = &fake_of(collector)->groups[group];
	assert_int_equal(record->root_count, 1);
	assert_int_equal(record->roots[0].pid, 812);
	assert_int_equal(record->reaped, 812);
	assert_int_equal(record->usage.ru_minflt, 7);
	record->members[record->member_count++] = (struct collect_member){.pid = 3};
	record->members[record->member_count++] = (struct collect_member){.pid = 4};
	collector_members(collector, group, count_member, &pids);
	assert_int_equal(pids, 7);
	fake_of(collector)->root_error = -ESRCH;
	assert_int_equal(collector_root_add(collector, group, &root, &err), -ESRCH);
	assert_non_null(strstr(err.message, "812"));
	collector_close(collector);
}

static void closing_nothing_is_allowed(void **state)
{
	assert_null(collector_close(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unknown_name_is_refused),
		cmocka_unit_test(auto_says_which_and_why),
		cmocka_unit_test(a_wrong_procfs_is_refused_with_its_path),
		cmocka_unit_test(a_group_is_absent_before_its_first_pass),
		cmocka_unit_test(a_removed_group_gives_its_number_to_the_next),
		cmocka_unit_test(more_groups_than_there_is_room_for_are_refused),
		cmocka_unit_test(a_group_with_nobody_in_it_has_zeroes_and_no_state),
		cmocka_unit_test(a_failed_pass_leaves_the_samples),
		cmocka_unit_test(a_pass_takes_as_long_as_it_was_told_to),
		cmocka_unit_test(what_it_was_asked_for_is_on_record),
		cmocka_unit_test(closing_nothing_is_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
