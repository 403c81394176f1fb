/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The history: the samples of tasks and their processes, kept for a time and within a limit of
 * memory, asked for by instant or by range.
 *
 * Samples are ordered by boot_ns, which never steps; people ask by wall clock, which may. A query by
 * wall clock considers every sample: where the clock was stepped back, two samples can bear the
 * same time, and the earlier one by boot_ns wins.
 *
 * One writer (the tick) and many readers: calls are thread-safe. Only a handle that another thread
 * may drop meanwhile must not be used: history_task_drop() belongs to the writer.
 */
#ifndef HISTORY_HISTORY_H
#define HISTORY_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <tally/error.h>
#include <tally/sample.h>
#include "base/log.h"

struct history;
/** The samples of one task. Belongs to its history. */
struct history_task;

/**
 * A coarser resolution, for what is older than the samples themselves: one sample for each step, of
 * counters and properties the last, exact, of gauges the average; their maximum is kept beside it.
 */
struct history_tier {
	int64_t step_ns;      /**< 0: 10 s for the first, 60 s for the second. */
	int64_t retention_ns; /**< 0: 1 day, 30 days; negative: no such resolution. */
};

#define HISTORY_TIERS 2

/** How a history works; zero is the default. */
struct history_options {
	int64_t retention_ns; /**< Samples older than this make room; 0 is 1 h. */
	int64_t interval_ns;  /**< Expected time between samples; 0 is 1 s. */
	size_t bytes;	      /**< Limit of the memory that samples take; 0 is 256 MiB. */
	/** Coarser ones, in rising order. One whose step is not above the interval is left out. */
	struct history_tier tiers[HISTORY_TIERS];
	const char *store;    /**< File that holds it beyond this run; NULL: memory only. */
	uint64_t store_bytes; /**< Limit of that file and what belongs to it; 0 is 1 GiB. */
	/**
	 * Read what the store has, whoever writes it: nothing can be appended, nothing is written.
	 * The resolutions are those of the store.
	 */
	bool read_only;
	const struct log *log; /**< Where to say that the store fails or is damaged. */
};

/** The most samples of one task that may be asked for: retention / interval. */
#define HISTORY_SAMPLES_MAX 1000000

/** One named process in a record. A name appears once in a record. */
struct history_process {
	const char *name;
	const struct tally_sample *sample;
};

/** What one tick has to say of one task. */
struct history_record {
	int64_t wall_ns, boot_ns;
	const struct tally_sample *total;
	const struct history_process *processes;
	size_t process_count;
};

/**
 * Open a history.
 *
 * @return  0; -EINVAL (retention / interval is less than one sample or more than
 *          HISTORY_SAMPLES_MAX: the message has the numbers); -ENOMEM; and of the store: -ELOOP,
 *          -EPERM, -EISDIR, -EACCES, -EROFS, -ENOSPC, -EBUSY (another writer has it), -ENOENT (read
 *          only, and there is none), -ENOTSUP (a later Tally wrote it).
 *
 * With a store: reads and, after a crash, repairs it; may take a second for a large one. A damaged
 * file, or one in a format of before, is renamed, which is said, and a new one begun; read only, that
 * is -EBADMSG or -ESTALE. From then on only a thread of its own
 * writes: no other call waits for the disk, but that queries read what memory no longer has.
 */
int history_open(
	const struct history_options *options, struct history **ret, struct tally_error *err);

/**
 * Close; takes NULL, returns NULL. With a store: writes what it does not have, and waits for the
 * disk for that.
 */
struct history *history_close(struct history *history);

/** Find a task, or begin one. The handle is valid until history_task_drop() or close. */
int history_task(struct history *history, const char *id, struct history_task **ret,
	struct tally_error *err);

/** Find a task, one that only the store knows too. @return NULL when there is none. */
struct history_task *history_find(struct history *history, const char *id);

/**
 * Let go of the tasks that were only found, never begun, when there are more than so many: for the
 * writer, while no reader has a handle of one.
 */
void history_drop_found(struct history *history, size_t limit);

/** Forget a task and all its samples; the store keeps what it has. */
void history_task_drop(struct history *history, struct history_task *task);

/**
 * Keep one record. The times of its samples are those of the record.
 *
 * @return  0; -EINVAL (boot_ns is not later than the task's last: the message says by how much; or a
 *          process is named twice); -ENOMEM (no memory, or the record alone is over the limit).
 *          On failure the samples kept are as they were, and the refusal is counted.
 *
 * Makes room as needed: what is older than the retention goes, and beyond the limit of memory the
 * oldest record of any task. Allocates nothing while the number of processes is steady.
 */
int history_append(struct history *history, struct history_task *task,
	const struct history_record *record, struct tally_error *err);

/**
 * Tell that all records of a tick are in: the store has them after a moment, together. A record of a
 * later instant tells the same.
 */
void history_commit(struct history *history);

/**
 * Wait until the store has all that was committed.
 *
 * @return  0 (at once without a store), or -EAGAIN: the store does not take it.
 *
 * Blocks on the disk; not for ticks.
 */
int history_flush(struct history *history);

/**
 * Read the sample nearest to an instant of the wall clock; of two equally near, the earlier.
 *
 * @process     Named process, or NULL for the task.
 * @ret         Filled with the sample.
 * @ret_before  Filled with the sample before it, for rates; boot_ns is 0 when there is none. May be
 *              NULL.
 * @return      0, -ENOENT (never heard of the process), -ENODATA (nothing kept).
 */
int history_nearest(struct history *history, struct history_task *task, const char *process,
	int64_t wall_ns, struct tally_sample *ret, struct tally_sample *ret_before);

/** Return true to go on. May be called with the history's lock held: must not call the history. */
typedef bool history_sample_fn(void *context, const struct tally_sample *sample);

/**
 * Visit the samples whose wall clock lies in [since_ns, until_ns], in order of boot_ns.
 *
 * @return  0, -ENOENT (never heard of the process).
 */
int history_range(struct history *history, struct history_task *task, const char *process,
	int64_t since_ns, int64_t until_ns, history_sample_fn *visit, void *context);

/** What there was in one step of a range. */
struct history_step {
	/** Times, counters and properties of its last sample; gauges: the average of all. */
	struct tally_sample sample;
	struct tally_sample maximum; /**< Gauges: the largest value. Other metrics are absent. */
	/** The sample before the step, for rates up to .sample; boot_ns is 0 when there is none. */
	struct tally_sample before;
	size_t samples;
};

/** Return true to go on. */
typedef bool history_step_fn(void *context, const struct history_step *point);

/**
 * Visit a range in steps of the wall clock, counted from the epoch; steps without samples are left
 * out. What is kept in a coarser resolution than the step comes as it is kept.
 *
 * @step_ns  0: every sample is a step.
 * @return   0, -ENOENT (never heard of the process), -ENOMEM.
 */
int history_steps(struct history *history, struct history_task *task, const char *process,
	int64_t since_ns, int64_t until_ns, int64_t step_ns, history_step_fn *visit, void *context);

/** Return true to go on. @first_ns, @last_ns: of the samples looked at. */
typedef bool history_alive_fn(void *context, const char *id, int64_t first_ns, int64_t last_ns);

/**
 * Visit all tasks that were sampled around an instant or a time of the wall clock, those that ended
 * long ago too: by the stretches of a few minutes that samples are kept in, and by name.
 *
 * @return  0; -ENOMEM; what the store says.
 *
 * Reads an index of the whole store: may take tens of milliseconds.
 */
int history_alive(struct history *history, int64_t since_ns, int64_t until_ns,
	history_alive_fn *visit, void *context);

/** Visit the names of the processes that any kept sample of a task has. */
void history_processes(struct history *history, struct history_task *task,
	void (*visit)(void *context, const char *name), void *context);

/** A running process that a named process of a task has as its root. */
struct history_root {
	const char *process;
	pid_t pid;
	int64_t start_ns; /**< CLOCK_BOOTTIME: with the pid, its identity. */
};

/**
 * Tell what the roots of a task's processes are; call it when they change. The store keeps them, so
 * that after a restart counters can go on.
 *
 * @count   0: it has none any more.
 * @return  0 or -ENOMEM. Without a store it does nothing.
 */
int history_resume_put(struct history *history, struct history_task *task,
	const struct history_root *roots, size_t count);

/**
 * @root  NULL: the total of the task.
 * @last  Its last sample: that of the last tick that was committed, or of an earlier one when it was
 *        not in that. boot_ns is 0 when there is none.
 */
typedef void history_resume_fn(
	void *context, const struct history_root *root, const struct tally_sample *last);

/**
 * Read what the last run knew of a task when it ended, or was killed: first its total, then every
 * root it had. Roots that are still there (pid and start are the same) go on with the counters of
 * their last sample. It is handed over once, and only when the machine has not booted since.
 *
 * @return  0; -ENOENT (nothing is known, or it was handed over before). Answers from memory.
 */
int history_resume_get(
	struct history *history, const char *id, history_resume_fn *visit, void *context);

/** What a history holds. */
struct history_status {
	size_t tasks;
	uint64_t samples; /**< Records kept now. */
	size_t bytes;	  /**< Memory they take. */
	size_t bytes_limit;
	uint64_t dropped;   /**< Records that made room for others before their time. */
	uint64_t refused;   /**< Records that were out of order or for which there was no memory. */
	bool stored;	    /**< There is a store; what follows is of it. */
	bool store_failing; /**< It did not take the last thing it was given. */
	uint64_t store_bytes, store_bytes_limit; /**< Of its files together. */
	uint64_t store_commits, store_failures;
	uint64_t store_lost;	/**< Records that memory had no room for before they were stored. */
	uint64_t store_damaged; /**< Rows and files that were found damaged and left out. */
};

void history_status(struct history *history, struct history_status *ret);

#endif
