/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of a Thermos checkpoint stream: what each field is numbered and typed on the wire.
 * Fields and branches that are not here are skipped by the reader, so a newer writer may add some.
 */

enum ThermosProcessState {
	WAITING = 0,
	FORKED = 1,
	RUNNING = 2,
	SUCCESS = 3,
	KILLED = 4,
	FAILED = 5,
	LOST = 6
}

enum ThermosTaskState {
	ACTIVE = 0,
	SUCCESS = 1,
	FAILED = 2,
	KILLED = 3,
	LOST = 4,
	CLEANING = 5,
	FINALIZING = 6
}

/** One transition of one run of a process. Only what the transition sets is there. */
struct ThermosProcessStatus {
	1: i64 seq
	3: string process
	5: ThermosProcessState state
	6: double start_time /* of RUNNING: seconds since the epoch, as all times here */
	7: i32 pid
	8: double stop_time
	9: i32 return_code
	10: i32 coordinator_pid
	11: double fork_time
}

/** The task entered a state. */
struct ThermosTaskStatus {
	1: ThermosTaskState state
	2: i64 timestamp_ms
	3: i32 runner_pid
	4: i32 runner_uid
}

/** Comes once, first. */
struct ThermosRunnerHeader {
	1: string task_id
	2: i64 launch_time_ms
	3: string sandbox
	4: string hostname
	5: string user
	6: map<string, i64> ports
	7: string log_dir
	8: i32 uid
}

union ThermosRunnerCkpt {
	1: ThermosRunnerHeader runner_header
	2: ThermosProcessStatus process_status
	3: ThermosTaskStatus task_status
}
