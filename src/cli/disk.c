/* SPDX-License-Identifier: Apache-2.0 */
/* `tally disk`: where the disk of a sandbox went. */
#include "cli/disk.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/fail.h"
#include "base/parse.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/observed.h"
#include "cli/shared.h"
#include "cli/table.h"
#include "disk/walk.h"
#include "serve/client.h"

enum {
	DEPTH = 2, /* Without --depth. */
	ASKED_AGAIN_MS = 100,
	PATIENCE_MS = 10000,
	NOT_READY = 503,
};

struct disk_command {
	struct option_list sources;
	const char *sandbox, *socket, *depth_text;
	uint64_t depth;
	bool json;
};

#define AT(member) offsetof(struct disk_command, member)

static const struct option_row options[] = {
	{"depth", 'd', OPTION_STRING, "N", AT(depth_text),
		"show directories down to this depth below the sandbox, 0 to 64 (default: 2)"},
	{"json", 'j', OPTION_FLAG, NULL, AT(json), "write JSON instead of a table"},
	{"socket", 0, OPTION_FILE, "PATH", AT(socket), HELP_SOCKET},
	{"source", 0, OPTION_LIST, "SPEC", AT(sources),
		"do not ask the observer, but walk the sandbox that the task has by this source"},
	{"sandbox", 's', OPTION_DIRECTORY, "DIR", AT(sandbox),
		"walk this directory, whatever task it is of"},
	{.name = NULL},
};

/* -- by the observer -------------------------------------------------------------------------- */

static void sleep_ms(int ms)
{
	struct timespec time = {ms / 1000, ms % 1000 * NS_PER_MS};

	clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

int disk_ask(const char *socket, const char *task, const char *what, json_t **ret,
	struct tally_error *err)
{
	CLEANUP_FREE char *escaped = client_escape(task);
	CLEANUP_FREE char *target =
		escaped ? observed_target("/api/v1/tasks/%s/%s", escaped, what) : NULL;
	int r = -EREMOTE, status = NOT_READY;

	for (int waited = 0; r == -EREMOTE && status == NOT_READY; waited += ASKED_AGAIN_MS) {
		if (waited)
			sleep_ms(ASKED_AGAIN_MS);
		r = observed_get(socket, target, ret, &status, err);
		if (waited >= PATIENCE_MS)
			break;
	}
	if (r == -ENOENT || r == -ECONNREFUSED) {
		struct tally_error why = *err;

		tally_refuse(err, r,
			"%s; start one with `tally observe`, or name what to look at with --source",
			why.message);
	}
	return r;
}

/* -- by a walk of our own --------------------------------------------------------------------- */

static json_t *dirs_json(const struct outline *outline, uint64_t depth)
{
	json_t *dirs = json_array();

	for (unsigned i = 0; i < outline->count; i++) {
		const struct outline_dir *dir = &outline->dirs[i];

		if (dir->depth > depth)
			continue;
		json_t *one = json_object();
		json_object_set_new(one, "path", json_text(dir->depth ? dir->path : "."));
		json_object_set_new(one, "depth", json_integer(dir->depth));
		json_object_set_new(one, "bytes", json_integer(dir->bytes));
		json_object_set_new(one, "files", json_integer(dir->files));
		json_array_append_new(dirs, one);
	}
	return dirs;
}

/* As the observer answers. */
static json_t *walk_json(const char *task, const char *sandbox, const struct walk_sum *sum,
	const struct outline *outline, uint64_t depth)
{
	json_t *all = json_object();

	json_object_set_new(all, "task", json_text(task));
	json_object_set_new(all, "sandbox", json_text(sandbox));
	json_object_set_new(all, "disk_method", json_string("walk"));
	json_object_set_new(all, "why", json_null());
	json_object_set_new(all, "disk_bytes", json_integer(sum->bytes));
	json_object_set_new(all, "disk_files", json_integer(sum->files));
	json_object_set_new(all, "partial", json_integer(sum->partial));
	json_object_set_new(all, "disk_age_seconds", json_real(0));
	json_object_set_new(all, "directories", dirs_json(outline, depth));
	json_object_set_new(all, "left_out", json_integer(outline->left_out));
	return all;
}

static int walk_sandbox(const char *task, const char *sandbox, uint64_t depth, json_t **ret,
	struct tally_error *err)
{
	CLEANUP_FREE struct scan_batch *batch = calloc(1, sizeof(*batch));
	CLEANUP_FREE struct outline *outline = calloc(1, sizeof(*outline));
	struct walk *walk;
	int r = batch && outline ? walk_open(sandbox, &walk, err)
				 : tally_fail(err, -ENOMEM, "cannot walk %s", sandbox);

	if (r < 0)
		return r;
	walk_outline(walk, outline);
	while ((r = walk_step(walk, batch)) > 0)
		;
	if (r == 0) {
		outline_sort(outline);
		*ret = walk_json(task, sandbox, walk_sum(walk), outline, depth);
	} else {
		tally_fail(err, r, "cannot walk %s", sandbox);
	}
	walk_close(walk);
	outline_done(outline);
	return r;
}

struct sandbox_search {
	const char *task;
	char *sandbox;
	bool found;
};

static void find_sandbox(
	void *context, const struct tally_task_info *info, const struct tally_reading *reading)
{
	struct sandbox_search *search = context;

	if (strcmp(info->id, search->task) != 0)
		return;
	search->found = true;
	search->sandbox = info->sandbox ? strdup(info->sandbox) : NULL;
}

/* The sources tell where it is: they are asked once, and nothing is kept. */
static int ask_sources(
	const struct disk_command *o, const char *task, char **ret, struct tally_error *err)
{
	const struct tally_monitor_options monitor_options = {
		.collector = "procfs", .log = shared_log};
	struct sandbox_search search = {.task = task};
	struct tally_monitor *monitor = NULL;
	int r = tally_monitor_new(&monitor_options, &monitor, err);

	for (size_t i = 0; r == 0 && i < o->sources.count; i++)
		r = tally_monitor_add_source(monitor, o->sources.items[i], err);
	if (r == 0)
		r = tally_monitor_tick(monitor, err);
	if (r == 0)
		tally_monitor_tasks(monitor, find_sandbox, &search);
	tally_monitor_free(monitor);
	if (r == 0 && !search.found)
		r = tally_refuse(err, -ENOENT,
			"there is no task '%.200s'; `tally show` lists those there are", task);
	if (r == 0 && !search.sandbox)
		r = tally_refuse(err, -ENODATA,
			"task %.200s has no sandbox; name a directory with --sandbox", task);
	*ret = search.sandbox;
	return r;
}

/* -- as text ---------------------------------------------------------------------------------- */

static int64_t whole(const json_t *object, const char *key)
{
	return (int64_t)json_number_value(json_object_get(object, key));
}

static const char *word(const json_t *object, const char *key, const char *otherwise)
{
	return json_string_value(json_object_get(object, key)) ?: otherwise;
}

static void print_head(const json_t *all)
{
	char bytes[FORMAT_SIZE], files[FORMAT_SIZE], age[FORMAT_SIZE], shown[PATH_MAX];
	int64_t age_ns =
		(int64_t)(1e9 * json_number_value(json_object_get(all, "disk_age_seconds")));
	int64_t partial = whole(all, "partial");
	const char *why = word(all, "why", NULL);

	text_show(shown, sizeof(shown), word(all, "sandbox", "?"));
	printf("%s in %s files of %s, known by '%s' as of %s ago\n",
		format_bytes(bytes, whole(all, "disk_bytes")),
		format_count(files, whole(all, "disk_files")), shown, word(all, "disk_method", "?"),
		format_duration(age, age_ns));
	if (why) {
		text_show(shown, sizeof(shown), why);
		printf("%s\n", shown);
	}
	if (partial)
		printf("%s directories could not be read: there is more than is told\n",
			format_count(files, partial));
}

static int print_dirs(const json_t *dirs)
{
	struct table table = {.columns = 3, .right = {true, true, false}};
	char text[FORMAT_SIZE];
	const json_t *dir;
	size_t i;

	table_add(&table, "SIZE");
	table_add(&table, "FILES");
	table_add(&table, "DIRECTORY");
	json_array_foreach(dirs, i, dir)
	{
		table_add(&table, format_bytes(text, whole(dir, "bytes")));
		table_add(&table, format_count(text, whole(dir, "files")));
		table_add(&table, word(dir, "path", "?"));
	}
	return table_print(&table, stdout, terminal_style(STDOUT_FILENO));
}

static int print_table(const json_t *all)
{
	const json_t *dirs = json_object_get(all, "directories");
	int64_t left_out = whole(all, "left_out");
	char count[FORMAT_SIZE];

	print_head(all);
	if (!json_is_array(dirs)) {
		printf("its directories are not known that way; --sandbox walks them\n");
		return 0;
	}
	int r = print_dirs(dirs);
	if (left_out)
		printf("%s lighter directories are left out\n", format_count(count, left_out));
	return r;
}

/* -- the command ------------------------------------------------------------------------------ */

static int look(
	const struct disk_command *o, const char *task, json_t **ret, struct tally_error *err)
{
	CLEANUP_FREE char *sandbox = NULL;
	char what[32];
	int r;

	if (o->sandbox) {
		sandbox = realpath(o->sandbox, NULL);
		return sandbox ? walk_sandbox(task, sandbox, o->depth, ret, err)
			       : tally_fail(err, -errno, "cannot look at %s", o->sandbox);
	}
	if (o->sources.count) {
		r = ask_sources(o, task, &sandbox, err);
		return r < 0 ? r : walk_sandbox(task, sandbox, o->depth, ret, err);
	}
	snprintf(what, sizeof(what), "disk?depth=%u", (unsigned)o->depth);
	return disk_ask(o->socket, task, what, ret, err);
}

static int check(struct disk_command *o, const struct command_line *line)
{
	o->depth = DEPTH;
	if (o->depth_text && !parse_u64(o->depth_text, 0, OUTLINE_DEPTH_MOST, &o->depth))
		return line_refuse_option(
			line, "depth", "it is a number from 0 to %d", OUTLINE_DEPTH_MOST);
	if (o->sandbox && (o->sources.count || o->socket))
		return line_refuse_option(line, "sandbox",
			"it says where to look by itself; leave --%s out",
			o->socket ? "socket" : "source");
	if (o->socket && o->sources.count)
		return line_refuse_option(line, "socket", "give --socket or --source, not both");
	if (!o->sandbox && line->argument_count == 0)
		return line_refuse(line, 0, "name a task, or a directory with --sandbox DIR");
	return OPTIONS_GO;
}

static int run_disk(int argc, char **argv)
{
	struct disk_command o = {0};
	struct command_line line;
	struct tally_error err;
	json_t *all = NULL;
	int status = options_parse(&command_disk, argc, argv, &o, &line);

	if (status == OPTIONS_GO)
		status = check(&o, &line);
	if (status == OPTIONS_GO) {
		int r = look(&o, line.arguments[0], &all, &err);

		status = 0;
		if (r < 0)
			status = line_fail(&line, "%s", err.message);
		else if ((o.json ? json_write(all, stdout) : print_table(all)) < 0)
			status = line_fail(&line, "cannot write the directories");
	}
	json_decref(all);
	options_done(&command_disk, &o);
	return status;
}

const struct command command_disk = {
	.name = "disk",
	.arguments = "[TASK]",
	.summary = "Show which directories of a sandbox are the heaviest",
	.description =
		"Asks the observer, which knows without reading anything; of what its method\n"
		"does not tell, or without an observer, --source and --sandbox walk once.",
	.options = options,
	.most = 1,
	.run = run_disk,
};
