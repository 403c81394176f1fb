/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/top_column.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"

/* clang-format off */
const struct top_column top_columns[] = {
	{"name",     "TASK",     TOP_NAME,       0,                          0, true,  'N',  0, "the task, or the process"},
	{"state",    "STATE",    TOP_LIFE,       0,                         10, false,   0, 17, "what it is doing"},
	{"pid",      "PID",      TOP_PID,        0,                          7, false,   0, 18, "root pid of a process"},
	{"cpu",      "CPU",      TOP_CORES,      0,                          6, true,  'P',  1, "cores in use; 1.00 is one busy core"},
	{"course",   "",         TOP_COURSE,     0,                         12, true,    0,  8, "CPU over the last minute"},
	{"user",     "USER",     TOP_RATE_TIME,  TALLY_CPU_USER,             6, false,   0, 12, "the part of the CPU that is user mode"},
	{"sys",      "SYS",      TOP_RATE_TIME,  TALLY_CPU_SYSTEM,           6, false,   0, 13, "the part of the CPU that is the kernel"},
	{"wait",     "WAIT",     TOP_RATE_TIME,  TALLY_RUN_QUEUE_WAIT,       6, true,  'W',  4, "threads that could run, while no CPU was free"},
	{"throttle", "THROTTLE", TOP_RATE_TIME,  TALLY_CPU_THROTTLED,        8, false,   0, 30, "cores that a cgroup's CPU limit held back"},
	{"time",     "CPU-TIME", TOP_CPU_TIME,   0,                         10, false,   0, 11, "CPU time used so far"},
	{"mem",      "MEM",      TOP_BYTES,      TALLY_RSS,                  6, true,  'M',  2, "resident memory"},
	{"shared",   "SHARED",   TOP_BYTES,      TALLY_SHARED,               6, false,   0, 19, "the part of it that is files or shared memory"},
	{"pss",      "PSS",      TOP_BYTES,      TALLY_PSS,                  6, false,   0, 20, "resident memory, shared pages divided"},
	{"swap",     "SWAP",     TOP_BYTES,      TALLY_SWAP,                 6, false,   0, 10, "memory in swap"},
	{"virtual",  "VIRT",     TOP_BYTES,      TALLY_VIRTUAL,              6, false,   0, 24, "address space"},
	{"wset",     "WSET",     TOP_BYTES,      TALLY_MEMORY_WORKING_SET,   6, false,   0, 26, "memory of a cgroup without the page cache not used lately"},
	{"peak",     "PEAK",     TOP_BYTES,      TALLY_MEMORY_PEAK,          6, false,   0, 27, "the most memory that a cgroup had"},
	{"limit",    "LIMIT",    TOP_BYTES,      TALLY_MEMORY_LIMIT,         6, false,   0, 28, "the memory limit of a cgroup"},
	{"oom",      "OOM",      TOP_COUNT,      TALLY_OOM_KILLS,            4, false,   0, 29, "processes of a cgroup killed for want of memory"},
	{"read",     "READ/s",   TOP_RATE_BYTES, TALLY_IO_READ,              6, true,  'R',  5, "bytes fetched from storage, per second"},
	{"write",    "WRITE/s",  TOP_RATE_BYTES, TALLY_IO_WRITE,             7, true,  'O',  6, "bytes sent to storage, per second"},
	{"mempsi",   "MEMPSI",   TOP_RATE_TIME,  TALLY_MEMORY_PRESSURE,      6, false,   0, 31, "part of the time in which a cgroup waited for memory"},
	{"iopsi",    "IOPSI",    TOP_RATE_TIME,  TALLY_IO_PRESSURE,          6, false,   0, 32, "part of the time in which a cgroup waited for I/O"},
	{"faults",   "FAULT/s",  TOP_RATE_COUNT, TALLY_MAJOR_FAULTS,         7, false,   0, 15, "page faults that needed storage, per second"},
	{"switches", "SWITCH/s", TOP_RATE_COUNT, TALLY_INVOLUNTARY_SWITCHES, 8, false,   0, 25, "involuntary context switches, per second"},
	{"disk",     "DISK",     TOP_BYTES,      TALLY_DISK,                 6, true,  'D',  7, "disk space of the sandbox"},
	{"files",    "FILES",    TOP_COUNT,      TALLY_DISK_FILES,           7, false,   0, 16, "entries in the sandbox"},
	{"deleted",  "DELETED",  TOP_BYTES,      TALLY_DISK_DELETED,         7, false,   0, 14, "disk space of deleted files that are still open"},
	{"pids",     "PIDS",     TOP_COUNT,      TALLY_PIDS,                 5, true,  'C',  3, "operating-system processes"},
	{"threads",  "THREADS",  TOP_COUNT,      TALLY_THREADS,              7, false,   0, 21, "threads"},
	{"fds",      "FDS",      TOP_COUNT,      TALLY_FDS,                  6, false,   0, 22, "open file descriptors"},
	{"started",  "STARTED",  TOP_COUNT,      TALLY_PIDS_STARTED,         7, false,   0, 23, "operating-system processes ever started"},
};
/* clang-format on */

const size_t top_column_count = ARRAY_SIZE(top_columns);

_Static_assert(ARRAY_SIZE(top_columns) <= 32, "there is a bit for every column");

uint32_t top_columns_usual(void)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < top_column_count; i++)
		if (top_columns[i].usual)
			bits |= TOP_BIT(i);
	return bits;
}

static int find(const char *id, size_t length)
{
	for (size_t i = 0; i < top_column_count; i++)
		if (strlen(top_columns[i].id) == length &&
			memcmp(top_columns[i].id, id, length) == 0)
			return (int)i;
	return -1;
}

int top_column_find(const char *id)
{
	return find(id, strlen(id));
}

static int refuse(const char *id, size_t length, struct tally_error *err)
{
	char known[480] = "";
	size_t used = 0;

	for (size_t i = 0; i < top_column_count && used < sizeof(known); i++)
		used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "",
			top_columns[i].id);
	return tally_refuse(err, -EINVAL, "there is no column '%.*s'; there are %s",
		(int)(length < 40 ? length : 40), id, known);
}

int top_columns_parse(const char *list, uint32_t *ret, struct tally_error *err)
{
	uint32_t bits = TOP_BIT(0);

	while (*list) {
		size_t length = strcspn(list, ",");
		int index = find(list, length);

		if (index < 0)
			return refuse(list, length, err);
		bits |= TOP_BIT(index);
		list += length;
		list += *list == ',';
	}
	*ret = bits;
	return 0;
}

bool top_column_sorts(const struct top_column *column)
{
	return column->kind != TOP_COURSE;
}

bool top_column_falls(const struct top_column *column)
{
	return column->kind != TOP_NAME && column->kind != TOP_LIFE && column->kind != TOP_PID;
}

static bool rate(const struct top_row *row, enum tally_metric metric, double *ret)
{
	return row->before.boot_ns &&
	       tally_sample_rate(&row->before, &row->reading.sample, metric, ret) == 0;
}

static bool cores(const struct top_row *row, double *ret)
{
	if (row->before.boot_ns &&
		tally_sample_cpu_rate(&row->before, &row->reading.sample, ret) == 0)
		return true;
	*ret = row->reading.cpu_rate;
	return row->reading.has_cpu_rate;
}

bool top_column_value(const struct top_column *column, const struct top_row *row, double *ret)
{
	const struct tally_sample *sample = &row->reading.sample;
	int64_t cpu_ns;

	switch (column->kind) {
	case TOP_CORES:
		return cores(row, ret);
	case TOP_CPU_TIME:
		if (tally_sample_cpu_ns(sample, &cpu_ns) < 0)
			return false;
		*ret = (double)cpu_ns / NS_PER_S;
		return true;
	case TOP_RATE_TIME:
	case TOP_RATE_BYTES:
	case TOP_RATE_COUNT:
		return rate(row, column->metric, ret);
	case TOP_BYTES:
	case TOP_COUNT:
		*ret = (double)sample->value[column->metric];
		return tally_sample_has(sample, column->metric);
	case TOP_PID:
		*ret = row->pid;
		return row->pid != 0;
	case TOP_LIFE:
		*ret = row->life;
		return row->has_life;
	default:
		return false;
	}
}

const char *top_column_reason(const struct top_column *column, const struct top_row *row)
{
	bool cpu = column->kind == TOP_CORES || column->kind == TOP_CPU_TIME;
	enum tally_metric metric = cpu ? TALLY_CPU_USER : column->metric;

	if (column->kind == TOP_PID)
		return "only a process has a root pid, and a store does not know it";
	if (column->kind == TOP_LIFE)
		return "a store does not know it";
	if (!tally_sample_has(&row->reading.sample, metric))
		return tally_reason_text(row->reading.sample.reason[metric]);
	return "a rate takes two samples, and there is no earlier one";
}

const char *top_short_bytes(char out[FORMAT_SIZE], double bytes)
{
	static const char units[] = " KMGTPE";
	size_t unit = 0;

	if (bytes < 0)
		bytes = 0;
	while (bytes >= 999.5 && units[unit + 1]) {
		bytes /= 1024;
		unit++;
	}
	if (unit == 0)
		snprintf(out, FORMAT_SIZE, "%.0f", bytes);
	else
		snprintf(out, FORMAT_SIZE, "%.*f%c",
			bytes >= 99.95	 ? 0
			: bytes >= 9.995 ? 1
					 : 2,
			bytes, units[unit]);
	return out;
}

/* Four digits at most: "0.05", "12.3", "1234", "12k". */
static void short_number(char out[FORMAT_SIZE], double value, int places)
{
	if (value >= 99999.5)
		snprintf(out, FORMAT_SIZE, "%.0fk", value / 1000);
	else if (value >= 99.95 || places == 0)
		snprintf(out, FORMAT_SIZE, "%.0f", value);
	else
		snprintf(out, FORMAT_SIZE, "%.*f", value >= 9.995 ? 1 : places, value);
}

/* "12.3s", "4m22", "3h05", "2d04": six columns. */
static void short_time(char out[FORMAT_SIZE], double seconds)
{
	int64_t whole = (int64_t)seconds;

	if (seconds < 59.95)
		snprintf(out, FORMAT_SIZE, "%.2fs", seconds);
	else if (whole < 3600)
		snprintf(out, FORMAT_SIZE, "%dm%02ds", (int)(whole / 60), (int)(whole % 60));
	else if (whole < 86400)
		snprintf(out, FORMAT_SIZE, "%dh%02dm", (int)(whole / 3600), (int)(whole / 60 % 60));
	else
		snprintf(out, FORMAT_SIZE, "%lldd%02dh", (long long)(whole / 86400),
			(int)(whole / 3600 % 24));
}

const char *top_column_text(
	const struct top_column *column, const struct top_row *row, char out[FORMAT_SIZE])
{
	double value;

	if (!top_column_value(column, row, &value)) {
		snprintf(out, FORMAT_SIZE, "-");
		return out;
	}
	switch (column->kind) {
	case TOP_LIFE:
		snprintf(out, FORMAT_SIZE, "%s", tally_life_name(row->life));
		break;
	case TOP_CORES:
	case TOP_RATE_TIME:
		short_number(out, value, 2);
		break;
	case TOP_CPU_TIME:
		short_time(out, value);
		break;
	case TOP_BYTES:
	case TOP_RATE_BYTES:
		top_short_bytes(out, value);
		break;
	case TOP_RATE_COUNT:
		short_number(out, value, value < 10 ? 1 : 0);
		break;
	case TOP_PID:
		snprintf(out, FORMAT_SIZE, "%d", (int)row->pid);
		break;
	default:
		short_number(out, value, 0);
	}
	return out;
}

const char *top_column_plain(
	const struct top_column *column, const struct top_row *row, char out[FORMAT_SIZE])
{
	double value;

	if (!top_column_value(column, row, &value))
		snprintf(out, FORMAT_SIZE, "-");
	else if (column->kind == TOP_LIFE)
		snprintf(out, FORMAT_SIZE, "%s", tally_life_name(row->life));
	else if (column->kind == TOP_CORES || column->kind == TOP_RATE_TIME ||
		 column->kind == TOP_CPU_TIME)
		snprintf(out, FORMAT_SIZE, "%.3f", value);
	else
		snprintf(out, FORMAT_SIZE, "%.0f", value);
	return out;
}
