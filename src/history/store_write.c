/* SPDX-License-Identifier: Apache-2.0 */
#include "history/store.h"

#include <errno.h>
#include "base/fail.h"
#include "history/ticks_pack.h"

int store_put_task(struct store *store, uint64_t task, const char *name, struct tally_error *err)
{
	sqlite3_stmt *s = store_prepare(
		store, STATEMENT_PUT_TASK, "INSERT OR IGNORE INTO tasks (id, name) VALUES (?, ?)");

	if (s) {
		sqlite3_bind_int64(s, 1, (sqlite3_int64)task);
		sqlite3_bind_blob(s, 2, name, (int)strlen(name), SQLITE_STATIC);
	}
	return store_run(store, s, err, "write");
}

int store_put_name(struct store *store, uint64_t task, const char *task_name, uint32_t number,
	const char *name, struct tally_error *err)
{
	sqlite3_stmt *s = store_prepare(store, STATEMENT_PUT_NAME,
		"INSERT OR REPLACE INTO names (task, number, name, sum) VALUES (?, ?, ?, ?)");

	if (s) {
		sqlite3_bind_int64(s, 1, (sqlite3_int64)task);
		sqlite3_bind_int64(s, 2, number);
		sqlite3_bind_blob(s, 3, name, (int)strlen(name), SQLITE_STATIC);
		sqlite3_bind_int64(s, 4, store_name_checksum(task, task_name, number, name));
	}
	return store_run(store, s, err, "write");
}

int store_put_block(struct store *store, const struct store_block *block, struct tally_error *err)
{
	const struct span *span = &block->span;
	sqlite3_stmt *s = store_prepare(store, STATEMENT_PUT_BLOCK,
		"INSERT OR REPLACE INTO blocks (task, tier, number, era, first_boot, last_boot,"
		" wall_min, wall_max, first_tick, last_tick, rows, sum, bytes)"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");

	if (s) {
		sqlite3_bind_int64(s, 1, (sqlite3_int64)block->task);
		sqlite3_bind_int64(s, 2, block->tier);
		sqlite3_bind_int64(s, 3, (sqlite3_int64)span->number);
		sqlite3_bind_int64(s, 4, span->first.era);
		sqlite3_bind_int64(s, 5, span->first.boot_ns);
		sqlite3_bind_int64(s, 6, span->last.boot_ns);
		sqlite3_bind_int64(s, 7, span->wall_min);
		sqlite3_bind_int64(s, 8, span->wall_max);
		sqlite3_bind_int64(s, 9, (sqlite3_int64)span->first_tick);
		sqlite3_bind_int64(s, 10, (sqlite3_int64)span->last_tick);
		sqlite3_bind_int64(s, 11, span->rows);
		sqlite3_bind_int64(s, 12, store_block_checksum(block));
		sqlite3_bind_blob(s, 13, block->bytes, (int)block->length, SQLITE_STATIC);
	}
	return store_run(store, s, err, "write");
}

int store_put_ticks(struct store *store, unsigned tier, uint64_t chunk_number,
	const struct tick_chunk *chunk, struct tally_error *err)
{
	uint8_t room[TICKS_PACKED_MAX];
	struct bytes bytes = {.at = room, .capacity = sizeof(room)};
	const struct tick *last = &chunk->at[chunk->count - 1];
	sqlite3_stmt *s = store_prepare(store, STATEMENT_PUT_TICKS,
		"INSERT OR REPLACE INTO ticks (tier, chunk, era, last_boot, last_wall, sum, bytes)"
		" VALUES (?, ?, ?, ?, ?, ?, ?)");

	ticks_pack(chunk, &bytes);
	if (s) {
		sqlite3_bind_int64(s, 1, tier);
		sqlite3_bind_int64(s, 2, (sqlite3_int64)chunk_number);
		sqlite3_bind_int64(s, 3, chunk->era);
		sqlite3_bind_int64(s, 4, last->boot_ns);
		sqlite3_bind_int64(s, 5, last->wall_ns);
		sqlite3_bind_int64(s, 6,
			store_bytes_checksum(
				tier, chunk_number, chunk->era, bytes.at, bytes.length));
		sqlite3_bind_blob(s, 7, bytes.at, (int)bytes.length, SQLITE_STATIC);
	}
	return store_run(store, s, err, "write");
}

int store_put_journal(struct store *store, uint64_t tick, bool complete, const void *bytes,
	size_t length, struct tally_error *err)
{
	sqlite3_stmt *s = store_prepare(store, STATEMENT_PUT_JOURNAL,
		"INSERT INTO journal (tick, complete, sum, bytes) VALUES (?, ?, ?, ?)");

	if (s) {
		sqlite3_bind_int64(s, 1, (sqlite3_int64)tick);
		sqlite3_bind_int64(s, 2, complete);
		sqlite3_bind_int64(s, 3, store_bytes_checksum(tick, complete, 0, bytes, length));
		sqlite3_bind_blob(s, 4, length ? bytes : "", (int)length, SQLITE_STATIC);
	}
	return store_run(store, s, err, "write");
}

int store_cut_journal(struct store *store, uint64_t tick, struct tally_error *err)
{
	sqlite3_stmt *s = store_prepare(store, STATEMENT_CUT_JOURNAL,
		"DELETE FROM journal WHERE id < (SELECT min(id) FROM journal WHERE tick >= ?)");

	if (s)
		sqlite3_bind_int64(s, 1, (sqlite3_int64)tick);
	return store_run(store, s, err, "write");
}

int store_put_roots(struct store *store, uint64_t task, const char *task_name, const void *bytes,
	size_t length, struct tally_error *err)
{
	sqlite3_stmt *s = store_prepare(store, STATEMENT_CLEAR_ROOTS,
		"UPDATE tasks SET roots = NULL WHERE name = ? AND id <> ? AND roots IS NOT NULL");

	if (s) {
		sqlite3_bind_blob(s, 1, task_name, (int)strlen(task_name), SQLITE_STATIC);
		sqlite3_bind_int64(s, 2, (sqlite3_int64)task);
	}
	int r = store_run(store, s, err, "write");
	if (r < 0)
		return r;
	s = store_prepare(store, STATEMENT_PUT_ROOTS, "UPDATE tasks SET roots = ? WHERE id = ?");
	if (s) {
		if (bytes)
			sqlite3_bind_blob(s, 1, bytes, (int)length, SQLITE_STATIC);
		sqlite3_bind_int64(s, 2, (sqlite3_int64)task);
	}
	return store_run(store, s, err, "write");
}

/* Blocks that are deleted in one call, of one kind. */
#define PRUNE_ROWS 64

struct key {
	uint64_t task, number;
};

static int delete_blocks(struct store *store, unsigned tier, const struct key *keys, int count,
	struct tally_error *err)
{
	sqlite3_stmt *s = store_prepare(store, STATEMENT_DELETE_BLOCK,
		"DELETE FROM blocks WHERE task = ? AND tier = ? AND number = ?");

	for (int i = 0; i < count; i++) {
		if (s) {
			sqlite3_bind_int64(s, 1, (sqlite3_int64)keys[i].task);
			sqlite3_bind_int64(s, 2, tier);
			sqlite3_bind_int64(s, 3, (sqlite3_int64)keys[i].number);
		}
		int r = store_run(store, s, err, "delete");
		if (r < 0)
			return r;
	}
	return count;
}

/* Delete the blocks that a query names. @return how many. */
static int delete_found(
	struct store *store, unsigned tier, sqlite3_stmt *query, struct tally_error *err)
{
	struct key keys[PRUNE_ROWS];
	int count = 0, step = SQLITE_DONE;

	while (count < PRUNE_ROWS && (step = sqlite3_step(query)) == SQLITE_ROW)
		keys[count++] = (struct key){(uint64_t)sqlite3_column_int64(query, 0),
			(uint64_t)sqlite3_column_int64(query, 1)};
	int r = step == SQLITE_ROW || step == SQLITE_DONE ? 0 : store_fail(store, err, "read");
	sqlite3_reset(query);
	sqlite3_clear_bindings(query);
	return r < 0 ? r : delete_blocks(store, tier, keys, count, err);
}

static int prune_expired(struct store *store, unsigned tier, int64_t retention_ns,
	struct moment now, int64_t wall_ns, struct tally_error *err)
{
	sqlite3_stmt *s = store_prepare(store, STATEMENT_EXPIRED,
		"SELECT task, number FROM blocks WHERE tier = ? AND era = ? AND last_boot <= ?"
		" ORDER BY last_boot");
	if (!s)
		return store_fail(store, err, "read");
	sqlite3_bind_int64(s, 1, tier);
	sqlite3_bind_int64(s, 2, now.era);
	sqlite3_bind_int64(s, 3, now.boot_ns - retention_ns);
	int deleted = delete_found(store, tier, s, err);

	s = store_prepare(store, STATEMENT_EXPIRED_ERAS,
		"SELECT task, number FROM blocks WHERE tier = ? AND era < ? AND wall_max <= ?");
	if (!s || deleted < 0)
		return deleted < 0 ? deleted : store_fail(store, err, "read");
	sqlite3_bind_int64(s, 1, tier);
	sqlite3_bind_int64(s, 2, now.era);
	sqlite3_bind_int64(s, 3, wall_ns - retention_ns);
	int more = delete_found(store, tier, s, err);
	return more < 0 ? more : deleted + more;
}

/* Times go when no block that bears them can be left. */
static int prune_ticks(struct store *store, unsigned tier, int64_t age_ns, struct moment now,
	int64_t wall_ns, struct tally_error *err)
{
	sqlite3_stmt *s = store_prepare(store, STATEMENT_EXPIRED_TICKS,
		"DELETE FROM ticks WHERE tier = ?1 AND ((era = ?2 AND last_boot <= ?3)"
		" OR (era < ?2 AND last_wall <= ?4))");

	if (s) {
		sqlite3_bind_int64(s, 1, tier);
		sqlite3_bind_int64(s, 2, now.era);
		sqlite3_bind_int64(s, 3, now.boot_ns - age_ns);
		sqlite3_bind_int64(s, 4, wall_ns - age_ns);
	}
	return store_run(store, s, err, "delete");
}

static int ask_pragma(struct store *store, unsigned number, const char *sql, int64_t *ret,
	struct tally_error *err)
{
	sqlite3_stmt *s = store_prepare(store, number, sql);

	if (!s || sqlite3_step(s) != SQLITE_ROW) {
		int r = store_fail(store, err, "read");

		sqlite3_reset(s);
		return r;
	}
	*ret = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return 0;
}

/* 1 when nine tenths of the pages are in use. */
static int nearly_full(struct store *store, struct tally_error *err)
{
	int64_t pages, unused, most = (int64_t)((store->bytes_limit - store->wal_limit) / 4096);
	int r = ask_pragma(store, STATEMENT_PAGES, "PRAGMA page_count", &pages, err);

	if (r == 0)
		r = ask_pragma(store, STATEMENT_FREE_PAGES, "PRAGMA freelist_count", &unused, err);
	return r < 0 ? r : pages - unused > most / 10 * 9;
}

/* Era and boot time of the oldest block of a resolution; 0 when there is none. */
static sqlite3_stmt *query_oldest(struct store *store, unsigned tier)
{
	sqlite3_stmt *s = store_prepare(store, STATEMENT_OLDEST,
		"SELECT task, number, era, last_boot FROM blocks WHERE tier = ?"
		" ORDER BY era, last_boot");

	if (s)
		sqlite3_bind_int64(s, 1, tier);
	return s;
}

/* Delete some of the oldest blocks of the resolution whose oldest is the oldest of all. */
static int prune_oldest(struct store *store, unsigned tier_count, struct tally_error *err)
{
	struct moment oldest = {UINT32_MAX, INT64_MAX};
	unsigned which = 0;

	for (unsigned i = 0; i < tier_count; i++) {
		sqlite3_stmt *s = query_oldest(store, i);

		if (!s)
			return store_fail(store, err, "read");
		if (sqlite3_step(s) == SQLITE_ROW) {
			struct moment last = {
				(uint32_t)sqlite3_column_int64(s, 2), sqlite3_column_int64(s, 3)};

			if (moment_before(last, oldest)) {
				oldest = last;
				which = i;
			}
		}
		sqlite3_reset(s);
	}
	return delete_found(store, which, query_oldest(store, which), err);
}

int store_prune(struct store *store, const struct tier *tiers, unsigned tier_count,
	struct moment now, int64_t wall_ns, struct tally_error *err)
{
	int deleted = 0;

	for (unsigned i = 0; i < tier_count; i++) {
		const struct tier *tier = &tiers[i];
		int64_t slack_ns =
			2 * OPEN_TICKS_MAX * (tier->step_ns ? tier->step_ns : 1000000000);
		int r = prune_expired(store, i, tier->retention_ns, now, wall_ns, err);

		if (r >= 0)
			deleted += r;
		if (r >= 0)
			r = prune_ticks(store, i, tier->retention_ns + slack_ns, now, wall_ns, err);
		if (r < 0)
			return r;
	}
	int full = nearly_full(store, err);
	if (full > 0)
		full = prune_oldest(store, tier_count, err);
	return full < 0 ? full : deleted + full;
}

int store_prune_before(struct store *store, int64_t wall_ns, uint64_t *ret, struct tally_error *err)
{
	sqlite3_stmt *s = NULL;

	if (sqlite3_prepare_v2(store->db, "DELETE FROM blocks WHERE wall_max < ?", -1, &s, NULL) !=
		SQLITE_OK)
		return store_fail(store, err, "delete");
	sqlite3_bind_int64(s, 1, wall_ns);
	int r = store_run(store, s, err, "delete");
	*ret = (uint64_t)sqlite3_changes64(store->db);
	sqlite3_finalize(s);
	return r;
}
