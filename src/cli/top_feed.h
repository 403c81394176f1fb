/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Where the figures of `tally top` come from: an observer (top_observer.c), a store (top_store.c), a
 * monitor of our own (top_own.c), or a test. One thread uses a feed; calls block for as long as the
 * other side takes.
 */
#ifndef CLI_TOP_FEED_H
#define CLI_TOP_FEED_H

#include <jansson.h>
#include <tally/error.h>
#include <tally/sample.h>
#include "cli/options.h"

/** What a task or one of its processes was at an instant. */
struct top_row {
	char *task;
	char *process; /**< NULL: the task itself. */
	bool has_life; /**< A store does not know it. */
	enum tally_life life;
	pid_t pid; /**< Root pid of a process; 0: unknown. */
	struct tally_reading reading;
	/** The sample before, that rates are made of; boot_ns is 0 when there is none. */
	struct tally_sample before;
};

/** All that there was at an instant. Zero is an empty one. */
struct top_snapshot {
	int64_t wall_ns; /**< Of the newest tick, or the instant asked for. 0: there was none yet. */
	bool stale;	 /**< Ticks have stopped coming. */
	struct top_row
		*rows; /**< Each task, followed by those of its processes that were wanted. */
	size_t count, room;
	size_t processes;		      /**< Of all tasks; 0: unknown. */
	int64_t machine_cpu_ns, other_cpu_ns; /**< As in tally_status; -1: unknown. */
	bool failed;			      /**< Rows were lost for want of memory. */
};

/** Add an empty row. @process NULL: a task. @return the row, valid until the next; NULL: no memory. */
struct top_row *top_snapshot_add(
	struct top_snapshot *snapshot, const char *task, const char *process);

/** Free its rows; it is empty then. */
void top_snapshot_done(struct top_snapshot *snapshot);

/** Order of rows: by task, a task before its processes. As strcmp(). */
int top_row_compare(const struct top_row *a, const struct top_row *b);

/** No row. */
#define TOP_NONE SIZE_MAX

/**
 * Find the rows of a snapshot in an older one.
 *
 * @return  For each row the index of that of the same name, or TOP_NONE; to be freed. NULL: no memory.
 */
size_t *top_snapshot_match(const struct top_snapshot *now, const struct top_snapshot *older);

/** Whether the processes of a task are wanted. NULL as the function: those of all are. */
typedef bool top_wants_fn(void *context, const char *task);

/** The last CPU rates of a row, in buckets of the wall clock. */
#define TOP_BUCKETS 32

struct top_course {
	int64_t newest;	   /**< Number of the last bucket: its time / bucket_ns. */
	int64_t bucket_ns; /**< 0: nothing is known yet. */
	double value
		[TOP_BUCKETS]; /**< Largest rate in it, in cores; NaN: unknown. The last is newest. */
};

/** Empty a course that ends with an instant. */
void top_course_begin(struct top_course *course, int64_t bucket_ns, int64_t wall_ns);

/** Move on to an instant: older buckets go. */
void top_course_move(struct top_course *course, int64_t wall_ns);

/** Note a rate over a time; what is outside of the buckets is left out. */
void top_course_note(struct top_course *course, int64_t from_ns, int64_t to_ns, double cores);

/** Note the rate between two samples, where there is one. */
void top_course_note_samples(struct top_course *course, const struct tally_sample *earlier,
	const struct tally_sample *later);

/** A history on its way into a course. */
struct top_noting {
	struct top_course *course;
	struct tally_sample before; /**< Zeroed: there was none. */
};

/** Note the rate since the sample before. @context  A top_noting. @return true: go on */
bool top_course_note_next(void *context, const struct tally_sample *sample);

/** Wall clock at which its first bucket begins, and its last ends. */
int64_t top_course_first_ns(const struct top_course *course);
int64_t top_course_last_ns(const struct top_course *course);

struct top_feed;

struct top_feed_ops {
	const char *name;
	bool live; /**< There is a present, which moves on by itself; else the newest is the end. */

	/**
	 * Read what there was.
	 *
	 * @at_ns   Wall clock; 0: now, or the newest there is.
	 * @ret     Empty; filled on success, to be released in both cases. In the present `before` may be
	 *          left empty: the caller has the last snapshot.
	 * @return  0 or negative errno, with a message fit for the person at the screen.
	 */
	int (*read)(struct top_feed *feed, int64_t at_ns, top_wants_fn *wants, void *context,
		struct top_snapshot *ret, struct tally_error *err);

	/** Fill a course, begun by the caller. What cannot be read stays unknown. */
	void (*course)(struct top_feed *feed, const char *task, const char *process,
		struct top_course *course);

	/** How far it reaches, wall clock. False: unknown. */
	bool (*reach)(struct top_feed *feed, int64_t *ret_first_ns, int64_t *ret_last_ns);

	/** As `tally show --json`. @return new reference, or NULL with an error. */
	json_t *(*json)(struct top_feed *feed, int64_t at_ns, struct tally_error *err);

	/** Free it. */
	void (*close)(struct top_feed *feed);
};

struct top_feed {
	const struct top_feed_ops *ops;
	char title[256];     /**< What it is, for the title of the screen. */
	int64_t interval_ns; /**< Between two samples; 0: unknown. */
	const char *nothing; /**< What to say where there is no task. Static; NULL: the usual. */
};

/** Close a feed; takes NULL. */
void top_feed_close(struct top_feed *feed);

/** Ask an observer. @socket its path. @return 0, or what client_get() returns. */
int top_observer_open(const char *socket, struct top_feed **ret, struct tally_error *err);

/** Read a store. @path NULL: the default one. */
int top_store_open(const char *path, struct top_feed **ret, struct tally_error *err);

/** Watch by ourselves. @sources specs, one or more. */
int top_own_open(const struct option_list *sources, const char *collector, int64_t interval_ns,
	struct top_feed **ret, struct tally_error *err);

/** Read what an observer answers of tasks; hostile input. @return 0, -EBADMSG. */
int top_observer_parse(const char *json, size_t length, top_wants_fn *wants, void *context,
	struct top_snapshot *ret);

#endif
