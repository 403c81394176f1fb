/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Replay recorded samples into a history, and tell what that costs.
 *
 *     history_replay STORE [--hour] < samples.csv
 *
 * Reads samples as `tally store export --csv` writes them, keeps them in a history that is stored in
 * the file STORE (a new one), reads every one back and compares it, and prints one JSON object: how
 * many values there were, of all series and of processes alone, and the bytes they take.
 *
 * --hour  Replay them over and over until an hour is full, every counter going on, and time queries:
 *         one instant and one hour of a task, from memory and, after all was closed, from the store.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "history/survey.h"
#include "load/load.h"

#define SERIES_MAX   256
#define COLUMNS_MAX  64
#define QUERIES	     2000
#define HOUR_SECONDS 3600

/* A series: a task (process is "") or a process, and its place among the others. */
struct series {
	char task[64], process[64];
	struct tally_sample first, last, offset; /* Of the recording; offset: of the round. */
	uint64_t values;			 /* That are known. */
};

struct sample {
	size_t series;
	struct tally_sample is;
};

static struct series series[SERIES_MAX];
static size_t series_count;
static struct sample *samples;
static size_t sample_count, sample_room;
static int columns[COLUMNS_MAX]; /* Metric of each column; -1: another. */
static int column_count, time_column = -1;

/* ---- reading ---- */

static size_t find_series(const char *task, const char *process)
{
	size_t i = 0;

	while (i < series_count &&
		(strcmp(series[i].task, task) != 0 || strcmp(series[i].process, process) != 0))
		i++;
	if (i == SERIES_MAX)
		load_die("there are more than %d series", SERIES_MAX);
	if (i == series_count) {
		snprintf(series[i].task, sizeof(series[i].task), "%s", task);
		snprintf(series[i].process, sizeof(series[i].process), "%s", process);
		series_count++;
	}
	return i;
}

static void read_header(char *line)
{
	for (char *key; (key = strsep(&line, ",\n")) && *key;) {
		if (column_count == COLUMNS_MAX)
			load_die("there are more than %d columns", COLUMNS_MAX);
		if (strcmp(key, "time") == 0)
			time_column = column_count;
		columns[column_count++] = tally_metric_find(key);
	}
	if (time_column < 0)
		load_die("standard input has no column \"time\"");
}

/* "12.000000345" as nanoseconds, exactly. */
static int64_t read_seconds(const char *text)
{
	char *end;
	int64_t ns = strtoll(text, &end, 10) * NS_PER_S, unit = NS_PER_S;

	if (*end == '.')
		for (end++; *end >= '0' && *end <= '9'; end++)
			ns += (*end - '0') * (unit /= 10);
	return ns;
}

static int64_t read_state(const char *word)
{
	static const char letters[] = "RSDTtZXIKWP";

	for (const char *letter = letters; *letter; letter++)
		if (strcmp(tally_state_word(*letter), word) == 0)
			return *letter;
	load_die("there is no state \"%s\"", word);
}

static void read_value(struct tally_sample *sample, int metric, const char *text)
{
	if (metric < 0 || !*text)
		return;
	switch (tally_metrics[metric].unit) {
	case TALLY_UNIT_NS:
		tally_sample_set(sample, metric, read_seconds(text));
		break;
	case TALLY_UNIT_STATE:
		tally_sample_set(sample, metric, read_state(text));
		break;
	default:
		tally_sample_set(sample, metric, strtoll(text, NULL, 10));
	}
}

/* Figures of the sandbox belong to a task alone; the rest was not asked for. */
static void clear(struct tally_sample *sample, bool process)
{
	tally_sample_clear(sample, TALLY_REASON_NOT_SAMPLED);
	for (int m = 0; process && m < TALLY_METRIC_COUNT; m++)
		if (tally_metrics[m].aggregate == TALLY_AGGREGATE_TASK)
			tally_sample_unset(sample, m, TALLY_REASON_TASK_ONLY);
}

static void read_row(char *line)
{
	char *task = strsep(&line, ","), *process = strsep(&line, ","), *text;

	if (sample_count == sample_room) {
		sample_room = sample_room ? sample_room * 2 : 4096;
		samples = reallocarray(samples, sample_room, sizeof(*samples));
		if (!samples)
			load_die("there is no memory for the samples");
	}
	struct sample *sample = &samples[sample_count++];
	sample->series = find_series(task, process);
	struct series *of = &series[sample->series];
	clear(&sample->is, *process);
	for (int column = 2; (text = strsep(&line, ",\n")) && column < column_count; column++) {
		if (column == time_column)
			sample->is.wall_ns = sample->is.boot_ns = read_seconds(text);
		else
			read_value(&sample->is, columns[column], text);
	}
	if (of->first.boot_ns == 0)
		of->first = sample->is;
	of->last = sample->is;
	of->values += (uint64_t)__builtin_popcountll(sample->is.present);
}

/* By time, and the processes of a task together: the order of ticks. */
static int by_time(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;

	if (x->is.wall_ns != y->is.wall_ns)
		return x->is.wall_ns < y->is.wall_ns ? -1 : 1;
	return x->series < y->series ? -1 : x->series > y->series;
}

static void read_samples(void)
{
	char *line = NULL;
	size_t size = 0;

	if (getline(&line, &size, stdin) < 0)
		load_die("standard input is empty");
	read_header(line);
	while (getline(&line, &size, stdin) > 0)
		read_row(line);
	free(line);
	if (sample_count == 0)
		load_die("standard input has no samples");
	qsort(samples, sample_count, sizeof(*samples), by_time);
}

/* ---- replaying ---- */

/* Counters go on from one round to the next, and so does time. */
static void shift(const struct sample *from, int64_t shift_ns, struct tally_sample *ret)
{
	const struct series *of = &series[from->series];

	*ret = from->is;
	ret->wall_ns += shift_ns;
	ret->boot_ns += shift_ns;
	for (int m = 0; m < TALLY_METRIC_COUNT; m++)
		if (tally_metrics[m].kind == TALLY_KIND_COUNTER && tally_sample_has(ret, m))
			ret->value[m] += of->offset.value[m];
}

/* One task at one instant: the samples from `at` on that belong to it. @return how many. */
static size_t append(struct history *history, size_t at, int64_t shift_ns)
{
	static struct tally_sample is[SERIES_MAX];
	struct history_process processes[SERIES_MAX];
	const char *id = series[samples[at].series].task;
	struct history_task *task;
	struct tally_error err;
	size_t count = 0;

	while (at + count < sample_count &&
		samples[at + count].is.wall_ns == samples[at].is.wall_ns &&
		strcmp(series[samples[at + count].series].task, id) == 0) {
		shift(&samples[at + count], shift_ns, &is[count]);
		processes[count] = (struct history_process){
			series[samples[at + count].series].process, &is[count]};
		count++;
	}
	if (*processes[0].name)
		load_die("task %s has no total", id);
	struct history_record record = {
		is[0].wall_ns, is[0].boot_ns, &is[0], processes + 1, count - 1};
	if (history_task(history, id, &task, &err) < 0 ||
		history_append(history, task, &record, &err) < 0)
		load_die("%s", err.message);
	return count;
}

static void replay(struct history *history, int64_t shift_ns)
{
	for (size_t i = 0; i < sample_count;) {
		int64_t wall_ns = samples[i].is.wall_ns;

		while (i < sample_count && samples[i].is.wall_ns == wall_ns)
			i += append(history, i, shift_ns);
		history_commit(history);
	}
}

static void go_round(void)
{
	for (size_t i = 0; i < series_count; i++)
		for (int m = 0; m < TALLY_METRIC_COUNT; m++)
			series[i].offset.value[m] +=
				series[i].last.value[m] - series[i].first.value[m];
}

static int64_t length_ns(void)
{
	return samples[sample_count - 1].is.wall_ns - samples[0].is.wall_ns + NS_PER_S;
}

static struct history *open_history(const char *path, bool read_only, bool plain)
{
	struct history_options options = {
		.store = path,
		.read_only = read_only,
		.tiers = {{.retention_ns = plain ? -1 : 0}, {.retention_ns = plain ? -1 : 0}},
	};
	struct history *history;
	struct tally_error err;

	if (history_open(&options, &history, &err) < 0)
		load_die("%s", err.message);
	return history;
}

/* ---- comparing ---- */

struct compare {
	size_t series, next, wrong, count;
};

static bool same(const struct tally_sample *a, const struct tally_sample *b)
{
	if (a->wall_ns != b->wall_ns || a->boot_ns != b->boot_ns || a->present != b->present)
		return false;
	for (int m = 0; m < TALLY_METRIC_COUNT; m++)
		if (tally_sample_has(a, m) ? a->value[m] != b->value[m]
					   : a->reason[m] != b->reason[m])
			return false;
	return true;
}

static bool compare(void *context, const struct tally_sample *sample)
{
	struct compare *c = context;

	while (c->next < sample_count && samples[c->next].series != c->series)
		c->next++;
	c->wrong += c->next == sample_count || !same(sample, &samples[c->next].is);
	c->next += c->next < sample_count;
	c->count++;
	return true;
}

/* @return how many samples are not as they were given. */
static size_t count_wrong(struct history *history)
{
	size_t wrong = 0, count = 0;

	for (size_t i = 0; i < series_count; i++) {
		struct history_task *task = history_find(history, series[i].task);
		struct compare c = {.series = i};

		if (task)
			history_range(history, task, *series[i].process ? series[i].process : NULL,
				INT64_MIN, INT64_MAX, compare, &c);
		wrong += c.wrong;
		count += c.count;
	}
	return wrong + (sample_count > count ? sample_count - count : count - sample_count);
}

/* ---- what it takes ---- */

/* SQL that gives one number. */
static int64_t ask(const char *path, const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *statement;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
		sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK ||
		sqlite3_step(statement) != SQLITE_ROW)
		load_die("cannot read %s: %s", path, sqlite3_errmsg(db));
	int64_t number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return number;
}

static void measure_size(const char *path)
{
	struct history *history = open_history(path, false, true);
	struct history_status status;
	uint64_t values = 0, own = 0;
	struct survey survey;
	struct tally_error err;
	int64_t begun_ns = load_cpu_ns();

	replay(history, 0);
	int64_t replayed_ns = load_cpu_ns();
	history_status(history, &status);
	size_t wrong = count_wrong(history);
	history_close(history);
	history = open_history(path, true, true);
	wrong += count_wrong(history);
	history_close(history);
	if (survey_store(path, true, NULL, NULL, &survey, &err) < 0)
		load_die("%s", err.message);
	for (size_t i = 0; i < series_count; i++) {
		values += series[i].values;
		own += *series[i].process ? series[i].values : 0;
	}
	printf("{\"series\": %zu, \"seconds\": %lld, \"samples\": %zu, \"values\": %llu, "
	       "\"process_values\": %llu, \"wrong\": %zu, \"damaged\": %llu, \"blocks\": %llu, "
	       "\"block_bytes\": %llu, \"time_bytes\": %lld, \"file_bytes\": %llu, "
	       "\"memory_bytes\": %zu, \"append_ns_per_value\": %.1f}\n",
		series_count, (long long)(length_ns() / NS_PER_S), sample_count,
		(unsigned long long)values, (unsigned long long)own, wrong,
		(unsigned long long)survey.damaged, (unsigned long long)survey.tiers[0].blocks,
		(unsigned long long)survey.tiers[0].block_bytes,
		(long long)ask(path, "SELECT sum(length(bytes)) FROM ticks"),
		(unsigned long long)survey.bytes, status.bytes,
		(double)(replayed_ns - begun_ns) / (double)values);
}

/* ---- how long it takes ---- */

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static bool count_one(void *context, const struct tally_sample *sample)
{
	++*(uint64_t *)context;
	return true;
}

static void put_times(const char *key, int64_t *ns, size_t count)
{
	qsort(ns, count, sizeof(*ns), by_size);
	printf("\"%s_us\": [%.1f, %.1f]", key, (double)ns[count / 2] / 1e3,
		(double)ns[count * 99 / 100] / 1e3);
}

/* Instants and tasks at random, but the same in every run. */
static void time_nearest(struct history *history, const char *key, int64_t until_ns)
{
	static int64_t ns[QUERIES];

	srand(4);
	for (size_t i = 0; i < QUERIES; i++) {
		const struct series *of = &series[(size_t)rand() % series_count];
		int64_t at_ns = until_ns - rand() % HOUR_SECONDS * NS_PER_S - rand() % NS_PER_S;
		struct history_task *task = history_find(history, of->task);
		struct tally_sample sample, before;
		int64_t begun_ns = load_now_ns();
		int r = history_nearest(
			history, task, *of->process ? of->process : NULL, at_ns, &sample, &before);

		ns[i] = load_now_ns() - begun_ns;
		if (r < 0)
			load_die("task %s has no sample", of->task);
	}
	put_times(key, ns, QUERIES);
}

static void time_hour(struct history *history, const char *key, int64_t until_ns)
{
	static int64_t ns[SERIES_MAX];

	for (size_t i = 0; i < series_count; i++) {
		const struct series *of = &series[i];
		struct history_task *task = history_find(history, of->task);
		uint64_t count = 0;
		int64_t begun_ns = load_now_ns();

		history_range(history, task, *of->process ? of->process : NULL,
			until_ns - HOUR_SECONDS * NS_PER_S, until_ns, count_one, &count);
		ns[i] = load_now_ns() - begun_ns;
		if (count < HOUR_SECONDS * 9 / 10)
			load_die("task %s has only %llu samples of an hour", of->task,
				(unsigned long long)count);
	}
	put_times(key, ns, series_count);
}

static void measure_speed(const char *path)
{
	struct history *history = open_history(path, false, false);
	int64_t shift_ns = 0, until_ns;

	do {
		replay(history, shift_ns);
		until_ns = samples[sample_count - 1].is.wall_ns + shift_ns;
		shift_ns += length_ns();
		go_round();
	} while (shift_ns < (HOUR_SECONDS + 600) * NS_PER_S);
	until_ns -= 5 * NS_PER_S;
	history_flush(history);
	printf("{");
	time_nearest(history, "nearest_memory", until_ns);
	printf(", ");
	time_hour(history, "hour_memory", until_ns);
	history_close(history);
	history = open_history(path, true, false);
	printf(", ");
	time_nearest(history, "nearest_store", until_ns);
	printf(", ");
	time_hour(history, "hour_store", until_ns);
	history_close(history);
	printf("}\n");
}

int main(int argc, char **argv)
{
	bool hour = argc == 3 && strcmp(argv[2], "--hour") == 0;

	if (argc != 2 && !hour) {
		fprintf(stderr, "usage: history_replay STORE [--hour] < samples.csv\n");
		return 2;
	}
	read_samples();
	if (hour)
		measure_speed(argv[1]);
	else
		measure_size(argv[1]);
	free(samples);
	return 0;
}
