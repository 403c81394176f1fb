/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Tasks of one process each, whose pids somebody wrote down: in a pidfile, in a supervisor's state.
 *
 * A source claims, in each of its looks, every daemon it knows of with what was written; this decides
 * whether to believe it. A pid is believed when its process is no kernel thread, was started before it
 * was written down (2 s are allowed: clocks have ticks), and runs as the one who wrote it, where that
 * is not root: what was left behind by a crash names whoever has the pid now. Once believed it is
 * an identity, and is asked after at each look until it ends.
 *
 * A daemon without a process has the life "waiting", or "lost" when it once had one.
 */
#ifndef SOURCE_DAEMONS_H
#define SOURCE_DAEMONS_H

#include "source/source.h"

/** Daemons of one source. Further ones are not followed, which is said once. */
#define DAEMONS_MAX 4096

/** What was written down. */
struct daemon_claim {
	const char *id; /**< Of the task, and the name of its process. */
	pid_t pid;	/**< 0: it does not run. */
	int64_t written_wall_ns;
	uid_t writer;
};

struct daemons;

/**
 * @source  Name of the source, for the log; static.
 * @procfs  Where procfs is mounted.
 * @return  0, or negative errno.
 */
int daemons_new(const char *source, const char *procfs, const struct log *log, struct daemons **ret,
	struct tally_error *err);

/** Takes NULL, returns NULL. */
struct daemons *daemons_free(struct daemons *daemons);

/** Begin a look. */
void daemons_begin(struct daemons *daemons);

/** Claim one. The first claim of an id counts; one that cannot be believed is said once. */
void daemons_claim(struct daemons *daemons, const struct daemon_claim *claim);

/** Claim again what was claimed in the last look: nothing can be told of it now. */
void daemons_claim_again(struct daemons *daemons);

/** End a look: what was not claimed is forgotten. @return whether anything is to be told. */
bool daemons_end(struct daemons *daemons);

/** source_ops.list */
void daemons_list(struct daemons *daemons, source_task_fn *visit, void *context);

#endif
