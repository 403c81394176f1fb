/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/remote/gather.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/fail.h"
#include "base/hash.h"
#include "serve/metrics.h"
#include "serve/snapshot.h"

/* A request has so many samples at most, and about so many bytes before they are compressed. */
#define BATCH_SAMPLES 2000
#define BATCH_BYTES   ((size_t)512 << 10)

/* A row that was there: which series it had. */
struct gathered_row {
	uint64_t generation;
	uint64_t present;
	struct tally_process_info info; /* For which of its families there were, no more. */
	bool task, has_info;
	UT_hash_handle hh;
	size_t length;
	char labels[];
};

/* One instant under way. */
struct gathering {
	struct gatherer *gatherer;
	const struct exposure *exposure;
	struct queue *queue;
	int64_t wall_ms;
	bool stale; /* Series that are gone: each value is the mark. */
	int code;
	struct tally_error *err;
};

/* ---- writing ---- */

static void finish_batch(struct gathering *g)
{
	CLEANUP_BUFFER struct buffer body = {0};
	struct encoder *encoder = &g->gatherer->encoder;
	size_t samples = encoder->samples;

	if (!samples || g->code)
		return;
	g->code = encoder_finish(encoder, &body, g->err);
	if (g->code == 0)
		g->code = queue_put(g->queue, g->wall_ms, samples, body.at, body.used, g->err);
}

/* Text of one label of a row, which is escaped as in /metrics: what is read up to its quote. */
static const char *unescape(const char *at, const char *end, char *out, size_t size)
{
	size_t used = 0;

	for (; at < end && *at != '"'; at++) {
		char c = *at;

		if (c == '\\' && at + 1 < end) {
			at++;
			c = *at == 'n' ? '\n' : *at;
		}
		if (used + 1 < size)
			out[used++] = c;
	}
	out[used] = '\0';
	return at;
}

/* task="…" or task="…",process="…" */
static size_t split_labels(
	const char *text, size_t length, struct remote_label *ret, char *room, size_t size)
{
	static const char *const names[] = {"task", "process"};
	const char *end = text + length;
	size_t count = 0;

	for (; count < ARRAY_SIZE(names); count++) {
		const char *quote = memchr(text, '"', (size_t)(end - text));

		if (!quote)
			break;
		text = unescape(quote + 1, end, room, size);
		ret[count] = (struct remote_label){names[count], room};
		size_t used = strlen(room) + 1;
		room += used;
		size -= used;
		if (text == end)
			return count + 1;
		text++;
	}
	return count;
}

static void add_value(void *context, const struct metrics_value *value)
{
	struct gathering *g = context;
	const struct gatherer *gatherer = g->gatherer;
	struct remote_label labels[REMOTE_LABELS_MAX + 4];
	CLEANUP_FREE char *large = NULL;
	char name[128], small[512];
	size_t count = 0;

	if (g->code)
		return;
	snprintf(name, sizeof(name), "%s%s%s", value->prefix, value->family, value->suffix);
	labels[count++] = (struct remote_label){"__name__", name};
	if (value->label)
		labels[count++] = (struct remote_label){value->label, value->label_value};
	if (value->row) {
		size_t size = value->row->label_length + 2;
		char *room = size <= sizeof(small) ? small : (large = malloc(size));

		if (!room) {
			g->code = tally_fail(g->err, -ENOMEM, "cannot gather samples");
			return;
		}
		count += split_labels(g->exposure->labels.at + value->row->labels,
			value->row->label_length, labels + count, room, size);
	}
	for (size_t i = 0; i < gatherer->extra_count && count < REMOTE_LABELS_MAX; i++)
		labels[count++] = gatherer->extra[i];
	encoder_add(&g->gatherer->encoder, labels, count, g->stale ? remote_stale() : value->value,
		g->wall_ms);
	if (gatherer->encoder.samples >= BATCH_SAMPLES ||
		encoder_bytes(&gatherer->encoder) >= BATCH_BYTES)
		finish_batch(g);
}

/* ---- what is gone ---- */

static struct gathered_row *remember(struct gathering *g, const char *labels, size_t length)
{
	struct gatherer *gatherer = g->gatherer;
	struct gathered_row *row;

	HASH_FIND(hh, gatherer->rows, labels, length, row);
	if (row)
		return row;
	row = calloc(1, sizeof(*row) + length);
	if (row) {
		row->length = length;
		memcpy(row->labels, labels, length);
		HASH_ADD_KEYPTR(hh, gatherer->rows, row->labels, length, row);
	}
	if (!row || !row->hh.tbl) {
		free(row);
		g->code = tally_fail(g->err, -ENOMEM, "cannot gather samples");
		return NULL;
	}
	return row;
}

/* The mark, for the metrics of a row and, where it is gone as a whole, for what else it had. */
static void mark_stale(
	struct gathering *g, const struct gathered_row *row, uint64_t metrics, bool all)
{
	struct tally_sample sample = {.present = metrics};
	struct exposed exposed = {
		.label_length = row->length,
		.sample = &sample,
		.info = all && row->has_info ? &row->info : NULL,
		.task = row->task,
	};
	struct exposure gone = {
		.rows = &exposed,
		.row_count = 1,
		.labels = {.at = (char *)row->labels, .used = row->length},
	};
	struct gathering marking = *g;

	marking.exposure = &gone;
	marking.stale = true;
	metrics_visit(&gone, NULL, add_value, &marking);
	g->code = marking.code;
}

static void compare_row(struct gathering *g, const struct exposed *exposed)
{
	const char *labels = g->exposure->labels.at + exposed->labels;
	struct gathered_row *row = remember(g, labels, exposed->label_length);

	if (!row)
		return;
	uint64_t gone = row->present & ~exposed->sample->present;
	row->generation = g->gatherer->generation;
	row->present = exposed->sample->present;
	row->task = exposed->task;
	row->has_info = exposed->info != NULL;
	if (exposed->info)
		row->info.started_wall_ns = exposed->info->started_wall_ns;
	if (gone)
		mark_stale(g, row, gone, false);
}

static void mark_what_is_gone(struct gathering *g)
{
	struct gatherer *gatherer = g->gatherer;
	struct gathered_row *row, *next;

	gatherer->generation++;
	for (size_t i = 0; i < g->exposure->row_count && !g->code; i++)
		compare_row(g, &g->exposure->rows[i]);
	HASH_ITER (hh, gatherer->rows, row, next) {
		if (g->code)
			return;
		if (row->generation == gatherer->generation)
			continue;
		mark_stale(g, row, row->present, true);
		HASH_DEL(gatherer->rows, row);
		free(row);
	}
}

/* ---- the instant ---- */

static int take(struct gatherer *gatherer, struct tally_monitor *monitor, struct snapshot *snapshot,
	struct tally_error *err)
{
	snapshot_expect(snapshot, gatherer->task_count, gatherer->process_count);
	int r = snapshot_take(monitor, NULL, snapshot, err);
	if (r == 0) {
		gatherer->task_count = snapshot->task_count;
		gatherer->process_count = snapshot->process_count;
	}
	return r;
}

static void write_all(struct gathering *g, struct self_status *self)
{
	const struct exposure *exposure = g->exposure;

	process_status_read(&self->process);
	self->http.series = exposure->series;
	self->http.series_limit = exposure->limit;
	self->http.folded = exposure->folded;
	self->http.folded_total = exposure->folded_total;
	metrics_visit(exposure, self, add_value, g);
	mark_what_is_gone(g);
	finish_batch(g);
}

int gather(struct gatherer *gatherer, struct tally_monitor *monitor, struct self_status *self,
	int64_t wall_ms, struct queue *queue, struct tally_error *err)
{
	CLEANUP_SNAPSHOT struct snapshot snapshot = {0};
	struct gathering g = {.gatherer = gatherer,
		.exposure = &gatherer->exposure,
		.queue = queue,
		.wall_ms = wall_ms,
		.err = err};
	int r = take(gatherer, monitor, &snapshot, err);

	if (r < 0)
		return r;
	if (exposure_update(&gatherer->exposure, &snapshot, self->monitor.ticks) < 0)
		return tally_fail(err, -ENOMEM, "cannot lay out the series");
	r = queue_begin(queue, err);
	if (r < 0)
		return r;
	write_all(&g, self);
	r = g.code ? g.code : queue_commit(queue, err);
	if (r < 0) {
		queue_roll_back(queue);
		encoder_done(&gatherer->encoder);
	}
	return r;
}

void gatherer_done(struct gatherer *gatherer)
{
	struct gathered_row *row, *next;

	HASH_ITER (hh, gatherer->rows, row, next) {
		HASH_DEL(gatherer->rows, row);
		free(row);
	}
	exposure_done(&gatherer->exposure);
	encoder_done(&gatherer->encoder);
}
