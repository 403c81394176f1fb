/* SPDX-License-Identifier: Apache-2.0 */
/** The parameters of a request as values: pure parsers of hostile input. */
#ifndef SERVE_QUERY_H
#define SERVE_QUERY_H

#include <stdbool.h>
#include <stdint.h>
#include <tally/error.h>
#include "serve/request.h"

/** What is derived rather than read; shown beside the metrics of the table. */
#define QUERY_CPU_SECONDS (UINT64_C(1) << 62)
#define QUERY_CPU_RATE	  (UINT64_C(1) << 63)

/** A query. Zero where nothing was given, but for the range, which is then all there is. */
struct query {
	bool has_at;
	int64_t at_ns;		    /**< Wall clock, nanoseconds since the epoch. */
	int64_t since_ns, until_ns; /**< Wall clock, both included. */
	int64_t step_ns;	    /**< 0: samples as they were taken. */
	bool auto_step;		    /**< So that there are about thirty rows. */
	uint64_t metrics;    /**< TALLY_BIT of each, QUERY_CPU_…; all when none is named. */
	bool rate;	     /**< Counters as rates. */
	bool pids;	     /**< The live pids, too. */
	const char *process; /**< Or NULL. Points into the request. */
};

/**
 * Read the parameters of a request.
 *
 * @now_ns  Wall clock that relative times refer to.
 * @err     Its message is fit for the client.
 * @return  0, or the HTTP status of the refusal: 400.
 */
int query_parse(
	const struct request *request, int64_t now_ns, struct query *ret, struct tally_error *err);

#endif
