/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Inside of the tracker: after one walk that marks every directory and remembers what every entry
 * weighs, only what changed is read again.
 *
 * A look goes through phases, each in steps:
 *   names   what was heard of since the last look is looked at, directory by directory
 *   read    directories that are new, or of which too much changed, are read whole
 *   search  inodes that got another name are searched for among what was taken for single files
 *   end     what was found nowhere is removed; the totals are the figure
 * What is heard of meanwhile is for the next look.
 *
 * track.c       the method: begin, phases, end
 * track_names.c what was heard of, directory by directory
 * track_hear.c  events into names
 * track_dir.c   opening and reading directories
 * track_entry.c what is under a name now
 * track_search.c
 * track_outline.c the heaviest directories
 */
#ifndef DISK_TRACK_H
#define DISK_TRACK_H

#include <stdbool.h>
#include "disk/fan.h"
#include "disk/method.h"
#include "disk/pending.h"
#include "disk/tree.h"

enum {
	TRACK_FDS = 16,		 /* Directories kept open during a look. */
	TRACK_DEPTH_MOST = 4096, /* Deeper trees are walked. */
	TRACK_FILES_MOST = 4096, /* Files with names elsewhere that are marked themselves. */
	TRACK_GONE_MOST = 16384,
};

enum track_phase {
	TRACK_REST, /**< Between two looks. */
	TRACK_NAMES,
	TRACK_READ,
	TRACK_SEARCH,
	TRACK_FOUND,
};

struct track_fd {
	uint32_t node;
	int fd; /* -1: free. */
};

struct track {
	struct disk_job job;
	const struct disk_site *site;
	struct fan fan;
	struct tree tree;
	bool built;	 /* fan and tree are there. */
	bool delays;	 /* The file system decides on blocks later than it tells of a change. */
	bool all_seeing; /* Permissions do not apply: they need not be asked for. */
	int root_fd;	 /* -1 between two looks. */
	struct statx root;
	enum track_phase phase;

	struct pending heard; /* For the next look. */
	struct pending work;  /* Of this one. */
	struct pending late;  /* Of this one too, once the rest of it is done. */
	struct pending
		settling; /* Looked at, but so soon after the change that it needs another. */
	uint32_t at;	  /* In work. */
	bool is_late;	  /* The rest of it is done. */
	int64_t drained_ns, tend_ns; /* When the queue was read, and how often it is read. */
	unsigned drained;	     /* Events since tend_ns was judged. */
	bool overflowed;
	uint64_t strays; /* Events of directories that are not in the tree (any more). */

	/*
	 * Inodes that changed under a name which stands for them no more, or is not in the sandbox:
	 * other names of them may be.
	 */
	uint64_t *gone;
	uint32_t gone_count, gone_capacity;
	uint32_t file_marks;

	uint32_t *todo; /* Directories to be read, the last first. */
	uint32_t todo_count, todo_capacity;
	bool sweeping; /* All of them are. */
	bool checking; /* To see what events did not tell. */
	bool reading_partial;
	uint32_t reading; /* The one that is being read, or NODE_NONE. */
	struct scan scan;
	int64_t blocks_before;

	uint32_t search_at; /* Next node to search in. */
	uint64_t *wanted;   /* Inodes, folded; sorted by the bits of them that entries have. */
	uint32_t wanted_count;
	uint32_t searching;   /* The directory of which the names are read, or NODE_NONE. */
	size_t counted_bytes; /* Of the limit of all. */

	struct track_fd fds[TRACK_FDS];
	unsigned fd_turn;
	uint32_t chain[TRACK_DEPTH_MOST];

	int64_t looked_ns; /* When this look drained the queue: its figure is of then. */
	int64_t looked_wall_ns;
	int64_t check_ns; /* When all will be read again to see what events did not tell. */
	int64_t drift_bytes;
	int64_t drifts;
	int64_t sweeps;
};

/* -- track_outline.c -- */

/** Of the method. */
int track_outline(struct disk_job *job, struct outline *ret);

/** The heaviest directories of a tree. 0 or -ENOMEM. */
int tree_outline(const struct tree *tree, struct outline *ret);

/* -- track_hear.c -- */

/** Take what waits in the queue. 0 or negative errno. */
int track_hear(struct track *track, struct disk_tools *tools);

/** Of the method. */
int64_t track_tend(struct disk_job *job, struct disk_tools *tools);

/** A name will be looked at in the next look; or all of its directory, if there are too many. */
void track_remember(
	struct track *track, uint32_t node, uint64_t name, const char *text, uint64_t ino);

/** Names of this inode other than the one that was heard of are to be found. */
void track_search_for(struct track *track, uint64_t ino);

/** As pending_add(), taking care of the other inode. */
int track_add(struct track *track, struct pending *pending, uint32_t node, uint64_t name,
	const char *text, uint64_t ino);

/* -- track_dir.c -- */

/**
 * Open a directory by its names, and see that it is still it.
 *
 * @return  A descriptor, which belongs to the track; -ENOENT (it is not there any more);
 *          -EEXIST (it is known under another name); -EXDEV; -EACCES; -EOPNOTSUPP (too deep).
 */
int track_open_dir(struct track *track, uint32_t node);

/** What its name stands for has changed: look at that with the next look. */
void track_look_again(struct track *track, uint32_t node);

/** Close all descriptors. */
void track_close_dirs(struct track *track);

/** A directory is to be read whole. 0 or -ENOMEM. */
int track_queue(struct track *track, uint32_t node);

/** Read a batch of the directory that is read, or begin with the next. 1, 0 (none), or errno. */
int track_read_step(struct track *track, struct disk_tools *tools, struct tally_error *err);

/* -- track_names.c -- */

/** Look at some names of the work. 1, 0 (none are left), or negative errno. */
int track_names_step(struct track *track, struct disk_tools *tools);

/* -- track_entry.c -- */

/** Take in what is under a name now. 0; -ENOMEM, -E2BIG; -ELOOP: the tree must be built anew. */
int track_take_entry(struct track *track, uint32_t node, int dir, const struct scan_entry *entry);

/* -- track_search.c -- */

/** Begin if there is something to search for. 0 or -ENOMEM. */
int track_search_begin(struct track *track);

/** Search in a directory; names that are found are added to the work. 1, 0 (done), or errno. */
int track_search_step(struct track *track);

void track_search_end(struct track *track);

#endif
