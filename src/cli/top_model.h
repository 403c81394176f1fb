/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What `tally top` shows, without a screen: the rows of a feed in an order, filtered, unfolded, at an
 * instant. One thread uses it.
 */
#ifndef CLI_TOP_MODEL_H
#define CLI_TOP_MODEL_H

#include "cli/top_column.h"
#include "cli/top_feed.h"

/** A line of the table: a row, and how it stands there. */
struct top_line {
	size_t row;  /**< In the snapshot. */
	bool folded; /**< A task whose processes are not shown below it. */
	bool below;  /**< A process below its task. */
	bool last;   /**< The last of those. */
};

/** What all shown tasks consume together. */
struct top_sums {
	size_t tasks;
	int64_t pids, threads;
	double cores, read, write, mem; /**< Of what is known. */
	bool has_machine; /**< In this time the whole machine, and what of it is in no task: */
	double machine_cores, other_cores;
};

struct top_model {
	struct top_feed *feed;
	struct top_snapshot snapshot;
	struct top_course *courses; /**< Of its rows; those with bucket_ns 0 are to be asked for. */
	struct tally_error error;   /**< Why the last reading failed; code 0: it did not. */
	bool follows;		    /**< What was read last was the present. */
	bool complete;		    /**< The processes of all tasks were read. */

	/* What is asked for. */
	size_t sort;	  /**< Column. */
	bool reverse;	  /**< Against its usual direction. */
	bool flat;	  /**< All processes, in one list, instead of tasks. */
	bool unfold_all;  /**< The processes of all tasks are shown. */
	uint32_t columns; /**< Bits. */
	char filter[128]; /**< Part of a name, whatever its case; "": none. */
	char **unfolded;  /**< Tasks. With unfold_all: those that are folded. */
	size_t unfolded_count;

	/* When. */
	int64_t at_ns; /**< The instant shown; 0: the present. */
	bool paused;   /**< That instant was the present when somebody held it. */

	/* What comes of it. */
	struct top_line *lines;
	size_t line_count, line_room;
	size_t selected; /**< Line. */
	char *selected_task, *selected_process;
	struct top_sums sums;
	int64_t machine_cpu_ns, other_cpu_ns, machine_wall_ns; /**< Of the reading before. */
};

/** Begin; nothing is read yet. The feed stays the caller's. */
void top_model_begin(struct top_model *model, struct top_feed *feed);

/** Free what it has. */
void top_model_done(struct top_model *model);

/**
 * Read the feed anew: the present, or the instant asked for.
 *
 * @return  0 or negative errno; what was there before stays then, and model->error says why.
 */
int top_model_read(struct top_model *model);

/** Sort, filter and unfold anew, after what is asked for has changed. */
void top_model_arrange(struct top_model *model);

/** Sort by a column; by the same again: the other way round. */
void top_model_sort(struct top_model *model, size_t column);

/** Sort by the next shown column to the right (by 1) or left (-1). */
void top_model_sort_next(struct top_model *model, int by);

/** Set the filter. Reads processes that were not wanted before. */
void top_model_filter(struct top_model *model, const char *text);

/** Show all processes in one list, or tasks. Reads likewise. */
void top_model_flat(struct top_model *model, bool on);

/** Show or hide the processes of a task, or of all. Reads likewise. */
void top_model_unfold(struct top_model *model, const char *task, bool on);
void top_model_unfold_all(struct top_model *model, bool on);
bool top_model_is_unfolded(const struct top_model *model, const char *task);

/** Select a line; what is selected stays so when the order changes. */
void top_model_select(struct top_model *model, size_t line);

/** The row selected, or NULL. */
const struct top_row *top_model_selected(const struct top_model *model);

/** The row of a line. */
const struct top_row *top_model_row(const struct top_model *model, const struct top_line *line);

/** The CPU of a row over the last buckets; asks the feed the first time, or gives NULL unless it may. */
const struct top_course *top_model_course(struct top_model *model, size_t row, bool ask);

/** Time of one bucket of it. */
int64_t top_model_bucket_ns(const struct top_model *model);

/* ---- time ---- */

/** Wall clock of what is shown. */
int64_t top_model_time(const struct top_model *model);

/** Go to an instant, within what the feed reaches; 0: back to the present. Reads. */
int top_model_go(struct top_model *model, int64_t at_ns);

/** Go back or forth by so much. Beyond the newest lies the present. Reads. */
int top_model_step(struct top_model *model, int64_t by_ns);

/** Hold the present, or let it go on. Wherever time stands still, back to the present. */
int top_model_pause(struct top_model *model);

/** Whether the feed is to be read again and again: a present that moves is shown. */
bool top_model_moves(const struct top_model *model);

#endif
