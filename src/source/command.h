/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The source of one task: commands that we run, each a named process of it.
 *
 * A command is forked at once but held before exec() until it is released, so that a sample can
 * be taken before it has done anything. When it ends it stays a zombie until it may be reaped, so
 * that another sample can be taken of all it did. In between this program is a subreaper: orphans
 * of the commands become its children, and are reaped as soon as refresh() is called.
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

/** One command. Strings and arrays are needed until source_command_open() has returned. */
struct command_process {
	const char *name;
	char *const *words;	  /**< The command and its arguments, NULL-terminated. */
	char *const *environment; /**< NULL: ours. */
	const char *folder;	  /**< Where it runs; NULL: where we are. */
	/**
	 * It gets a session of its own and reads nothing: keys of our terminal do not reach it, and
	 * a signal sent to the group of its pid reaches what it started and did not set apart.
	 */
	bool apart;
	int output, errors; /**< What its descriptors 1 and 2 are to be; 0: ours. */
	/**
	 * A variable of its environment ("NAME=VALUE") by which orphans of this command are told
	 * from those of others; NULL when there is one command only.
	 */
	const char *sign;
};

/** What is run, and as what. */
struct command_options {
	const char *task;
	const char *sandbox; /**< Absolute, or NULL. */
	const struct command_process *processes;
	size_t process_count; /**< At least one. */
	const sigset_t *mask; /**< Signals the commands begin with blocked; NULL: ours. */
};

/** How a command stands. */
struct command_state {
	bool ended;		  /**< The root has ended; it may not have been reaped yet. */
	int exit_code;		  /**< Valid when it ended by itself, or -1. */
	int signal;		  /**< That ended it, or 0. */
	bool core;		  /**< It dumped core. */
	bool childless;		  /**< All ended, and nothing that descends from them is left. */
	int64_t waited_cpu_ns;	  /**< User and system time of all reaped so far: wait4(). */
	int64_t waited_rss_bytes; /**< Largest ru_maxrss of all reaped so far; 0: none. */
};

/**
 * Fork the commands, held before exec().
 *
 * Fork early, before threads are started and memory is used: what is resident then counts into
 * their ru_maxrss.
 *
 * @return  0, or negative errno of fork(), pipe2() or reading /proc.
 */
int source_command_open(
	const struct command_options *options, struct source **ret, struct tally_error *err);

/** Pid of the root of a process; not an identity any more once it was reaped. */
pid_t source_command_pid(const struct source *source, size_t process);

/**
 * Let a command go. Blocks until exec() has succeeded or failed.
 *
 * @return  0; negative errno of exec(): -ENOENT (not found), -EACCES, -ENOEXEC and others (cannot
 *          be executed). The root then ends with exit code 127 or 126, as in a shell.
 */
int source_command_release(struct source *source, size_t process, struct tally_error *err);

/** Send a signal to the root of a process. Nothing happens when it has ended. */
void source_command_signal(struct source *source, size_t process, int signal);

/** The next refresh() may reap the root of a process, should it have ended. */
void source_command_allow_reap(struct source *source, size_t process);

/** Look how a process stands; the last three members are of all together. Never blocks. */
void source_command_state(struct source *source, size_t process, struct command_state *ret);

#endif
