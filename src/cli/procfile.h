/* SPDX-License-Identifier: Apache-2.0 */
/** `tally run -f Procfile`: several processes as one task. */
#ifndef CLI_PROCFILE_H
#define CLI_PROCFILE_H

#include "cli/prefix.h"
#include "cli/run.h"
#include "source/procfile.h"

/** One process of it. */
struct part {
	char *words[4];	    /**< sh -c COMMAND. */
	char **environment; /**< NULL-terminated; those of ours come last. */
	size_t owned;	    /**< So many of them are copies, the first the sign. */
	char *sign;	    /**< PS=NAME.1, by which its orphans are known; in the environment. */
	uint64_t port;
	bool ended;	       /**< Neither its root nor anything that it left behind lives. */
	bool root_ended;       /**< Its root does not. */
	bool left;	       /**< It was said that something was left behind. */
	unsigned empty_passes; /**< Since its root ended: so many in a row found nothing of it. */
	int exit_code, signal; /**< Of its root. -1; 0. */
};

struct procfile_run {
	char *path, *folder; /**< The file, and where its processes run; absolute. */
	struct procfile file, environment;
	size_t count;
	struct part *parts;
	const char **names; /**< Of them. */
	struct prefix *prefix;
	size_t first;	    /**< The part that ended first; count: none has. */
	bool stopping;	    /**< All are being ended. */
	bool killed;	    /**< By SIGKILL. */
	int told;	    /**< The signal by which we were told to, or 0. */
	int64_t kill_at_ns; /**< When SIGKILL is due; 0: not yet. */
};

/**
 * Read the Procfile and the environment beside it, and lay out what is to be run.
 *
 * @return  OPTIONS_GO, or an exit status.
 */
int procfile_take(struct run *run);

/** Fork all, held. @return 0 or negative errno. */
int procfile_fork(struct run *run, struct tally_error *err);

/** Let all go. @return 0 or negative errno. */
int procfile_release(struct run *run, struct tally_error *err);

/** A signal came for us: end all, end all at once when it is the second, or hand it on. */
void procfile_handle(struct run *run, int signal);

/** End all: SIGTERM now, SIGKILL after the grace period. */
void procfile_stop(struct run *run);

/** Look how all stand, end them if that is due; true when nothing is left. */
bool procfile_over(struct run *run);

/** The next instant at which procfile_over() has something to do by itself. */
int64_t procfile_due_ns(const struct run *run);

/** Of the process whose end is the task's: as a command's. */
void procfile_state(const struct run *run, struct command_state *ret);

/** Free; ends what was never released. Takes NULL. */
void procfile_free(struct procfile_run *many);

#endif
