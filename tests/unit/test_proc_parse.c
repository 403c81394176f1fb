/* SPDX-License-Identifier: Apache-2.0 */
/* The parsers of /proc/PID files, on texts as kernels write them and as they do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "collect/proc_parse.h"

static const char stat_line[] =
	"812 (web server) S 811 812 800 34816 812 4194304 104 20531 1 7 3 2 40 12 20 0 1 0 "
	"4242 8364032 1171 18446744073709551615 1 1 0 0 0 0 65536 4 65538 0 0 0 17 1 0 0 0 0 0\n";

static bool parse_stat(const char *text, struct proc_stat *ret)
{
	return proc_parse_stat(text, strlen(text), ret);
}

static void stat_gives_every_field_its_place(void **state)
{
	struct proc_stat stat;

	assert_true(parse_stat(stat_line, &stat));
	assert_int_equal(stat.pid, 812);
	assert_string_equal(stat.comm, "web server");
	assert_int_equal(stat.state, 'S');
	assert_int_equal(stat.parent, 811);
	assert_int_equal(stat.session, 800);
	assert_int_equal(stat.minor_faults, 104);
	assert_int_equal(stat.children_minor_faults, 20531);
	assert_int_equal(stat.major_faults, 1);
	assert_int_equal(stat.children_major_faults, 7);
	assert_int_equal(stat.user_ticks, 3);
	assert_int_equal(stat.system_ticks, 2);
	assert_int_equal(stat.children_user_ticks, 40);
	assert_int_equal(stat.children_system_ticks, 12);
	assert_int_equal(stat.nice, 0);
	assert_int_equal(stat.threads, 1);
	assert_int_equal(stat.start_ticks, 4242);
	assert_int_equal(stat.virtual_bytes, 8364032);
	assert_int_equal(stat.rss_pages, 1171);
}

static void the_name_ends_at_the_last_parenthesis(void **state)
{
	static const char *const names[] = {"", " ", "(", ")", "))((", ") S 1 2 3", "a\nb", "\xff"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct proc_stat stat;
		char text[512] = "812 (";

		strcat(text, names[i]);
		strcat(text, strrchr(stat_line, ')'));
		assert_true(parse_stat(text, &stat));
		assert_string_equal(stat.comm, names[i]);
		assert_int_equal(stat.parent, 811);
	}
}

static void a_long_name_is_cut(void **state)
{
	struct proc_stat stat;
	char text[512] = "9 (kworker/u8:3-events_unbound";

	strcat(text, strrchr(stat_line, ')'));
	assert_true(parse_stat(text, &stat));
	assert_string_equal(stat.comm, "kworker/u8:3-ev");
}

/* Every beginning of the line, each in memory of just its size: nothing is read past the end. */
static void a_truncated_stat_is_none(void **state)
{
	size_t enough = (size_t)(strstr(stat_line, " 18446744073709551615") - stat_line) + 1;

	for (size_t length = 0; length < strlen(stat_line); length++) {
		char *text = malloc(length + !length);
		struct proc_stat stat = {.pid = -1};

		memcpy(text, stat_line, length);
		bool ok = proc_parse_stat(text, length, &stat);
		free(text);
		assert_int_equal(ok, length >= enough);
		if (!ok)
			assert_int_equal(stat.pid, -1);
	}
}

static void a_stat_with_impossible_numbers_is_none_or_harmless(void **state)
{
	struct proc_stat stat;

	assert_false(parse_stat(
		"812 (x) S 99999999999 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 1 0 1 1 1 1\n", &stat));
	assert_false(parse_stat(
		"99999999999 (x) S 1 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 1 0 1 1 1 1\n", &stat));
	assert_false(parse_stat(
		"812 (x) S 1 1 1 0 0 0 99999999999999999999 0 0 0 0 0 0 0 0 0 1 0 1 1 1 1\n",
		&stat));
	assert_true(
		parse_stat("812 (x) S 1 1 -1 0 0 0 -5 0 0 0 0 0 -7 0 20 -20 1 0 1 1 1 1\n", &stat));
	assert_int_equal(stat.minor_faults, 0);
	assert_int_equal(stat.children_user_ticks, 0);
	assert_int_equal(stat.nice, -20);
}

static void status_adds_up_what_is_shared(void **state)
{
	static const char text[] =
		"Name:\tx\nState:\tS (sleeping)\nPPid:\t7\nVmSize:\t    8168 kB\n"
		"VmRSS:\t    4684 kB\nRssAnon:\t    1000 kB\n"
		"RssFile:\t    3000 kB\nRssShmem:\t     684 kB\n"
		"VmSwap:\t      12 kB\nThreads:\t3\n"
		"voluntary_ctxt_switches:\t150\n"
		"nonvoluntary_ctxt_switches:\t23\n";
	struct proc_status status;

	assert_true(proc_parse_status(text, strlen(text), &status));
	assert_int_equal(status.state, 'S');
	assert_int_equal(status.parent, 7);
	assert_int_equal(status.threads, 3);
	assert_int_equal(status.virtual_bytes, 8168 * 1024);
	assert_int_equal(status.rss_bytes, 4684 * 1024);
	assert_int_equal(status.shared_bytes, 3684 * 1024);
	assert_int_equal(status.swap_bytes, 12 * 1024);
	assert_int_equal(status.voluntary, 150);
	assert_int_equal(status.involuntary, 23);
}

static void status_of_a_zombie_has_no_memory(void **state)
{
	static const char text[] = "Name:\tVmRSS: 7 kB\nState:\tZ (zombie)\nPPid:\t7\n";
	struct proc_status status;

	assert_true(proc_parse_status(text, strlen(text), &status));
	assert_int_equal(status.rss_bytes, -1);
	assert_int_equal(status.shared_bytes, -1);
	assert_int_equal(status.voluntary, -1);
	assert_false(proc_parse_status("", 0, &status));
	assert_false(proc_parse_status("VmRSS:\tmany kB\n", 15, &status));
}

static void status_that_adds_up_to_too_much_keeps_what_fits(void **state)
{
	static const char text[] = "RssFile:\t9007199254740991 kB\nRssShmem:\t1 kB\n"
				   "RssShmem:\t9007199254740991 kB\n";
	struct proc_status status;

	assert_true(proc_parse_status(text, strlen(text), &status));
	assert_int_equal(status.shared_bytes, INT64_MAX - 1023);
}

static void io_needs_both_lines(void **state)
{
	static const char text[] = "rchar: 3980\nwchar: 0\nsyscr: 9\nsyscw: 0\nread_bytes: 4096\n"
				   "write_bytes: 8192\ncancelled_write_bytes: 512\n";
	int64_t read_bytes = 7, write_bytes = 7;

	assert_false(proc_parse_io(text, 55, &read_bytes, &write_bytes));
	assert_int_equal(read_bytes, 7);
	assert_true(proc_parse_io(text, strlen(text), &read_bytes, &write_bytes));
	assert_int_equal(read_bytes, 4096);
	assert_int_equal(write_bytes, 8192);
	assert_false(
		proc_parse_io("read_bytes: -1\nwrite_bytes: 1\n", 30, &read_bytes, &write_bytes));
}

static void schedstat_is_two_numbers_and_more(void **state)
{
	int64_t run_ns, wait_ns;

	assert_true(proc_parse_schedstat("123456 789 3\n", 13, &run_ns, &wait_ns));
	assert_int_equal(run_ns, 123456);
	assert_int_equal(wait_ns, 789);
	assert_false(proc_parse_schedstat("123456 789", 10, &run_ns, &wait_ns));
	assert_false(proc_parse_schedstat("123456", 6, &run_ns, &wait_ns));
	assert_false(proc_parse_schedstat("-1 2 3\n", 7, &run_ns, &wait_ns));
	assert_false(proc_parse_schedstat("", 0, &run_ns, &wait_ns));
}

static void pss_is_the_line_of_that_name(void **state)
{
	static const char text[] = "55e8 ---p 00000000 00:00 0 [rollup]\nRss:  9 kB\n"
				   "Pss:           64 kB\nPss_Anon:   32 kB\n";
	int64_t bytes = 7;

	assert_true(proc_parse_pss(text, strlen(text), &bytes));
	assert_int_equal(bytes, 64 * 1024);
	assert_false(proc_parse_pss("Pss_Anon:   32 kB\n", 18, &bytes));
	assert_false(proc_parse_pss("Pss: 99999999999999999999 kB\n", 29, &bytes));
}

static void pids_are_digits_that_fit(void **state)
{
	assert_int_equal(proc_parse_pid("1", 1), 1);
	assert_int_equal(proc_parse_pid("4194304", 7), 4194304);
	assert_int_equal(proc_parse_pid("2147483647", 10), 2147483647);
	assert_int_equal(proc_parse_pid("2147483648", 10), 0);
	assert_int_equal(proc_parse_pid("12345678901", 11), 0);
	assert_int_equal(proc_parse_pid("0", 1), 0);
	assert_int_equal(proc_parse_pid("", 0), 0);
	assert_int_equal(proc_parse_pid("12a", 3), 0);
	assert_int_equal(proc_parse_pid("-1", 2), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stat_gives_every_field_its_place),
		cmocka_unit_test(the_name_ends_at_the_last_parenthesis),
		cmocka_unit_test(a_long_name_is_cut),
		cmocka_unit_test(a_truncated_stat_is_none),
		cmocka_unit_test(a_stat_with_impossible_numbers_is_none_or_harmless),
		cmocka_unit_test(status_adds_up_what_is_shared),
		cmocka_unit_test(status_of_a_zombie_has_no_memory),
		cmocka_unit_test(status_that_adds_up_to_too_much_keeps_what_fits),
		cmocka_unit_test(io_needs_both_lines),
		cmocka_unit_test(schedstat_is_two_numbers_and_more),
		cmocka_unit_test(pss_is_the_line_of_that_name),
		cmocka_unit_test(pids_are_digits_that_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
