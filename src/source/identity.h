/* SPDX-License-Identifier: Apache-2.0 */
/** What makes a pid an identity: the time at which it was started. */
#ifndef SOURCE_IDENTITY_H
#define SOURCE_IDENTITY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * Find the start time in the text of /proc/PID/stat: field 22, in clock ticks.
 *
 * @ret     Nanoseconds of CLOCK_BOOTTIME, exact to a clock tick (10 ms).
 * @return  0 or -EINVAL.
 */
int identity_parse(const char *stat, size_t length, int64_t *ret);

/**
 * Read the start time of a pid.
 *
 * @procfs  Where procfs is mounted.
 * @return  0; -ESRCH (no such pid); others as reading has them.
 */
int identity_start_ns(const char *procfs, pid_t pid, int64_t *ret);

/** Wall-clock time of an instant of CLOCK_BOOTTIME, by what the clocks say now. */
int64_t identity_wall_ns(int64_t boot_ns);

#endif
