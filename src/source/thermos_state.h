/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What a checkpoint stream has told of its task so far: the state machine that its records drive.
 * Pure. All that it keeps is bounded, whatever the stream says.
 */
#ifndef SOURCE_THERMOS_STATE_H
#define SOURCE_THERMOS_STATE_H

#include "base/hash.h"
#include "source/thermos_record.h"

/** Named processes of one task. A stream that has more is refused from there on. */
#define THERMOS_PROCESSES_MAX 1024

/** Runs of one process that are kept; the oldest make room. */
#define THERMOS_RUNS_MAX 64

/** Longest name of a process; it is part of a file name where it comes from. */
#define THERMOS_NAME_MAX 255

/** Longest of the texts in a header that are kept: paths, user. */
#define THERMOS_TEXT_MAX 4096

/** Bytes of names of ports that are kept of one task. */
#define THERMOS_PORTS_BYTES_MAX (1 << 20)

/** When to try again what failed: after 1, 2, 4 and so on polls, 64 at most. */
struct thermos_retry {
	uint8_t tries;
	uint32_t poll; /**< Not before this one. */
};

/** The process of this machine that a run is, as far as that is known; not the state machine's. */
struct thermos_pin {
	pid_t pid; /**< 0: not found yet. */
	int64_t start_ns;
	struct thermos_retry retry;
	uint32_t scan; /**< Number of the scan it waits for; 0: none. */
};

/** One run of a process. */
struct thermos_run {
	enum thermos_process_state state;
	int64_t fork_ns, start_ns, stop_ns; /**< Wall clock; 0: not said. */
	pid_t pid, coordinator_pid;	    /**< As recorded; 0: not said. */
	int return_code;
	struct thermos_pin pin;
};

/** A named process: its runs, oldest first. Has one at least. */
struct thermos_runs {
	char *name;
	int64_t seq; /**< Of its last record. */
	struct thermos_run *runs;
	size_t count, room;
	size_t forgotten; /**< Runs before runs[0]. */
	UT_hash_handle hh;
};

/** The task. A zeroed one has heard nothing. */
struct thermos_state {
	bool has_header;
	char *task_id; /**< As the header has it: not to be trusted, the file's name is the id. */
	char *sandbox, *user; /**< Or NULL. */
	bool has_uid;
	uid_t uid;
	int64_t launch_ns;
	struct source_port *ports; /**< Sorted by name; the names are behind the array. */
	size_t port_count;

	struct thermos_runs *processes; /**< uthash by name; iterates in order of appearance. */
	enum thermos_task_state state;	/**< ACTIVE before the first status. */
	int64_t state_ns;		/**< When it was entered; 0: not said. */
	pid_t runner_pid;		/**< 0: not said. */
};

/** Forget everything: the state is as zeroed. */
void thermos_state_clear(struct thermos_state *state);

/**
 * Apply one record; a thermos_record_fn, its context the state.
 *
 * @return  0; -EBADMSG (the record cannot follow what came before it, or lacks what it must have;
 *          the message says which); -E2BIG (a limit above); -ENOMEM. The state is then as before.
 */
int thermos_state_apply(void *state, const struct thermos_record *record, struct tally_error *err);

/** The run that counts, the last. */
static inline struct thermos_run *thermos_last_run(const struct thermos_runs *process)
{
	return &process->runs[process->count - 1];
}

/** Word of the wire for a state, as "FORKED". Static. */
const char *thermos_process_state_name(enum thermos_process_state state);

/** What a state means for everybody else. */
enum tally_life thermos_process_life(enum thermos_process_state state);
enum tally_life thermos_task_life(enum thermos_task_state state);

#endif
