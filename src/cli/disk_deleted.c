/* SPDX-License-Identifier: Apache-2.0 */
/* `tally show --deleted`: files without a name that a task holds open. */
#include <errno.h>
#include <time.h>
#include "base/clock.h"
#include "base/fail.h"
#include "cli/disk.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/table.h"

enum { ASKED_AGAIN_MS = 20, PATIENCE_MS = 10000 };

/* -- by a monitor of our own ------------------------------------------------------------------ */

static void add_file(void *context, const struct monitor_deleted *file)
{
	json_t *one = json_object();

	json_object_set_new(one, "process", json_text(file->process));
	json_object_set_new(one, "pid", json_integer(file->pid));
	json_object_set_new(one, "fd", json_integer(file->fd));
	json_object_set_new(one, "bytes", json_integer(file->bytes));
	json_object_set_new(one, "size", json_integer(file->size));
	json_object_set_new(one, "inode", json_integer((json_int_t)file->inode));
	json_object_set_new(one, "name", json_text(file->name));
	json_array_append_new(context, one);
}

static json_t *figure(const struct monitor_deleted_sum *sum, int64_t value)
{
	return sum->code ? json_null() : json_integer(value);
}

/* As the observer answers. */
static json_t *files_json(const char *task, json_t *files, const struct monitor_deleted_sum *sum)
{
	json_t *all = json_object();

	json_object_set_new(all, "task", json_text(task));
	json_object_set_new(all, "files", files);
	json_object_set_new(all, "disk_deleted_bytes", figure(sum, sum->bytes));
	json_object_set_new(all, "disk_deleted_files", figure(sum, sum->files));
	json_object_set_new(
		all, "why", sum->code ? json_string(tally_reason_text(sum->reason)) : json_null());
	json_object_set_new(all, "disk_age_seconds",
		sum->boot_ns ? json_real((double)(clock_boot_ns() - sum->boot_ns) / 1e9)
			     : json_null());
	json_object_set_new(all, "left_out", json_integer(sum->left_out));
	return all;
}

/* The first look is under way: ticks tell the worker which processes there are. */
static int read_own(
	struct tally_monitor *monitor, const char *task, json_t **ret, struct tally_error *err)
{
	const struct timespec pause = {0, ASKED_AGAIN_MS * NS_PER_MS};
	struct monitor_deleted_sum sum = {.code = -EINPROGRESS};
	json_t *files = json_array();
	int r = 0;

	for (int waited = 0; r == 0 && sum.code == -EINPROGRESS; waited += ASKED_AGAIN_MS) {
		if (waited)
			clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		json_array_clear(files);
		r = monitor_deleted(monitor, task, add_file, files, &sum, err);
		if (waited >= PATIENCE_MS)
			break;
	}
	if (r < 0)
		json_decref(files);
	else
		*ret = files_json(task, files, &sum);
	return r;
}

/* -- as text ---------------------------------------------------------------------------------- */

static int64_t whole(const json_t *object, const char *key)
{
	return (int64_t)json_number_value(json_object_get(object, key));
}

static const char *word(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key)) ?: "-";
}

static void add_number(struct table *table, int64_t number)
{
	char text[FORMAT_SIZE];

	snprintf(text, sizeof(text), "%lld", (long long)number);
	table_add(table, text);
}

static int print_files(const json_t *files)
{
	static const char *const titles[] = {"PROCESS", "PID", "FD", "HELD", "SIZE", "OLD NAME"};
	struct table table = {
		.columns = ARRAY_SIZE(titles), .right = {false, true, true, true, true, false}};
	char text[FORMAT_SIZE];
	const json_t *file;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(titles); i++)
		table_add(&table, titles[i]);
	json_array_foreach(files, i, file)
	{
		table_add(&table, word(file, "process"));
		add_number(&table, whole(file, "pid"));
		add_number(&table, whole(file, "fd"));
		table_add(&table, format_bytes(text, whole(file, "bytes")));
		table_add(&table, format_bytes(text, whole(file, "size")));
		table_add(&table, word(file, "name"));
	}
	return table_print(&table, stdout, terminal_style(STDOUT_FILENO));
}

static int print_table(const json_t *all)
{
	const json_t *files = json_object_get(all, "files");
	int64_t left_out = whole(all, "left_out");
	char bytes[FORMAT_SIZE], count[FORMAT_SIZE];
	int r = 0;

	if (json_array_size(files))
		r = print_files(files);
	if (json_is_null(json_object_get(all, "disk_deleted_bytes")))
		printf("what is held open without a name is not known: %s\n", word(all, "why"));
	else
		printf("%s in %s files without a name are held open\n",
			format_bytes(bytes, whole(all, "disk_deleted_bytes")),
			format_count(count, whole(all, "disk_deleted_files")));
	if (left_out)
		printf("%s descriptors of smaller files are left out\n",
			format_count(count, left_out));
	return r;
}

int show_deleted(struct command_line *line, struct tally_monitor *monitor, const char *task,
	const char *socket, bool json)
{
	struct tally_error err;
	json_t *all = NULL;
	int r = monitor ? read_own(monitor, task, &all, &err)
			: disk_ask(socket, task, "deleted", &all, &err);

	if (r < 0)
		return line_fail(line, "%s", err.message);
	r = json ? json_write(all, stdout) : print_table(all);
	json_decref(all);
	return r < 0 ? line_fail(line, "cannot write the files") : 0;
}
