/* SPDX-License-Identifier: Apache-2.0 */
/* The makers of answers. */
#include "serve/call.h"

#include <errno.h>
#include <string.h>
#include "base/clock.h"
#include "base/fail.h"
#include "monitor/monitor.h"
#include "serve/asset.h"
#include "serve/query.h"
#include "serve/remote/remote.h"
#include "serve/series.h"
#include "serve/snapshot.h"
#include "serve/tasks.h"

/* How long the answer to how far the history reaches back is good for. */
#define REACH_NS (10 * NS_PER_S)

static int status_of(int code)
{
	switch (code) {
	case -ENOENT:
	case -ENODATA:
		return MHD_HTTP_NOT_FOUND;
	case -EINVAL:
		return MHD_HTTP_BAD_REQUEST;
	default:
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	}
}

int call_asset(struct call *call, struct tally_error *err)
{
	const struct asset *asset = asset_find(call->request->path);

	if (!asset)
		return MHD_HTTP_NOT_FOUND;
	call->headers.type = asset->type;
	call->headers.etag = asset->etag;
	call->headers.cache = "no-cache";
	buffer_put(&call->body, (const char *)asset->bytes, asset->length);
	return MHD_HTTP_OK;
}

/* Figures grow by a digit here and there. */
static size_t with_slack(size_t length)
{
	return length + length / 64;
}

static void read_status(const struct call *call, struct tally_status *ret)
{
	tally_monitor_status(call->server->options.monitor, ret);
}

/* Copy all tasks, or one. */
static int take(
	struct call *call, const char *task, struct snapshot *snapshot, struct tally_error *err)
{
	struct answers *answers = &call->server->answers;

	if (!task)
		snapshot_expect(snapshot, answers->task_count, answers->process_count);
	int r = snapshot_take(call->server->options.monitor, task, snapshot, err);
	if (r == 0 && !task) {
		answers->task_count = snapshot->task_count;
		answers->process_count = snapshot->process_count;
	}
	return r;
}

/* ---- tasks ---- */

static int write_tasks(struct call *call, const char *task, const struct query *query,
	const struct pid_list *pids, struct tally_error *err)
{
	struct tally_monitor *monitor = call->server->options.monitor;
	CLEANUP_SNAPSHOT struct snapshot snapshot = {0};
	struct tally_status status;
	int r = take(call, task, &snapshot, err);

	if (r == -ENOENT && query->has_at)
		r = 0; /* The history may know it. */
	if (r == 0 && query->has_at)
		r = snapshot_turn_back(&snapshot, monitor, task, query->at_ns, err);
	if (r < 0)
		return status_of(r);
	read_status(call, &status);
	if (task && snapshot.task_count == 0) {
		tally_refuse(err, -ENODATA, "task %s has no sample in the history", task);
		return MHD_HTTP_NOT_FOUND;
	}
	if (call->sees != SEES_ALL)
		snapshot_mask(&snapshot);
	if (!task && !query->metrics)
		buffer_expect(&call->body, call->server->answers.tasks_length);
	tasks_write(&call->body, &snapshot, query->has_at ? query->at_ns : status.last_tick_wall_ns,
		&(struct tasks_wanted){query->metrics, pids});
	return MHD_HTTP_OK;
}

/* Where the answer to a question about the present is kept. */
static struct cached *kept_tasks(struct call *call, uint64_t metrics)
{
	struct answers *answers = &call->server->answers;

	if (!metrics)
		return &answers->tasks[call->sees];
	if (answers->some_metrics[call->sees] != metrics)
		cached_drop(&answers->some[call->sees]);
	answers->some_metrics[call->sees] = metrics;
	return &answers->some[call->sees];
}

int call_tasks(struct call *call, struct tally_error *err)
{
	struct cached *cached;
	struct tally_status status;
	struct query query;
	int refused = query_parse(call->request, call->now_ns, &query, err);

	if (refused)
		return refused;
	if (query.has_at)
		return write_tasks(call, NULL, &query, NULL, err);

	call->headers.cache = "private, no-cache";
	call->cached = cached = kept_tasks(call, query.metrics);
	read_status(call, &status);
	if (cached_holds(cached, status.ticks, clock_boot_ns()))
		return MHD_HTTP_OK;
	int made = write_tasks(call, NULL, &query, NULL, err);
	if (made == MHD_HTTP_OK)
		made = cached_fill(call, cached, status.ticks, err);
	if (made != MHD_HTTP_OK)
		call->cached = NULL;
	return made;
}

int call_task(struct call *call, struct tally_error *err)
{
	struct tally_monitor *monitor = call->server->options.monitor;
	const char *task = call->request->args[0];
	struct pid_list pids = {.json = {.limit = call->body.limit}};
	struct query query;
	int status = query_parse(call->request, call->now_ns, &query, err);

	if (status)
		return status;
	int r = query.pids ? tally_monitor_pids(monitor, task, pid_list_add, &pids, err) : 0;
	status = r < 0 ? status_of(r)
		       : write_tasks(call, task, &query, query.pids ? &pids : NULL, err);
	buffer_done(&pids.json);
	return status;
}

/* ---- history ---- */

static int write_series(struct call *call, const struct series *series, struct tally_error *err)
{
	if (series->code == -EFBIG) {
		tally_refuse(err, -EFBIG,
			"that would be more than %d values; give a step, name metrics, or narrow the range",
			SERIES_CELLS_MAX);
		return MHD_HTTP_BAD_REQUEST;
	}
	if (series->code < 0) {
		tally_fail(err, series->code, "cannot collect the samples");
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	}
	series_write(series, call->request->args[0], &call->body);
	return MHD_HTTP_OK;
}

static bool skip(void *context, const struct tally_sample *sample)
{
	return false;
}

/* What is followed but not sampled yet has an empty history; of what is unknown the monitor tells
 * more than the history could. */
static int find_reason(struct call *call, const struct query *query, struct tally_error *err)
{
	return tally_monitor_range(call->server->options.monitor, call->request->args[0],
		query->process, INT64_MAX, INT64_MAX, skip, NULL, err);
}

static void choose_step(struct call *call, struct query *query)
{
	struct history_extent extent;

	if (query->auto_step && monitor_past_extent(call->server->options.monitor,
					call->request->args[0], query->process, &extent, NULL) == 0)
		query->step_ns = series_step(&extent, query->since_ns, query->until_ns);
}

int call_history(struct call *call, struct tally_error *err)
{
	struct series series;
	struct query query;
	int status = query_parse(call->request, call->now_ns, &query, err);

	if (status)
		return status;
	choose_step(call, &query);
	series_begin(&series, &query, call->sees == SEES_ALL ? 0 : snapshot_guarded());
	int r = monitor_past_points(call->server->options.monitor, call->request->args[0],
		query.process, series_since(&query), query.until_ns, series_add, &series, err);
	if (r == -ENOENT)
		r = find_reason(call, &query, err);
	status = r < 0 ? status_of(r) : write_series(call, &series, err);
	series_done(&series);
	return status;
}

/* ---- the observer itself ---- */

/* It takes an index of the whole store to know, and changes slowly. */
static int64_t history_first(struct call *call)
{
	struct answers *answers = &call->server->answers;
	int64_t now_ns = clock_boot_ns(), first_ns;

	if (answers->first_ns > 0 && now_ns - answers->first_asked_ns < REACH_NS)
		return answers->first_ns;
	if (monitor_reach(call->server->options.monitor, &first_ns) < 0 || first_ns == 0)
		first_ns = -1;
	answers->first_ns = first_ns;
	answers->first_asked_ns = now_ns;
	return first_ns;
}

static void read_self(struct call *call, struct self_status *ret)
{
	struct server *server = call->server;

	read_status(call, &ret->monitor);
	process_status_read(&ret->process);
	ret->now_wall_ns = call->now_ns;
	ret->http = server->status;
	ret->http.connections = server->connection_count;
	ret->http.connection_limit = server->options.connection_limit;
	ret->http.pending_limit = server->options.pending_limit;
	ret->http.series = server->answers.exposure.series;
	ret->http.series_limit = server->options.series_limit;
	ret->http.folded = server->answers.exposure.folded;
	ret->http.folded_total = server->answers.exposure.folded_total;
	remote_status(server->options.remote, &ret->remote);
}

int call_status(struct call *call, struct tally_error *err)
{
	struct self_status self;

	read_self(call, &self);
	self.history_first_ns = history_first(call);
	self_write_json(&call->body, &self);
	return MHD_HTTP_OK;
}

int call_health(struct call *call, struct tally_error *err)
{
	struct tally_status status;

	read_status(call, &status);
	if (status.stale) {
		tally_refuse(err, -ETIME, "no tick for three intervals: the figures are old");
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	}
	buffer_puts(&call->body, "{\"status\":200}\n");
	return MHD_HTTP_OK;
}

static int write_metrics(
	struct call *call, enum metrics_format format, uint64_t tick, struct tally_error *err)
{
	struct exposure *exposure = &call->server->answers.exposure;
	CLEANUP_SNAPSHOT struct snapshot snapshot = {0};
	struct self_status self;
	int r = take(call, NULL, &snapshot, err);

	if (r < 0)
		return status_of(r);
	r = exposure_update(exposure, &snapshot, tick);
	if (r < 0) {
		tally_fail(err, r, "cannot lay out the series");
		return status_of(r);
	}
	read_self(call, &self);
	buffer_expect(&call->body, call->server->answers.metrics_length);
	metrics_write(&call->body, format, exposure, &self,
		call->sees == SEES_ALL ? 0 : snapshot_guarded());
	call->server->answers.metrics_length = with_slack(call->body.used);
	return MHD_HTTP_OK;
}

int call_metrics(struct call *call, struct tally_error *err)
{
	bool open = accept_openmetrics(call_header(call, "Accept"));
	enum metrics_format format = open ? METRICS_OPENMETRICS : METRICS_PROMETHEUS;
	struct cached *cached = &call->server->answers.metrics[call->sees][format];
	struct tally_status status;

	call->headers.type = metrics_content_type(format);
	call->headers.cache = "private, no-cache";
	call->headers.vary = "Accept, Accept-Encoding";
	call->cached = cached;
	read_status(call, &status);
	if (cached_holds(cached, status.ticks, clock_boot_ns()))
		return MHD_HTTP_OK;

	uint64_t tick = status.ticks ? status.ticks : 1;
	int made = write_metrics(call, format, tick, err);
	if (made == MHD_HTTP_OK)
		made = cached_fill(call, cached, tick, err);
	if (made != MHD_HTTP_OK)
		call->cached = NULL;
	return made;
}
