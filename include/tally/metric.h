/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The metric table: the one place that names every figure Tally knows.
 *
 * Samples, sums, JSON, CSV, OpenMetrics, the history codec and the documentation loop over it, so
 * that no two of them can disagree. A new metric is one row at the end of TALLY_METRICS and one
 * line in the collector that reads it. Rows are never renamed and never reordered.
 */
#ifndef TALLY_METRIC_H
#define TALLY_METRIC_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What the integer stored for a metric means, and how it is shown. */
enum tally_unit {
	TALLY_UNIT_COUNT, /**< A plain number. */
	TALLY_UNIT_BYTES, /**< Bytes. */
	TALLY_UNIT_NS,	  /**< Nanoseconds; shown as seconds. */
	TALLY_UNIT_STATE, /**< A process state letter of /proc/PID/stat; shown as a word. */
};

/** How a metric moves in time. */
enum tally_kind {
	TALLY_KIND_COUNTER, /**< Only rises for as long as a task is watched; has a rate. */
	TALLY_KIND_GAUGE,   /**< A level now. */
	TALLY_KIND_INFO,    /**< A property; no rate, no average. */
};

/** How the figures of many pids become the figure of a process, and those of a task. */
enum tally_aggregate {
	TALLY_AGGREGATE_SUM,   /**< Added up. */
	TALLY_AGGREGATE_FIRST, /**< That of the first one: the root pid, the first process. */
	TALLY_AGGREGATE_TASK,  /**< Belongs to the task as a whole; a process has none. */
};

/* clang-format off */
/*
 * id, JSON key, unit, kind, aggregate, OpenMetrics family, label of the family or NULL, its value, help
 *
 * The OpenMetrics family is without the prefix "tally_" and without "_total".
 */
#define TALLY_METRICS(X) \
	X(CPU_USER, "cpu_user_seconds", NS, COUNTER, SUM, "cpu_seconds", "mode", "user", \
	  "CPU time spent in user mode, dead children included") \
	X(CPU_SYSTEM, "cpu_system_seconds", NS, COUNTER, SUM, "cpu_seconds", "mode", "system", \
	  "CPU time spent in the kernel, dead children included") \
	X(RUN_QUEUE_WAIT, "run_queue_wait_seconds", NS, COUNTER, SUM, "run_queue_wait_seconds", NULL, NULL, \
	  "Time spent runnable while no CPU was free") \
	X(RSS, "rss_bytes", BYTES, GAUGE, SUM, "memory_bytes", "type", "rss", \
	  "Resident memory; an upper bound where memory is shared") \
	X(SHARED, "shared_bytes", BYTES, GAUGE, SUM, "memory_bytes", "type", "shared", \
	  "The part of the resident memory that is files or shared memory") \
	X(PSS, "pss_bytes", BYTES, GAUGE, SUM, "memory_bytes", "type", "pss", \
	  "Resident memory, shared pages divided among those who map them (opt-in)") \
	X(SWAP, "swap_bytes", BYTES, GAUGE, SUM, "memory_bytes", "type", "swap", \
	  "Anonymous memory in swap") \
	X(VIRTUAL, "virtual_bytes", BYTES, GAUGE, SUM, "memory_bytes", "type", "virtual", \
	  "Address space") \
	X(IO_READ, "io_read_bytes", BYTES, COUNTER, SUM, "io_bytes", "direction", "read", \
	  "Bytes fetched from storage") \
	X(IO_WRITE, "io_write_bytes", BYTES, COUNTER, SUM, "io_bytes", "direction", "write", \
	  "Bytes sent to storage") \
	X(MAJOR_FAULTS, "major_faults", COUNT, COUNTER, SUM, "page_faults", "type", "major", \
	  "Page faults that needed storage") \
	X(MINOR_FAULTS, "minor_faults", COUNT, COUNTER, SUM, "page_faults", "type", "minor", \
	  "Page faults that needed no storage") \
	X(VOLUNTARY_SWITCHES, "voluntary_switches", COUNT, COUNTER, SUM, "context_switches", "type", "voluntary", \
	  "Context switches because there was nothing to run") \
	X(INVOLUNTARY_SWITCHES, "involuntary_switches", COUNT, COUNTER, SUM, "context_switches", "type", "involuntary", \
	  "Context switches because something else had to run") \
	X(PIDS, "pids", COUNT, GAUGE, SUM, "pids", NULL, NULL, \
	  "Live operating-system processes") \
	X(THREADS, "threads", COUNT, GAUGE, SUM, "threads", NULL, NULL, \
	  "Live threads") \
	X(FDS, "fds", COUNT, GAUGE, SUM, "fds", NULL, NULL, \
	  "Open file descriptors") \
	X(PIDS_STARTED, "pids_started", COUNT, COUNTER, SUM, "pids_started", NULL, NULL, \
	  "Operating-system processes ever seen") \
	X(NICE, "nice", COUNT, INFO, FIRST, "nice", NULL, NULL, \
	  "Niceness of the root pid, -20 to 19") \
	X(STATE, "state", STATE, INFO, FIRST, "state", NULL, NULL, \
	  "Scheduling state of the root pid") \
	X(DISK, "disk_bytes", BYTES, GAUGE, TASK, "disk_bytes", "type", "used", \
	  "Disk blocks held by the sandbox") \
	X(DISK_FILES, "disk_files", COUNT, GAUGE, TASK, "disk_files", NULL, NULL, \
	  "Entries in the sandbox") \
	X(DISK_DELETED, "disk_deleted_bytes", BYTES, GAUGE, TASK, "disk_bytes", "type", "deleted", \
	  "Disk blocks of files that are unlinked but still held open") \
	X(DISK_AGE, "disk_age_seconds", NS, GAUGE, TASK, "disk_age_seconds", NULL, NULL, \
	  "Age of the disk figures") \
	X(MEMORY_CURRENT, "memory_current_bytes", BYTES, GAUGE, TASK, "cgroup_memory_bytes", "type", "current", \
	  "Memory charged to the cgroup, its page cache included") \
	X(MEMORY_PEAK, "memory_peak_bytes", BYTES, GAUGE, TASK, "cgroup_memory_bytes", "type", "peak", \
	  "The most that was ever charged to the cgroup") \
	X(MEMORY_WORKING_SET, "memory_working_set_bytes", BYTES, GAUGE, TASK, "cgroup_memory_bytes", "type", "working_set", \
	  "What is charged to the cgroup without the page cache that was not used lately") \
	X(MEMORY_LIMIT, "memory_limit_bytes", BYTES, GAUGE, TASK, "cgroup_memory_bytes", "type", "limit", \
	  "What the cgroup may be charged with at most") \
	X(OOM_KILLS, "oom_kills", COUNT, COUNTER, TASK, "oom_kills", NULL, NULL, \
	  "Processes of the cgroup that were killed for want of memory") \
	X(CPU_LIMIT, "cpu_limit_seconds", NS, INFO, TASK, "cpu_limit_seconds", NULL, NULL, \
	  "CPU time that the cgroup may use in a second: its limit in cores") \
	X(CPU_THROTTLED, "cpu_throttled_seconds", NS, COUNTER, TASK, "cpu_throttled_seconds", NULL, NULL, \
	  "Time that the cgroup was held back by its CPU limit, summed over the CPUs") \
	X(CPU_PRESSURE, "cpu_pressure_seconds", NS, COUNTER, TASK, "pressure_seconds", "resource", "cpu", \
	  "Time in which some process of the cgroup waited for a CPU") \
	X(MEMORY_PRESSURE, "memory_pressure_seconds", NS, COUNTER, TASK, "pressure_seconds", "resource", "memory", \
	  "Time in which some process of the cgroup waited for memory") \
	X(IO_PRESSURE, "io_pressure_seconds", NS, COUNTER, TASK, "pressure_seconds", "resource", "io", \
	  "Time in which some process of the cgroup waited for I/O") \
	X(MEMORY_STALL, "memory_stall_seconds", NS, COUNTER, TASK, "stall_seconds", "resource", "memory", \
	  "Time in which all busy processes of the cgroup waited for memory") \
	X(IO_STALL, "io_stall_seconds", NS, COUNTER, TASK, "stall_seconds", "resource", "io", \
	  "Time in which all busy processes of the cgroup waited for I/O")
/* clang-format on */

/** Indexes of tally_metrics[] and of the arrays of a sample. */
enum tally_metric {
#define X(id, ...) TALLY_##id,
	TALLY_METRICS(X)
#undef X
		TALLY_METRIC_COUNT
};

/** Room for metrics in a sample; more than there are, so that new ones do not change its size. */
#define TALLY_METRIC_CAPACITY 48

/** One row of the table. All strings are static and never NULL unless said. */
struct tally_metric_info {
	const char *key; /**< JSON key and CSV column. */
	enum tally_unit unit;
	enum tally_kind kind;
	enum tally_aggregate aggregate;
	const char *family;	 /**< OpenMetrics family, without "tally_" and "_total". */
	const char *label;	 /**< Label that tells the metrics of a family apart, or NULL. */
	const char *label_value; /**< Its value, or NULL. */
	const char *help;
};

/** The table; TALLY_METRIC_COUNT rows, indexed by enum tally_metric. */
extern const struct tally_metric_info tally_metrics[TALLY_METRIC_COUNT];

/**
 * Find a metric by its JSON key.
 *
 * @key     NUL-terminated key, as "rss_bytes".
 * @return  Its index, or -ENOENT. Thread-safe, never blocks.
 */
int tally_metric_find(const char *key);

/**
 * A bit per metric, as in tally_sample.present.
 */
#define TALLY_BIT(metric) (UINT64_C(1) << (metric))

#ifdef __cplusplus
}
#endif
#endif
