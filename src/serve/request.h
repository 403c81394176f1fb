/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What a client asks for: a pure parser of method and request target, which are hostile input.
 *
 * The target is what stands between the method and the version, undecoded: a task id may hold a
 * slash, which then comes as %2F and must not end a part of the path.
 */
#ifndef SERVE_REQUEST_H
#define SERVE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tally/error.h>

/** Longest target that is read at all; a longer one is 414. */
#define REQUEST_TARGET_MAX 4096

/** Parts of a path that may be captured. */
#define REQUEST_ARGS_MAX 3

enum route {
	ROUTE_ASSET, /**< The page and its parts: whatever no other route takes. */
	ROUTE_TASKS,
	ROUTE_TASK,
	ROUTE_HISTORY,
	ROUTE_DISK,
	ROUTE_DELETED,
	ROUTE_STATUS,
	ROUTE_METRICS,
	ROUTE_HEALTH,
	ROUTE_THERMOS_IDS,
	ROUTE_THERMOS_COUNT,
	ROUTE_THERMOS_TASK,
	ROUTE_THERMOS_PROCESS,
	ROUTE_THERMOS_PROCESSES,
	ROUTE_COUNT
};

/** Parameters of a query that any route knows. */
enum param {
	PARAM_AT,
	PARAM_SINCE,
	PARAM_UNTIL,
	PARAM_STEP,
	PARAM_PROCESS,
	PARAM_METRICS,
	PARAM_RATE,
	PARAM_PIDS,
	PARAM_DEPTH,
	PARAM_TASK_ID,
	PARAM_TASK_IDS,
	PARAM_COUNT
};

/** A request, decoded. Strings lie in `text` and end with it. */
struct request {
	enum route route;
	bool head;			    /**< HEAD: everything but the body is wanted. */
	const char *path;		    /**< Decoded, for ROUTE_ASSET. */
	const char *args[REQUEST_ARGS_MAX]; /**< Captured parts of the path, or NULL. */
	const char *params[PARAM_COUNT];    /**< NULL where not given. */
	char text[REQUEST_TARGET_MAX + 8];
};

/**
 * Parse a request line's method and target.
 *
 * @target   `length` bytes.
 * @ret      Filled on success; a large struct, to be reused. Its strings point into it: not to be
 *           copied.
 * @err      Its message is fit for the client.
 * @return   0, or the HTTP status of the refusal: 400, 404, 405 or 414.
 */
int request_parse(const char *method, const char *target, size_t length, struct request *ret,
	struct tally_error *err);

/** Name of a route for logs and counters, as "tasks". Static. */
const char *route_name(enum route route);

#endif
