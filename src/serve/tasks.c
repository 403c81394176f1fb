/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/tasks.h"

#include "serve/query.h"

/* Figures that are shown, as a set of bits like those of struct query. */
struct keys {
	uint64_t task, process;
};

/*
 * Of those wanted (0: all). "state" of a task is what its source says of its life; the scheduling
 * state of one pid would say little of a task, and there is one key for both. A process has both:
 * "life" and "state".
 */
static struct keys keys_of(uint64_t wanted)
{
	uint64_t all = wanted ? wanted : UINT64_MAX;
	struct keys keys = {.task = all & ~TALLY_BIT(TALLY_STATE), .process = all};

	for (int i = 0; i < TALLY_METRIC_COUNT; i++)
		if (tally_metrics[i].aggregate == TALLY_AGGREGATE_TASK)
			keys.process &= ~TALLY_BIT(i);
	return keys;
}

void metric_write(struct buffer *out, const struct tally_sample *sample, enum tally_metric metric)
{
	int64_t value = sample->value[metric];

	if (!tally_sample_has(sample, metric))
		buffer_puts(out, "null");
	else if (tally_metrics[metric].unit == TALLY_UNIT_NS)
		buffer_put_seconds(out, value);
	else if (tally_metrics[metric].unit == TALLY_UNIT_STATE)
		buffer_put_json(out, tally_state_word(value));
	else
		buffer_put_i64(out, value);
}

/* Puts ',"key":'. */
static void put_key(struct buffer *out, const char *key)
{
	buffer_puts(out, ",\"");
	buffer_puts(out, key);
	buffer_puts(out, "\":");
}

static void put_text(struct buffer *out, const char *key, const char *text)
{
	put_key(out, key);
	if (text)
		buffer_put_json(out, text);
	else
		buffer_puts(out, "null");
}

/* A time; 0 is none. */
static void put_time(struct buffer *out, const char *key, int64_t wall_ns)
{
	put_key(out, key);
	if (wall_ns)
		buffer_put_seconds(out, wall_ns);
	else
		buffer_puts(out, "null");
}

static void put_cpu_rate(struct buffer *out, const struct tally_reading *reading)
{
	put_key(out, "cpu_rate");
	if (reading->has_cpu_rate)
		buffer_put_real(out, reading->cpu_rate);
	else
		buffer_puts(out, "null");
}

static void put_cpu_seconds(struct buffer *out, const struct tally_reading *reading)
{
	int64_t cpu_ns;

	put_key(out, "cpu_seconds");
	if (tally_sample_cpu_ns(&reading->sample, &cpu_ns) == 0)
		buffer_put_seconds(out, cpu_ns);
	else
		buffer_puts(out, "null");
}

static void put_figures(struct buffer *out, const struct tally_reading *reading, uint64_t keys)
{
	if (keys & QUERY_CPU_RATE)
		put_cpu_rate(out, reading);
	if (keys & QUERY_CPU_SECONDS)
		put_cpu_seconds(out, reading);
	for (int i = 0; i < TALLY_METRIC_COUNT; i++)
		if (keys & TALLY_BIT(i)) {
			put_key(out, tally_metrics[i].key);
			metric_write(out, &reading->sample, i);
		}
}

static void put_missing(struct buffer *out, const struct tally_sample *sample, uint64_t keys)
{
	bool first = true;

	put_key(out, "missing");
	buffer_putc(out, '{');
	for (int i = 0; i < TALLY_METRIC_COUNT; i++) {
		if (!(keys & TALLY_BIT(i)) || tally_sample_has(sample, i))
			continue;
		if (!first)
			buffer_putc(out, ',');
		first = false;
		buffer_put_json(out, tally_metrics[i].key);
		buffer_putc(out, ':');
		buffer_put_json(out, tally_reason_text(sample->reason[i]));
	}
	buffer_putc(out, '}');
}

static void put_process(struct buffer *out, const struct snapshot_process *process, uint64_t keys)
{
	const struct tally_process_info *info = &process->info;

	buffer_puts(out, "{\"process\":");
	buffer_put_json(out, info->name);
	put_key(out, "pid");
	if (info->pid)
		buffer_put_i64(out, info->pid);
	else
		buffer_puts(out, "null");
	put_text(out, "life", process->past ? NULL : tally_life_name(info->life));
	put_time(out, "started", info->started_wall_ns);
	put_time(out, "ended", info->ended_wall_ns);
	put_key(out, "return_code");
	if (snapshot_life_ended(info->life))
		buffer_put_i64(out, info->return_code);
	else
		buffer_puts(out, "null");
	put_key(out, "runs");
	if (process->past)
		buffer_puts(out, "null");
	else
		buffer_put_i64(out, info->runs);
	put_figures(out, &process->reading, keys);
	put_missing(out, &process->reading.sample, keys);
	buffer_putc(out, '}');
}

static void put_processes(struct buffer *out, const struct snapshot *snapshot,
	const struct snapshot_task *task, uint64_t keys)
{
	put_key(out, "processes");
	buffer_putc(out, '[');
	for (size_t i = 0; i < task->count; i++) {
		if (i > 0)
			buffer_putc(out, ',');
		put_process(out, &snapshot->processes[task->first + i], keys);
	}
	buffer_putc(out, ']');
}

static void put_pids(struct buffer *out, const struct pid_list *pids)
{
	put_key(out, "members");
	buffer_putc(out, '[');
	if (pids->json.used)
		buffer_put(out, pids->json.at, pids->json.used);
	buffer_putc(out, ']');
}

static void put_task(struct buffer *out, const struct snapshot *snapshot,
	const struct snapshot_task *task, const struct keys *keys, const struct pid_list *pids)
{
	const struct tally_task_info *info = &task->info;

	buffer_puts(out, "{\"task\":");
	buffer_put_json(out, info->id);
	put_text(out, "source", info->source);
	put_text(out, "state", task->past ? NULL : tally_life_name(info->life));
	put_text(out, "sandbox", info->sandbox);
	put_text(out, "disk_method", info->disk_method);
	put_time(out, "started", info->started_wall_ns);
	put_time(out, "ended", info->ended_wall_ns);
	put_time(out, "time", task->reading.sample.wall_ns);
	put_key(out, "stale");
	buffer_puts(out, task->reading.stale ? "true" : "false");
	put_figures(out, &task->reading, keys->task);
	put_processes(out, snapshot, task, keys->process);
	put_missing(out, &task->reading.sample, keys->task);
	if (pids)
		put_pids(out, pids);
	buffer_putc(out, '}');
}

void tasks_write(struct buffer *out, const struct snapshot *snapshot, int64_t wall_ns,
	const struct tasks_wanted *wanted)
{
	struct keys keys = keys_of(wanted->metrics);

	buffer_puts(out, "{\"time\":");
	buffer_put_seconds(out, wall_ns);
	put_key(out, "tasks");
	buffer_putc(out, '[');
	for (size_t i = 0; i < snapshot->task_count; i++) {
		if (i > 0)
			buffer_putc(out, ',');
		put_task(out, snapshot, &snapshot->tasks[i], &keys, wanted->pids);
	}
	buffer_puts(out, "]}\n");
}

static void put_known(struct buffer *out, const char *key, int64_t value, bool seconds)
{
	put_key(out, key);
	if (value < 0)
		buffer_puts(out, "null");
	else if (seconds)
		buffer_put_seconds(out, value);
	else
		buffer_put_i64(out, value);
}

void pid_list_add(void *context, const struct tally_pid_info *info)
{
	struct buffer *out = &((struct pid_list *)context)->json;

	buffer_puts(out, out->used ? ",{\"process\":" : "{\"process\":");
	buffer_put_json(out, info->process);
	put_known(out, "pid", info->pid, false);
	put_known(out, "parent", info->parent, false);
	put_text(out, "comm", info->comm);
	put_text(out, "why", info->why);
	put_known(out, "cpu_seconds", info->cpu_ns, true);
	put_known(out, "rss_bytes", info->rss_bytes, false);
	buffer_putc(out, '}');
}
