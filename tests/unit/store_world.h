/* SPDX-License-Identifier: Apache-2.0 */
/** Samples for the tests of the store: each is a function of its tick, so that any can be checked. */
#ifndef STORE_WORLD_H
#define STORE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "history/history.h"

#define S	  NS_PER_S
#define WALL_NS	  (1700000000 * S)
#define PROCESSES 3

static const char *const process_names[PROCESSES] = {"web", "db", "cron"};

static inline uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* The process is in four ticks of five; it idles for stretches. */
static inline bool process_here(int task, int process, int64_t tick)
{
	return mix((uint64_t)(task * 7 + process) ^ (uint64_t)(tick / 16)) % 5 > 0;
}

static inline void process_sample(int task, int process, int64_t tick, struct tally_sample *ret)
{
	int64_t moves = tick / 50 % 2 ? tick : tick / 50 * 50;

	tally_sample_clear(ret, TALLY_REASON_TASK_ONLY);
	tally_sample_set(ret, TALLY_CPU_USER, moves * 10000000 * (1 + process));
	tally_sample_set(ret, TALLY_RSS,
		4096 * (int64_t)(mix((uint64_t)(moves * 31 + task * 3 + process)) % 10000));
	tally_sample_set(ret, TALLY_PIDS, 1 + moves % 3);
	if (tick % 40 < 30)
		tally_sample_set(ret, TALLY_PSS, moves * 3);
	else
		tally_sample_unset(ret, TALLY_PSS, TALLY_REASON_BUDGET);
}

static inline void total_sample(int task, int64_t tick, struct tally_sample *ret)
{
	tally_sample_start(ret, 0, 0);
	for (int i = 0; i < PROCESSES; i++) {
		struct tally_sample part;

		if (!process_here(task, i, tick))
			continue;
		process_sample(task, i, tick, &part);
		tally_sample_add(ret, &part);
	}
	tally_sample_set(ret, TALLY_DISK, 4096 * (tick / 60));
}

static inline int append_tick(struct history *history, struct history_task *handle, int task,
	int64_t tick, int64_t wall_ns, int64_t boot_ns, struct tally_error *err)
{
	struct tally_sample total, parts[PROCESSES];
	struct history_process processes[PROCESSES];
	struct history_record record = {wall_ns, boot_ns, &total, processes, 0};

	total_sample(task, tick, &total);
	for (int i = 0; i < PROCESSES; i++)
		if (process_here(task, i, tick)) {
			process_sample(task, i, tick, &parts[i]);
			processes[record.process_count++] = (struct history_process){
				.name = process_names[i], .sample = &parts[i]};
		}
	return history_append(history, handle, &record, err);
}

static inline void assert_same_sample(const struct tally_sample *is, const struct tally_sample *was)
{
	assert_int_equal(is->present, was->present);
	for (unsigned m = 0; m < TALLY_METRIC_COUNT; m++)
		if (tally_sample_has(was, m))
			assert_int_equal(is->value[m], was->value[m]);
		else
			assert_int_equal(is->reason[m], was->reason[m]);
}

/* Checks samples of a total or a process: their tick follows from their wall-clock time. */
struct checking {
	int task, process; /* process -1: the total */
	int64_t first, last, count, base_wall_ns;
	bool gap; /* a tick is missing between two */
};

static inline bool check_sample(void *context, const struct tally_sample *sample)
{
	struct checking *c = context;
	int64_t tick = (sample->wall_ns - c->base_wall_ns) / S;
	struct tally_sample was;

	assert_int_equal((sample->wall_ns - c->base_wall_ns) % S, 0);
	if (c->process < 0)
		total_sample(c->task, tick, &was);
	else
		process_sample(c->task, c->process, tick, &was);
	assert_same_sample(sample, &was);
	if (c->count++ == 0)
		c->first = tick;
	else
		c->gap |= tick != c->last + 1;
	c->last = tick;
	return true;
}

/* A folder of its own, removed with all it has. */
static inline void make_folder(char path[64])
{
	strcpy(path, "/tmp/tally-store-XXXXXX");
	assert_non_null(mkdtemp(path));
}

static inline void remove_folder(const char *path)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", path);
	assert_int_equal(system(command), 0);
}

/* Lines that were said, by the writer too: `count` tells that `last` is there. */
struct said {
	_Atomic int count;
	char last[1024];
	struct log log;
};

static inline void note_line(void *context, enum tally_log_level level, const char *line)
{
	struct said *said = context;

	snprintf(said->last, sizeof(said->last), "%s", line);
	said->count++;
}

/* @plain: without coarser resolutions, whose averages would stand in for samples that are lost. */
static inline struct history *open_world(const char *path, bool read_only, uint64_t bytes,
	bool plain, struct said *said, struct tally_error *err)
{
	struct history_options options = {
		.retention_ns = 100000 * S,
		.store = path,
		.store_bytes = bytes,
		.read_only = read_only,
		.tiers = {{.retention_ns = plain ? -1 : 0}, {.retention_ns = plain ? -1 : 0}},
	};
	struct history *history = NULL;

	if (said) {
		said->log = (struct log){note_line, said};
		options.log = &said->log;
	}
	return history_open(&options, &history, err) < 0 ? NULL : history;
}

static inline struct history *open_store(const char *path, bool read_only, uint64_t bytes,
	struct said *said, struct tally_error *err)
{
	return open_world(path, read_only, bytes, false, said, err);
}

#endif
