/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The parts of a history, for the files of this room.
 *
 *     history_append (append.c)
 *       -> rows of the task's finest lane (rows.h)           the open end, and the journal of the store
 *       -> seal.c: full rows become a block (block.h)        in the memory of its resolution
 *            -> rollup.c: blocks become rows of the coarser lanes, which are sealed in turn
 *       -> journal.c: what the tick added, for the store
 *     keeper.c: a thread that writes what the store does not have yet; it takes the lock to look,
 *       never to write
 *     queries: view.c lists the blocks of a task over all resolutions and the store, and decodes
 *       them outside the lock; nearest, range, series and alive are made of it
 *
 * One mutex guards all of it. Readers pin the blocks they need, let go of the lock and decode.
 */
#ifndef HISTORY_INTERNAL_H
#define HISTORY_INTERNAL_H

#include <pthread.h>
#include "base/hash.h"
#include "base/log.h"
#include "history/arena.h"
#include "history/block.h"
#include "history/history.h"
#include "history/rows.h"
#include "history/ticks.h"

/** The finest resolution and the coarser ones. */
#define TIERS (1 + HISTORY_TIERS)

/** Rows that grow larger than this are sealed before they are full. */
#define OPEN_BYTES_MAX ((size_t)24 << 10)
/** Rows that span more ticks than this are sealed. */
#define OPEN_TICKS_MAX 512u

/** What is known of a stretch of samples without decoding it. */
struct span {
	uint64_t number;		/**< Of the stretch in its lane; they rise. */
	uint64_t first_tick, last_tick; /**< Numbers in the ticks of the resolution. */
	struct moment first, last;
	int64_t wall_min, wall_max;
	uint32_t rows;
};

struct lane;
struct tier;

/** A sealed stretch. Its bytes are a block of block.h. */
struct sealed {
	struct sealed *newer, *older;		      /**< Of the resolution. */
	struct sealed *newer_of_lane, *older_of_lane; /**< Of the lane. */
	struct lane *lane;			      /**< NULL once dropped. */
	struct tier *tier;
	unsigned tier_number;
	struct arena_chunk *chunk;
	struct span span;
	uint32_t length;
	uint32_t pins; /**< Readers that need its bytes. */
	bool stored;   /**< The store has it. */
	uint8_t bytes[];
};

/** One task in one resolution. */
struct lane {
	struct history_task *task;
	unsigned tier;
	struct sealed *oldest, *newest;
	struct rows open;
	struct span open_span; /**< Of the open rows; its number is that of the next block. */
	uint32_t seal_share;   /**< How full it gets before it is sealed, in 256ths. */
	uint64_t rolled;       /**< Coarser lanes: number of the next tick to make. */
	bool in_journal;       /**< Finest lane: silence means that nothing changed. */
	bool grown;	       /**< Coarser lanes: the store does not have all open rows. */
};

/** A resolution. */
struct tier {
	int64_t step_ns; /**< 0: as samples come. */
	int64_t retention_ns;
	struct ticks ticks;
	struct arena arena;
	struct sealed *oldest, *newest;
};

/** Name of a process; its number is what codes of series are made of. */
struct name {
	uint32_t number;
	struct moment last; /**< When it was last in a record; era 0: in none that was kept. */
	uint64_t serial;    /**< The append it was last in. */
	bool stored;
	UT_hash_handle hh;
	char text[];
};

struct history_task {
	struct lane lanes[TIERS];
	struct name *names;
	struct name **order; /**< Names of the last record, in its order: looked at first. */
	size_t order_count, order_capacity;
	uint32_t next_name;
	struct moment last; /**< Of the last record; era 0: none. */
	size_t place;	    /**< In history.order. */
	uint64_t number;    /**< In the store; 0: none yet. */
	bool stored;	    /**< The store knows its number. */
	bool new_names;	    /**< The store does not know all its names. */
	bool new_roots;	    /**< The store does not have its roots as they are. */
	bool found;	    /**< Only asked for: the store knows it, no record came. */
	bool gone;	    /**< Dropped; lives on until the store has all of it. */
	struct bytes roots; /**< As resume.c packs them. */
	UT_hash_handle hh;
	char id[];
};

struct view;
struct rollup;
struct keeper;
struct resume;

/** What ticks added to open rows, for the store (journal.h). */
struct journal {
	bool on;
	bool lost;	      /**< Entries were thrown away: all open rows must be written whole. */
	struct bytes entries; /**< Of ticks that are complete. */
	struct bytes tick;    /**< Of the tick under way. */
};

struct history {
	pthread_mutex_t lock;
	struct history_task *tasks;
	struct history_task **order; /**< All tasks, for the sweep. */
	size_t task_count, task_capacity, swept;
	size_t found_count; /**< Tasks that were only asked for. */
	struct tier tiers[TIERS];
	unsigned tier_count;
	int64_t interval_ns;
	size_t bytes_limit, open_bytes, task_bytes;
	uint32_t era;
	bool begun; /**< There was a tick. */
	struct tick now;
	uint64_t now_number;
	uint64_t ended;	 /**< Number of the last tick that is over, plus 1. */
	uint64_t serial; /**< Counts appends. */
	uint64_t samples, dropped, refused;
	/* Working memory of the writer. */
	struct rows_part *parts;
	size_t part_capacity;
	struct bytes said;
	struct table table;
	struct rows_spare spare;
	struct block_scratch *scratch;
	struct rollup *rollup;
	struct view *idle_views; /**< Working memory of readers, for the next one. */
	size_t idle_view_count;
	/* The store. */
	struct journal journal;
	struct keeper *keeper;	/**< NULL: there is none. */
	struct resume *resumes; /**< What the last run left, by task. */
	uint64_t next_task;
	uint64_t unstored; /**< Records that made room before they were stored. */
	bool read_only;	   /**< A store is read; nothing is appended. */
	struct log log;
};

/** Memory that counts against the limit. */
size_t history_bytes(const struct history *history);

/** Drop old blocks until there is room for so many bytes more. @return false when there is not. */
bool history_make_room(struct history *history, size_t more);

/** Unlink a block; it is freed when its last pin goes. */
void sealed_drop(struct history *history, struct sealed *sealed);

/** Once a tick: drop what is older than its retention, seal what no longer grows. */
void history_sweep(struct history *history);

/** Make a block of the open rows of a lane. What cannot be kept is counted as dropped. */
void lane_seal(struct history *history, struct lane *lane);

/** Forget the open rows of a lane. */
void lane_clear(struct history *history, struct lane *lane);

/** Append to a lane's open rows, sealing them first if they are full. 0 or -ENOMEM, -E2BIG. */
int lane_append(struct history *history, struct lane *lane, uint64_t tick_number, struct tick tick,
	const struct rows_part *parts, size_t count);

/** Let go of the bytes of a block. */
void sealed_unpin(struct sealed *sealed);

/** Bring the coarser lanes of a task up to date after its finest was sealed. */
void history_roll(struct history *history, struct history_task *task);

struct rollup *rollup_free(struct rollup *rollup);

/** Free a task and all it holds. */
void history_forget(struct history *history, struct history_task *task);

/** Find a task, or begin one. @return NULL without memory. */
struct history_task *history_begin_task(struct history *history, const char *id);

/** Keep a block that was read or made elsewhere. False without memory or room. */
bool lane_keep(
	struct history *history, struct lane *lane, const struct span *span, struct reader block);

/** Find a task. */
struct history_task *history_lookup(struct history *history, const char *id);

/** Free the working memory of a reader. */
void view_free(struct view *view);

#endif
