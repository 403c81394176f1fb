/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The source of one task: a command that we run.
 *
 * The command is forked at once but held before exec() until it is released, so that a sample can
 * be taken before it has done anything. When it ends it stays a zombie until it may be reaped, so
 * that another sample can be taken of all it did. In between this program is a subreaper: orphans
 * of the command become its children, and are reaped as soon as refresh() is called.
 *
 * Everything is reaped inside refresh(), and handed over by reaped() right after it, so that no
 * pass of a collector ever comes between the two.
 *
 * The program must have no other children, and SIGCHLD must not be ignored. The source is the
 * monitor's, but the functions below may be called from another thread at any time.
 */
#ifndef SOURCE_COMMAND_H
#define SOURCE_COMMAND_H

#include <signal.h>
#include <stdbool.h>
#include "source/source.h"

/** What is run, and as what. Strings are copied. */
struct command_options {
	const char *task;
	const char *process;
	const char *sandbox;  /**< Absolute, or NULL. */
	char *const *words;   /**< The command and its arguments, NULL-terminated. */
	const sigset_t *mask; /**< Signals the command begins with blocked; NULL: ours. */
};

/** How a command stands. */
struct command_state {
	bool ended;		  /**< The root has ended; it may not have been reaped yet. */
	int exit_code;		  /**< Valid when it ended by itself, or -1. */
	int signal;		  /**< That ended it, or 0. */
	bool core;		  /**< It dumped core. */
	bool childless;		  /**< Ended, and nothing that descends from it is left either. */
	int64_t waited_cpu_ns;	  /**< User and system time of all reaped so far: wait4(). */
	int64_t waited_rss_bytes; /**< Largest ru_maxrss of all reaped so far; 0: none. */
};

/**
 * Fork a command, held before exec().
 *
 * Fork early, before threads are started and memory is used: what is resident then counts into the
 * command's ru_maxrss.
 *
 * @return  0, or negative errno of fork(), pipe2() or reading /proc.
 */
int source_command_open(
	const struct command_options *options, struct source **ret, struct tally_error *err);

/** Pid of the root; not an identity any more once it was reaped. */
pid_t source_command_pid(const struct source *source);

/**
 * Let a command go. Blocks until exec() has succeeded or failed.
 *
 * @return  0; negative errno of exec(): -ENOENT (not found), -EACCES, -ENOEXEC and others (cannot
 *          be executed). The root then ends with exit code 127 or 126, as in a shell.
 */
int source_command_release(struct source *source, struct tally_error *err);

/** Send a signal to the root. Nothing happens when it has ended. */
void source_command_signal(struct source *source, int signal);

/** The next refresh() may reap the root, should it have ended. */
void source_command_allow_reap(struct source *source);

/** Look how the command stands. Never blocks. */
void source_command_state(struct source *source, struct command_state *ret);

#endif
