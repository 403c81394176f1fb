/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The tasks a monitor follows: what the sources said of them, joined with their groups in the
 * collector and their newest samples.
 */
#ifndef MONITOR_TASK_H
#define MONITOR_TASK_H

#include <stdbool.h>
#include <tally/monitor.h>
#include "base/hash.h"
#include "collect/cgroup_figures.h"
#include "collect/collector.h"
#include "source/source.h"

/** A root that a process has had, so that it is given to the collector once. */
struct root {
	pid_t pid;
	int64_t start_ns;
	uint64_t cgroup_id;
};

/** The newest sample of a task or process, and what is needed to derive its CPU rate. */
struct figures {
	struct tally_sample now;	       /**< boot_ns is 0 until the first sample. */
	int64_t before_cpu_ns, before_boot_ns; /**< Of the sample before; boot_ns 0: none. */
};

/** A named process of a task. */
struct process {
	char *name;
	uint32_t group; /**< In the collector, or GROUP_NONE once it is no longer followed. */
	enum tally_life life;
	pid_t pid;
	int64_t started_wall_ns, ended_wall_ns;
	int return_code;
	struct root *roots;
	size_t root_count, root_room;
	size_t roots_forgotten; /**< Earlier ones, only their number is kept. */
	struct figures figures;
	bool seen; /**< Named by the listing under way. */
};

/** A task. */
struct task {
	char *id;
	struct source *owner; /**< The source that claims it. */
	char *sandbox;	      /**< Or NULL. */
	bool has_disk;
	uint32_t disk;		 /**< Its number in the disk worker, when has_disk. */
	const char *disk_method; /**< Static, or NULL. */
	uint64_t holders_told;	 /**< Hash of the pids that the disk worker was told; 0: none. */
	enum tally_life life;
	int64_t started_wall_ns, ended_wall_ns;
	int64_t ended_boot_ns; /**< When we first heard that it ended; 0: it has not. */
	struct process *processes;
	size_t process_count, process_room;
	struct history_task *history;  /**< NULL until its first sample. */
	struct resumed *resume;	       /**< What the last run knew of it, or NULL. */
	struct source_task *told;      /**< All its source told, where that is more, or NULL. */
	bool roots_changed;	       /**< The history has not been told of all its roots. */
	struct cgroup_figures *cgroup; /**< Of the cgroup that it is, or NULL. */
	uint64_t cgroup_id;
	int64_t cgroup_cpu_ns; /**< What it had consumed when those were read last. */
	struct figures figures;
	const struct source
		*refused; /**< Said of this source last: that it may not claim the id. */
	bool followed;	  /**< Its groups are in the collector. */
	bool seen;	  /**< Named by the listing under way. */
	UT_hash_handle hh;
};

/** Whether a life is over. */
bool life_ended(enum tally_life life);

/** Make an empty task. @return NULL without memory. */
struct task *task_new(const char *id, struct source *owner);

/** Free a task; its groups and its disk watch must have been given back. Takes NULL. */
void task_free(struct task *task);

/** Find a named process, or NULL. */
struct process *task_process(struct task *task, const char *name);

/** Add an empty process. @return NULL without memory. The array may move. */
struct process *task_process_add(struct task *task, const char *name);

/** Whether a process has had this root. */
bool process_has_root(const struct process *process, const struct source_process *root);

/** Remember a root. @return 0 or -ENOMEM. */
int process_root_remember(struct process *process, const struct source_process *root);

/** Take a new sample in, keeping what the rate needs of the one before. */
void figures_take(struct figures *figures, const struct tally_sample *sample);

/** Derive a reading. */
void figures_read(const struct figures *figures, bool stale, struct tally_reading *ret);

#endif
