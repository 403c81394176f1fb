/* SPDX-License-Identifier: Apache-2.0 */
/** What the observer knows of itself: its cost, its limits, its health. */
#ifndef SERVE_SELF_H
#define SERVE_SELF_H

#include <stdint.h>
#include <tally/monitor.h>
#include "serve/buffer.h"

/** Counters and levels of the HTTP side. */
struct http_status {
	uint64_t requests;   /**< Answered, whatever the answer. */
	uint64_t errors;     /**< Answered with a status of 400 or more. */
	uint64_t refused;    /**< Connections turned away: too many, no descriptor. */
	uint64_t evicted;    /**< Idle connections closed to make room for new ones. */
	uint64_t timed_out;  /**< Connections closed for being slow. */
	uint64_t denied;     /**< Requests without the token, or for a foreign host. */
	uint64_t overloaded; /**< Answers refused: too many bytes wait for slow readers. */
	size_t connections, connection_limit;
	size_t pending_bytes, pending_limit; /**< Of answers not sent yet. */
	size_t series, series_limit;	     /**< Of tasks in /metrics, as last written. */
	size_t folded;			     /**< Processes summed under "_other". */
	uint64_t folded_total;
};

/** This program, as /proc has it. -1: unknown. */
struct process_status {
	int64_t cpu_ns;
	int64_t resident_bytes, virtual_bytes;
	int64_t open_fds, max_fds;
	int64_t threads;
	int64_t start_wall_ns;
};

/** Remote write. -1: there is none. */
struct remote_status {
	int64_t sent;			    /**< Samples that the receiver took. */
	int64_t requests, retries;	    /**< Requests; those of them to be sent again. */
	int64_t refused;		    /**< Samples dropped: the receiver refused them. */
	int64_t overflowed;		    /**< Samples dropped: no room to wait in. */
	int64_t skipped;		    /**< Instants left out: the clock was set back. */
	int64_t failing;		    /**< 1: the last request failed. */
	int64_t queue_samples, queue_bytes; /**< That wait. */
	int64_t queue_limit_bytes;
	int64_t lag_ns; /**< Age of the oldest that wait; 0: none do. */
};

/** What there is to tell without remote write. */
#define REMOTE_STATUS_NONE ((struct remote_status){-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1})

struct self_status {
	struct tally_status monitor;
	struct http_status http;
	struct remote_status remote;
	struct process_status process;
	int64_t now_wall_ns;
	int64_t history_first_ns; /**< How far back it reaches, wall clock; -1: nothing, or unknown. */
};

/** Read this program's own figures: /proc/self/stat, statm, fd. */
void process_status_read(struct process_status *ret);

/** Write /api/v1/status. */
void self_write_json(struct buffer *out, const struct self_status *self);

#endif
