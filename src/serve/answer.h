/* SPDX-License-Identifier: Apache-2.0 */
/** From a request to an answer. */
#ifndef SERVE_ANSWER_H
#define SERVE_ANSWER_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>
#include "serve/accept.h"
#include "serve/exposure.h"
#include "serve/metrics.h"
#include "serve/request.h"

struct server;
struct connection;

/** What is given to all clients alike until the next tick, in the codings asked for so far. */
struct cached {
	uint64_t tick;	 /**< It is of; 0: empty. */
	int64_t made_ns; /**< CLOCK_BOOTTIME. */
	char etag[64];
	const char *text; /**< The body as it is, which responses[ENCODING_IDENTITY] owns. */
	size_t length;
	struct MHD_Response *responses[ENCODING_COUNT];
};

/** Answers that are kept: for those who see all figures, and for those who do not. */
enum { SEES_SOME, SEES_ALL, SEES_COUNT };

struct answers {
	struct cached tasks[SEES_COUNT];
	struct cached some[SEES_COUNT]; /* Tasks with the metrics that were named last. */
	uint64_t some_metrics[SEES_COUNT];
	struct cached metrics[SEES_COUNT][METRICS_FORMATS];
	struct exposure exposure;
	/* What the last ones took, as a hint for the next. */
	size_t task_count, process_count;
	size_t tasks_length, metrics_length;
	/* How far back the history reaches, and when that was found out, CLOCK_BOOTTIME; 0: never. */
	int64_t first_ns, first_asked_ns;
};

/**
 * Answer a request: queues a response.
 *
 * @status  0, or the HTTP status with which request_parse() refused it, for the reason in `refusal`.
 * @return  MHD_NO: the connection is to be closed.
 */
enum MHD_Result answer_request(struct connection *connection, struct MHD_Connection *mhd,
	const struct request *request, int status, const struct tally_error *refusal);

/** Answer with an error: {"status", "error"}. */
enum MHD_Result answer_error(struct connection *connection, struct MHD_Connection *mhd,
	unsigned status, const char *message);

/** Drop what is kept of ticks that have gone by. */
void answers_expire(struct server *server, int64_t now_ns);

/** Drop all. */
void answers_done(struct server *server);

#endif
