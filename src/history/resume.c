/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What a restart needs to go on with counters: the roots of each task's processes, as they were told,
 * and the last sample of each, as the store has it.
 *
 * Roots are packed as: a varint, how many; for each a varint length and the name of the process, and
 * varints of its pid and its start; and a checksum of it all, 4 bytes, low one first.
 */
#include <errno.h>
#include "base/fail.h"
#include "history/checksum.h"
#include "history/keeper.h"

struct resume_root {
	char *process;
	pid_t pid;
	int64_t start_ns;
	struct tally_sample last;
};

struct resume {
	UT_hash_handle hh;
	struct tally_sample total;
	size_t count;
	struct resume_root *roots;
	char id[];
};

static void free_one(struct resume *resume)
{
	for (size_t i = 0; i < resume->count; i++)
		free(resume->roots[i].process);
	free(resume->roots);
	free(resume);
}

void resume_free(struct history *history)
{
	struct resume *resume, *next;

	HASH_ITER (hh, history->resumes, resume, next) {
		HASH_DEL(history->resumes, resume);
		free_one(resume);
	}
}

static bool pack(struct bytes *to, const struct history_root *roots, size_t count)
{
	to->length = 0;
	if (count == 0)
		return true;
	if (!bytes_room(to, VARINT_MAX + 4))
		return false;
	put_varint(to, count);
	for (size_t i = 0; i < count; i++) {
		size_t length = strlen(roots[i].process);

		if (!bytes_room(to, 3 * VARINT_MAX + length + 4))
			return false;
		put_varint(to, length);
		put_blob(to, roots[i].process, length);
		put_varint(to, (uint64_t)roots[i].pid);
		put_varint(to, (uint64_t)roots[i].start_ns);
	}
	uint32_t sum = checksum_bytes(CHECKSUM_START, to->at, to->length);
	for (unsigned i = 0; i < 4; i++)
		put_byte(to, (uint8_t)(sum >> (8 * i)));
	return true;
}

int history_resume_put(struct history *history, struct history_task *task,
	const struct history_root *roots, size_t count)
{
	int r = 0;

	if (!history->keeper)
		return 0;
	pthread_mutex_lock(&history->lock);
	if (!pack(&task->roots, roots, count)) {
		task->roots.length = 0;
		r = -ENOMEM;
	}
	task->new_roots = true;
	pthread_mutex_unlock(&history->lock);
	return r;
}

static bool sound(const uint8_t *bytes, size_t length)
{
	uint32_t sum = 0;

	if (length < 5)
		return false;
	for (unsigned i = 0; i < 4; i++)
		sum |= (uint32_t)bytes[length - 4 + i] << (8 * i);
	return sum == checksum_bytes(CHECKSUM_START, bytes, length - 4);
}

static bool unpack(struct reader from, struct resume *ret)
{
	uint64_t count = get_limited(&from, reader_left(&from) / 3);

	ret->roots = calloc(count + 1, sizeof(*ret->roots));
	if (!ret->roots)
		return false;
	for (; ret->count < count && !from.bad; ret->count++) {
		struct resume_root *root = &ret->roots[ret->count];
		struct reader name = get_piece(&from, get_varint(&from));

		root->process = strndup((const char *)name.at, reader_left(&name));
		root->pid = (pid_t)get_varint(&from);
		root->start_ns = (int64_t)get_varint(&from);
		if (!root->process)
			return false;
	}
	return !from.bad;
}

/* What is read for one task. */
struct resuming {
	struct history *history;
	struct store *store;
	struct bytes block;
	struct tick_chunk chunk;
	uint64_t task;
	struct resume *resume;
	struct tally_error *err;
	int error;
	int64_t boot_ns[TABLE_ROWS], wall_ns[TABLE_ROWS];
};

static bool read_times(struct resuming *r, const struct table *table)
{
	uint64_t loaded = UINT64_MAX;

	for (unsigned row = 0; row < table->rows; row++) {
		uint64_t tick = table->first_tick + table->tick[row];

		if (tick / CHUNK_TICKS != loaded &&
			store_read_ticks(r->store, 0, tick / CHUNK_TICKS, &r->chunk, NULL) < 0)
			return false;
		loaded = tick / CHUNK_TICKS;
		if (tick % CHUNK_TICKS >= r->chunk.count)
			return false;
		r->boot_ns[row] = r->chunk.at[tick % CHUNK_TICKS].boot_ns;
		r->wall_ns[row] = r->chunk.at[tick % CHUNK_TICKS].wall_ns;
	}
	return true;
}

/* The last sample of a series; untouched when there is none. */
static void read_last(
	struct resuming *r, const struct table *table, uint32_t code, struct tally_sample *ret)
{
	int64_t series = table_find(table, code);
	struct row_set here;
	int row = series < 0 ? -1 : (int)table->rows - 1;

	while (row >= 0 && !row_set_has(&table->series[series].here, (unsigned)row))
		row--;
	if (row < 0 || table_samples(table, code, r->boot_ns, (unsigned)row, (unsigned)row, ret,
			       &here) < 0)
		return;
	ret->boot_ns = r->boot_ns[row];
	ret->wall_ns = r->wall_ns[row];
}

static bool read_process(void *context, uint64_t task, uint32_t number, const char *name)
{
	struct resuming *r = context;

	if (task != r->task)
		return true;
	for (size_t i = 0; i < r->resume->count; i++)
		if (strcmp(r->resume->roots[i].process, name) == 0)
			read_last(r, &r->history->table, SERIES_OF(number),
				&r->resume->roots[i].last);
	return true;
}

static int read_samples(struct resuming *r)
{
	struct history *history = r->history;
	struct span span;
	int e = store_last_block(r->store, r->task, &span, r->err);

	if (e == 0)
		e = store_read_block(
			r->store, r->task, r->resume->id, 0, span.number, &r->block, r->err);
	if (e == 0)
		e = block_read(history->scratch, r->block.at, r->block.length, &history->table);
	if (e == 0 && !read_times(r, &history->table))
		e = -ENOENT;
	if (e < 0)
		return e;
	read_last(r, &history->table, SERIES_TOTAL, &r->resume->total);
	return store_names(r->store, r->resume->id, read_process, r, r->err);
}

/* Later rows of a name take the place of earlier ones. */
static void add(struct resuming *r)
{
	struct resume *old;

	HASH_FIND_STR(r->history->resumes, r->resume->id, old);
	if (old) {
		HASH_DEL(r->history->resumes, old);
		free_one(old);
	}
	HASH_ADD_STR(r->history->resumes, id, r->resume);
	if (!r->resume->hh.tbl)
		free_one(r->resume);
}

static bool read_task(
	void *context, uint64_t task, const char *name, const void *roots, size_t length)
{
	struct resuming *r = context;

	if (length == 0 || !sound(roots, length))
		return true;
	r->task = task;
	r->resume = calloc(1, sizeof(*r->resume) + strlen(name) + 1);
	if (!r->resume)
		return true;
	strcpy(r->resume->id, name);
	if (!unpack(reader_of(roots, length - 4), r->resume) || read_samples(r) < 0)
		free_one(r->resume);
	else
		add(r);
	return true;
}

int resume_read(
	struct history *history, struct store *store, bool same_boot, struct tally_error *err)
{
	struct resuming r = {.history = history, .store = store};
	int e = 0;

	if (same_boot)
		e = store_tasks(store, read_task, &r, err);
	if (e == 0)
		e = store_exec(store, "UPDATE tasks SET roots = NULL WHERE roots IS NOT NULL", err,
			"write");
	bytes_free(&r.block);
	return e;
}

int history_resume_get(
	struct history *history, const char *id, history_resume_fn *visit, void *context)
{
	struct resume *resume;

	pthread_mutex_lock(&history->lock);
	HASH_FIND_STR(history->resumes, id, resume);
	if (resume)
		HASH_DEL(history->resumes, resume);
	pthread_mutex_unlock(&history->lock);
	if (!resume)
		return -ENOENT;
	visit(context, NULL, &resume->total);
	for (size_t i = 0; i < resume->count; i++) {
		const struct resume_root *from = &resume->roots[i];
		struct history_root root = {from->process, from->pid, from->start_ns};

		visit(context, &root, &from->last);
	}
	free_one(resume);
	return 0;
}
