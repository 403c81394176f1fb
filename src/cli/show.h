/* SPDX-License-Identifier: Apache-2.0 */
/** What the parts of `tally show` share. */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include "cli/options.h"
#include "cli/table.h"
#include "monitor/monitor.h"

/** What is shown: all, a task, or one process of a task. */
struct wanted {
	const char *task;    /**< NULL: all. */
	const char *process; /**< NULL: all. */
};

/** A table on its way, and the reasons of what is absent from it. */
struct showing {
	struct table table;
	const struct wanted *wanted;
	char task[256]; /**< Id of the one visited last. */
	bool absent[TALLY_REASON_COUNT];
};

/** Begin a zeroed one with its titles. */
void showing_begin(struct showing *showing);

/**
 * Add a row.
 *
 * @life, @pid, @disk_method  "" where there is none to be told.
 */
void showing_add(struct showing *showing, const char *name, const char *life, const char *pid,
	const struct tally_reading *reading, const char *disk_method);

/** Print it, then the reasons, and free it. @return 0, -ENOMEM */
int showing_print(struct showing *showing);

/** Print a table of tasks and their processes, and why figures are absent. @return 0, -ENOMEM */
int show_tasks(struct tally_monitor *monitor, const struct wanted *wanted);

/** Print a table of the live pids, and why they belong. @return 0, -ENOMEM */
int show_pids(struct tally_monitor *monitor, const struct wanted *wanted);

/** Begin a table of pids with its titles. */
void pids_table_begin(struct table *table);

/** What an observer is asked. */
struct show_question {
	const char *socket; /**< NULL: the default one. */
	char *word;	    /**< TASK or TASK/PROCESS; NULL: all. */
	bool has_at;	    /**< An instant of the past. */
	int64_t at_ns;
	bool json, pids;
};

/**
 * Show what an observer answers.
 *
 * @return  0 or negative errno; see observed_absent().
 */
int show_observed(const struct show_question *question, struct tally_error *err);

/**
 * Show the tasks that a store has of an instant (`tally show --at`), or one of them.
 *
 * @store  NULL: the default one.
 * @return Exit status.
 */
int show_past(struct command_line *line, const char *store, int64_t at_ns, bool json);

#endif
