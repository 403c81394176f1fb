/* SPDX-License-Identifier: Apache-2.0 */
/** What the parts of `tally history` share. */
#ifndef CLI_HISTORY_H
#define CLI_HISTORY_H

#include "cli/history_rows.h"

/** An answer, ready to be written. */
struct history_answer {
	const char *task;
	const char *process; /**< NULL: the task. */
	uint64_t metrics;    /**< TALLY_BIT of those asked for, ROWS_CPU_…; 0: none was named. */
	bool rate;
	struct history_rows rows;
};

/** Write a table to standard output. @return 0, -ENOMEM, -E2BIG (more columns than it has room) */
int history_write_table(const struct history_answer *answer);

/** Write {"task", "process", "step_seconds", "times", "series", "maxima"}. @return 0, -EIO */
int history_write_json(const struct history_answer *answer);

/** Write a line for each row: time, the keys, and KEY_max of averaged gauges. @return 0 */
int history_write_csv(const struct history_answer *answer);

#endif
