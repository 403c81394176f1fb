/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/metrics.h"

#include <stdio.h>
#include <string.h>

/* A text under way. */
struct exposition {
	struct buffer *out;
	enum metrics_format format;
	const struct exposure *exposure;
	const struct self_status *self;
	uint64_t hidden;
};

/* What a family is: the words of both formats. */
enum type { TYPE_COUNTER, TYPE_GAUGE, TYPE_INFO };

static const char *const unit_names[] = {
	[TALLY_UNIT_COUNT] = NULL,
	[TALLY_UNIT_BYTES] = "bytes",
	[TALLY_UNIT_NS] = "seconds",
	[TALLY_UNIT_STATE] = NULL,
};

const char *metrics_content_type(enum metrics_format format)
{
	return format == METRICS_OPENMETRICS
		       ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
		       : "text/plain; version=0.0.4; charset=utf-8";
}

/*
 * The suffix that a family's samples have. OpenMetrics names the family without it; Prometheus'
 * format knows no families, and its HELP and TYPE bear the name of the samples.
 */
static const char *suffix_of(enum type type)
{
	static const char *const suffixes[] = {
		[TYPE_COUNTER] = "_total", [TYPE_GAUGE] = "", [TYPE_INFO] = "_info"};

	return suffixes[type];
}

static const char *type_word(const struct exposition *e, enum type type)
{
	static const char *const words[] = {
		[TYPE_COUNTER] = "counter", [TYPE_GAUGE] = "gauge", [TYPE_INFO] = "info"};

	return type == TYPE_INFO && e->format == METRICS_PROMETHEUS ? "gauge" : words[type];
}

static void put_head(struct exposition *e, const char *word, const char *prefix, const char *family,
	enum type type)
{
	buffer_puts(e->out, word);
	buffer_puts(e->out, prefix);
	buffer_puts(e->out, family);
	if (e->format == METRICS_PROMETHEUS)
		buffer_puts(e->out, suffix_of(type));
	buffer_putc(e->out, ' ');
}

/* TYPE and, where the format has it and there is one, UNIT. HELP follows, by the caller. */
static void put_family(struct exposition *e, const char *prefix, const char *family, enum type type,
	enum tally_unit unit)
{
	put_head(e, "# TYPE ", prefix, family, type);
	buffer_puts(e->out, type_word(e, type));
	buffer_putc(e->out, '\n');
	if (e->format == METRICS_OPENMETRICS && unit_names[unit]) {
		put_head(e, "# UNIT ", prefix, family, type);
		buffer_puts(e->out, unit_names[unit]);
		buffer_putc(e->out, '\n');
	}
	put_head(e, "# HELP ", prefix, family, type);
}

static void put_value(struct buffer *out, enum tally_unit unit, int64_t value)
{
	if (unit == TALLY_UNIT_NS)
		buffer_put_seconds(out, value);
	else
		buffer_put_i64(out, value);
	buffer_putc(out, '\n');
}

/* ---- the families of the table ---- */

static bool same_family(int a, int b)
{
	return strcmp(tally_metrics[a].family, tally_metrics[b].family) == 0;
}

static bool exported(int metric)
{
	return tally_metrics[metric].unit != TALLY_UNIT_STATE;
}

/* Whether a metric is the first of its family: it is then written with all of them. */
static bool leads(int metric)
{
	for (int i = 0; i < metric; i++)
		if (same_family(i, metric))
			return false;
	return exported(metric);
}

/* Help of a family: that of its metric, or of each of them. */
static void put_family_help(struct exposition *e, int leader)
{
	const char *separator = "";

	for (int i = leader; i < TALLY_METRIC_COUNT; i++) {
		if (!same_family(i, leader))
			continue;
		buffer_puts(e->out, separator);
		if (tally_metrics[i].label) {
			buffer_puts(e->out, tally_metrics[i].label_value);
			buffer_puts(e->out, ": ");
		}
		buffer_puts(e->out, tally_metrics[i].help);
		separator = ". ";
	}
	buffer_putc(e->out, '\n');
}

/* What the samples of one metric begin and go on with. */
struct line {
	char head[96], tail[64];
	size_t head_length, tail_length;
};

static void make_line(struct line *line, const char *prefix, const char *family, enum type type,
	const char *label, const char *label_value)
{
	int head = snprintf(
		line->head, sizeof(line->head), "%s%s%s{", prefix, family, suffix_of(type));
	int tail =
		label ? snprintf(line->tail, sizeof(line->tail), ",%s=\"%s\"} ", label, label_value)
		      : snprintf(line->tail, sizeof(line->tail), "} ");

	line->head_length = (size_t)head;
	line->tail_length = (size_t)tail;
}

static void put_line(struct exposition *e, const struct line *line, const struct exposed *row)
{
	const struct exposure *exposure = e->exposure;
	size_t length = line->head_length + row->label_length + line->tail_length;
	char *at = buffer_more(e->out, length);

	if (!at)
		return;
	memcpy(at, line->head, line->head_length);
	at += line->head_length;
	memcpy(at, exposure->labels.at + row->labels, row->label_length);
	memcpy(at + row->label_length, line->tail, line->tail_length);
}

static enum type type_of(int metric)
{
	return tally_metrics[metric].kind == TALLY_KIND_COUNTER ? TYPE_COUNTER : TYPE_GAUGE;
}

static void put_metric(struct exposition *e, int metric)
{
	const struct tally_metric_info *info = &tally_metrics[metric];
	bool of_task = info->aggregate == TALLY_AGGREGATE_TASK;
	struct line line;

	make_line(&line, "tally_", info->family, type_of(metric), info->label, info->label_value);
	for (size_t i = 0; i < e->exposure->row_count; i++) {
		const struct exposed *row = &e->exposure->rows[i];

		if (row->task != of_task || !tally_sample_has(row->sample, metric))
			continue;
		put_line(e, &line, row);
		put_value(e->out, info->unit, row->sample->value[metric]);
	}
}

static void put_table(struct exposition *e)
{
	for (int i = 0; i < TALLY_METRIC_COUNT; i++) {
		if (!leads(i))
			continue;
		put_family(e, "tally_", tally_metrics[i].family, type_of(i), tally_metrics[i].unit);
		put_family_help(e, i);
		for (int j = i; j < TALLY_METRIC_COUNT; j++)
			if (same_family(i, j) && !(e->hidden & TALLY_BIT(j)))
				put_metric(e, j);
	}
}

/* ---- what is known of a process besides ---- */

static int64_t get_active(const struct tally_process_info *info)
{
	return info->life == TALLY_LIFE_ACTIVE;
}

static int64_t get_runs(const struct tally_process_info *info)
{
	return info->runs;
}

static int64_t get_start(const struct tally_process_info *info)
{
	return info->started_wall_ns ? info->started_wall_ns : -1;
}

static const struct process_family {
	const char *family;
	enum type type;
	enum tally_unit unit;
	const char *help;
	int64_t (*get)(const struct tally_process_info *info); /* -1: absent. */
} process_families[] = {
	{"process_active", TYPE_GAUGE, TALLY_UNIT_COUNT,
		"Whether the process runs (1) or not (0), as its source says", get_active},
	{"process_runs", TYPE_COUNTER, TALLY_UNIT_COUNT, "Times the process was begun", get_runs},
	{"process_start_time_seconds", TYPE_GAUGE, TALLY_UNIT_NS,
		"When the last run of the process was begun, since the epoch", get_start},
};

static void put_process_family(struct exposition *e, const struct process_family *family)
{
	struct line line;

	put_family(e, "tally_", family->family, family->type, family->unit);
	buffer_puts(e->out, family->help);
	buffer_putc(e->out, '\n');
	make_line(&line, "tally_", family->family, family->type, NULL, NULL);
	for (size_t i = 0; i < e->exposure->row_count; i++) {
		const struct exposed *row = &e->exposure->rows[i];
		int64_t value = row->info ? family->get(row->info) : -1;

		if (value < 0)
			continue;
		put_line(e, &line, row);
		put_value(e->out, family->unit, value);
	}
}

/* ---- Tally itself ---- */

enum stored { STORED_U64, STORED_SIZE, STORED_I64, STORED_BOOL };

static const struct self_family {
	const char *family;
	enum type type;
	enum tally_unit unit;
	enum stored stored;
	size_t offset;
	const char *help;
} self_families[] = {
#define ROW(family, type, unit, stored, field, help)                                               \
	{                                                                                          \
		family, TYPE_##type, TALLY_UNIT_##unit, STORED_##stored,                           \
			offsetof(struct self_status, field), help                                  \
	}
	ROW("tally_self_ticks", COUNTER, COUNT, U64, monitor.ticks, "Looks at all tasks taken"),
	ROW("tally_self_ticks_skipped", COUNTER, COUNT, U64, monitor.ticks_skipped,
		"Ticks left out because the one before took too long"),
	ROW("tally_self_stale", GAUGE, COUNT, BOOL, monitor.stale,
		"Whether ticks have stopped coming (1): the figures are old"),
	ROW("tally_self_last_tick_timestamp_seconds", GAUGE, NS, I64, monitor.last_tick_wall_ns,
		"When the last tick was taken, since the epoch"),
	ROW("tally_self_tick_cpu_seconds", GAUGE, NS, I64, monitor.tick_cpu_ns,
		"CPU time of the last tick"),
	ROW("tally_self_interval_seconds", GAUGE, NS, I64, monitor.interval_ns,
		"Time between two ticks"),
	ROW("tally_self_tasks", GAUGE, COUNT, SIZE, monitor.tasks, "Tasks followed"),
	ROW("tally_self_processes", GAUGE, COUNT, SIZE, monitor.processes,
		"Named processes followed"),
	ROW("tally_self_pids", GAUGE, COUNT, SIZE, monitor.pids,
		"Operating-system processes followed"),
	ROW("tally_self_disk_sandboxes", GAUGE, COUNT, SIZE, monitor.disk_sandboxes,
		"Sandboxes whose disk usage is looked at"),
	ROW("tally_self_disk_stuck", GAUGE, COUNT, SIZE, monitor.disk_stuck,
		"Disk workers left behind in a file system that does not answer"),
	ROW("tally_self_disk_looks", COUNTER, COUNT, U64, monitor.disk_looks, "Disk figures taken"),
	ROW("tally_self_disk_cpu_seconds", COUNTER, NS, I64, monitor.disk_cpu_ns,
		"CPU time that disk figures took"),
	ROW("tally_self_history_bytes", GAUGE, BYTES, SIZE, monitor.history_bytes,
		"Memory that the history takes"),
	ROW("tally_self_history_limit_bytes", GAUGE, BYTES, SIZE, monitor.history_limit_bytes,
		"Memory that the history may take"),
	ROW("tally_self_history_dropped", COUNTER, COUNT, U64, monitor.history_dropped,
		"Samples that made room for others before their time"),
	ROW("tally_self_history_refused", COUNTER, COUNT, U64, monitor.history_refused,
		"Samples that could not be kept"),
	ROW("tally_self_collector_limited", COUNTER, COUNT, U64, monitor.collector_limited,
		"Times that a limit of the collector was reached"),
	ROW("tally_self_faults", COUNTER, COUNT, U64, monitor.faults,
		"Errors of sources and collectors"),
	ROW("tally_self_series", GAUGE, COUNT, SIZE, http.series, "Series of tasks in this text"),
	ROW("tally_self_series_limit", GAUGE, COUNT, SIZE, http.series_limit,
		"Series of tasks that this text may have"),
	ROW("tally_self_folded_processes", GAUGE, COUNT, SIZE, http.folded,
		"Processes summed as _other because the limit leaves them no room"),
	ROW("tally_self_folded", COUNTER, COUNT, U64, http.folded_total,
		"Processes that ever came to be summed as _other"),
	ROW("tally_self_http_requests", COUNTER, COUNT, U64, http.requests, "Requests answered"),
	ROW("tally_self_http_errors", COUNTER, COUNT, U64, http.errors,
		"Requests answered with an error"),
	ROW("tally_self_http_denied", COUNTER, COUNT, U64, http.denied,
		"Requests without the token, or for a foreign host"),
	ROW("tally_self_http_connections", GAUGE, COUNT, SIZE, http.connections,
		"Connections open"),
	ROW("tally_self_http_refused", COUNTER, COUNT, U64, http.refused,
		"Connections turned away because there were too many"),
	ROW("tally_self_http_evicted", COUNTER, COUNT, U64, http.evicted,
		"Idle connections closed to make room for new ones"),
	ROW("tally_self_http_timed_out", COUNTER, COUNT, U64, http.timed_out,
		"Connections closed for being slow"),
	ROW("tally_self_http_overloaded", COUNTER, COUNT, U64, http.overloaded,
		"Answers refused because too many bytes wait for slow readers"),
	ROW("tally_self_remote_write_sent", COUNTER, COUNT, I64, remote.sent,
		"Samples that the receiver of remote write took"),
	ROW("tally_self_remote_write_requests", COUNTER, COUNT, I64, remote.requests,
		"Requests of remote write, those that failed included"),
	ROW("tally_self_remote_write_retries", COUNTER, COUNT, I64, remote.retries,
		"Requests of remote write that have to be sent again"),
	ROW("tally_self_remote_write_refused", COUNTER, COUNT, I64, remote.refused,
		"Samples dropped because the receiver refused them for good"),
	ROW("tally_self_remote_write_overflowed", COUNTER, COUNT, I64, remote.overflowed,
		"Samples dropped because the queue was full or could not be written"),
	ROW("tally_self_remote_write_skipped", COUNTER, COUNT, I64, remote.skipped,
		"Instants not sent because the clock was set back before the last one sent"),
	ROW("tally_self_remote_write_failing", GAUGE, COUNT, I64, remote.failing,
		"Whether the last request of remote write failed (1)"),
	ROW("tally_self_remote_write_queue_samples", GAUGE, COUNT, I64, remote.queue_samples,
		"Samples that wait to be sent"),
	ROW("tally_self_remote_write_queue_bytes", GAUGE, BYTES, I64, remote.queue_bytes,
		"Bytes that wait to be sent"),
	ROW("tally_self_remote_write_queue_limit_bytes", GAUGE, BYTES, I64,
		remote.queue_limit_bytes, "Bytes that may wait to be sent"),
	ROW("tally_self_remote_write_lag_seconds", GAUGE, NS, I64, remote.lag_ns,
		"Age of the oldest samples that wait to be sent"),
	ROW("tally_machine_cpu_seconds", COUNTER, NS, I64, monitor.machine_cpu_ns,
		"CPU time of the whole machine since the observer was started"),
	ROW("tally_other_cpu_seconds", COUNTER, NS, I64, monitor.other_cpu_ns,
		"The part of it that is in no task"),
	ROW("process_cpu_seconds", COUNTER, NS, I64, process.cpu_ns,
		"CPU time of the observer, user and system"),
	ROW("process_resident_memory_bytes", GAUGE, BYTES, I64, process.resident_bytes,
		"Resident memory of the observer"),
	ROW("process_virtual_memory_bytes", GAUGE, BYTES, I64, process.virtual_bytes,
		"Address space of the observer"),
	ROW("process_open_fds", GAUGE, COUNT, I64, process.open_fds,
		"Open file descriptors of the observer"),
	ROW("process_max_fds", GAUGE, COUNT, I64, process.max_fds,
		"File descriptors that the observer may open"),
	ROW("process_threads", GAUGE, COUNT, I64, process.threads, "Threads of the observer"),
	ROW("process_start_time_seconds", GAUGE, NS, I64, process.start_wall_ns,
		"When the observer was started, since the epoch"),
#undef ROW
};

static int64_t read_stored(const struct self_family *family, const struct self_status *self)
{
	const char *at = (const char *)self + family->offset;

	switch (family->stored) {
	case STORED_U64:
		return (int64_t) * (const uint64_t *)at;
	case STORED_SIZE:
		return (int64_t) * (const size_t *)at;
	case STORED_BOOL:
		return *(const bool *)at;
	default:
		return *(const int64_t *)at;
	}
}

static void put_self(struct exposition *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(self_families); i++) {
		const struct self_family *family = &self_families[i];
		int64_t value = read_stored(family, e->self);

		if (value < 0)
			continue;
		put_family(e, "", family->family, family->type, family->unit);
		buffer_puts(e->out, family->help);
		buffer_putc(e->out, '\n');
		buffer_puts(e->out, family->family);
		buffer_puts(e->out, suffix_of(family->type));
		buffer_putc(e->out, ' ');
		put_value(e->out, family->unit, value);
	}
}

static void put_build(struct exposition *e)
{
	put_family(e, "tally_", "self", TYPE_INFO, TALLY_UNIT_COUNT);
	buffer_puts(e->out, "Version of the observer and the collector it uses\n");
	buffer_printf(e->out, "tally_self_info{version=\"%s\",collector=\"%s\"} 1\n",
		e->self->monitor.version, e->self->monitor.collector);
}

void metrics_write(struct buffer *out, enum metrics_format format, const struct exposure *exposure,
	const struct self_status *self, uint64_t hidden)
{
	struct exposition e = {out, format, exposure, self, hidden};

	put_table(&e);
	for (size_t i = 0; i < ARRAY_SIZE(process_families); i++)
		put_process_family(&e, &process_families[i]);
	put_build(&e);
	put_self(&e);
	if (format == METRICS_OPENMETRICS)
		buffer_puts(out, "# EOF\n");
}

/* ---- the same, one by one ---- */

static double real_of(enum tally_unit unit, int64_t value)
{
	return unit == TALLY_UNIT_NS ? (double)value / 1e9 : (double)value;
}

static void visit_metric(
	const struct exposure *exposure, int metric, metrics_value_fn *visit, void *context)
{
	const struct tally_metric_info *info = &tally_metrics[metric];
	bool of_task = info->aggregate == TALLY_AGGREGATE_TASK;
	struct metrics_value value = {.prefix = "tally_",
		.family = info->family,
		.suffix = suffix_of(type_of(metric)),
		.label = info->label,
		.label_value = info->label_value};

	for (size_t i = 0; i < exposure->row_count; i++) {
		value.row = &exposure->rows[i];
		if (value.row->task != of_task || !tally_sample_has(value.row->sample, metric))
			continue;
		value.value = real_of(info->unit, value.row->sample->value[metric]);
		visit(context, &value);
	}
}

static void visit_process_family(const struct exposure *exposure,
	const struct process_family *family, metrics_value_fn *visit, void *context)
{
	struct metrics_value value = {
		.prefix = "tally_", .family = family->family, .suffix = suffix_of(family->type)};

	for (size_t i = 0; i < exposure->row_count; i++) {
		value.row = &exposure->rows[i];
		int64_t raw = value.row->info ? family->get(value.row->info) : -1;

		if (raw < 0)
			continue;
		value.value = real_of(family->unit, raw);
		visit(context, &value);
	}
}

static void visit_self(const struct self_status *self, metrics_value_fn *visit, void *context)
{
	for (size_t i = 0; i < ARRAY_SIZE(self_families); i++) {
		const struct self_family *family = &self_families[i];
		int64_t raw = read_stored(family, self);
		struct metrics_value value = {.prefix = "",
			.family = family->family,
			.suffix = suffix_of(family->type),
			.value = real_of(family->unit, raw)};

		if (raw >= 0)
			visit(context, &value);
	}
}

void metrics_visit(const struct exposure *exposure, const struct self_status *self,
	metrics_value_fn *visit, void *context)
{
	for (int i = 0; i < TALLY_METRIC_COUNT; i++)
		if (exported(i))
			visit_metric(exposure, i, visit, context);
	for (size_t i = 0; i < ARRAY_SIZE(process_families); i++)
		visit_process_family(exposure, &process_families[i], visit, context);
	if (self)
		visit_self(self, visit, context);
}
