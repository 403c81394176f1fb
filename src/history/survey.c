/* SPDX-License-Identifier: Apache-2.0 */
#include "history/survey.h"

#include <errno.h>
#include <stdarg.h>
#include <time.h>
#include "base/fail.h"

/* Complaints of SQLite that are passed on. */
#define COMPLAINTS_MAX "20"

struct look {
	struct store *store;
	struct survey *survey;
	survey_fn *tell;
	void *context;
	struct block_scratch *scratch;
	struct table table;
	struct bytes bytes;
	struct tick_chunk chunk;
	unsigned chunk_tier;
	uint64_t chunk_number; /* UINT64_MAX: none */
	struct tally_error *err;
};

static void tell(struct look *look, const char *format, ...) PRINTF_LIKE(2, 3);

static void tell(struct look *look, const char *format, ...)
{
	char line[1024];
	va_list args;

	look->survey->damaged++;
	if (!look->tell)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	look->tell(look->context, line);
}

static int prepare(struct look *look, const char *sql, sqlite3_stmt **ret)
{
	if (sqlite3_prepare_v2(look->store->db, sql, -1, ret, NULL) != SQLITE_OK)
		return store_fail(look->store, look->err, "read");
	return 0;
}

/* End a query. */
static int finish(struct look *look, sqlite3_stmt *s, int step)
{
	int r = step == SQLITE_DONE ? 0 : store_fail(look->store, look->err, "read");

	sqlite3_finalize(s);
	return r;
}

static int look_at_pages(struct look *look)
{
	sqlite3_stmt *s;
	int step, r = prepare(look, "PRAGMA integrity_check(" COMPLAINTS_MAX ")", &s);

	if (r < 0)
		return r;
	while ((step = sqlite3_step(s)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(s, 0);

		if (text && strcmp(text, "ok") != 0)
			tell(look, "the file: %.*s", (int)strcspn(text, "\n"), text);
	}
	return finish(look, s, step);
}

/* One block on its way through the checks. */
struct looked {
	uint64_t task, number;
	unsigned tier;
	char name[256];
	int64_t wall_min, wall_max;
	uint64_t first_tick, rows;
};

static void tell_of_block(struct look *look, const struct looked *block, const char *what)
{
	char since[32] = "?", until[32] = "?";
	struct tm tm;
	time_t from = (time_t)(block->wall_min / 1000000000);
	time_t to = (time_t)(block->wall_max / 1000000000);

	if (gmtime_r(&from, &tm))
		strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (gmtime_r(&to, &tm))
		strftime(until, sizeof(until), "%Y-%m-%dT%H:%M:%SZ", &tm);
	tell(look, "task %s: block %llu of resolution %u, %s to %s: %s", block->name,
		(unsigned long long)block->number, block->tier, since, until, what);
}

static bool has_times(struct look *look, const struct looked *block)
{
	for (unsigned row = 0; row < look->table.rows; row++) {
		uint64_t tick = block->first_tick + look->table.tick[row];

		if (look->chunk_number != tick / CHUNK_TICKS || look->chunk_tier != block->tier) {
			look->chunk_number = UINT64_MAX;
			if (store_read_ticks(look->store, block->tier, tick / CHUNK_TICKS,
				    &look->chunk, NULL) < 0)
				return false;
			look->chunk_number = tick / CHUNK_TICKS;
			look->chunk_tier = block->tier;
		}
		if (tick % CHUNK_TICKS >= look->chunk.count)
			return false;
	}
	return true;
}

static uint64_t count_values(const struct table *table)
{
	uint64_t values = 0;

	for (uint32_t i = 0; i < table->series_count; i++)
		for (unsigned row = 0; row < table->rows; row++) {
			const struct table_presence *presence =
				row_set_has(&table->series[i].here, row)
					? table_presence_at(table, i, row)
					: NULL;

			if (presence)
				values += (uint64_t)__builtin_popcountll(presence->present);
		}
	return values;
}

static void count_block(struct look *look, const struct looked *block)
{
	struct survey_tier *tier = &look->survey->tiers[block->tier];

	if (tier->blocks == 0 || block->wall_min < tier->first_ns)
		tier->first_ns = block->wall_min;
	if (tier->blocks == 0 || block->wall_max > tier->last_ns)
		tier->last_ns = block->wall_max;
	tier->blocks++;
	tier->block_bytes += look->bytes.length;
	tier->rows += look->table.rows;
	tier->values += count_values(&look->table);
}

/* @return 0, whatever it found; an error of the store or of memory. */
static int look_at_block(struct look *look, const struct looked *block)
{
	int r = store_read_block(look->store, block->task, block->name, block->tier, block->number,
		&look->bytes, look->err);

	if (r == -EBADMSG)
		tell_of_block(look, block, "its checksum is wrong");
	if (r < 0)
		return r == -EBADMSG ? 0 : r;
	r = block_read(look->scratch, look->bytes.at, look->bytes.length, &look->table);
	if (r == -ENOTSUP)
		look->survey->later++;
	else if (r == -EBADMSG)
		tell_of_block(look, block, "it cannot be decoded");
	else if (r < 0)
		return tally_fail(look->err, r, "store %s: cannot read a block", look->store->path);
	if (r < 0)
		return 0;
	if (look->table.first_tick != block->first_tick || look->table.rows != block->rows)
		tell_of_block(look, block, "it is not what its row says");
	else if (!has_times(look, block))
		tell_of_block(look, block, "its times are damaged or missing");
	else
		count_block(look, block);
	return 0;
}

static int look_at_blocks(struct look *look)
{
	sqlite3_stmt *s;
	int r = prepare(look,
		"SELECT task, tier, number, wall_min, wall_max, first_tick, rows, tasks.name"
		" FROM blocks LEFT JOIN tasks ON tasks.id = task ORDER BY task, tier, number",
		&s);
	int step = SQLITE_DONE;

	while (r == 0 && (step = sqlite3_step(s)) == SQLITE_ROW) {
		struct looked block = {
			.task = (uint64_t)sqlite3_column_int64(s, 0),
			.tier = (unsigned)sqlite3_column_int(s, 1),
			.number = (uint64_t)sqlite3_column_int64(s, 2),
			.wall_min = sqlite3_column_int64(s, 3),
			.wall_max = sqlite3_column_int64(s, 4),
			.first_tick = (uint64_t)sqlite3_column_int64(s, 5),
			.rows = (uint64_t)sqlite3_column_int64(s, 6),
		};
		int length = sqlite3_column_bytes(s, 7);

		snprintf(block.name, sizeof(block.name), "%.*s", length,
			length ? (const char *)sqlite3_column_blob(s, 7) : "");
		if (block.tier >= TIERS)
			tell_of_block(look, &block, "there is no such resolution");
		else
			r = look_at_block(look, &block);
	}
	if (r < 0) {
		sqlite3_finalize(s);
		return r;
	}
	return finish(look, s, step);
}

static int look_at_times(struct look *look)
{
	sqlite3_stmt *s;
	int r = prepare(look, "SELECT tier, chunk FROM ticks", &s);
	int step = SQLITE_DONE;

	while (r == 0 && (step = sqlite3_step(s)) == SQLITE_ROW) {
		unsigned tier = (unsigned)sqlite3_column_int(s, 0);
		uint64_t chunk = (uint64_t)sqlite3_column_int64(s, 1);

		look->survey->chunks++;
		r = store_read_ticks(look->store, tier, chunk, &look->chunk, look->err);
		if (r == -EBADMSG) {
			tell(look, "times: chunk %llu of resolution %u: it is damaged",
				(unsigned long long)chunk, tier);
			r = 0;
		}
	}
	look->chunk_number = UINT64_MAX;
	if (r < 0) {
		sqlite3_finalize(s);
		return r;
	}
	return finish(look, s, step);
}

static bool count_name(void *context, uint64_t task, uint32_t number, const char *name)
{
	((struct look *)context)->survey->processes++;
	return true;
}

static bool count_entry(
	void *context, uint64_t tick, bool complete, const void *bytes, size_t length)
{
	((struct look *)context)->survey->journal_entries++;
	return true;
}

/* Names of processes are asked for by the name of their task. */
static int look_at_names(struct look *look)
{
	sqlite3_stmt *s;
	int r = prepare(look, "SELECT DISTINCT name FROM tasks", &s);
	int step = SQLITE_DONE;

	while (r == 0 && (step = sqlite3_step(s)) == SQLITE_ROW) {
		uint64_t before = look->store->damaged;
		int length = sqlite3_column_bytes(s, 0);
		CLEANUP_FREE char *name = strndup(
			length ? (const char *)sqlite3_column_blob(s, 0) : "", (size_t)length);

		look->survey->tasks++;
		r = name ? store_names(look->store, name, count_name, look, look->err) : -ENOMEM;
		if (look->store->damaged > before)
			tell(look, "task %s: names of %llu of its processes are damaged", name,
				(unsigned long long)(look->store->damaged - before));
	}
	if (r < 0) {
		sqlite3_finalize(s);
		return r;
	}
	return finish(look, s, step);
}

static int look_at_journal(struct look *look)
{
	uint64_t before = look->store->damaged;
	int r = store_journal(look->store, count_entry, look, look->err);

	if (r == 0 && look->store->damaged > before)
		tell(look,
			"journal: entry %llu is damaged: what came after it, a minute or two at "
			"most, is lost",
			(unsigned long long)look->survey->journal_entries + 1);
	return r;
}

static int look_around(struct look *look, bool deep)
{
	struct store_run past;
	int r = store_exec(look->store, "BEGIN", look->err, "read");

	if (r == 0)
		r = store_read_run(look->store, &past, look->err);
	if (r < 0)
		return r;
	look->survey->tier_count = past.tier_count;
	for (unsigned i = 0; i < past.tier_count; i++) {
		look->survey->tiers[i].step_ns = i ? past.steps_ns[i] : 0;
		look->survey->tiers[i].retention_ns = past.retentions_ns[i];
	}
	if (deep)
		r = look_at_pages(look);
	if (r == 0)
		r = look_at_names(look);
	if (r == 0)
		r = look_at_times(look);
	if (r == 0)
		r = look_at_blocks(look);
	return r < 0 ? r : look_at_journal(look);
}

int survey_store(const char *path, bool deep, survey_fn *tell_of, void *context, struct survey *ret,
	struct tally_error *err)
{
	struct tally_error unwanted;
	struct survey survey = {.bytes = store_file_bytes(path)};
	struct look look = {
		.survey = &survey,
		.tell = tell_of,
		.context = context,
		.chunk_number = UINT64_MAX,
		.err = err ? err : &unwanted,
	};
	int r = store_open(path, true, 0, &look.store, look.err);

	if (r < 0)
		return r;
	look.scratch = block_scratch_new();
	r = look.scratch ? look_around(&look, deep)
			 : tally_fail(look.err, -ENOMEM, "cannot read the store %s", path);
	block_scratch_free(look.scratch);
	table_done(&look.table);
	bytes_free(&look.bytes);
	store_close(look.store);
	if (r == 0)
		*ret = survey;
	return r;
}

int survey_prune(const char *path, int64_t before_ns, uint64_t *ret_blocks, struct tally_error *err)
{
	struct store *store;
	int r = store_file_check(path, err);

	if (r == 0)
		return tally_fail(err, -ENOENT, "there is no store %s", path);
	if (r > 0) /* A limit below its size would be one on the deleting, too. */
		r = store_open(path, false, UINT64_C(1) << 42, &store, err);
	if (r < 0)
		return r;
	r = store_exec(store, "BEGIN IMMEDIATE", err, "delete");
	if (r == 0)
		r = store_prune_before(store, before_ns, ret_blocks, err);
	if (r == 0)
		r = store_exec(store, "COMMIT", err, "delete");
	if (r == 0)
		r = store_exec(store, "VACUUM; PRAGMA wal_checkpoint(TRUNCATE)", err,
			"give the space back");
	store_close(store);
	return r;
}
