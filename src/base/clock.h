/* SPDX-License-Identifier: Apache-2.0 */
/** Clocks, in nanoseconds. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_US INT64_C(1000)

/** CLOCK_BOOTTIME: orders, intervals, identity. Counts suspended time, never steps. */
int64_t clock_boot_ns(void);

/** CLOCK_REALTIME: what people see; may step. */
int64_t clock_wall_ns(void);

/** CPU time of the calling thread. */
int64_t clock_thread_cpu_ns(void);

/** CPU time of this process, all threads. */
int64_t clock_process_cpu_ns(void);

#endif
