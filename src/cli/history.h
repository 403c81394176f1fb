/* SPDX-License-Identifier: Apache-2.0 */
/** What the parts of `tally history` share. */
#ifndef CLI_HISTORY_H
#define CLI_HISTORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <tally/error.h>
#include <tally/metric.h>

/** What is asked for. */
struct history_question {
	const char *store;	    /**< File to read; NULL: an observer, or the default one. */
	const char *socket;	    /**< Observer to ask; NULL: the default one. */
	char *word;		    /**< TASK or TASK/PROCESS. */
	int64_t since_ns, until_ns; /**< INT64_MIN, INT64_MAX: all there is. */
	const char *step;	    /**< As given; NULL: about thirty rows. */
	const char *metrics;	    /**< Keys, with commas between them; NULL: all. */
	bool rate;		    /**< Counters as rates. */
};

/**
 * Ask the observer where one answers and no file is named, and read the store otherwise.
 *
 * @ret     The document of /api/v1/tasks/TASK/history, whoever made it; new reference. It has at
 *          least one row.
 * @return  0 or negative errno.
 */
int history_ask(const struct history_question *question, json_t **ret, struct tally_error *err);

/**
 * Write a table to standard output.
 *
 * @metrics  The keys that were named; NULL: the usual columns, which the document then has.
 * @rate     As it was asked for.
 * @return   0, -ENOMEM, -E2BIG (more columns than a table has room for)
 */
int history_write_table(const json_t *answer, const char *metrics, bool rate);

/** The keys of the usual columns, for history_question.metrics; as rates. */
#define HISTORY_USUAL "cpu_rate,rss_bytes,io_read_bytes,io_write_bytes,pids"

/** Write the document. @return 0, -EIO */
int history_write_json(const json_t *answer);

/** Write a line for each row: time, the keys, and KEY_max of averaged gauges. @return 0 */
int history_write_csv(const json_t *answer);

#endif
