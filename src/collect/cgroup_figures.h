/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The figures that only a cgroup has: memory charged, limits, throttling, OOM kills, pressure.
 *
 * Version 2 tells them in the cgroup's own directory. Where a controller is bound to version 1, as in
 * a hybrid set-up, its files are in another tree, and the directory there has to be named.
 *
 * Not thread-safe; the monitor's tick reads.
 */
#ifndef COLLECT_CGROUP_FIGURES_H
#define COLLECT_CGROUP_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tally/error.h>
#include <tally/sample.h>

/** Where the files are. */
struct cgroup_place {
	const char *unified; /**< Directory in the hierarchy of version 2, or NULL. */
	const char *memory;  /**< Directory below version 1's controller, or NULL. */
	const char *cpu;     /**< Likewise. */
};

/** Descriptors kept for all of them together; further files are opened at every reading. */
struct cgroup_descriptors {
	size_t kept, limit;
};

struct cgroup_figures;

/**
 * Begin to read a cgroup.
 *
 * @descriptors  Shared by all; must outlive it.
 * @return       0, -ENOENT (it is gone), -EACCES, -ENOMEM.
 */
int cgroup_figures_open(const struct cgroup_place *place, struct cgroup_descriptors *descriptors,
	struct cgroup_figures **ret, struct tally_error *err);

/** Takes NULL, returns NULL. */
struct cgroup_figures *cgroup_figures_close(struct cgroup_figures *figures);

/**
 * Go on with the successor of a cgroup that was removed: counters go on from where they stood.
 *
 * @return  As cgroup_figures_open(); on failure it stays with the removed one.
 */
int cgroup_figures_move(
	struct cgroup_figures *figures, const struct cgroup_place *place, struct tally_error *err);

/**
 * Read what moves while processes run.
 *
 * @all  Also what is set by people, and files that were not there before.
 */
void cgroup_figures_read(struct cgroup_figures *figures, bool all);

/**
 * Put what was read last into a sample of the task.
 *
 * Once the cgroup is gone its levels are absent, TALLY_REASON_ENDED, and its counters stay.
 */
void cgroup_figures_put(const struct cgroup_figures *figures, struct tally_sample *sample);

#endif
