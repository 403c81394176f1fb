/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A sample: one set of metric values, of a process or of a task, at one instant.
 *
 * Values are raw: counters as they stand, in the unit of the table. What can be derived (rates,
 * the sum of user and system time) is derived when it is asked for. A value that is not known is
 * absent, never zero, and says why.
 *
 * Everything here is pure: no call blocks, allocates or touches the kernel, and all may be used
 * from any thread on samples that no other thread is writing.
 */
#ifndef TALLY_SAMPLE_H
#define TALLY_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tally/metric.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Why a value is absent. Append only: the numbers are stored in histories. */
enum tally_reason {
	TALLY_REASON_NOT_SAMPLED,   /**< No pass has seen it yet. */
	TALLY_REASON_PERMISSION,    /**< The kernel refused: another user's process. */
	TALLY_REASON_KERNEL,	    /**< This kernel does not have the figure. */
	TALLY_REASON_NOT_ASKED,	    /**< Costly, and not asked for. */
	TALLY_REASON_BUDGET,	    /**< Costly, asked for, and its budget is spent. */
	TALLY_REASON_NO_SANDBOX,    /**< The task has no sandbox. */
	TALLY_REASON_DISK_PENDING,  /**< The first walk of the sandbox has not ended. */
	TALLY_REASON_DISK_FAILED,   /**< The sandbox cannot be read. */
	TALLY_REASON_ENDED,	    /**< No live pid is left to read it from. */
	TALLY_REASON_COLLECTOR,	    /**< The collector in use cannot see it. */
	TALLY_REASON_TASK_ONLY,	    /**< A figure of the task as a whole, not of a process. */
	TALLY_REASON_LIMIT,	    /**< A limit of Tally's own bites (descriptors, map entries). */
	TALLY_REASON_NOT_STORED,    /**< The history it comes from did not know this metric. */
	TALLY_REASON_NOT_SHARED,    /**< The observer does not show it to whoever asks. */
	TALLY_REASON_NO_CGROUP,	    /**< The task is not a cgroup. */
	TALLY_REASON_NO_CONTROLLER, /**< The task's cgroup is without the controller that tells. */
	TALLY_REASON_NO_LIMIT,	    /**< None is set. */
	TALLY_REASON_COUNT
};

/** A sentence for a reason, without a final stop: what it means and what to do. Static. */
const char *tally_reason_text(enum tally_reason reason);

/** One set of values. A zeroed sample has none, for the reason TALLY_REASON_NOT_SAMPLED. */
struct tally_sample {
	int64_t wall_ns;  /**< Instant as people see it: nanoseconds since the epoch. */
	int64_t boot_ns;  /**< The same instant by CLOCK_BOOTTIME: orders samples, never steps. */
	uint64_t present; /**< TALLY_BIT(metric) is set for every value that is known. */
	int64_t value[TALLY_METRIC_CAPACITY]; /**< Valid where present; in the unit of the table. */
	uint8_t reason[TALLY_METRIC_CAPACITY]; /**< enum tally_reason; valid where not present. */
};

/** Whether a value is known. */
static inline bool tally_sample_has(const struct tally_sample *sample, enum tally_metric metric)
{
	return sample->present & TALLY_BIT(metric);
}

/** Store a value. */
static inline void tally_sample_set(
	struct tally_sample *sample, enum tally_metric metric, int64_t value)
{
	sample->value[metric] = value;
	sample->present |= TALLY_BIT(metric);
}

/** Mark a value as absent and say why. */
static inline void tally_sample_unset(
	struct tally_sample *sample, enum tally_metric metric, enum tally_reason reason)
{
	sample->present &= ~TALLY_BIT(metric);
	sample->value[metric] = 0;
	sample->reason[metric] = (uint8_t)reason;
}

/**
 * Empty a sample: every value absent for one reason, times zero.
 */
void tally_sample_clear(struct tally_sample *sample, enum tally_reason reason);

/**
 * Add the sample of a part to a sum, by the rules of the table.
 *
 * @sum    Sum so far; start from tally_sample_start().
 * @part   Sample of one of its parts.
 *
 * A sum is known only when every part of it is: one absent part makes it absent, for that part's
 * reason. Two parts are excepted, for they have nothing to give: one that was never sampled, and
 * one that has ended. Metrics that belong to the task alone are left as they are in the sum.
 */
void tally_sample_add(struct tally_sample *sum, const struct tally_sample *part);

/**
 * Begin a sum: nothing added yet. Task-only metrics are absent: those of the disk for
 * TALLY_REASON_NO_SANDBOX, those of the cgroup for TALLY_REASON_NO_CGROUP.
 */
void tally_sample_start(struct tally_sample *sum, int64_t wall_ns, int64_t boot_ns);

/**
 * CPU time of both modes.
 *
 * @ret     Nanoseconds; untouched on failure.
 * @return  0, or -ENODATA when either mode is absent.
 */
int tally_sample_cpu_ns(const struct tally_sample *sample, int64_t *ret);

/**
 * Rate of a counter between two samples.
 *
 * @earlier, @later  Samples of the same object; time is taken from boot_ns.
 * @ret              Units per second (for nanosecond counters: seconds per second).
 * @return           0, or -ENODATA when the metric is no counter, a value is absent, no time lies
 *                   between the two, or the counter went back: a rate is then unknown, not zero.
 */
int tally_sample_rate(const struct tally_sample *earlier, const struct tally_sample *later,
	enum tally_metric metric, double *ret);

/**
 * CPU used between two samples, in cores: 1.0 is one busy core. As tally_sample_rate().
 */
int tally_sample_cpu_rate(
	const struct tally_sample *earlier, const struct tally_sample *later, double *ret);

/**
 * Word for a state letter of /proc/PID/stat, as "sleeping" for 'S'; "unknown" for others. Static.
 */
const char *tally_state_word(int64_t letter);

/** A sample with what is derived from it and from the one before it. */
struct tally_reading {
	struct tally_sample sample;
	bool has_cpu_rate; /**< False when there is no earlier sample to compare with. */
	double cpu_rate;   /**< Cores, over the time between the two samples. */
	bool stale;	   /**< The monitor is not running, or it is late by three intervals. */
};

/** What a task or a process is doing. */
enum tally_life {
	TALLY_LIFE_WAITING,    /**< Known, not running yet. */
	TALLY_LIFE_ACTIVE,     /**< Running. */
	TALLY_LIFE_SUCCESS,    /**< Ended well. */
	TALLY_LIFE_FAILED,     /**< Ended badly. */
	TALLY_LIFE_KILLED,     /**< Ended by a signal or by its supervisor. */
	TALLY_LIFE_LOST,       /**< Ended, and nobody knows how. */
	TALLY_LIFE_CLEANING,   /**< Being ended. */
	TALLY_LIFE_FINALIZING, /**< Ended; its last processes run. */
};

/** Lower-case word for a state, as "active". Static. */
const char *tally_life_name(enum tally_life life);

#ifdef __cplusplus
}
#endif
#endif
