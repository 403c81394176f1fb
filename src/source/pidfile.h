/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Daemons that write their pid into a file: "pidfile:DIR" takes every *.pid in a directory, "pidfile:FILE"
 * one. A task, and its only process, is called as its file is, without ".pid". daemons.h says which pids
 * are believed. The files are looked at every 5 s, and at once when their directory changes.
 */
#ifndef SOURCE_PIDFILE_H
#define SOURCE_PIDFILE_H

#include "source/source.h"

/** How a source is made; zero is the default. For tests. */
struct daemon_options {
	const char *procfs; /**< NULL is "/proc". */
	int64_t poll_ns;    /**< 0 is 5 s. */
	const struct log *log;
};

/** Open the source on a directory or a file, which need not be there yet. */
int pidfile_open(const char *path, const struct daemon_options *options, struct source **ret,
	struct tally_error *err);

/**
 * Parse what a pidfile holds: a number, blanks around it; further lines are of no concern.
 *
 * @return  0 or -EINVAL.
 */
int pidfile_parse(const char *text, size_t length, pid_t *ret);

#endif
