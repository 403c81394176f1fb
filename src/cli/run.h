/* SPDX-License-Identifier: Apache-2.0 */
/** What the parts of `tally run` share. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <tally/monitor.h>
#include "cli/live.h"
#include "cli/options.h"
#include "cli/record.h"
#include "source/command.h"

struct procfile_run;

/** Options of `tally run`. */
struct run_options {
	const char *name, *sandbox, *collector, *json, *csv, *store, *report, *svg;
	const char *procfile, *environment, *port;	      /**< NULL: a command; its defaults. */
	int64_t interval_ns, disk_interval_ns, time_limit_ns; /**< 0: the default; no limit. */
	int64_t grace_ns;				      /**< 0: the default. */
	bool quiet, pss, wait, keep_going;
};

/** A command under way. */
struct run {
	struct run_options options;
	struct command_line line;
	const char *task;	   /**< Name of the task. */
	const char *process;	   /**< Name of its process: the command's, without folders. */
	char *sandbox;		   /**< Absolute, or NULL. */
	char **words;		   /**< The command; NULL: a Procfile's. */
	struct procfile_run *many; /**< The processes of a Procfile, or NULL. */
	sigset_t mask_before;	   /**< As we were started; the command gets it back. */
	int signals;		   /**< signalfd of all that supervise.c handles. */
	struct source *source;	   /**< The command; the monitor's, or ours before there is one. */
	struct tally_monitor *monitor;
	struct record record;
	struct live live;
	int64_t interval_ns;		      /**< Between two ticks. */
	int64_t begun_boot_ns, ended_boot_ns; /**< Released; the root seen as ended, or 0. */
	bool timed_out;			      /**< The time limit was reached. */
	bool unsettled;	  /**< The kernel has not told yet all that the dead consumed. */
	bool interrupted; /**< Told to end while waiting for what the root left behind. */
};

/** Block the signals that are handled, and open run->signals. @return 0 or negative errno. */
int supervise_begin(struct run *run, struct tally_error *err);

/**
 * Stand by a released command until it has ended: forward signals, keep the time limit, show the
 * live line, take the samples. Takes the last samples, and lets the root be reaped.
 */
void supervise(struct run *run);

/** Take the last samples; blocks for a moment, until they hold all that the dead had consumed. */
void finish(struct run *run);

/** Signal every live pid of the task, and whatever else has become a child of ours. */
void limit_signal(struct run *run, int signal);

#endif
