/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/remote/queue.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/fail.h"
#include "history/store.h"

/* Of the tables, in PRAGMA user_version. */
#define QUEUE_VERSION 1

/* "TlyQ": a database of another program is left alone. */
#define QUEUE_APPLICATION 0x546c7951

/* Given back to the file system each time the queue has become empty: 4 MiB of what an outage took. */
#define VACUUM_PAGES "1024"

struct queue {
	sqlite3 *db;
	char *path; /* NULL: in memory. */
	sqlite3_stmt *put, *peek, *drop, *oldest, *mark;
	struct queue_status status;
	struct queue_status before; /* At queue_begin(). */
};

static int code_of(sqlite3 *db)
{
	switch (sqlite3_errcode(db) & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
		return -EACCES;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	default:
		return -EIO;
	}
}

static int fail(struct queue *q, struct tally_error *err, const char *doing)
{
	return tally_refuse(err, code_of(q->db), "cannot %s the queue of remote write%s%s: %s",
		doing, q->path ? " " : "", q->path ? q->path : "", sqlite3_errmsg(q->db));
}

static int run(struct queue *q, const char *sql, struct tally_error *err, const char *doing)
{
	return sqlite3_exec(q->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(q, err, doing);
}

static int prepare(struct queue *q, sqlite3_stmt **ret, const char *sql, struct tally_error *err)
{
	return sqlite3_prepare_v3(q->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) == SQLITE_OK
		       ? 0
		       : fail(q, err, "open");
}

/* Run a statement that gives no rows. */
static int step(
	struct queue *q, sqlite3_stmt *statement, struct tally_error *err, const char *doing)
{
	int r = sqlite3_step(statement) == SQLITE_DONE ? 0 : fail(q, err, doing);

	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return r;
}

/* A row of numbers. */
static int ask(struct queue *q, const char *sql, int64_t *ret, int count, struct tally_error *err)
{
	sqlite3_stmt *statement = NULL;
	int r = prepare(q, &statement, sql, err);

	if (r == 0 && sqlite3_step(statement) != SQLITE_ROW)
		r = fail(q, err, "read");
	for (int i = 0; r == 0 && i < count; i++)
		ret[i] = sqlite3_column_int64(statement, i);
	sqlite3_finalize(statement);
	return r;
}

/* ---- opening ---- */

static int make_tables(struct queue *q, struct tally_error *err)
{
	char *sql = sqlite3_mprintf("BEGIN;"
				    "CREATE TABLE batches (id INTEGER PRIMARY KEY AUTOINCREMENT,"
				    " wall_ms INTEGER, samples INTEGER, bytes BLOB);"
				    "CREATE TABLE last (one INTEGER PRIMARY KEY, wall_ms INTEGER);"
				    "PRAGMA user_version = %d; PRAGMA application_id = %d;"
				    "COMMIT",
		QUEUE_VERSION, QUEUE_APPLICATION);

	if (!sql)
		return tally_fail(err, -ENOMEM, "cannot begin the queue of remote write");
	int r = run(q, sql, err, "begin");
	sqlite3_free(sql);
	return r;
}

static int check_tables(struct queue *q, struct tally_error *err)
{
	int64_t tables, application, version;
	int r = ask(q, "SELECT count(*) FROM sqlite_schema", &tables, 1, err);

	if (r < 0)
		return r;
	if (tables == 0)
		return make_tables(q, err);
	r = ask(q, "PRAGMA application_id", &application, 1, err);
	if (r == 0)
		r = ask(q, "PRAGMA user_version", &version, 1, err);
	if (r == 0 && application != QUEUE_APPLICATION)
		return tally_refuse(err, -EINVAL,
			"%s is a database of another program; name another store", q->path);
	if (r == 0 && version != QUEUE_VERSION)
		return tally_refuse(err, -ENOTSUP,
			"a later Tally wrote %s; remove it, or use that one", q->path);
	return r;
}

static int count_all(struct queue *q, struct tally_error *err)
{
	int64_t sums[3], last;
	int r = ask(q, "SELECT count(*), total(samples), total(length(bytes)) FROM batches", sums,
		3, err);

	if (r == 0)
		r = ask(q, "SELECT coalesce(max(wall_ms), 0) FROM last", &last, 1, err);
	if (r < 0)
		return r;
	q->status.batches = (uint64_t)sums[0];
	q->status.samples = (uint64_t)sums[1];
	q->status.bytes = (uint64_t)sums[2];
	q->status.last_wall_ms = last;
	return 0;
}

static int prepare_all(struct queue *q, struct tally_error *err)
{
	int r = prepare(
		q, &q->put, "INSERT INTO batches (wall_ms, samples, bytes) VALUES (?, ?, ?)", err);

	if (r == 0)
		r = prepare(q, &q->peek,
			"SELECT id, wall_ms, samples, bytes FROM batches ORDER BY id LIMIT 1", err);
	if (r == 0)
		r = prepare(q, &q->drop, "DELETE FROM batches WHERE id = ?", err);
	if (r == 0)
		r = prepare(q, &q->oldest,
			"SELECT id, wall_ms, samples, length(bytes) FROM batches ORDER BY id LIMIT 1",
			err);
	if (r == 0)
		r = prepare(q, &q->mark, "REPLACE INTO last (one, wall_ms) VALUES (1, ?)", err);
	return r;
}

/* The next one's time, for the status. */
static int find_first(struct queue *q, struct tally_error *err)
{
	int r = sqlite3_step(q->oldest);

	q->status.first_wall_ms = r == SQLITE_ROW ? sqlite3_column_int64(q->oldest, 1) : 0;
	r = r == SQLITE_ROW || r == SQLITE_DONE ? 0 : fail(q, err, "read");
	sqlite3_reset(q->oldest);
	return r;
}

static int make_file(const char *path, struct tally_error *err)
{
	int there = store_file_check(path, err);

	return there == 0 ? store_file_create(path, err) : there < 0 ? there : 0;
}

static int open_db(struct queue *q, struct tally_error *err)
{
	int r = q->path ? make_file(q->path, err) : 0;

	if (r < 0)
		return r;
	if (sqlite3_open_v2(q->path ? q->path : ":memory:", &q->db,
		    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
		    NULL) != SQLITE_OK)
		return fail(q, err, "open");
	r = run(q,
		"PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;"
		"PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;"
		"PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 4194304;"
		"PRAGMA cache_size = -512",
		err, "open");
	if (r == 0)
		r = check_tables(q, err);
	if (r == 0)
		r = count_all(q, err);
	if (r == 0)
		r = prepare_all(q, err);
	return r == 0 ? find_first(q, err) : r;
}

static void close_db(struct queue *q)
{
	sqlite3_stmt **const all[] = {&q->put, &q->peek, &q->drop, &q->oldest, &q->mark};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		sqlite3_finalize(*all[i]);
		*all[i] = NULL;
	}
	sqlite3_close(q->db);
	q->db = NULL;
}

/* What cannot be read any more is kept for those who would look into it, and another begun. */
static int begin_anew(struct queue *q, const struct log *log, struct tally_error *err)
{
	char aside[4096];
	struct tally_error why = *err;

	close_db(q);
	int r = store_file_set_aside(q->path, "damaged", aside, err);
	if (r < 0)
		return r;
	log_say(log, TALLY_LOG_ERROR, "%s; what waited in it was set aside as %s", why.message,
		aside);
	return open_db(q, err);
}

int queue_open(const char *path, uint64_t bytes_limit, const struct log *log, struct queue **ret,
	struct tally_error *err)
{
	struct queue *q = calloc(1, sizeof(*q));
	struct tally_error failure;

	if (!q || (path && !(q->path = strdup(path)))) {
		free(q);
		return tally_fail(err, -ENOMEM, "cannot open the queue of remote write");
	}
	q->status.bytes_limit = bytes_limit ? bytes_limit : QUEUE_BYTES_DEFAULT;
	int r = open_db(q, &failure);
	if (r == -EBADMSG && q->path)
		r = begin_anew(q, log, &failure);
	if (r < 0) {
		if (err)
			*err = failure;
		queue_close(q);
		return r;
	}
	*ret = q;
	return 0;
}

struct queue *queue_close(struct queue *q)
{
	if (!q)
		return NULL;
	close_db(q);
	free(q->path);
	free(q);
	return NULL;
}

/* ---- putting ---- */

int queue_begin(struct queue *q, struct tally_error *err)
{
	q->before = q->status;
	return run(q, "BEGIN IMMEDIATE", err, "write");
}

int queue_commit(struct queue *q, struct tally_error *err)
{
	return run(q, "COMMIT", err, "write");
}

void queue_roll_back(struct queue *q)
{
	sqlite3_exec(q->db, "ROLLBACK", NULL, NULL, NULL);
	q->status = q->before;
}

static int forget(
	struct queue *q, int64_t id, uint64_t samples, uint64_t bytes, struct tally_error *err)
{
	sqlite3_bind_int64(q->drop, 1, id);
	int r = step(q, q->drop, err, "write");
	if (r < 0 || sqlite3_changes(q->db) == 0)
		return r;
	q->status.batches--;
	q->status.samples -= samples;
	q->status.bytes -= bytes;
	return find_first(q, err);
}

static int make_room(struct queue *q, size_t length, struct tally_error *err)
{
	int r = 0;

	while (r == 0 && q->status.batches && q->status.bytes + length > q->status.bytes_limit) {
		if (sqlite3_step(q->oldest) != SQLITE_ROW) {
			sqlite3_reset(q->oldest);
			return fail(q, err, "read");
		}
		int64_t id = sqlite3_column_int64(q->oldest, 0);
		uint64_t samples = (uint64_t)sqlite3_column_int64(q->oldest, 2);
		uint64_t bytes = (uint64_t)sqlite3_column_int64(q->oldest, 3);
		sqlite3_reset(q->oldest);
		r = forget(q, id, samples, bytes, err);
		if (r == 0)
			q->status.overflowed += samples;
	}
	return r;
}

int queue_put(struct queue *q, int64_t wall_ms, size_t samples, const void *bytes, size_t length,
	struct tally_error *err)
{
	if (length > q->status.bytes_limit)
		return tally_refuse(err, -EFBIG,
			"a batch of %zu bytes does not fit into the queue of remote write", length);
	int r = make_room(q, length, err);
	if (r < 0)
		return r;
	sqlite3_bind_int64(q->put, 1, wall_ms);
	sqlite3_bind_int64(q->put, 2, (int64_t)samples);
	sqlite3_bind_blob64(q->put, 3, bytes, length, SQLITE_STATIC);
	r = step(q, q->put, err, "write");
	if (r == 0) {
		sqlite3_bind_int64(q->mark, 1, wall_ms);
		r = step(q, q->mark, err, "write");
	}
	if (r < 0)
		return r;
	q->status.batches++;
	q->status.samples += samples;
	q->status.bytes += length;
	q->status.last_wall_ms = wall_ms;
	if (!q->status.first_wall_ms)
		q->status.first_wall_ms = wall_ms;
	return 0;
}

/* ---- taking ---- */

int queue_peek(struct queue *q, struct queue_batch *ret, struct tally_error *err)
{
	int r = sqlite3_step(q->peek);

	if (r == SQLITE_ROW) {
		*ret = (struct queue_batch){
			.id = sqlite3_column_int64(q->peek, 0),
			.wall_ms = sqlite3_column_int64(q->peek, 1),
			.samples = (size_t)sqlite3_column_int64(q->peek, 2),
			.length = (size_t)sqlite3_column_bytes(q->peek, 3),
		};
		ret->bytes = malloc(ret->length + 1);
		if (ret->bytes && ret->length)
			memcpy(ret->bytes, sqlite3_column_blob(q->peek, 3), ret->length);
		r = ret->bytes ? 0 : tally_fail(err, -ENOMEM, "cannot send by remote write");
	} else {
		r = r == SQLITE_DONE ? -ENOENT : fail(q, err, "read");
	}
	sqlite3_reset(q->peek);
	return r;
}

int queue_drop(struct queue *q, const struct queue_batch *batch, struct tally_error *err)
{
	int r = forget(q, batch->id, batch->samples, batch->length, err);

	if (r == 0 && q->status.batches == 0 && q->path)
		sqlite3_exec(
			q->db, "PRAGMA incremental_vacuum(" VACUUM_PAGES ")", NULL, NULL, NULL);
	return r;
}

void queue_status(const struct queue *q, struct queue_status *ret)
{
	*ret = q->status;
}
