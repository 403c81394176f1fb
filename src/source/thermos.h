/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The sources "thermos" and "mesos" from inside: the tasks below one or more checkpoint roots.
 *
 *     thermos.c          the source: when to look, and at what
 *     mesos.c            where the roots of Mesos' executors are
 *     thermos_root.c     a root: which tasks it has
 *     thermos_task.c     a task: its stream, its name, its sandbox
 *     thermos_pin.c      the pids behind its processes
 *     thermos_list.c     what is told of it
 *
 * A poll every 5 s looks at everything; between polls, only what a watch heard of is looked at. Each
 * look stays within a budget of CPU time, however much there is to read, and goes on the next time.
 */
#ifndef SOURCE_THERMOS_H
#define SOURCE_THERMOS_H

#include "base/hash.h"
#include "source/anchor.h"
#include "source/folder.h"
#include "source/source.h"
#include "source/thermos_file.h"
#include "source/thermos_pid.h"
#include "source/thermos_sandbox.h"
#include "source/thermos_state.h"

#define THERMOS_POLL_NS (INT64_C(5) * 1000000000)

/** Tasks of all roots. Further ones are not followed, which is said once. */
#define THERMOS_TASKS_MAX (1 << 16)

/** A task. */
struct thermos_task {
	char *id; /**< Name of its file: any bytes but NUL and '/', 255 at most. */
	struct thermos_root *root;
	bool in_active, in_finished;
	bool seen;	     /**< By the listing under way. */
	int64_t finished_ns; /**< When its file went to finished/: its mtime. */
	uint32_t poll;	     /**< The last one that looked at it. */
	uint8_t late_looks;  /**< Polls for which a finished stream is still read. */

	struct folder folder; /**< checkpoints/ID, where the stream is. */
	struct thermos_file file;
	struct thermos_state state;
	int said; /**< Last error of reading it that was said, and in which poll. */
	uint32_t said_poll;
	bool said_id;

	char *name; /**< From its definition, or NULL. */
	struct thermos_retry name_retry;
	bool name_known; /**< There is no more to find out. */
	char *sandbox;	 /**< Checked; or NULL. */
	struct thermos_retry sandbox_retry;

	struct thermos_task *prev, *next; /**< In its root. */
	UT_hash_handle hh;		  /**< By id, in its source. */
};

/** A checkpoint root. */
struct thermos_root {
	struct thermos_place *place;
	char *path;	/**< Below the base; "" for the base itself. */
	char *executor; /**< Path of the executor's directory, or NULL. */
	struct folder active, finished;
	struct thermos_task *tasks;
	int said; /**< Last error of listing it that was said. */
	bool said_twice;
	struct thermos_root *prev, *next;
};

/** A specification: a base, and the roots below it. */
struct thermos_place {
	struct anchor base;
	struct thermos_root *roots;
	struct mesos_node *tree; /**< Mesos only. */
};

/** The source. */
struct thermos_source {
	struct source source;
	const struct log *log;
	struct thermos_place **places;
	size_t place_count;
	struct thermos_task *tasks; /**< uthash by id; iterates in order of appearance. */
	bool said_full;

	struct watch *watch; /**< NULL: nothing can be heard. */
	struct pid_finder *finder;
	struct thermos_buffer buffer;

	int64_t poll_ns, next_poll_ns;
	uint32_t poll;	  /**< Number of the poll, from 1. */
	bool due;	  /**< This look is part of a poll. */
	bool unpolled;	  /**< The budget was spent before all of a poll was done. */
	bool changed;	  /**< Something to be told was found. */
	bool unfinished;  /**< The budget was spent before the end. */
	int64_t until_ns; /**< CPU time of this thread at which it is spent. */
	char *resume;	  /**< Id of the task at which to go on, or NULL. */
	uint32_t scan_wanted, scan_begun, scan_done; /**< Numbers of scans, see thermos_pin.c. */

	struct source_process *processes; /**< Scratch of a listing. */
	struct source_run *runs;
	size_t process_room, run_room;
};

/** How a source is made; zero is the default. For tests. */
struct thermos_options {
	const char *procfs; /**< NULL is "/proc". */
	int64_t poll_ns;    /**< 0 is THERMOS_POLL_NS. */
	bool deaf;	    /**< Poll only: no inotify. */
	const struct log *log;
};

/** Open a source of a kind (source_thermos or source_mesos) with one directory. */
int thermos_open(const struct source_ops *kind, const char *path,
	const struct thermos_options *options, struct source **ret, struct tally_error *err);

/* ---- a root ---- */

/** Add a root. @path, @executor  Copied; executor may be NULL. @return NULL without memory. */
struct thermos_root *thermos_root_add(
	struct thermos_place *place, const char *path, const char *executor);

/** Forget a root and its tasks. */
void thermos_root_remove(struct thermos_source *source, struct thermos_root *root);

/** Look which tasks it has. */
void thermos_root_look(struct thermos_source *source, struct thermos_root *root);

/* ---- a task ---- */

/** @return NULL without memory. */
struct thermos_task *thermos_task_add(
	struct thermos_source *source, struct thermos_root *root, const char *id);

/** Forget a task. */
void thermos_task_remove(struct thermos_source *source, struct thermos_task *task);

/** Read what is new of it, and find out what it did not yet tell. @return whether anything was read. */
bool thermos_task_look(struct thermos_source *source, struct thermos_task *task);

/** Whose processes and directories its checkpoint may speak for. */
struct thermos_owner {
	bool any;
	uid_t uids[2];
};
struct thermos_owner thermos_task_owner(const struct thermos_task *task);

/** Name of a task for a message: 256 bytes, fit to be shown. */
void thermos_task_show(const struct thermos_task *task, char shown[256]);

/** Path of its file, its definition, below its base. @return false: too long. */
bool thermos_task_definition(const struct thermos_task *task, char *path, size_t size);

/* ---- its pids ---- */

/** Find the processes of the runs that run. */
void thermos_pin_task(struct thermos_source *source, struct thermos_task *task);

/** Go on with a scan of the machine, when one is wanted. */
void thermos_pin_scan(struct thermos_source *source);

/* ---- what is told ---- */

/** source_ops.list */
void thermos_list(struct source *source, source_task_fn *visit, void *context);

/* ---- Mesos ---- */

/** Find the roots below a place. */
void mesos_look(struct thermos_source *source, struct thermos_place *place);

/** Forget the tree; its roots are given back by the caller. */
void mesos_done(struct thermos_source *source, struct thermos_place *place);

/* ---- small ---- */

static inline bool thermos_retry_due(const struct thermos_retry *retry, uint32_t poll)
{
	return poll >= retry->poll;
}

static inline void thermos_retry_later(struct thermos_retry *retry, uint32_t poll)
{
	retry->poll = poll + (retry->tries < 6 ? UINT32_C(1) << retry->tries : 64);
	if (retry->tries < UINT8_MAX)
		retry->tries++;
}

#endif
