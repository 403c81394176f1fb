/* SPDX-License-Identifier: Apache-2.0 */
/** What `tally run` says when the command has ended. */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include <jansson.h>
#include "cli/output.h"
#include "cli/run.h"

/** All that a report tells, gathered once. */
struct report {
	const struct run *run;
	struct command_state state;
	struct tally_reading total; /**< Last sample of the task. */
	struct tally_status status;
	int64_t wall_ns;
	int64_t peak_rss_bytes, peak_pids; /**< -1: not known. */
};

/** Gather; the monitor has taken its last sample. @return 0 or negative errno. */
int report_gather(struct report *report, const struct run *run, struct tally_error *err);

/** Write it for people, to standard error. */
void report_print(const struct report *report);

/** Exit status of `tally run`: as the command's, 128 + N after signal N, 124 after the time limit. */
int report_exit_status(const struct report *report);

/**
 * Write the page of --report and the picture of --svg; either may be none.
 *
 * @return  0 or negative errno: what was written before is in its place.
 */
int report_write_files(const struct report *report, struct output *html, struct output *svg,
	struct tally_error *err);

/** The object of --json. @return new reference, or NULL without memory. */
json_t *report_json(const struct report *report);

#endif
