/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The records of a checkpoint stream: bytes in, records out. Pure, and safe on any bytes.
 *
 * A stream is a sequence of records: 4 bytes, big-endian, the length; then that many bytes, one
 * Thrift struct RunnerCkpt in TBinaryProtocol (thermos.thrift). Three steps, one file each:
 *
 *     thermos_stream.c  cuts the stream into records
 *     thermos_scan.c    makes sure that a record is what the Thrift library can take
 *     thermos_decode.c  has the library decode it; the only file that knows of Thrift
 *
 * The library of Debian 12 (c_glib 0.17) allocates what a length on the wire claims before it looks
 * whether so many bytes are there (2 GiB for four bytes of input), skips unknown structs by
 * recursion without a limit, reads a map of other types as if it were of the right ones, and
 * ends the program when memory runs out. Hence the second step.
 */
#ifndef SOURCE_THERMOS_RECORD_H
#define SOURCE_THERMOS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <tally/error.h>
#include "source/source.h"

/** Longest record, its length not counted. A longer one is corruption. */
#define THERMOS_RECORD_MAX ((size_t)64 << 20)

/** Length in front of a record. */
#define THERMOS_PREFIX 4

/** What a process can be doing; the numbers on the wire. */
enum thermos_process_state {
	THERMOS_WAITING,
	THERMOS_FORKED,
	THERMOS_RUNNING,
	THERMOS_SUCCESS,
	THERMOS_KILLED,
	THERMOS_FAILED,
	THERMOS_LOST,
	THERMOS_PROCESS_STATES
};

/** What a task can be doing; the numbers on the wire. */
enum thermos_task_state {
	THERMOS_TASK_ACTIVE,
	THERMOS_TASK_SUCCESS,
	THERMOS_TASK_FAILED,
	THERMOS_TASK_KILLED,
	THERMOS_TASK_LOST,
	THERMOS_TASK_CLEANING,
	THERMOS_TASK_FINALIZING,
	THERMOS_TASK_STATES
};

enum thermos_kind {
	THERMOS_HEADER,
	THERMOS_PROCESS,
	THERMOS_TASK,
	THERMOS_OTHER, /**< A kind that this version does not know: to be ignored. */
};

/** What a task is. A string that was not written is NULL. */
struct thermos_header {
	const char *task_id, *sandbox, *hostname, *user, *log_dir;
	int64_t launch_ns; /**< Wall clock; 0: unknown. */
	bool has_uid;
	uid_t uid;
	const struct source_port *ports; /**< In no order. */
	size_t port_count;
};

/** A transition of a process. What was not written is zero, or says so. */
struct thermos_process {
	const char *name; /**< NULL: not written. */
	bool has_seq;
	int64_t seq;
	int32_t state;			    /**< -1: not written. Any other number may come, too. */
	int64_t fork_ns, start_ns, stop_ns; /**< Wall clock. */
	int32_t pid, coordinator_pid, return_code;
};

/** A transition of the task. */
struct thermos_task_status {
	int32_t state; /**< -1: not written. Any other number may come, too. */
	int64_t at_ns; /**< Wall clock. */
	int32_t runner_pid;
};

struct thermos_record {
	enum thermos_kind kind;
	union {
		struct thermos_header header;
		struct thermos_process process;
		struct thermos_task_status task;
	};
};

/**
 * Takes one record; its strings are valid during the call only.
 *
 * @return  0, or negative errno, which ends the reading of the stream.
 */
typedef int thermos_record_fn(
	void *context, const struct thermos_record *record, struct tally_error *err);

/**
 * Hand over all whole records at the front of a stream.
 *
 * @ret_used  Bytes of the records that were taken: the rest is a record cut short, or the one that
 *            failed. Always set.
 * @return    0; -EBADMSG (corruption: the message says which); -ENOMEM; or what `take` said.
 */
int thermos_stream_read(const uint8_t *bytes, size_t length, thermos_record_fn *take, void *context,
	size_t *ret_used, struct tally_error *err);

/**
 * How many bytes a stream must have for its first record to be whole: 4 while that is unknown.
 */
size_t thermos_stream_need(const uint8_t *bytes, size_t length);

/**
 * Check the structure of one record: whole, nothing behind it, no claim of more than is there, at
 * most 16 structs or containers in each other and 262,144 values, known fields at most once, known
 * texts without NUL, ports at most 65,536 and of the right type.
 *
 * @return  0 or -EBADMSG. Takes time in the order of the length; allocates nothing.
 */
int thermos_scan(const uint8_t *bytes, size_t length, struct tally_error *err);

/** Decode one record that passed thermos_scan() and hand it over. @return as thermos_record_fn. */
int thermos_decode(const uint8_t *bytes, size_t length, thermos_record_fn *take, void *context,
	struct tally_error *err);

#endif
