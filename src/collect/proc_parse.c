/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/proc_parse.h"

#include <string.h>
#include "base/parse.h"

/* Fields 4 (ppid) to 24 (rss) of stat, all numbers; the kernel's text continues after them. */
enum {
	PARENT,
	GROUP,
	SESSION,
	TTY,
	TTY_GROUP,
	FLAGS,
	MINOR,
	CHILDREN_MINOR,
	MAJOR,
	CHILDREN_MAJOR,
	USER,
	SYSTEM,
	CHILDREN_USER,
	CHILDREN_SYSTEM,
	PRIORITY,
	NICE,
	THREADS,
	TIMER,
	START,
	VIRTUAL,
	RSS,
	FIELDS
};

static int64_t not_negative(int64_t value)
{
	return value < 0 ? 0 : value;
}

static bool is_pid(int64_t value)
{
	return value >= 0 && value <= INT32_MAX;
}

static void copy_comm(struct cursor comm, char ret[PROC_COMM_SIZE])
{
	size_t length = (size_t)(comm.end - comm.at);

	if (length >= PROC_COMM_SIZE)
		length = PROC_COMM_SIZE - 1;
	memcpy(ret, comm.at, length);
	ret[length] = '\0';
}

static void fill_stat(const int64_t *field, struct proc_stat *ret)
{
	ret->parent = (pid_t)field[PARENT];
	ret->session = (pid_t)field[SESSION];
	ret->minor_faults = not_negative(field[MINOR]);
	ret->children_minor_faults = not_negative(field[CHILDREN_MINOR]);
	ret->major_faults = not_negative(field[MAJOR]);
	ret->children_major_faults = not_negative(field[CHILDREN_MAJOR]);
	ret->user_ticks = not_negative(field[USER]);
	ret->system_ticks = not_negative(field[SYSTEM]);
	ret->children_user_ticks = not_negative(field[CHILDREN_USER]);
	ret->children_system_ticks = not_negative(field[CHILDREN_SYSTEM]);
	ret->nice = field[NICE];
	ret->threads = not_negative(field[THREADS]);
	ret->start_ticks = not_negative(field[START]);
	ret->virtual_bytes = not_negative(field[VIRTUAL]);
	ret->rss_pages = not_negative(field[RSS]);
}

/*
 * "PID (COMM) STATE PPID PGRP SESSION …". COMM is raw and may hold anything, ") R 1" included: it
 * ends at the last parenthesis of the text, for only numbers follow.
 */
bool proc_parse_stat(const char *text, size_t length, struct proc_stat *ret)
{
	const char *end = text + length;
	struct cursor c = cursor_of(text, length);
	int64_t field[FIELDS];
	uint64_t pid;

	if (!cursor_u64(&c, &pid) || pid > INT32_MAX || !cursor_literal(&c, " ("))
		return false;
	const char *comm = c.at;
	const char *close = memrchr(comm, ')', (size_t)(end - comm));
	if (!close || end - close < 4 || close[1] != ' ' || close[3] != ' ')
		return false;
	c.at = close + 4;
	for (int i = 0; i < FIELDS; i++)
		if (!cursor_i64(&c, &field[i]))
			return false;
	/* A text cut in the middle of a number would give a wrong one: something has to follow. */
	if (c.at == end || !is_pid(field[PARENT]) || !is_pid(not_negative(field[SESSION])))
		return false;

	*ret = (struct proc_stat){.pid = (pid_t)pid, .state = close[2]};
	copy_comm((struct cursor){comm, close}, ret->comm);
	fill_stat(field, ret);
	return true;
}

/* "   123 kB" */
static bool kilobytes(struct cursor c, int64_t *ret)
{
	uint64_t value;

	if (!cursor_u64(&c, &value) || value > INT64_MAX / 1024)
		return false;
	*ret = (int64_t)value * 1024;
	return true;
}

static bool number(struct cursor c, int64_t *ret)
{
	uint64_t value;

	if (!cursor_u64(&c, &value) || value > INT64_MAX)
		return false;
	*ret = (int64_t)value;
	return true;
}

/* One line of status. RssFile and RssShmem are added up. */
static bool status_line(struct cursor line, struct proc_status *ret)
{
	int64_t part, sum;

	switch (line.at < line.end ? *line.at : 0) {
	case 'S':
		if (!cursor_literal(&line, "State:"))
			return false;
		cursor_skip_blank(&line);
		ret->state = line.at < line.end ? *line.at : 0;
		return ret->state != 0;
	case 'P':
		return cursor_literal(&line, "PPid:") && number(line, &ret->parent);
	case 'T':
		return cursor_literal(&line, "Threads:") && number(line, &ret->threads);
	case 'V':
		if (cursor_literal(&line, "VmSize:"))
			return kilobytes(line, &ret->virtual_bytes);
		if (cursor_literal(&line, "VmRSS:"))
			return kilobytes(line, &ret->rss_bytes);
		return cursor_literal(&line, "VmSwap:") && kilobytes(line, &ret->swap_bytes);
	case 'R':
		if (!cursor_literal(&line, "RssFile:") && !cursor_literal(&line, "RssShmem:"))
			return false;
		if (!kilobytes(line, &part) ||
			__builtin_add_overflow(
				ret->shared_bytes < 0 ? 0 : ret->shared_bytes, part, &sum))
			return false;
		ret->shared_bytes = sum;
		return true;
	case 'v':
		return cursor_literal(&line, "voluntary_ctxt_switches:") &&
		       number(line, &ret->voluntary);
	case 'n':
		return cursor_literal(&line, "nonvoluntary_ctxt_switches:") &&
		       number(line, &ret->involuntary);
	default:
		return false;
	}
}

bool proc_parse_status(const char *text, size_t length, struct proc_status *ret)
{
	struct proc_status found = {-1, -1, -1, -1, -1, -1, -1, -1, 0};
	struct cursor c = cursor_of(text, length), line;
	bool any = false;

	while (cursor_line(&c, &line))
		any |= status_line(line, &found);
	if (any)
		*ret = found;
	return any;
}

bool proc_parse_io(
	const char *text, size_t length, int64_t *ret_read_bytes, int64_t *ret_write_bytes)
{
	struct cursor c = cursor_of(text, length), line;
	int64_t read_bytes = -1, write_bytes = -1;

	while (cursor_line(&c, &line))
		if (cursor_literal(&line, "read_bytes:"))
			number(line, &read_bytes);
		else if (cursor_literal(&line, "write_bytes:"))
			number(line, &write_bytes);
	if (read_bytes < 0 || write_bytes < 0)
		return false;
	*ret_read_bytes = read_bytes;
	*ret_write_bytes = write_bytes;
	return true;
}

bool proc_parse_schedstat(
	const char *text, size_t length, int64_t *ret_run_ns, int64_t *ret_wait_ns)
{
	struct cursor c = cursor_of(text, length);
	int64_t run_ns, wait_ns;

	if (!cursor_i64(&c, &run_ns) || !cursor_i64(&c, &wait_ns) || run_ns < 0 || wait_ns < 0 ||
		c.at == c.end)
		return false;
	*ret_run_ns = run_ns;
	*ret_wait_ns = wait_ns;
	return true;
}

bool proc_parse_pss(const char *text, size_t length, int64_t *ret_bytes)
{
	struct cursor c = cursor_of(text, length), line;

	while (cursor_line(&c, &line))
		if (cursor_literal(&line, "Pss:"))
			return kilobytes(line, ret_bytes);
	return false;
}

pid_t proc_parse_pid(const char *text, size_t length)
{
	pid_t pid = 0;

	if (length == 0 || length > 10)
		return 0;
	for (size_t i = 0; i < length; i++)
		if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(pid, 10, &pid) ||
			__builtin_add_overflow(pid, text[i] - '0', &pid))
			return 0;
	return pid;
}
