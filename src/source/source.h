/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The source interface: tells which tasks exist, the root pids of their processes, and their
 * sandbox. A source knows nothing of figures.
 *
 * A source is used by one thread at a time, the monitor's; none of its calls may block for long.
 */
#ifndef SOURCE_SOURCE_H
#define SOURCE_SOURCE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <tally/error.h>
#include <tally/sample.h>
#include "base/log.h"

/** One run of a process, as its source recorded it. Nothing in it was verified. */
struct source_run {
	const char *state; /**< The source's own word for it, as "FORKED". Static. */
	enum tally_life life;
	pid_t pid; /**< As recorded, perhaps in a pid namespace, perhaps long gone; 0: none. */
	int64_t started_wall_ns, ended_wall_ns; /**< 0: unknown, not ended. */
	int return_code;
};

/** One named process of a task, or one run of it: several with the same name are one process. */
struct source_process {
	const char *name;
	enum tally_life life;
	pid_t pid;	    /**< Root pid, or 0: it has none (yet, or any more), or is a cgroup. */
	int64_t start_ns;   /**< Start of that pid (CLOCK_BOOTTIME) where known, for identity. */
	uint64_t cgroup_id; /**< v2 cgroup that holds the process, or 0. */
	const char *cgroup; /**< Directory of that cgroup, or NULL. */
	pid_t subreaper;    /**< As collect_root.subreaper. */
	const char *sign;   /**< As collect_root.sign. */
	uint32_t family;    /**< As collect_root.family. */
	int64_t started_wall_ns, ended_wall_ns; /**< 0: unknown, not ended. */
	int return_code;
	/**
	 * All runs so far, oldest first, the last of them the one told above; NULL where a source
	 * keeps no record of runs. The oldest are forgotten where there are too many.
	 */
	const struct source_run *runs;
	size_t run_count;
	size_t runs_forgotten; /**< So many came before runs[0]. */
};

/** A port that a task was given. */
struct source_port {
	const char *name;
	int64_t port; /**< As recorded: any number. */
};

/** The cgroup that a task is, for the figures that only a cgroup has. */
struct source_cgroup {
	uint64_t id;	     /**< Inode number of its directory. */
	const char *unified; /**< Directory in the hierarchy of version 2, or NULL. */
	const char *memory;  /**< Directory below a controller of version 1, or NULL. */
	const char *cpu;     /**< Likewise. */
};

/** One task. Strings belong to the source and are valid during the visit only. */
struct source_task {
	const char *id;	     /**< Unique in its source; any bytes but NUL. */
	const char *sandbox; /**< Or NULL. */
	enum tally_life life;
	int64_t started_wall_ns, ended_wall_ns; /**< 0: unknown, not ended. */
	const struct source_process *processes;
	size_t process_count;
	/* What some sources know besides; zero where unknown. */
	const char *name;      /**< What people call it, where that is not the id. */
	const char *user;      /**< Whom it runs as. */
	int64_t state_wall_ns; /**< When `life` was entered. */
	const char
		*definition; /**< Path of the JSON that defines it: read with definition_read(). */
	const struct source_port *ports;
	size_t port_count;
	const struct source_cgroup *cgroup; /**< Or NULL: the task is none. */
};

typedef void source_task_fn(void *context, const struct source_task *task);

/** A child that the source reaped, for collector_reaped(). */
typedef void source_reaped_fn(void *context, const char *task, const char *process, pid_t pid,
	const struct rusage *usage);

struct source;

struct source_ops {
	const char *name;
	const char *summary; /**< One line for `tally doctor` and --help. */
	const char
		*usage; /**< "pid:NAME=PID", or NULL when it cannot be named on a command line. */

	/** Can it work here? 0, or negative errno with the reason. May be NULL. */
	int (*probe)(struct tally_error *err);
	/** Open from what follows "NAME:" in a specification. NULL when it has no usage. */
	int (*open)(const char *argument, const struct log *log, struct source **ret,
		struct tally_error *err);
	/** Add another specification to an open one, where one instance serves all. May be NULL. */
	int (*add)(struct source *source, const char *argument, struct tally_error *err);
	void (*close)(struct source *source);

	/** Look whether anything changed: 1 it did, list() tells; 0 nothing; negative errno. */
	int (*refresh)(struct source *source, struct tally_error *err);
	/** Visit every task there is, in a stable order. One not visited any more has ended. */
	void (*list)(struct source *source, source_task_fn *visit, void *context);
	/** Hand over the children reaped since the last call. May be NULL. */
	void (*reaped)(struct source *source, source_reaped_fn *visit, void *context);
	/** A descriptor that becomes readable when refresh() would find a change, or -1. May be NULL. */
	int (*fd)(struct source *source);
};

/** Embedded first in each source. */
struct source {
	const struct source_ops *ops;
};

/** All sources that can be named, NULL-terminated. */
extern const struct source_ops *const sources[];

/**
 * Find the source that a specification "KIND:ARGUMENT" names.
 *
 * @ret_argument  Points behind the colon.
 * @return        0, or -EINVAL with a message that lists the kinds.
 */
int source_find(const char *spec, const struct source_ops **ret, const char **ret_argument,
	struct tally_error *err);

/** Close; takes NULL, returns NULL. */
struct source *source_close(struct source *source);

int source_refresh(struct source *source, struct tally_error *err);
void source_list(struct source *source, source_task_fn *visit, void *context);
void source_reaped(struct source *source, source_reaped_fn *visit, void *context);
int source_fd(struct source *source);

#endif
