/* SPDX-License-Identifier: Apache-2.0 */
/** The columns of CSV that name what a row is about. */
#ifndef CLI_CSV_H
#define CLI_CSV_H

/** Header of these columns, for sample_csv_header(). */
#define CSV_NAMES "task,process"

/**
 * The names of a task and a process for sample_csv_row(), quoted where RFC 4180 asks for it.
 *
 * @process  "" for the task as a whole.
 * @return   malloc'd, or NULL.
 */
char *csv_names(const char *task, const char *process);

#endif
