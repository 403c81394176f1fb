/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The monitor: joins sources (which tasks exist) and a collector (what they consume) into a
 * history that can be asked about now and about any instant it remembers.
 *
 * A monitor is used in three ways: started, it ticks in a thread of its own; stopped, it still
 * answers from what it knows and says that the answer may be stale; and tally_monitor_tick() takes
 * one sample of everything in the caller's thread.
 *
 * All calls are thread-safe unless said otherwise. Destructors take NULL and return NULL.
 */
#ifndef TALLY_MONITOR_H
#define TALLY_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <tally/error.h>
#include <tally/log.h>
#include <tally/sample.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tally_monitor;

/** How a monitor works. A zeroed one is the default. Strings are copied. */
struct tally_monitor_options {
	int64_t interval_ns;	  /**< Between two ticks; 0 is 1 s. 10 ms to 1 h. */
	int64_t disk_interval_ns; /**< Between two looks at a sandbox; 0 is 60 s. 100 ms to 24 h. */
	int64_t history_ns;	  /**< How far back samples are kept; 0 is 1 h. */
	size_t history_bytes;	  /**< Limit of the memory they take; 0 is 256 MiB. */
	const char *store;	  /**< File that keeps it beyond this run; NULL: memory only. */
	uint64_t store_bytes;	  /**< Limit of that file and its companions; 0 is 1 GiB. */
	/**
	 * Coarser resolutions for what is older: step and how far back; 0 is 10 s for 1 day and
	 * 60 s for 30 days; a negative history says that there is none.
	 */
	struct {
		int64_t step_ns, history_ns;
	} coarse[2];
	const char *collector; /**< "auto", "bpf", "procfs"; NULL is "auto". */
	const char *procfs;    /**< Where procfs is mounted; NULL is "/proc". */
	bool pss;	       /**< Read pss_bytes too: costly, within a budget. */
	tally_log_fn *log;     /**< NULL: nothing is said. */
	void *log_context;     /**< Handed to it. */
};

/** What is known of a task besides its figures. Valid during the callback only. */
struct tally_task_info {
	const char *id;		 /**< UTF-8 or not: as its source gave it. */
	const char *source;	 /**< Name of the source that claims it. */
	const char *sandbox;	 /**< Directory whose disk usage is the task's, or NULL. */
	const char *disk_method; /**< How its disk usage is known ("walk", …), or NULL. */
	enum tally_life life;
	int64_t started_wall_ns; /**< 0: unknown. */
	int64_t ended_wall_ns;	 /**< 0: not ended. */
	size_t process_count;
	bool followed; /**< Its figures still move; false once it has ended and all was counted. */
};

/** What is known of a named process. Valid during the callback only. */
struct tally_process_info {
	const char *name;
	enum tally_life life;
	pid_t pid;		 /**< Root pid of its last run; 0 when there is none. */
	int64_t started_wall_ns; /**< 0: unknown. */
	int64_t ended_wall_ns;	 /**< 0: not ended. */
	int return_code;	 /**< Valid for an ended life. */
	int runs;		 /**< Roots it has had so far. */
};

/** One live pid of a task, and why it belongs. Valid during the callback only. */
struct tally_pid_info {
	const char *process; /**< Named process that owns it. */
	pid_t pid;
	pid_t parent;	   /**< Its parent when it was last looked at. */
	int64_t start_ns;  /**< When it was started, CLOCK_BOOTTIME. */
	const char *comm;  /**< Name of its main thread, as the kernel has it; any bytes. */
	const char *why;   /**< "root", "child", "reparented", "cgroup". */
	int64_t cpu_ns;	   /**< CPU time of its own, user and system; -1: unknown. */
	int64_t rss_bytes; /**< -1: unknown. */
};

/** The monitor's own health and cost. */
struct tally_status {
	const char *version;
	const char *collector;	      /**< The one in use. Valid as long as the monitor. */
	const char *collector_reason; /**< Why that one. Valid as long as the monitor. */
	bool running;
	bool stale; /**< It is not running, or it is late by three intervals. */
	int64_t interval_ns, disk_interval_ns;
	uint64_t ticks;		/**< Taken since the monitor was made. */
	uint64_t ticks_skipped; /**< Left out because the tick before took too long. */
	int64_t last_tick_wall_ns;
	int64_t tick_cpu_ns;	/**< CPU time that the last tick took. */
	int64_t self_cpu_ns;	/**< CPU time of this whole program so far: getrusage(). */
	int64_t self_rss_bytes; /**< Resident memory of this whole program: /proc/self/statm. */
	size_t tasks, processes, pids; /**< Followed now. */
	size_t history_bytes, history_limit_bytes;
	uint64_t history_dropped;   /**< Samples that made room before their time. */
	uint64_t history_refused;   /**< Samples that could not be kept: out of order, no memory. */
	uint64_t collector_limited; /**< Times that a limit of the collector bit. */
	uint64_t faults;	    /**< Errors of sources and collectors met so far. */
	/**
	 * CPU time since the monitor was made, of the whole machine (/proc/stat: all but idle and
	 * iowait) and the part of it that is in no task. Nanoseconds; -1: unknown. The second is
	 * derived from the first, whose resolution is 10 ms per CPU and mode.
	 */
	int64_t machine_cpu_ns, other_cpu_ns;
	size_t disk_sandboxes; /**< That are looked at. */
	size_t disk_stuck;   /**< Disk workers left behind in a file system that does not answer. */
	uint64_t disk_looks; /**< Disk figures taken so far. */
	int64_t disk_cpu_ns; /**< CPU time that they took. */
};

/**
 * Make a monitor.
 *
 * @options  NULL is the default.
 * @ret      Set on success; free with tally_monitor_free().
 * @err      Filled on failure.
 * @return   0; -EINVAL (an option out of its range, or a history larger than its limit: the
 *           message has the numbers); -ENOTSUP (the collector asked for cannot work here: the
 *           message says what would restore it); -ENOMEM.
 *
 * Opens the collector: may take tens of milliseconds where BPF programs are loaded.
 */
int tally_monitor_new(const struct tally_monitor_options *options, struct tally_monitor **ret,
	struct tally_error *err);

/** Stop a monitor and free it with all it knows. Blocks until its threads have ended. */
struct tally_monitor *tally_monitor_free(struct tally_monitor *monitor);

/**
 * Add a source of tasks.
 *
 * @spec    "KIND:ARGUMENT", as "pid:web=812" (a task "web" with a process "web", root pid 812) or
 *          "pid:shop/web=812" (a process "web" of a task "shop").
 * @return  0; -EINVAL (unknown kind or malformed argument); -ESRCH (no such pid); others as the
 *          source has them.
 *
 * Tasks are seen at the next tick.
 */
int tally_monitor_add_source(
	struct tally_monitor *monitor, const char *spec, struct tally_error *err);

/**
 * Follow a running pid and all that descends from it, as a named process of a task.
 *
 * @return  0; -ESRCH (no such pid); -EINVAL (an empty name); -EEXIST (the task belongs to another
 *          source).
 */
int tally_monitor_add_pid(struct tally_monitor *monitor, const char *task, const char *process,
	pid_t pid, struct tally_error *err);

/** Start the tick thread. @return 0, -EALREADY, -EAGAIN, -ENOMEM. The first tick is at once. */
int tally_monitor_start(struct tally_monitor *monitor, struct tally_error *err);

/** End the tick thread: blocks for the tick under way, not for an interval. Idempotent. */
void tally_monitor_stop(struct tally_monitor *monitor);

/**
 * Take one sample of everything, in the caller's thread, beside those of the tick thread.
 *
 * @return  0, or the error of the collector. A source that fails is logged and counted instead.
 *
 * Blocks for a whole pass over the machine's processes, and for a tick under way.
 */
int tally_monitor_tick(struct tally_monitor *monitor, struct tally_error *err);

/**
 * Take one sample that has all that the ended processes of a task consumed. The kernel may tell the
 * last part of it a while after they were reaped: under BPF some 20 ms, in bad cases seconds.
 *
 * @timeout_ns  How long to wait for it; the sample is taken all the same.
 * @return      0, -ETIMEDOUT (something is still to come), -ENOENT (no such task), or the error of
 *              the collector.
 *
 * Blocks, mostly asleep, and keeps ticks waiting: for a task whose end is what matters.
 */
int tally_monitor_settle(struct tally_monitor *monitor, const char *task, int64_t timeout_ns,
	struct tally_error *err);

/**
 * Read the newest sample of a task: the sum of its processes, and its disk usage.
 *
 * @return  0, -ENOENT (no such task), -ENODATA (never sampled). Answers from memory.
 */
int tally_monitor_sample(struct tally_monitor *monitor, const char *task, struct tally_reading *ret,
	struct tally_error *err);

/**
 * Read the sample of a task nearest to an instant; of two equally near, the earlier.
 *
 * @process  Named process, or NULL for the task.
 * @wall_ns  Nanoseconds since the epoch.
 * @return   0, -ENOENT (no such task or process), -ENODATA (no sample). Answers from history.
 */
int tally_monitor_sample_at(struct tally_monitor *monitor, const char *task, const char *process,
	int64_t wall_ns, struct tally_reading *ret, struct tally_error *err);

/**
 * Read the newest sample of one named process of a task.
 *
 * @return  0, -ENOENT (the message names the processes that are active), -ENODATA.
 *
 * A process that its source knows but no tick has seen is sampled on demand: the call then blocks
 * as tally_monitor_tick() does. Otherwise it answers from memory.
 */
int tally_monitor_sample_process(struct tally_monitor *monitor, const char *task,
	const char *process, struct tally_reading *ret, struct tally_error *err);

/** Called once per task, with the monitor's lock held: it must not call the monitor. */
typedef void tally_task_fn(
	void *context, const struct tally_task_info *info, const struct tally_reading *reading);

/** Called once per process, as tally_task_fn. */
typedef void tally_process_fn(
	void *context, const struct tally_process_info *info, const struct tally_reading *reading);

/** Visit every task known, in the order in which they appeared. Answers from memory. */
void tally_monitor_tasks(struct tally_monitor *monitor, tally_task_fn *visit, void *context);

/** Visit the processes of a task, in the order of its source. @return 0 or -ENOENT. */
int tally_monitor_processes(struct tally_monitor *monitor, const char *task,
	tally_process_fn *visit, void *context, struct tally_error *err);

/** Called once per pid, as tally_task_fn. */
typedef void tally_pid_fn(void *context, const struct tally_pid_info *info);

/** Visit the live pids of a task as the last tick saw them. Blocks for a tick under way. */
int tally_monitor_pids(struct tally_monitor *monitor, const char *task, tally_pid_fn *visit,
	void *context, struct tally_error *err);

/** Called once per sample of a range, oldest first, as tally_task_fn. Return true to go on. */
typedef bool tally_sample_fn(void *context, const struct tally_sample *sample);

/**
 * Visit the samples of a task or process as they were taken, oldest first.
 *
 * @process   Named process, or NULL for the task.
 * @since_ns, @until_ns  Wall clock, both included; INT64_MIN and INT64_MAX for all there is.
 * @return    0, -ENOENT.
 */
int tally_monitor_range(struct tally_monitor *monitor, const char *task, const char *process,
	int64_t since_ns, int64_t until_ns, tally_sample_fn *visit, void *context,
	struct tally_error *err);

/** Read the monitor's own health and cost. Never blocks on the kernel for long. */
void tally_monitor_status(struct tally_monitor *monitor, struct tally_status *ret);

/** Version of the library, as "0.1.0". Static. */
const char *tally_version(void);

#ifdef __cplusplus
}
#endif
#endif
