/* SPDX-License-Identifier: Apache-2.0 */
/** What the loads share: a way out, numbers from the command line, CPU time to burn. */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** Print one line, with the text of errno where it is set, and exit 1. */
void load_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/** Read a whole number within limits, both included; anything else ends the program, exit 2. */
long load_number(const char *what, const char *text, long min, long max);

/** CPU time of this process so far, nanoseconds. */
int64_t load_cpu_ns(void);

/** CLOCK_MONOTONIC, nanoseconds. */
int64_t load_now_ns(void);

/** Compute until the calling thread has used this much more CPU time. */
void load_burn(int64_t ns);

/**
 * Die when the parent does, at once by SIGKILL. For a child, right after its fork.
 *
 * @parent  Pid of the parent; the parent may be gone before the kernel hears the wish.
 */
void load_die_with(pid_t parent);

/** fork() that ends the program when it fails. */
pid_t load_fork(void);

#endif
