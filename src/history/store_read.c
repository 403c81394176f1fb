/* SPDX-License-Identifier: Apache-2.0 */
#include "history/store.h"

#include <errno.h>
#include "base/fail.h"
#include "history/ticks_pack.h"

/* End a query: what the last step said decides. */
static int finish(struct store *store, sqlite3_stmt *s, int step, struct tally_error *err)
{
	int r = step == SQLITE_DONE || step == SQLITE_ROW ? 0 : store_fail(store, err, "read");

	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	return r;
}

/* A query that is used once. */
static int query(struct store *store, const char *sql, sqlite3_stmt **ret, struct tally_error *err)
{
	if (sqlite3_prepare_v2(store->db, sql, -1, ret, NULL) != SQLITE_OK)
		return store_fail(store, err, "read");
	return 0;
}

static void bind_name(sqlite3_stmt *s, int place, const char *name)
{
	sqlite3_bind_blob(s, place, name, (int)strlen(name), SQLITE_STATIC);
}

static void get_span(sqlite3_stmt *s, int at, struct span *ret)
{
	uint32_t era = (uint32_t)sqlite3_column_int64(s, at + 1);

	*ret = (struct span){
		.number = (uint64_t)sqlite3_column_int64(s, at),
		.first = {era, sqlite3_column_int64(s, at + 2)},
		.last = {era, sqlite3_column_int64(s, at + 3)},
		.wall_min = sqlite3_column_int64(s, at + 4),
		.wall_max = sqlite3_column_int64(s, at + 5),
		.first_tick = (uint64_t)sqlite3_column_int64(s, at + 6),
		.last_tick = (uint64_t)sqlite3_column_int64(s, at + 7),
		.rows = (uint32_t)sqlite3_column_int64(s, at + 8),
	};
}

#define SPAN_COLUMNS                                                                               \
	"number, era, first_boot, last_boot, wall_min, wall_max, first_tick, last_tick, rows"

int store_spans(struct store *store, const char *task_name, store_span_fn *visit, void *context,
	struct tally_error *err)
{
	sqlite3_stmt *s = store_prepare(store, STATEMENT_SPANS,
		"SELECT task, tier, " SPAN_COLUMNS " FROM blocks"
		" WHERE task IN (SELECT id FROM tasks WHERE name = ?) ORDER BY task, tier, number");
	int step;

	if (!s)
		return store_fail(store, err, "read");
	bind_name(s, 1, task_name);
	while ((step = sqlite3_step(s)) == SQLITE_ROW) {
		unsigned tier = (unsigned)sqlite3_column_int(s, 1);
		struct span span;

		get_span(s, 2, &span);
		if (tier < TIERS &&
			!visit(context, (uint64_t)sqlite3_column_int64(s, 0), tier, &span))
			break;
	}
	return finish(store, s, step, err);
}

/* Copy the blob of a column. */
static int get_bytes(sqlite3_stmt *s, int column, struct bytes *ret)
{
	const void *blob = sqlite3_column_blob(s, column);
	size_t length = (size_t)sqlite3_column_bytes(s, column);

	ret->length = 0;
	if (!bytes_room(ret, length + !length))
		return -ENOMEM;
	put_blob(ret, blob, length);
	return 0;
}

static int damaged(struct store *store, struct tally_error *err, const char *what)
{
	store->damaged++;
	return tally_refuse(
		err, -EBADMSG, "store %s: %s is damaged and is left out", store->path, what);
}

int store_read_block(struct store *store, uint64_t task, const char *task_name, unsigned tier,
	uint64_t number, struct bytes *ret, struct tally_error *err)
{
	struct store_block block = {.task = task, .task_name = task_name, .tier = tier};
	sqlite3_stmt *s = store_prepare(store, STATEMENT_READ_BLOCK,
		"SELECT " SPAN_COLUMNS ", sum, bytes FROM blocks"
		" WHERE task = ? AND tier = ? AND number = ?");

	if (!s)
		return store_fail(store, err, "read");
	sqlite3_bind_int64(s, 1, (sqlite3_int64)task);
	sqlite3_bind_int64(s, 2, tier);
	sqlite3_bind_int64(s, 3, (sqlite3_int64)number);

	int step = sqlite3_step(s), r = -ENOENT;
	uint32_t sum = 0;
	if (step == SQLITE_ROW) {
		get_span(s, 0, &block.span);
		sum = (uint32_t)sqlite3_column_int64(s, 9);
		r = get_bytes(s, 10, ret);
		block.bytes = ret->at;
		block.length = ret->length;
	}
	int failed = finish(store, s, step, err);
	if (failed < 0 || r < 0)
		return failed < 0 ? failed : r;
	return sum == store_block_checksum(&block) ? 0 : damaged(store, err, "a block");
}

int store_read_ticks(struct store *store, unsigned tier, uint64_t chunk_number,
	struct tick_chunk *ret, struct tally_error *err)
{
	sqlite3_stmt *s = store_prepare(store, STATEMENT_READ_TICKS,
		"SELECT era, sum, bytes FROM ticks WHERE tier = ? AND chunk = ?");
	int r = -ENOENT;

	if (!s)
		return store_fail(store, err, "read");
	sqlite3_bind_int64(s, 1, tier);
	sqlite3_bind_int64(s, 2, (sqlite3_int64)chunk_number);

	int step = sqlite3_step(s);
	if (step == SQLITE_ROW) {
		const void *blob = sqlite3_column_blob(s, 2);
		size_t length = (size_t)sqlite3_column_bytes(s, 2);

		ret->era = (uint32_t)sqlite3_column_int64(s, 0);
		r = store_bytes_checksum(tier, chunk_number, ret->era, blob, length) ==
					    (uint32_t)sqlite3_column_int64(s, 1) &&
				    ticks_unpack(reader_of(blob, length), ret)
			    ? 0
			    : damaged(store, err, "a chunk of times");
	}
	int failed = finish(store, s, step, err);
	return failed < 0 ? failed : r;
}

/* A column as text; free it. NULL without memory, or when it has a NUL inside. */
static char *get_text(sqlite3_stmt *s, int column)
{
	const char *blob = sqlite3_column_blob(s, column);
	size_t length = (size_t)sqlite3_column_bytes(s, column);
	char *text = strndup(blob ? blob : "", length);

	if (text && strlen(text) != length) {
		free(text);
		return NULL;
	}
	return text;
}

int store_names(struct store *store, const char *task_name, store_name_fn *visit, void *context,
	struct tally_error *err)
{
	sqlite3_stmt *s = store_prepare(store, STATEMENT_NAMES,
		"SELECT task, number, name, sum FROM names"
		" WHERE task IN (SELECT id FROM tasks WHERE name = ?) ORDER BY task, number");
	int step;
	bool go_on = true;

	if (!s)
		return store_fail(store, err, "read");
	bind_name(s, 1, task_name);
	while (go_on && (step = sqlite3_step(s)) == SQLITE_ROW) {
		uint64_t task = (uint64_t)sqlite3_column_int64(s, 0);
		uint32_t number = (uint32_t)sqlite3_column_int64(s, 1);
		CLEANUP_FREE char *name = get_text(s, 2);

		if (name && store_name_checksum(task, task_name, number, name) ==
				    (uint32_t)sqlite3_column_int64(s, 3))
			go_on = visit(context, task, number, name);
		else
			store->damaged++;
	}
	return finish(store, s, step, err);
}

int store_journal(
	struct store *store, store_journal_fn *visit, void *context, struct tally_error *err)
{
	sqlite3_stmt *s;
	int r = query(store, "SELECT tick, complete, sum, bytes FROM journal ORDER BY id", &s, err);
	int step = SQLITE_DONE;
	bool go_on = true;

	if (r < 0)
		return r;
	while (go_on && (step = sqlite3_step(s)) == SQLITE_ROW) {
		uint64_t tick = (uint64_t)sqlite3_column_int64(s, 0);
		bool complete = sqlite3_column_int(s, 1);
		const void *blob = sqlite3_column_blob(s, 3);
		size_t length = (size_t)sqlite3_column_bytes(s, 3);

		if ((uint32_t)sqlite3_column_int64(s, 2) !=
			store_bytes_checksum(tick, complete, 0, blob, length)) {
			/* What follows says what changed since this one: it means nothing. */
			store->damaged++;
			break;
		}
		go_on = visit(context, tick, complete, blob, length);
	}
	r = finish(store, s, step, err);
	sqlite3_finalize(s);
	return r;
}

int store_tasks(struct store *store, store_task_fn *visit, void *context, struct tally_error *err)
{
	sqlite3_stmt *s;
	int r = query(store, "SELECT id, name, roots FROM tasks ORDER BY id", &s, err);
	int step = SQLITE_DONE;
	bool go_on = true;

	if (r < 0)
		return r;
	while (go_on && (step = sqlite3_step(s)) == SQLITE_ROW) {
		CLEANUP_FREE char *name = get_text(s, 1);

		if (name)
			go_on = visit(context, (uint64_t)sqlite3_column_int64(s, 0), name,
				sqlite3_column_blob(s, 2), (size_t)sqlite3_column_bytes(s, 2));
	}
	r = finish(store, s, step, err);
	sqlite3_finalize(s);
	return r;
}

int store_task_name(struct store *store, uint64_t task, char **ret, struct tally_error *err)
{
	sqlite3_stmt *s;
	int r = query(store, "SELECT name FROM tasks WHERE id = ?", &s, err);

	if (r < 0)
		return r;
	sqlite3_bind_int64(s, 1, (sqlite3_int64)task);
	int step = sqlite3_step(s);
	*ret = step == SQLITE_ROW ? get_text(s, 0) : NULL;
	r = finish(store, s, step, err);
	sqlite3_finalize(s);
	return r < 0 || *ret ? r : -ENOENT;
}

int store_last_block(struct store *store, uint64_t task, struct span *ret, struct tally_error *err)
{
	sqlite3_stmt *s;
	int r = query(store,
		"SELECT " SPAN_COLUMNS " FROM blocks WHERE task = ? AND tier = 0"
		" ORDER BY number DESC LIMIT 1",
		&s, err);

	if (r < 0)
		return r;
	sqlite3_bind_int64(s, 1, (sqlite3_int64)task);
	int step = sqlite3_step(s);
	if (step == SQLITE_ROW)
		get_span(s, 0, ret);
	r = finish(store, s, step, err);
	sqlite3_finalize(s);
	return r < 0 || step == SQLITE_ROW ? r : -ENOENT;
}

int store_alive(struct store *store, int64_t since_ns, int64_t until_ns, store_alive_fn *visit,
	void *context, struct tally_error *err)
{
	sqlite3_stmt *s;
	int r = query(store,
		"SELECT name, min(wall_min), max(wall_max) FROM blocks JOIN tasks ON id = task"
		" WHERE wall_max >= ? AND wall_min <= ? GROUP BY name",
		&s, err);
	int step = SQLITE_DONE;
	bool go_on = true;

	if (r < 0)
		return r;
	sqlite3_bind_int64(s, 1, since_ns);
	sqlite3_bind_int64(s, 2, until_ns);
	while (go_on && (step = sqlite3_step(s)) == SQLITE_ROW) {
		CLEANUP_FREE char *name = get_text(s, 0);

		if (name)
			go_on = visit(context, name, sqlite3_column_int64(s, 1),
				sqlite3_column_int64(s, 2));
	}
	r = finish(store, s, step, err);
	sqlite3_finalize(s);
	return r;
}
