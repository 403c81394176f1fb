/* SPDX-License-Identifier: Apache-2.0 */
/** What every unit test includes: cmocka with its prerequisites, and skipping with a reason. */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/** End a test that this machine cannot run; the reason is shown beside the count. */
#define skip_because(...)                                                                          \
	do {                                                                                       \
		print_message("# skipped: ");                                                      \
		print_message(__VA_ARGS__);                                                        \
		print_message("\n");                                                               \
		skip();                                                                            \
	} while (0)

/** A number lies in a range; the message has all three. */
#define assert_between(value, least, most)                                                         \
	do {                                                                                       \
		long long v_ = (long long)(value), l_ = (long long)(least),                        \
			  m_ = (long long)(most);                                                  \
		if (v_ < l_ || v_ > m_)                                                            \
			fail_msg("%s is %lld, not in %lld..%lld", #value, v_, l_, m_);             \
	} while (0)

#endif
