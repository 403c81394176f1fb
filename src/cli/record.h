/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What is kept of all samples of a task while it runs: their number, the peaks, and the rows of
 * --csv. The monitor's own history is short; taken from it in time, nothing is missed.
 */
#ifndef CLI_RECORD_H
#define CLI_RECORD_H

#include <stdint.h>
#include <stdio.h>
#include <tally/monitor.h>

/** Intervals that the monitor's history must hold, and after how many of them to take them. */
#define RECORD_HISTORY 2048
#define RECORD_TAKE    512

struct record {
	struct tally_monitor *monitor;
	const char *task;
	FILE *csv; /**< Or NULL. */

	uint64_t samples;		   /**< Of the task. */
	int64_t peak_rss_bytes, peak_pids; /**< -1: never known. */

	/* Own. */
	int64_t newest_boot_ns;
	uint64_t ticks_taken;
};

/** Begin; writes the header of the CSV. */
void record_begin(
	struct record *record, struct tally_monitor *monitor, const char *task, FILE *csv);

/** Whether so much has come that it is time for record_take(). */
bool record_due(const struct record *record);

/** Take what has come since. @return 0, -ENOMEM, -ENOENT. */
int record_take(struct record *record, struct tally_error *err);

#endif
