/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Asking for the attributes of many names with one system call, by io_uring.
 *
 * It pays where a system call is dear, as in virtual machines that leave to their host at each:
 * the asking then costs more than the answer. The kernel lets a thread of its own do the work; it
 * is kept to one, on the processor of the caller, who stays there and yields it until the work is
 * done: so that no time is lost on waking another, or on being woken for each name.
 *
 * Belongs to one thread, which must be the one that opened it.
 */
#ifndef DISK_RING_H
#define DISK_RING_H

#include <stdbool.h>
#include <stdint.h>

struct ring;
struct scan_batch;

/** NULL: it is not to be had here, or would not pay. */
struct ring *ring_open(void);

/** Takes NULL, returns NULL. */
struct ring *ring_close(struct ring *ring);

/** As scan_stat_batch(); false when it could not be done: nothing is filled in then. */
bool ring_stat_batch(struct ring *ring, int dir, struct scan_batch *batch);

/** CPU time that the kernel's thread used so far, at most. */
int64_t ring_cpu_ns(const struct ring *ring);

#endif
