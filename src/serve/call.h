/* SPDX-License-Identifier: Apache-2.0 */
/** One request being answered: what the makers of answers share. */
#ifndef SERVE_CALL_H
#define SERVE_CALL_H

#include "serve/body.h"
#include "serve/buffer.h"
#include "serve/compress.h"
#include "serve/server.h"

/** How long an answer for all may be given at most: disk figures come between ticks. */
#define CACHE_NS (INT64_C(1) * 1000000000)

/** Headers that differ between answers. Static strings, but for the etag, which is copied. */
struct headers {
	const char *type, *cache, *vary;
	const char *etag; /**< Or NULL. */
	enum encoding encoding;
};

struct call {
	struct server *server;
	struct connection *connection;
	struct MHD_Connection *mhd;
	const struct request *request;
	int sees;	/**< SEES_ALL or SEES_SOME. */
	int64_t now_ns; /**< Wall clock. */

	/* The answer: either a body, or one of those that are kept. */
	struct buffer body;
	struct headers headers;
	struct cached *cached;
};

/**
 * Makers of answers, one per route.
 *
 * @return  HTTP status; from 400 on without a body, `err` tells the client why.
 */
int call_asset(struct call *call, struct tally_error *err);
int call_tasks(struct call *call, struct tally_error *err);
int call_task(struct call *call, struct tally_error *err);
int call_history(struct call *call, struct tally_error *err);
int call_disk(struct call *call, struct tally_error *err);
int call_deleted(struct call *call, struct tally_error *err);
int call_status(struct call *call, struct tally_error *err);
int call_metrics(struct call *call, struct tally_error *err);
int call_health(struct call *call, struct tally_error *err);
int call_thermos_ids(struct call *call, struct tally_error *err);
int call_thermos_count(struct call *call, struct tally_error *err);
int call_thermos_task(struct call *call, struct tally_error *err);
int call_thermos_process(struct call *call, struct tally_error *err);
int call_thermos_processes(struct call *call, struct tally_error *err);

/** A header of the request, or NULL. */
const char *call_header(const struct call *call, const char *name);

/** A response with its headers. `bytes` is taken over, also on failure: NULL. */
struct MHD_Response *call_response(
	struct server *server, char *bytes, size_t length, const struct headers *headers);

/** Whether a kept answer is good for a tick still. */
bool cached_holds(const struct cached *cached, uint64_t tick, int64_t now_ns);

/** Keep the body of a call. @return HTTP status. */
int cached_fill(struct call *call, struct cached *cached, uint64_t tick, struct tally_error *err);

/** Forget one; clients that are reading it go on. */
void cached_drop(struct cached *cached);

#endif
