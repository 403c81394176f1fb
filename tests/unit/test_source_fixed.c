/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "source/fixed.h"
#include "source/registry.h"

static void count(void *context, const struct source_task *task)
{
	++*(size_t *)context;
}

static void it_says_what_it_was_told(void **state)
{
	const struct source_task tasks[] = {{.id = "a"}, {.id = "b"}};
	struct source *source;
	size_t seen = 0;
	assert_int_equal(source_fixed_open(&source), 0);
	assert_int_equal(source_refresh(source, NULL), 0);

	source_fixed_set(source, tasks, 2);
	assert_int_equal(source_refresh(source, NULL), 1);
	assert_int_equal(source_refresh(source, NULL), 0);
	source_list(source, count, &seen);
	assert_int_equal(seen, 2);
	source_close(source);
}

static void it_fails_as_often_as_it_was_told(void **state)
{
	struct source *source;
	struct tally_error err;
	assert_int_equal(source_fixed_open(&source), 0);

	source_fixed_fail(source, -EIO, 2);
	assert_int_equal(source_refresh(source, &err), -EIO);
	assert_int_equal(source_refresh(source, NULL), -EIO);
	assert_int_equal(source_refresh(source, NULL), 0);
	source_close(source);
}

static void sources_that_cannot_be_named_are_refused_by_name(void **state)
{
	const struct source_ops *ops;
	const char *argument;
	struct tally_error err;

	assert_int_equal(source_find("pid:a=1", &ops, &argument, NULL), 0);
	assert_ptr_equal(ops, &source_pid);
	assert_string_equal(argument, "a=1");
	assert_int_equal(source_find("fixed:", &ops, &argument, &err), -EINVAL);
	assert_non_null(strstr(err.message, "pid:NAME=PID"));
	assert_int_equal(source_find("", &ops, &argument, NULL), -EINVAL);
	assert_null(source_close(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_says_what_it_was_told),
		cmocka_unit_test(it_fails_as_often_as_it_was_told),
		cmocka_unit_test(sources_that_cannot_be_named_are_refused_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
