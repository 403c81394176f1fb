/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The monitor from inside.
 *
 * Two locks. `tick_lock` is held by whoever takes a tick or touches sources and the collector; only
 * its holder changes the tasks. `lock` is held for moments, by that holder while it changes what
 * readers see, and by readers. Order: tick_lock, then lock. The log callback is called under
 * tick_lock at most, never under lock.
 *
 * `drop_lock` lets history queries go on outside both: readers share it, and a task's history is
 * freed only by its exclusive holder.
 */
#ifndef MONITOR_INTERNAL_H
#define MONITOR_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include "disk/disk.h"
#include "history/history.h"
#include "monitor/monitor.h"
#include "monitor/task.h"

/** How long the groups of an ended task are still read: the kernel frees the dead late. */
#define END_GRACE_NS (INT64_C(3) * 1000000000)

/** CPU time of the machine, and of what is in no task. */
struct machine {
	int64_t first_busy_ns, busy_ns; /**< /proc/stat at the first tick and now; -1: unknown. */
	int64_t task_cpu_ns;		/**< Consumed by tasks since then. */
};

/** Faults already said, so that each is said once per cause. */
struct fault {
	int code;
	char message[TALLY_ERROR_SIZE];
};

struct watched_source {
	struct source *source;
	struct fault said;
	bool listed; /**< It was listed at least once. */
};

struct tally_monitor {
	/* Set once. */
	int64_t interval_ns, disk_interval_ns, history_ns;
	char *procfs;
	struct log log;
	struct collector *collector;
	char collector_reason[256];
	struct history *history;
	struct disk *disk;
	int wake_fd; /**< eventfd: a disk result, a source to look at, or the end. */

	pthread_mutex_t tick_lock;
	struct watched_source *sources;
	size_t source_count;
	struct history_process *record; /**< Scratch of a tick, of the largest task. */
	size_t record_room;
	struct disk_holder *holders; /**< Scratch of a tick, of one task. */
	size_t holder_room;
	int64_t holders_told_ns; /**< When the disk worker was told of pids; 0: never. */
	struct fault collector_said;
	struct fault history_said;
	struct cgroup_descriptors cgroup_descriptors;

	pthread_mutex_t lock;
	struct task *tasks; /**< uthash by id; iterates in order of appearance. */
	struct machine machine;
	uint64_t ticks, ticks_skipped, faults;
	int64_t last_tick_wall_ns, last_tick_boot_ns, tick_cpu_ns;
	struct collect_status collected; /**< What the collector said after the last pass. */

	pthread_rwlock_t drop_lock;

	pthread_mutex_t run_lock; /**< Serialises start and stop. */
	pthread_t thread;
	atomic_bool running, stopping;
};

/** Say a fault unless it was the last one said of this object, and count it. */
void monitor_fault(
	struct tally_monitor *monitor, struct fault *said, const struct tally_error *err);

/** Look at all sources and follow what they list. Under tick_lock. */
void monitor_refresh_sources(struct tally_monitor *monitor);

/** Give back the groups of tasks that are over, and forget those older than the history. */
void monitor_retire_tasks(struct tally_monitor *monitor, int64_t boot_ns);

/** Give back all that a task holds in the collector. Under tick_lock. */
void monitor_unfollow(struct tally_monitor *monitor, struct task *task);

/** One tick. Under tick_lock. */
int monitor_tick(struct tally_monitor *monitor, struct tally_error *err);

/** Take newly arrived disk figures into the newest samples. Under tick_lock. */
void monitor_take_disk(struct tally_monitor *monitor);

/** Tell the disk worker which pids there are, from time to time. Under tick_lock. */
void monitor_tell_holders(struct tally_monitor *monitor, int64_t boot_ns);

/** Put what is held open without a name into a sample of a task. */
void disk_deleted_put(const struct disk_reading *disk, struct tally_sample *sample);

/** Put the newest disk figure of a task into a sample of it. */
void task_disk_put(struct tally_monitor *monitor, struct task *task, struct tally_sample *sample);

/** Begin to read the cgroup that a task is, or go on with the next one. Under tick_lock. */
void monitor_take_cgroup(
	struct tally_monitor *monitor, struct task *task, const struct source_cgroup *told);

/** Read the cgroups of tasks: those that have run since, and the others in turn. Under tick_lock. */
void monitor_read_cgroups(struct tally_monitor *monitor);

/** Body of the tick thread. */
void *monitor_loop(void *monitor);

/** CPU time of the machine from a text of /proc/stat; -1 when it cannot be told. */
int64_t machine_parse_busy(const char *text, size_t length, long ticks_per_second);

/** Read it. */
int64_t machine_read_busy(const char *procfs);

#endif
