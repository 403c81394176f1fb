/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/cgroup_figures.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/file.h"
#include "collect/cgroup_text.h"

/* Which figures are of a cgroup: a run of rows of the metric table. */
#define FIRST TALLY_MEMORY_CURRENT
#define LAST  TALLY_IO_STALL

#define MEMORY_BITS                                                                                \
	(TALLY_BIT(TALLY_MEMORY_CURRENT) | TALLY_BIT(TALLY_MEMORY_PEAK) |                          \
		TALLY_BIT(TALLY_MEMORY_WORKING_SET) | TALLY_BIT(TALLY_MEMORY_LIMIT) |              \
		TALLY_BIT(TALLY_OOM_KILLS))
#define CPU_BITS (TALLY_BIT(TALLY_CPU_LIMIT) | TALLY_BIT(TALLY_CPU_THROTTLED))

/* Version 1 says so when there is no limit: the largest number of whole pages. */
#define OLD_NO_LIMIT (INT64_MAX - 65535)

enum place {
	UNIFIED,
	UNIFIED_MEMORY, /* The same directory, where version 1 does not have the controller. */
	UNIFIED_CPU,
	OLD_MEMORY,
	OLD_CPU,
	PLACES,
};

/* A text and where its figures go. */
struct text {
	struct cgroup_figures *figures;
	const char *at;
	size_t length;
};

struct row {
	enum place place;
	const char *file;
	bool set_by_people;
	uint64_t metrics;
	void (*take)(const struct text *text);
};

static void take_current(const struct text *text);
static void take_stat(const struct text *text);
static void take_old_stat(const struct text *text);
static void take_peak(const struct text *text);
static void take_oom(const struct text *text);
static void take_throttled(const struct text *text);
static void take_old_throttled(const struct text *text);
static void take_cpu_pressure(const struct text *text);
static void take_memory_pressure(const struct text *text);
static void take_io_pressure(const struct text *text);
static void take_memory_limit(const struct text *text);
static void take_cpu_limit(const struct text *text);
static void take_period(const struct text *text);
static void take_quota(const struct text *text);

#define ONLY(metric) TALLY_BIT(TALLY_##metric)

/* What is charged comes before the cache that is taken off it, and a period before its quota. */
static const struct row rows[] = {
	{UNIFIED_MEMORY, "memory.current", false, ONLY(MEMORY_CURRENT), take_current},
	{UNIFIED_MEMORY, "memory.stat", false, ONLY(MEMORY_WORKING_SET), take_stat},
	{UNIFIED_MEMORY, "memory.peak", false, ONLY(MEMORY_PEAK), take_peak},
	{UNIFIED_MEMORY, "memory.events", false, ONLY(OOM_KILLS), take_oom},
	{UNIFIED_MEMORY, "memory.max", true, ONLY(MEMORY_LIMIT), take_memory_limit},
	{UNIFIED_CPU, "cpu.stat", false, ONLY(CPU_THROTTLED), take_throttled},
	{UNIFIED_CPU, "cpu.max", true, ONLY(CPU_LIMIT), take_cpu_limit},
	{UNIFIED, "cpu.pressure", false, ONLY(CPU_PRESSURE), take_cpu_pressure},
	{UNIFIED, "memory.pressure", false, ONLY(MEMORY_PRESSURE) | ONLY(MEMORY_STALL),
		take_memory_pressure},
	{UNIFIED, "io.pressure", false, ONLY(IO_PRESSURE) | ONLY(IO_STALL), take_io_pressure},
	{OLD_MEMORY, "memory.usage_in_bytes", false, ONLY(MEMORY_CURRENT), take_current},
	{OLD_MEMORY, "memory.stat", false, ONLY(MEMORY_WORKING_SET), take_old_stat},
	{OLD_MEMORY, "memory.max_usage_in_bytes", false, ONLY(MEMORY_PEAK), take_peak},
	{OLD_MEMORY, "memory.oom_control", false, ONLY(OOM_KILLS), take_oom},
	{OLD_MEMORY, "memory.limit_in_bytes", true, ONLY(MEMORY_LIMIT), take_memory_limit},
	{OLD_CPU, "cpu.stat", false, ONLY(CPU_THROTTLED), take_old_throttled},
	{OLD_CPU, "cpu.cfs_period_us", true, 0, take_period},
	{OLD_CPU, "cpu.cfs_quota_us", true, ONLY(CPU_LIMIT), take_quota},
};

struct cgroup_figures {
	struct cgroup_descriptors *descriptors;
	int unified, memory, cpu; /* O_PATH, or -1. */
	int files[ARRAY_SIZE(rows)];
	bool missing[ARRAY_SIZE(rows)]; /* Not tried again but with all. */
	bool gone;
	int64_t period_us;
	struct tally_sample now;	  /* As the files say. */
	int64_t before[LAST - FIRST + 1]; /* What predecessors counted. */
};

static void set(const struct text *text, enum tally_metric metric, int64_t value)
{
	tally_sample_set(&text->figures->now, metric, value);
}

static void set_number(const struct text *text, enum tally_metric metric)
{
	int64_t value;

	if (cgroup_text_number(text->at, text->length, &value) > 0)
		set(text, metric, value);
}

/* A number of `unit` nanoseconds, or of anything with a unit of 1. */
static void set_key(
	const struct text *text, const char *key, int64_t unit, enum tally_metric metric)
{
	int64_t value;

	if (cgroup_text_key(text->at, text->length, key, &value) && value <= INT64_MAX / unit)
		set(text, metric, value * unit);
}

static void take_current(const struct text *text)
{
	set_number(text, TALLY_MEMORY_CURRENT);
}

/* As kubelet and cAdvisor have it. */
static void set_working_set(const struct text *text, const char *key)
{
	const struct tally_sample *now = &text->figures->now;
	int64_t idle, current = now->value[TALLY_MEMORY_CURRENT];

	if (tally_sample_has(now, TALLY_MEMORY_CURRENT) &&
		cgroup_text_key(text->at, text->length, key, &idle))
		set(text, TALLY_MEMORY_WORKING_SET, idle < current ? current - idle : 0);
}

static void take_stat(const struct text *text)
{
	set_working_set(text, "inactive_file");
}

static void take_old_stat(const struct text *text)
{
	set_working_set(text, "total_inactive_file");
}

static void take_peak(const struct text *text)
{
	set_number(text, TALLY_MEMORY_PEAK);
}

static void take_oom(const struct text *text)
{
	set_key(text, "oom_kill", 1, TALLY_OOM_KILLS);
}

static void take_throttled(const struct text *text)
{
	set_key(text, "throttled_usec", NS_PER_US, TALLY_CPU_THROTTLED);
}

static void take_old_throttled(const struct text *text)
{
	set_key(text, "throttled_time", 1, TALLY_CPU_THROTTLED);
}

static void set_pressure(const struct text *text, const char *line, enum tally_metric metric)
{
	int64_t total;

	if (cgroup_text_pressure(text->at, text->length, line, &total))
		set(text, metric, total);
}

static void take_cpu_pressure(const struct text *text)
{
	set_pressure(text, "some", TALLY_CPU_PRESSURE);
}

static void take_memory_pressure(const struct text *text)
{
	set_pressure(text, "some", TALLY_MEMORY_PRESSURE);
	set_pressure(text, "full", TALLY_MEMORY_STALL);
}

static void take_io_pressure(const struct text *text)
{
	set_pressure(text, "some", TALLY_IO_PRESSURE);
	set_pressure(text, "full", TALLY_IO_STALL);
}

static void set_unlimited(const struct text *text, enum tally_metric metric)
{
	tally_sample_unset(&text->figures->now, metric, TALLY_REASON_NO_LIMIT);
}

static void take_memory_limit(const struct text *text)
{
	int64_t limit;
	int r = cgroup_text_number(text->at, text->length, &limit);

	if (r == 0 || (r > 0 && limit >= OLD_NO_LIMIT))
		set_unlimited(text, TALLY_MEMORY_LIMIT);
	else if (r > 0)
		set(text, TALLY_MEMORY_LIMIT, limit);
}

static void take_cpu_limit(const struct text *text)
{
	int64_t limit;
	int r = cgroup_text_cpu_max(text->at, text->length, &limit);

	if (r == 0)
		set_unlimited(text, TALLY_CPU_LIMIT);
	else if (r > 0)
		set(text, TALLY_CPU_LIMIT, limit);
}

static void take_period(const struct text *text)
{
	if (cgroup_text_number(text->at, text->length, &text->figures->period_us) <= 0)
		text->figures->period_us = 0;
}

static void take_quota(const struct text *text)
{
	int64_t quota, limit;

	if (text->length > 0 && text->at[0] == '-')
		set_unlimited(text, TALLY_CPU_LIMIT);
	else if (cgroup_text_number(text->at, text->length, &quota) > 0 &&
		 cgroup_text_quota(quota, text->figures->period_us, &limit) == 0)
		set(text, TALLY_CPU_LIMIT, limit);
}

static void drop_file(struct cgroup_figures *figures, size_t row)
{
	if (figures->files[row] < 0)
		return;
	close(figures->files[row]);
	figures->files[row] = -1;
	figures->descriptors->kept--;
}

static void close_all(struct cgroup_figures *figures)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		drop_file(figures, i);
	cleanup_close(&figures->unified);
	cleanup_close(&figures->memory);
	cleanup_close(&figures->cpu);
	figures->unified = figures->memory = figures->cpu = -1;
}

struct cgroup_figures *cgroup_figures_close(struct cgroup_figures *figures)
{
	if (figures)
		close_all(figures);
	free(figures);
	return NULL;
}

static int open_dir(const char *path, int *ret, struct tally_error *err)
{
	*ret = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	return path && *ret < 0 ? tally_fail(err, -errno, "cannot open cgroup %.300s", path) : 0;
}

/* What no file tells is without a controller, and pressure is only in version 2. */
static void set_reasons(struct tally_sample *now, uint64_t bits)
{
	for (int i = FIRST; i <= LAST; i++)
		if (bits & TALLY_BIT(i))
			tally_sample_unset(now, i,
				(MEMORY_BITS | CPU_BITS) & TALLY_BIT(i) ? TALLY_REASON_NO_CONTROLLER
									: TALLY_REASON_KERNEL);
}

static int init(struct cgroup_figures *figures, const struct cgroup_place *place,
	struct cgroup_descriptors *descriptors, struct tally_error *err)
{
	*figures = (struct cgroup_figures){
		.descriptors = descriptors, .unified = -1, .memory = -1, .cpu = -1};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		figures->files[i] = -1;
	set_reasons(&figures->now, UINT64_MAX);
	int r = open_dir(place->unified, &figures->unified, err);
	if (r == 0)
		r = open_dir(place->memory, &figures->memory, err);
	if (r == 0)
		r = open_dir(place->cpu, &figures->cpu, err);
	if (r < 0)
		close_all(figures);
	return r;
}

int cgroup_figures_open(const struct cgroup_place *place, struct cgroup_descriptors *descriptors,
	struct cgroup_figures **ret, struct tally_error *err)
{
	struct cgroup_figures *figures = malloc(sizeof(*figures));

	if (!figures)
		return tally_fail(err, -ENOMEM, "cannot read a cgroup");
	int r = init(figures, place, descriptors, err);
	if (r < 0) {
		free(figures);
		return r;
	}
	*ret = figures;
	return 0;
}

static bool is_counter(int metric)
{
	return tally_metrics[metric].kind == TALLY_KIND_COUNTER;
}

int cgroup_figures_move(
	struct cgroup_figures *figures, const struct cgroup_place *place, struct tally_error *err)
{
	struct cgroup_figures next;
	int r = init(&next, place, figures->descriptors, err);

	if (r < 0)
		return r;
	for (int i = FIRST; i <= LAST; i++)
		if (is_counter(i)) {
			next.before[i - FIRST] = figures->before[i - FIRST];
			if (tally_sample_has(&figures->now, i))
				next.before[i - FIRST] += figures->now.value[i];
		}
	close_all(figures);
	*figures = next;
	return 0;
}

static int dir_of(const struct cgroup_figures *figures, enum place place)
{
	switch (place) {
	case UNIFIED_MEMORY:
		return figures->memory < 0 ? figures->unified : -1;
	case UNIFIED_CPU:
		return figures->cpu < 0 ? figures->unified : -1;
	case OLD_MEMORY:
		return figures->memory;
	case OLD_CPU:
		return figures->cpu;
	default:
		return figures->unified;
	}
}

static void set_reason(struct cgroup_figures *figures, const struct row *row, int code)
{
	enum tally_reason reason = code == -EACCES || code == -EPERM	? TALLY_REASON_PERMISSION
				   : code == -EMFILE || code == -ENFILE ? TALLY_REASON_LIMIT
									: TALLY_REASON_KERNEL;

	set_reasons(&figures->now, row->metrics);
	/* A controller that tells the rest is there: it is the kernel that lacks this one. */
	bool there =
		row->metrics & MEMORY_BITS && tally_sample_has(&figures->now, TALLY_MEMORY_CURRENT);
	if (code == -ENOENT && !there)
		return;
	for (int i = FIRST; i <= LAST; i++)
		if (row->metrics & TALLY_BIT(i))
			tally_sample_unset(&figures->now, i, reason);
}

static bool keep(struct cgroup_figures *figures, const struct row *row)
{
	return !row->set_by_people && figures->descriptors->kept < figures->descriptors->limit;
}

/* Read a file, keeping its descriptor where there is room. */
static ssize_t read_row(struct cgroup_figures *figures, size_t i, int dir, char *text, size_t size)
{
	int *fd = &figures->files[i];

	if (*fd < 0 && !keep(figures, &rows[i]))
		return file_read_at(dir, rows[i].file, text, size);
	if (*fd < 0) {
		*fd = openat(dir, rows[i].file, O_RDONLY | O_CLOEXEC);
		if (*fd < 0)
			return -errno;
		figures->descriptors->kept++;
	}
	return file_pread(*fd, text, size);
}

static void look(struct cgroup_figures *figures, size_t i, int dir)
{
	char text[8192];
	ssize_t length = read_row(figures, i, dir, text, sizeof(text));

	figures->missing[i] = length < 0;
	if (length == -ENODEV) {
		figures->gone = true;
		return;
	}
	if (length < 0) {
		drop_file(figures, i);
		set_reason(figures, &rows[i], (int)length);
		return;
	}
	set_reasons(&figures->now, rows[i].metrics);
	rows[i].take(&(struct text){figures, text, (size_t)length});
}

/* A directory that was removed is still there for who holds it, but without its files. */
static bool is_gone(const struct cgroup_figures *figures)
{
	int dir = figures->unified >= 0	 ? figures->unified
		  : figures->memory >= 0 ? figures->memory
					 : figures->cpu;

	return dir >= 0 && faccessat(dir, "cgroup.procs", F_OK, 0) < 0 && errno == ENOENT;
}

void cgroup_figures_read(struct cgroup_figures *figures, bool all)
{
	if (figures->gone)
		return;
	figures->gone = is_gone(figures);
	for (size_t i = 0; i < ARRAY_SIZE(rows) && !figures->gone; i++) {
		int dir = dir_of(figures, rows[i].place);

		if (dir >= 0 && (all || (!figures->missing[i] && !rows[i].set_by_people)))
			look(figures, i, dir);
	}
	if (figures->gone)
		close_all(figures);
}

void cgroup_figures_put(const struct cgroup_figures *figures, struct tally_sample *sample)
{
	for (int i = FIRST; i <= LAST; i++) {
		bool known = tally_sample_has(&figures->now, i);

		if (is_counter(i) && (known || figures->before[i - FIRST] > 0))
			tally_sample_set(
				sample, i, figures->now.value[i] + figures->before[i - FIRST]);
		else if (known && figures->gone)
			tally_sample_unset(sample, i, TALLY_REASON_ENDED);
		else if (known)
			tally_sample_set(sample, i, figures->now.value[i]);
		else
			tally_sample_unset(sample, i, figures->now.reason[i]);
	}
}
