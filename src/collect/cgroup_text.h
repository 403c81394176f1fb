/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Parsers of what a cgroup's files say. None needs a terminated text, and all leave *ret alone where
 * they find nothing.
 */
#ifndef COLLECT_CGROUP_TEXT_H
#define COLLECT_CGROUP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Find the number behind a key in lines of "key number": cpu.stat, memory.stat, memory.events.
 *
 * @return  Whether there is one that fits an int64_t.
 */
bool cgroup_text_key(const char *text, size_t length, const char *key, int64_t *ret);

/** Read a file of one number. @return 1; 0 when it says "max"; -EINVAL. */
int cgroup_text_number(const char *text, size_t length, int64_t *ret);

/**
 * Make a limit of CPU of a quota within a period, in the same unit.
 *
 * @ret     Nanoseconds of CPU time in a second: 1,500,000,000 is a core and a half.
 * @return  0 or -EINVAL.
 */
int cgroup_text_quota(int64_t quota, int64_t period, int64_t *ret);

/** Read "50000 100000" or "max 100000" of cpu.max. @return 1, 0 for no limit, -EINVAL. */
int cgroup_text_cpu_max(const char *text, size_t length, int64_t *ret);

/**
 * Find a total in a text of pressure: "some avg10=0.00 avg60=0.00 avg300=0.00 total=12345".
 *
 * @line    "some" or "full".
 * @ret     Nanoseconds; the kernel tells microseconds.
 */
bool cgroup_text_pressure(const char *text, size_t length, const char *line, int64_t *ret);

#endif
