/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/self.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/file.h"
#include "base/parse.h"

/* Since Linux 6.2 the size of /proc/self/fd is the number of descriptors; before, it is 0. */
static int64_t count_fds(void)
{
	struct stat st;
	int64_t count = 0;

	if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
		return st.st_size;
	CLEANUP_DIR DIR *dir = opendir("/proc/self/fd");
	if (!dir)
		return -1;
	while (readdir(dir))
		count++;
	return count - 3; /* ".", ".." and the directory itself. */
}

/*
 * /proc/self/stat: "PID (COMM) STATE ..." with num_threads as field 20, starttime, in ticks since the
 * boot, as field 22, vsize as 23 and rss, in pages, as 24. COMM may hold anything but is followed
 * by the last parenthesis.
 */
static void read_stat(struct process_status *ret)
{
	char text[1024];
	ssize_t length = file_read_at(AT_FDCWD, "/proc/self/stat", text, sizeof(text));
	const char *comm_end = length > 0 ? memrchr(text, ')', (size_t)length) : NULL;
	uint64_t threads, start, size, pages;

	if (!comm_end)
		return;
	struct cursor c = cursor_of(comm_end + 1, (size_t)(text + length - comm_end - 1));
	if (!cursor_skip_words(&c, 17) || !cursor_u64(&c, &threads) || !cursor_skip_words(&c, 1) ||
		!cursor_u64(&c, &start) || !cursor_u64(&c, &size) || !cursor_u64(&c, &pages))
		return;
	ret->threads = (int64_t)threads;
	ret->virtual_bytes = (int64_t)size;
	ret->resident_bytes = (int64_t)pages * sysconf(_SC_PAGESIZE);

	int64_t age_ns = clock_boot_ns() - (int64_t)start * (NS_PER_S / sysconf(_SC_CLK_TCK));
	ret->start_wall_ns = clock_wall_ns() - age_ns;
}

void process_status_read(struct process_status *ret)
{
	struct rlimit limit;

	*ret = (struct process_status){
		.cpu_ns = clock_process_cpu_ns(),
		.resident_bytes = -1,
		.virtual_bytes = -1,
		.open_fds = count_fds(),
		.max_fds = -1,
		.threads = -1,
		.start_wall_ns = -1,
	};
	read_stat(ret);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		ret->max_fds = (int64_t)limit.rlim_cur;
}

/* How a field of struct self_status is shown. */
enum field_type {
	FIELD_U64,
	FIELD_SIZE,
	FIELD_I64,
	FIELD_NS,
	FIELD_BOOL,
	FIELD_TEXT,
	FIELD_OPEN,
	FIELD_CLOSE
};

struct field {
	const char *key;
	enum field_type type;
	size_t offset;
};

#define MONITOR(key, type, name)                                                                   \
	{                                                                                          \
		key, FIELD_##type, offsetof(struct self_status, monitor.name)                      \
	}
#define HTTP(key, type, name)                                                                      \
	{                                                                                          \
		key, FIELD_##type, offsetof(struct self_status, http.name)                         \
	}
#define PROCESS(key, type, name)                                                                   \
	{                                                                                          \
		key, FIELD_##type, offsetof(struct self_status, process.name)                      \
	}
#define REMOTE(key, type, name)                                                                    \
	{                                                                                          \
		key, FIELD_##type, offsetof(struct self_status, remote.name)                       \
	}
#define OPEN(key)                                                                                  \
	{                                                                                          \
		key, FIELD_OPEN, 0                                                                 \
	}
#define CLOSE                                                                                      \
	{                                                                                          \
		NULL, FIELD_CLOSE, 0                                                               \
	}

static const struct field fields[] = {
	MONITOR("version", TEXT, version),
	MONITOR("collector", TEXT, collector),
	MONITOR("collector_reason", TEXT, collector_reason),
	{"time", FIELD_NS, offsetof(struct self_status, now_wall_ns)},
	PROCESS("started", NS, start_wall_ns),
	MONITOR("running", BOOL, running),
	MONITOR("stale", BOOL, stale),
	MONITOR("interval_seconds", NS, interval_ns),
	MONITOR("disk_interval_seconds", NS, disk_interval_ns),
	MONITOR("ticks", U64, ticks),
	MONITOR("ticks_skipped", U64, ticks_skipped),
	MONITOR("last_tick", NS, last_tick_wall_ns),
	MONITOR("tick_cpu_seconds", NS, tick_cpu_ns),
	MONITOR("tasks", SIZE, tasks),
	MONITOR("processes", SIZE, processes),
	MONITOR("pids", SIZE, pids),
	MONITOR("faults", U64, faults),
	MONITOR("collector_limited", U64, collector_limited),
	MONITOR("machine_cpu_seconds", NS, machine_cpu_ns),
	MONITOR("other_cpu_seconds", NS, other_cpu_ns),
	OPEN("self"),
	PROCESS("cpu_seconds", NS, cpu_ns),
	PROCESS("rss_bytes", I64, resident_bytes),
	PROCESS("virtual_bytes", I64, virtual_bytes),
	PROCESS("threads", I64, threads),
	PROCESS("fds", I64, open_fds),
	PROCESS("fds_limit", I64, max_fds),
	CLOSE,
	OPEN("disk"),
	MONITOR("sandboxes", SIZE, disk_sandboxes),
	MONITOR("stuck", SIZE, disk_stuck),
	MONITOR("looks", U64, disk_looks),
	MONITOR("cpu_seconds", NS, disk_cpu_ns),
	CLOSE,
	OPEN("history"),
	{"first", FIELD_NS, offsetof(struct self_status, history_first_ns)},
	MONITOR("bytes", SIZE, history_bytes),
	MONITOR("bytes_limit", SIZE, history_limit_bytes),
	MONITOR("dropped", U64, history_dropped),
	MONITOR("refused", U64, history_refused),
	CLOSE,
	OPEN("http"),
	HTTP("requests", U64, requests),
	HTTP("errors", U64, errors),
	HTTP("denied", U64, denied),
	HTTP("refused", U64, refused),
	HTTP("evicted", U64, evicted),
	HTTP("timed_out", U64, timed_out),
	HTTP("overloaded", U64, overloaded),
	HTTP("connections", SIZE, connections),
	HTTP("connections_limit", SIZE, connection_limit),
	HTTP("pending_bytes", SIZE, pending_bytes),
	HTTP("pending_bytes_limit", SIZE, pending_limit),
	HTTP("series", SIZE, series),
	HTTP("series_limit", SIZE, series_limit),
	HTTP("series_folded_processes", SIZE, folded),
	CLOSE,
	OPEN("remote_write"),
	REMOTE("samples_sent", I64, sent),
	REMOTE("requests", I64, requests),
	REMOTE("retries", I64, retries),
	REMOTE("samples_refused", I64, refused),
	REMOTE("samples_overflowed", I64, overflowed),
	REMOTE("instants_skipped", I64, skipped),
	REMOTE("failing", I64, failing),
	REMOTE("queue_samples", I64, queue_samples),
	REMOTE("queue_bytes", I64, queue_bytes),
	REMOTE("queue_bytes_limit", I64, queue_limit_bytes),
	REMOTE("lag_seconds", NS, lag_ns),
	CLOSE,
};

static void put_nanoseconds(struct buffer *out, int64_t ns)
{
	if (ns < 0)
		buffer_puts(out, "null");
	else
		buffer_put_seconds(out, ns);
}

static void put_number(struct buffer *out, int64_t value)
{
	if (value < 0)
		buffer_puts(out, "null");
	else
		buffer_put_i64(out, value);
}

static void put_field(struct buffer *out, const struct field *field, const struct self_status *self)
{
	const char *at = (const char *)self + field->offset;

	switch (field->type) {
	case FIELD_U64:
		put_number(out, (int64_t) * (const uint64_t *)at);
		break;
	case FIELD_SIZE:
		put_number(out, (int64_t) * (const size_t *)at);
		break;
	case FIELD_I64:
		put_number(out, *(const int64_t *)at);
		break;
	case FIELD_NS:
		put_nanoseconds(out, *(const int64_t *)at);
		break;
	case FIELD_BOOL:
		buffer_puts(out, *(const bool *)at ? "true" : "false");
		break;
	case FIELD_TEXT:
		buffer_put_json(out, *(const char *const *)at);
		break;
	case FIELD_OPEN:
		buffer_putc(out, '{');
		break;
	case FIELD_CLOSE:
		break;
	}
}

void self_write_json(struct buffer *out, const struct self_status *self)
{
	bool first = true;

	buffer_putc(out, '{');
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (fields[i].type == FIELD_CLOSE) {
			buffer_putc(out, '}');
			continue;
		}
		if (!first)
			buffer_putc(out, ',');
		buffer_put_json(out, fields[i].key);
		buffer_putc(out, ':');
		put_field(out, &fields[i], self);
		first = fields[i].type == FIELD_OPEN;
	}
	buffer_puts(out, "}\n");
}
