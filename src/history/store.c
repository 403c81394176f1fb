/* SPDX-License-Identifier: Apache-2.0 */
#include "history/store.h"

#include <errno.h>
#include <stdio.h>
#include "base/fail.h"
#include "base/file.h"
#include "history/checksum.h"

/* "Taly": the application id of SQLite's header. */
#define APPLICATION_ID 0x54616c79

/* How long a writer waits for another connection, in milliseconds. */
#define BUSY_MS 2000

static const char schema[] =
	"BEGIN;"
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB, sum INTEGER) WITHOUT ROWID;"
	"CREATE TABLE tasks (id INTEGER PRIMARY KEY, name BLOB NOT NULL, roots BLOB);"
	"CREATE INDEX tasks_name ON tasks (name);"
	"CREATE TABLE names (task INTEGER, number INTEGER, name BLOB NOT NULL, sum INTEGER,"
	" PRIMARY KEY (task, number)) WITHOUT ROWID;"
	"CREATE TABLE blocks (task INTEGER, tier INTEGER, number INTEGER, era INTEGER,"
	" first_boot INTEGER, last_boot INTEGER, wall_min INTEGER, wall_max INTEGER,"
	" first_tick INTEGER, last_tick INTEGER, rows INTEGER, sum INTEGER, bytes BLOB NOT NULL,"
	" PRIMARY KEY (task, tier, number)) WITHOUT ROWID;"
	"CREATE INDEX blocks_time ON blocks (tier, era, last_boot, wall_min, wall_max);"
	"CREATE TABLE ticks (tier INTEGER, chunk INTEGER, era INTEGER, last_boot INTEGER,"
	" last_wall INTEGER, sum INTEGER, bytes BLOB NOT NULL,"
	" PRIMARY KEY (tier, chunk)) WITHOUT ROWID;"
	"CREATE TABLE journal (id INTEGER PRIMARY KEY, tick INTEGER, complete INTEGER, sum INTEGER,"
	" bytes BLOB NOT NULL);"
	"COMMIT;";

static const struct {
	int sqlite, error;
} errors[] = {
	{SQLITE_CORRUPT, -EBADMSG},
	{SQLITE_NOTADB, -EBADMSG},
	{SQLITE_FORMAT, -EBADMSG},
	{SQLITE_MISMATCH, -EBADMSG},
	{SQLITE_ERROR, -EBADMSG}, /* a table is missing: our own SQL is sound */
	{SQLITE_FULL, -ENOSPC},
	{SQLITE_NOMEM, -ENOMEM},
	{SQLITE_BUSY, -EBUSY},
	{SQLITE_LOCKED, -EBUSY},
	{SQLITE_READONLY, -EROFS},
	{SQLITE_PERM, -EACCES},
	{SQLITE_AUTH, -EACCES},
	{SQLITE_CANTOPEN, -EACCES},
};

static int error_of(sqlite3 *db)
{
	int system = sqlite3_system_errno(db), code = sqlite3_errcode(db) & 0xff;

	if (code == SQLITE_IOERR && (system == ENOSPC || system == EDQUOT))
		return -ENOSPC;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		if (errors[i].sqlite == code)
			return errors[i].error;
	return -EIO;
}

int store_fail(struct store *store, struct tally_error *err, const char *doing)
{
	int error = error_of(store->db);

	return tally_refuse(err, error, "store %s: cannot %s: %s", store->path, doing,
		sqlite3_errmsg(store->db));
}

sqlite3_stmt *store_prepare(struct store *store, unsigned number, const char *sql)
{
	sqlite3_stmt **statement = &store->statements[number];

	if (!*statement)
		sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
	return *statement;
}

int store_run(
	struct store *store, sqlite3_stmt *statement, struct tally_error *err, const char *doing)
{
	if (!statement)
		return store_fail(store, err, doing);

	int r = sqlite3_step(statement) == SQLITE_DONE ? 0 : store_fail(store, err, doing);
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return r;
}

int store_exec(struct store *store, const char *sql, struct tally_error *err, const char *doing)
{
	return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK
		       ? 0
		       : store_fail(store, err, doing);
}

/* The first number that SQL gives. */
static int ask_number(struct store *store, const char *sql, int64_t *ret, struct tally_error *err)
{
	sqlite3_stmt *statement = NULL;
	int r = 0;

	if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK)
		return store_fail(store, err, "read");
	switch (sqlite3_step(statement)) {
	case SQLITE_ROW:
		*ret = sqlite3_column_int64(statement, 0);
		break;
	case SQLITE_DONE:
		*ret = 0;
		break;
	default:
		r = store_fail(store, err, "read");
	}
	sqlite3_finalize(statement);
	return r;
}

static uint32_t meta_checksum(const char *key, const void *value, size_t length)
{
	uint32_t sum = checksum_text(CHECKSUM_START, key);

	return checksum_bytes(sum, value, length);
}

static int put_meta(
	struct store *store, const char *key, const char *value, struct tally_error *err)
{
	sqlite3_stmt *s = store_prepare(store, STATEMENT_PUT_META,
		"INSERT OR REPLACE INTO meta (key, value, sum) VALUES (?, ?, ?)");

	if (s) {
		sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
		sqlite3_bind_blob(s, 2, value, (int)strlen(value), SQLITE_STATIC);
		sqlite3_bind_int64(s, 3, meta_checksum(key, value, strlen(value)));
	}
	return store_run(store, s, err, "write");
}

/* Read a value; empty when there is none. A wrong checksum makes the whole store a damaged one. */
static int get_meta(
	struct store *store, const char *key, char *ret, size_t size, struct tally_error *err)
{
	sqlite3_stmt *s = store_prepare(
		store, STATEMENT_GET_META, "SELECT value, sum FROM meta WHERE key = ?");
	int r = 0;

	*ret = '\0';
	if (!s)
		return store_fail(store, err, "read");
	sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);

	int step = sqlite3_step(s);
	if (step == SQLITE_ROW) {
		const char *value = sqlite3_column_blob(s, 0);
		size_t length = (size_t)sqlite3_column_bytes(s, 0);

		if (length >= size ||
			sqlite3_column_int64(s, 1) != meta_checksum(key, value, length))
			r = tally_refuse(err, -EBADMSG,
				"store %s: cannot read: what it says of itself is damaged",
				store->path);
		else
			snprintf(ret, size, "%.*s", (int)length, value ? value : "");
	} else if (step != SQLITE_DONE) {
		r = store_fail(store, err, "read");
	}
	sqlite3_reset(s);
	return r;
}

/* One line for each metric: what its values in blocks mean. */
static void describe_metrics(char *text, size_t size)
{
	size_t used = 0;

	*text = '\0';
	for (unsigned m = 0; m < TALLY_METRIC_COUNT && used < size; m++)
		used += (size_t)snprintf(text + used, size - used, "%s %d %d %d\n",
			tally_metrics[m].key, tally_metrics[m].unit, tally_metrics[m].kind,
			tally_metrics[m].aggregate);
}

#define METRICS_TEXT 4096

/* Metrics are only ever added at the end: an older store has the first of ours, a later one more. */
static int check_metrics(struct store *store, struct tally_error *err)
{
	char theirs[METRICS_TEXT], ours[METRICS_TEXT];
	int r = get_meta(store, "metrics", theirs, sizeof(theirs), err);

	if (r < 0)
		return r;
	describe_metrics(ours, sizeof(ours));
	if (strncmp(theirs, ours, strlen(theirs)) == 0)
		return 0;

	size_t same = 0, line = 0;
	for (; theirs[same] && theirs[same] == ours[same]; same++)
		if (theirs[same] == '\n')
			line = same + 1;
	return tally_refuse(err, -ENOTSUP,
		"store %s was written by a later Tally: it has a metric '%.*s' that this one (%s) "
		"does not know; use that one, or another file",
		store->path, (int)strcspn(theirs + line, " \n"), theirs + line, TALLY_VERSION);
}

static int check_identity(struct store *store, struct tally_error *err)
{
	int64_t application = 0, version = 0;
	int r = ask_number(store, "PRAGMA application_id", &application, err);

	if (r == 0)
		r = ask_number(store, "PRAGMA user_version", &version, err);
	if (r < 0)
		return r;
	if (application != APPLICATION_ID)
		return tally_refuse(err, -EINVAL,
			"%s is the database of another program, not a store of Tally", store->path);
	if (version > STORE_VERSION)
		return tally_refuse(err, -ENOTSUP,
			"store %s was written by a later Tally: its format is %lld, this one (%s) "
			"reads up to %d; use that one, or another file",
			store->path, (long long)version, TALLY_VERSION, STORE_VERSION);
	if (version < STORE_VERSION)
		return tally_refuse(err, -ESTALE,
			"store %s is in a format of before: %lld, and this Tally (%s) reads %d; "
			"read it with the Tally that wrote it",
			store->path, (long long)version, TALLY_VERSION, STORE_VERSION);
	return check_metrics(store, err);
}

static int begin_tables(struct store *store, struct tally_error *err)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d",
		APPLICATION_ID, STORE_VERSION);
	int r = store_exec(store, sql, err, "begin");
	return r < 0 ? r : store_exec(store, schema, err, "begin");
}

/* Limits, durability and manners of a writer. */
static int set_writer(struct store *store, struct tally_error *err)
{
	char sql[512];
	uint64_t pages = (store->bytes_limit - store->wal_limit) / 4096;

	snprintf(sql, sizeof(sql),
		"PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
		"PRAGMA cache_size = -512; PRAGMA temp_store = MEMORY; PRAGMA max_page_count = %llu;"
		"PRAGMA wal_autocheckpoint = %llu; PRAGMA journal_size_limit = %llu",
		(unsigned long long)pages, (unsigned long long)store->wal_limit / 4 / 4096,
		(unsigned long long)store->wal_limit / 2);
	return store_exec(store, sql, err, "open");
}

static int open_db(struct store *store, bool immutable, struct tally_error *err)
{
	int flags = store->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
	char *uri = NULL;
	int r;

	if (immutable) {
		uri = sqlite3_mprintf("file:%s?immutable=1", store->path);
		if (!uri)
			return tally_fail(err, -ENOMEM, "cannot open the store %s", store->path);
		flags |= SQLITE_OPEN_URI;
	}
	r = sqlite3_open_v2(uri ? uri : store->path, &store->db,
		flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
	sqlite3_free(uri);
	if (r != SQLITE_OK)
		return store_fail(store, err, "open");
	sqlite3_extended_result_codes(store->db, 1);
	sqlite3_busy_timeout(store->db, BUSY_MS);
	sqlite3_limit(store->db, SQLITE_LIMIT_LENGTH, (int)BLOCK_SIZE_MAX * 2);
	return store_exec(store,
		"PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0",
		err, "open");
}

/* A reader without the right to write beside the file can read it only where no writer is. */
static int open_reader(struct store *store, struct tally_error *err)
{
	int r = open_db(store, false, err);

	if (r == 0)
		r = check_identity(store, err);
	if ((r == -EACCES || r == -EROFS) && store_file_wal_bytes(store->path) == 0) {
		for (unsigned i = 0; i < STATEMENT_COUNT; i++) {
			sqlite3_finalize(store->statements[i]);
			store->statements[i] = NULL;
		}
		sqlite3_close(store->db);
		store->db = NULL;
		r = open_db(store, true, err);
		if (r == 0)
			r = check_identity(store, err);
	}
	return r;
}

static int open_writer(struct store *store, struct tally_error *err)
{
	int64_t tables = 0;
	int r = store_file_lock(store->path, &store->lock_fd, err);

	if (r == 0)
		r = open_db(store, false, err);
	if (r == 0)
		r = set_writer(store, err);
	if (r == 0)
		r = ask_number(store, "SELECT count(*) FROM sqlite_schema", &tables, err);
	if (r == 0)
		r = tables == 0 ? begin_tables(store, err) : check_identity(store, err);
	return r;
}

static int check_limit(const char *path, uint64_t bytes, struct tally_error *err)
{
	if (bytes >= STORE_BYTES_MIN)
		return 0;
	return tally_refuse(err, -EINVAL,
		"store %s: a limit of %llu bytes is too low; give it at least %llu", path,
		(unsigned long long)bytes, (unsigned long long)STORE_BYTES_MIN);
}

int store_open(const char *path, bool read_only, uint64_t bytes, struct store **ret,
	struct tally_error *err)
{
	int r = store_file_check(path, err);

	bytes = bytes ? bytes : STORE_BYTES_DEFAULT;
	if (r == 0 && read_only)
		return tally_fail(err, -ENOENT, "there is no store %s", path);
	if (r >= 0 && check_limit(path, bytes, err) < 0)
		return -EINVAL;
	if (r == 0)
		r = store_file_create(path, err);
	if (r < 0)
		return r;

	struct store *store = calloc(1, sizeof(*store));
	if (!store)
		return tally_fail(err, -ENOMEM, "cannot open the store %s", path);
	store->read_only = read_only;
	store->lock_fd = -1;
	store->bytes_limit = bytes;
	store->wal_limit = bytes / 4 < ((uint64_t)8 << 20) ? bytes / 4 : (uint64_t)8 << 20;
	store->path = strdup(path);
	if (!store->path)
		r = tally_fail(err, -ENOMEM, "cannot open the store %s", path);
	else
		r = read_only ? open_reader(store, err) : open_writer(store, err);
	if (r < 0)
		store_close(store);
	else
		*ret = store;
	return r;
}

/*
 * What is closed is one file that can be copied, and read from where nothing can be written: the log
 * is taken in and goes. While somebody reads, that cannot be; then the log stays, and is as good.
 */
static void leave_one_file(struct store *store)
{
	sqlite3_busy_timeout(store->db, 0);
	sqlite3_exec(store->db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
}

struct store *store_close(struct store *store)
{
	if (!store)
		return NULL;
	for (unsigned i = 0; i < STATEMENT_COUNT; i++)
		sqlite3_finalize(store->statements[i]);
	if (store->db && !store->read_only && store->lock_fd >= 0)
		leave_one_file(store);
	sqlite3_close(store->db);
	cleanup_close(&store->lock_fd);
	free(store->path);
	free(store);
	return NULL;
}

/* What a run says of itself: era, boot, next task, next chunks; then a line for each resolution. */
static bool parse_run(const char *text, struct store_run *ret)
{
	char *at = NULL;

	*ret = (struct store_run){.era = (uint32_t)strtoul(text, &at, 10)};
	if (ret->era == 0 || sscanf(at, " %63s", ret->boot) != 1)
		return false;
	at = strstr(at, ret->boot) + strlen(ret->boot);
	ret->next_task = strtoull(at, &at, 10);
	for (unsigned i = 0; i < TIERS; i++)
		ret->next_chunk[i] = strtoull(at, &at, 10);
	at += *at == '\n';
	for (; *at && ret->tier_count < TIERS; ret->tier_count++) {
		ret->steps_ns[ret->tier_count] = strtoll(at, &at, 10);
		ret->retentions_ns[ret->tier_count] = strtoll(at, &at, 10);
		at += *at == '\n';
	}
	return ret->next_task > 0 && ret->tier_count > 0;
}

static void format_run(const struct store_run *run, char text[STORE_RUN_TEXT])
{
	int used = snprintf(text, STORE_RUN_TEXT, "%u %s %llu", run->era, run->boot,
		(unsigned long long)run->next_task);

	for (unsigned i = 0; i < TIERS; i++)
		used += snprintf(text + used, STORE_RUN_TEXT - (size_t)used, " %llu",
			(unsigned long long)run->next_chunk[i]);
	for (unsigned i = 0; i < run->tier_count; i++)
		used += snprintf(text + used, STORE_RUN_TEXT - (size_t)used, "\n%lld %lld",
			(long long)run->steps_ns[i], (long long)run->retentions_ns[i]);
}

void store_boot_id(char ret[64])
{
	ssize_t length = file_read_at(-1, "/proc/sys/kernel/random/boot_id", ret, 63);

	ret[length > 0 ? length : 0] = '\0';
	ret[strcspn(ret, " \n")] = '\0';
	if (!*ret)
		strcpy(ret, "unknown");
}

int store_read_run(struct store *store, struct store_run *ret, struct tally_error *err)
{
	char text[STORE_RUN_TEXT], metrics[METRICS_TEXT];
	int r = get_meta(store, "run", text, sizeof(text), err);

	if (r == 0)
		r = get_meta(store, "metrics", metrics, sizeof(metrics), err);
	if (r < 0)
		return r;
	*ret = (struct store_run){0};
	if (!*text && !*metrics)
		return 0;
	if (!*text || !*metrics || !parse_run(text, ret))
		return tally_refuse(err, -EBADMSG,
			"store %s: cannot read: what it says of itself is damaged", store->path);
	return 0;
}

int store_put_run(struct store *store, const struct store_run *run, struct tally_error *err)
{
	char text[STORE_RUN_TEXT], metrics[METRICS_TEXT];
	int r = 0;

	format_run(run, text);
	if (strcmp(text, store->run) == 0)
		return 0;
	if (!*store->run) {
		describe_metrics(metrics, sizeof(metrics));
		r = put_meta(store, "metrics", metrics, err);
	}
	if (r == 0)
		r = put_meta(store, "run", text, err);
	strcpy(store->run, r == 0 ? text : "");
	return r;
}

uint32_t store_block_checksum(const struct store_block *block)
{
	const struct span *span = &block->span;
	const uint64_t numbers[] = {
		block->task,
		block->tier,
		span->number,
		span->first.era,
		(uint64_t)span->first.boot_ns,
		(uint64_t)span->last.boot_ns,
		(uint64_t)span->wall_min,
		(uint64_t)span->wall_max,
		span->first_tick,
		span->last_tick,
		span->rows,
	};
	uint32_t sum = checksum_text(CHECKSUM_START, block->task_name);

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		sum = checksum_number(sum, numbers[i]);
	return checksum_bytes(sum, block->bytes, block->length);
}

uint32_t store_name_checksum(
	uint64_t task, const char *task_name, uint32_t number, const char *name)
{
	uint32_t sum = checksum_text(CHECKSUM_START, task_name);

	return checksum_text(checksum_number(checksum_number(sum, task), number), name);
}

uint32_t store_bytes_checksum(uint64_t a, uint64_t b, uint64_t c, const void *bytes, size_t length)
{
	uint32_t sum = checksum_number(checksum_number(CHECKSUM_START, a), b);

	return checksum_bytes(checksum_number(sum, c), bytes, length);
}
