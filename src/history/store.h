/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The store: one SQLite file (WAL) that holds what the history holds, and outlives it.
 *
 *     meta     what wrote it: metrics, resolutions, boot, era
 *     tasks    one row for each time a task was begun: a task that ends and comes back, or is seen
 *              again after a restart, has another row of the same name
 *     names    its processes, by the numbers that series are coded with
 *     blocks   blocks of block.h, by (task, tier, number). The open rows of the coarser resolutions
 *              are blocks too, written again under their number as they grow
 *     ticks    times, in chunks (ticks_pack.h)
 *     journal  open rows of the finest resolution: what each tick added (journal.h)
 *
 * Every row that holds figures bears a checksum over all that gives them a meaning, the name of the
 * task included: a flipped bit is found, and what it hit is left out and counted, never shown.
 *
 * This file knows SQL, and nothing of threads: a connection is used by one thread at a time. Calls
 * return 0 or: -ENOSPC (the disk or the limit), -EBADMSG (damaged), -EROFS, -EACCES, -EBUSY, -EIO,
 * -ENOMEM, with a message that names the file.
 */
#ifndef HISTORY_STORE_H
#define HISTORY_STORE_H

#include <sqlite3.h>
#include "base/log.h"
#include "history/internal.h"

/** Version of the tables; a file of a later one is refused. */
#define STORE_VERSION 2

/** The least that a store can be limited to, and what it is limited to unless told. */
#define STORE_BYTES_MIN	    ((uint64_t)1 << 20)
#define STORE_BYTES_DEFAULT ((uint64_t)1 << 30)

/** Room for what a run says of itself. */
#define STORE_RUN_TEXT 512

/** A connection. */
struct store {
	sqlite3 *db;
	char *path;
	uint64_t bytes_limit, wal_limit;
	bool read_only;
	int lock_fd;		      /**< Held by the one that writes; -1: none. */
	uint64_t damaged;	      /**< Rows left out because their checksum was wrong. */
	char run[STORE_RUN_TEXT];     /**< What was last written of the run. */
	sqlite3_stmt *statements[32]; /**< By number, below. */
};

/** What a run says of itself. Numbers are never used twice, whatever is lost from the tables. */
struct store_run {
	uint32_t era; /**< 0: the store is new. */
	char boot[64];
	uint64_t next_task;
	uint64_t next_chunk[TIERS];
	unsigned tier_count;
	int64_t steps_ns[TIERS], retentions_ns[TIERS];
};

/** A row of the blocks. */
struct store_block {
	uint64_t task;
	const char *task_name;
	unsigned tier;
	struct span span;
	const void *bytes;
	size_t length;
};

/* store_file.c: the file as a file */

/**
 * Look whether a path may be a store: a regular file of ours without symlinks, or nothing yet.
 *
 * @return  1 there is one, 0 there is none; -ELOOP, -EPERM, -EISDIR and others.
 */
int store_file_check(const char *path, struct tally_error *err);

/** Create an empty file of mode 0600, and its directory of mode 0700 where there is none. */
int store_file_create(const char *path, struct tally_error *err);

/**
 * Become the only writer: a lock on a file beside it, that is gone with the process.
 *
 * @ret_fd  Close it to let go.
 * @return  0; -EBUSY: another process writes it.
 */
int store_file_lock(const char *path, int *ret_fd, struct tally_error *err);

/**
 * Rename a file that cannot be gone on with, and what belongs to it.
 *
 * @what  "damaged" or "earlier": its new name, @ret, is FILE.what-TIME.
 */
int store_file_set_aside(
	const char *path, const char *what, char ret[4096], struct tally_error *err);

/** Bytes of the file and of its log, as they are on disk. */
uint64_t store_file_bytes(const char *path);
uint64_t store_file_wal_bytes(const char *path);

/* store.c: the connection */

/**
 * Open a store, or begin one.
 *
 * @bytes      Limit of the files together; 0: the default. Ignored when reading only.
 * @return     As above; -ENOENT (read only, and there is none); -ENOTSUP (a later Tally wrote it);
 *             -ESTALE (in a format of before);
 *             -EINVAL (the limit is too low, or it is a database of another program).
 */
int store_open(const char *path, bool read_only, uint64_t bytes, struct store **ret,
	struct tally_error *err);

/** Close; takes NULL, returns NULL. */
struct store *store_close(struct store *store);

/** Make an error of what SQLite last said. */
int store_fail(struct store *store, struct tally_error *err, const char *doing);

/** Statements are prepared once. NULL on failure: store_fail() knows why. */
sqlite3_stmt *store_prepare(struct store *store, unsigned number, const char *sql);

/** Run a statement that gives no rows, and reset it. */
int store_run(
	struct store *store, sqlite3_stmt *statement, struct tally_error *err, const char *doing);

/** Run SQL text. */
int store_exec(struct store *store, const char *sql, struct tally_error *err, const char *doing);

/** Read how the last run left it. */
int store_read_run(struct store *store, struct store_run *ret, struct tally_error *err);

/** Write what this run is; nothing when it was written before. */
int store_put_run(struct store *store, const struct store_run *run, struct tally_error *err);

/** What tells one boot of the machine from another. */
void store_boot_id(char ret[64]);

/** Checksums of rows. */
uint32_t store_block_checksum(const struct store_block *block);
uint32_t store_name_checksum(
	uint64_t task, const char *task_name, uint32_t number, const char *name);
uint32_t store_bytes_checksum(uint64_t a, uint64_t b, uint64_t c, const void *bytes, size_t length);

/** Numbers of statements, for store_prepare(). */
enum {
	STATEMENT_PUT_META,
	STATEMENT_GET_META,
	STATEMENT_PUT_TASK,
	STATEMENT_PUT_NAME,
	STATEMENT_PUT_BLOCK,
	STATEMENT_PUT_TICKS,
	STATEMENT_PUT_JOURNAL,
	STATEMENT_CUT_JOURNAL,
	STATEMENT_PUT_ROOTS,
	STATEMENT_CLEAR_ROOTS,
	STATEMENT_EXPIRED,
	STATEMENT_EXPIRED_ERAS,
	STATEMENT_EXPIRED_TICKS,
	STATEMENT_OLDEST,
	STATEMENT_DELETE_BLOCK,
	STATEMENT_PAGES,
	STATEMENT_FREE_PAGES,
	STATEMENT_SPANS,
	STATEMENT_READ_BLOCK,
	STATEMENT_READ_TICKS,
	STATEMENT_NAMES,
	STATEMENT_COUNT
};

/* store_write.c */

int store_put_task(struct store *store, uint64_t task, const char *name, struct tally_error *err);
int store_put_name(struct store *store, uint64_t task, const char *task_name, uint32_t number,
	const char *name, struct tally_error *err);
int store_put_block(struct store *store, const struct store_block *block, struct tally_error *err);
int store_put_ticks(struct store *store, unsigned tier, uint64_t chunk_number,
	const struct tick_chunk *chunk, struct tally_error *err);

/** One entry of the journal. @complete: it has all that the tick had to say. */
int store_put_journal(struct store *store, uint64_t tick, bool complete, const void *bytes,
	size_t length, struct tally_error *err);

/** Forget the journal of the ticks below a number. */
int store_cut_journal(struct store *store, uint64_t tick, struct tally_error *err);

/** Remember the roots of a task's processes, as a blob of resume.c; NULL: it has none any more. */
int store_put_roots(struct store *store, uint64_t task, const char *task_name, const void *bytes,
	size_t length, struct tally_error *err);

/**
 * Delete what is past its retention, and what is oldest while the file is near its limit.
 *
 * @now, @wall_ns  The last tick.
 * @return         How many rows were deleted (a call deletes a few dozen at most), or an error.
 */
int store_prune(struct store *store, const struct tier *tiers, unsigned tier_count,
	struct moment now, int64_t wall_ns, struct tally_error *err);

/** Delete all blocks that end before an instant of the wall clock. @ret how many. */
int store_prune_before(
	struct store *store, int64_t wall_ns, uint64_t *ret, struct tally_error *err);

/* store_read.c. Strings and bytes that visitors get are valid during the visit. */

typedef bool store_span_fn(void *context, uint64_t task, unsigned tier, const struct span *span);

/** Visit all stretches of all tasks of a name: by task, tier, number. */
int store_spans(struct store *store, const char *task_name, store_span_fn *visit, void *context,
	struct tally_error *err);

/** Read a block. @ret its bytes. @return 0, -ENOENT, -EBADMSG (wrong checksum: counted). */
int store_read_block(struct store *store, uint64_t task, const char *task_name, unsigned tier,
	uint64_t number, struct bytes *ret, struct tally_error *err);

/** Read a chunk of ticks. @return 0, -ENOENT, -EBADMSG. */
int store_read_ticks(struct store *store, unsigned tier, uint64_t chunk_number,
	struct tick_chunk *ret, struct tally_error *err);

typedef bool store_name_fn(void *context, uint64_t task, uint32_t number, const char *name);

/** Visit the processes of all tasks of a name. */
int store_names(struct store *store, const char *task_name, store_name_fn *visit, void *context,
	struct tally_error *err);

typedef bool store_journal_fn(
	void *context, uint64_t tick, bool complete, const void *bytes, size_t length);

int store_journal(
	struct store *store, store_journal_fn *visit, void *context, struct tally_error *err);

typedef bool store_task_fn(
	void *context, uint64_t task, const char *name, const void *roots, size_t roots_length);

/** Visit all rows of tasks, in the order in which they began. */
int store_tasks(struct store *store, store_task_fn *visit, void *context, struct tally_error *err);

/** Name of a task. @return 0, -ENOENT. Free *ret. */
int store_task_name(struct store *store, uint64_t task, char **ret, struct tally_error *err);

/** Number of the last block of a task in the finest resolution. @return 0, -ENOENT. */
int store_last_block(struct store *store, uint64_t task, struct span *ret, struct tally_error *err);

typedef bool store_alive_fn(void *context, const char *name, int64_t wall_min, int64_t wall_max);

/** Visit the names of tasks that have a stretch in [since, until] of the wall clock, each once. */
int store_alive(struct store *store, int64_t since_ns, int64_t until_ns, store_alive_fn *visit,
	void *context, struct tally_error *err);

#endif
