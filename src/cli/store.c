/* SPDX-License-Identifier: Apache-2.0 */
/* `tally store`: what a store has, whether it is sound, all of it as text, and less of it. */
#include "cli/store.h"

#include <errno.h>
#include <string.h>
#include "base/attr.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/json.h"
#include "history/survey.h"

struct store_options {
	const char *store;
	int64_t before_ns;
	bool json, csv;
};

#define AT(member) offsetof(struct store_options, member)

static const struct option_row options[] = {
	{"store", 0, OPTION_FILE, "FILE", AT(store),
		"the store (default: that of `tally observe`)"},
	{"json", 'j', OPTION_FLAG, NULL, AT(json),
		"info, check: write JSON instead of text; export: one object a line (the default)"},
	{"csv", 0, OPTION_FLAG, NULL, AT(csv), "export: write CSV"},
	{"before", 0, OPTION_TIME, "TIME", AT(before_ns), "prune: delete what is older than this"},
	{.name = NULL},
};

/* One of the things that can be done with a store. */
struct action {
	const char *name;
	const char *only; /* An option of its own, or NULL. */
	int (*run)(const struct store_options *o, struct command_line *line, const char *path);
};

static json_t *tier_json(const struct survey_tier *tier)
{
	json_t *json = json_object();

	json_object_set_new(json, "step_seconds", json_real((double)tier->step_ns / 1e9));
	json_object_set_new(json, "retention_seconds", json_real((double)tier->retention_ns / 1e9));
	json_object_set_new(json, "blocks", json_integer((json_int_t)tier->blocks));
	json_object_set_new(json, "bytes", json_integer((json_int_t)tier->block_bytes));
	json_object_set_new(json, "samples", json_integer((json_int_t)tier->rows));
	json_object_set_new(json, "values", json_integer((json_int_t)tier->values));
	json_object_set_new(json, "bytes_per_value",
		tier->values ? json_real((double)tier->block_bytes / (double)tier->values)
			     : json_null());
	json_object_set_new(json, "first",
		tier->blocks ? json_real((double)tier->first_ns / 1e9) : json_null());
	json_object_set_new(
		json, "last", tier->blocks ? json_real((double)tier->last_ns / 1e9) : json_null());
	return json;
}

static json_t *survey_json(const char *path, const struct survey *survey)
{
	json_t *json = json_object(), *tiers = json_array();

	for (unsigned i = 0; i < survey->tier_count; i++)
		json_array_append_new(tiers, tier_json(&survey->tiers[i]));
	json_object_set_new(json, "store", json_text(path));
	json_object_set_new(json, "bytes", json_integer((json_int_t)survey->bytes));
	json_object_set_new(json, "tasks", json_integer((json_int_t)survey->tasks));
	json_object_set_new(json, "processes", json_integer((json_int_t)survey->processes));
	json_object_set_new(
		json, "journal_entries", json_integer((json_int_t)survey->journal_entries));
	json_object_set_new(json, "damaged", json_integer((json_int_t)survey->damaged));
	json_object_set_new(json, "resolutions", tiers);
	return json;
}

static int write_json(struct command_line *line, json_t *json)
{
	int r = json_write(json, stdout);

	json_decref(json);
	return r < 0 ? line_fail(line, "cannot write JSON") : 0;
}

static void put_tier(const struct survey_tier *tier)
{
	char step[FORMAT_SIZE], bytes[FORMAT_SIZE], kept[FORMAT_SIZE], values[FORMAT_SIZE];
	char first[32], last[32];

	if (tier->step_ns)
		printf("%-10s every %s, kept for %s: ", "samples",
			format_duration(step, tier->step_ns),
			format_duration(kept, tier->retention_ns));
	else
		printf("%-10s as taken, kept for %s: ", "samples",
			format_duration(kept, tier->retention_ns));
	if (tier->blocks == 0) {
		puts("no blocks yet");
		return;
	}
	printf("%s to %s\n", stored_time(first, tier->first_ns, false),
		stored_time(last, tier->last_ns, false));
	printf("%-10s %llu blocks of %s, %s values, %.3f bytes per value\n", "",
		(unsigned long long)tier->blocks, format_bytes(bytes, (int64_t)tier->block_bytes),
		format_count(values, (int64_t)tier->values),
		tier->values ? (double)tier->block_bytes / (double)tier->values : 0.0);
}

static void put_info(const char *path, const struct survey *survey)
{
	char bytes[FORMAT_SIZE], shown[4096];

	text_show(shown, sizeof(shown), path);
	printf("%-10s %s, %s with its log\n", "store", shown,
		format_bytes(bytes, (int64_t)survey->bytes));
	printf("%-10s %llu, with %llu processes\n", "tasks", (unsigned long long)survey->tasks,
		(unsigned long long)survey->processes);
	for (unsigned i = 0; i < survey->tier_count; i++)
		put_tier(&survey->tiers[i]);
	printf("%-10s %llu ticks that are in no block yet\n", "journal",
		(unsigned long long)survey->journal_entries);
	if (survey->damaged)
		printf("%-10s %llu things; `tally store check` tells which\n", "damaged",
			(unsigned long long)survey->damaged);
}

static int run_info(const struct store_options *o, struct command_line *line, const char *path)
{
	struct survey survey;
	struct tally_error err;

	if (survey_store(path, false, NULL, NULL, &survey, &err) < 0)
		return line_fail(line, "%s", err.message);
	if (o->json)
		return write_json(line, survey_json(path, &survey));
	put_info(path, &survey);
	return 0;
}

static void say_damage(void *context, const char *text)
{
	char shown[1024];
	json_t *list = context;

	text_show(shown, sizeof(shown), text);
	if (list)
		json_array_append_new(list, json_text(shown));
	else
		puts(shown);
}

static void put_verdict(const char *path, const struct survey *survey)
{
	unsigned long long blocks = 0;

	for (unsigned i = 0; i < survey->tier_count; i++)
		blocks += survey->tiers[i].blocks;
	if (survey->damaged)
		return;
	printf("store %s is sound: %llu tasks, %llu blocks, %llu chunks of times, %llu entries of "
	       "the journal\n",
		path, (unsigned long long)survey->tasks, blocks, (unsigned long long)survey->chunks,
		(unsigned long long)survey->journal_entries);
	if (survey->later)
		printf("%llu blocks were written by a later Tally, and could not be looked into\n",
			(unsigned long long)survey->later);
}

static int run_check(const struct store_options *o, struct command_line *line, const char *path)
{
	struct survey survey;
	struct tally_error err;
	json_t *list = o->json ? json_array() : NULL;

	if (survey_store(path, true, say_damage, list, &survey, &err) < 0) {
		json_decref(list);
		return line_fail(line, "%s", err.message);
	}
	if (list) {
		json_t *json = survey_json(path, &survey);

		json_object_set_new(json, "damage", list);
		write_json(line, json);
	} else {
		put_verdict(path, &survey);
	}
	if (!survey.damaged)
		return 0;
	return line_fail(line,
		"store %s: %llu things are damaged; they are left out of all answers, and the "
		"rest can be used",
		path, (unsigned long long)survey.damaged);
}

static int run_export(const struct store_options *o, struct command_line *line, const char *path)
{
	struct stored stored;
	struct tally_error err;
	uint64_t lost = 0;
	int r = stored_open(path, &stored, &err);

	if (r == 0)
		r = store_export(&stored, o->csv, &lost, &err);
	stored_close(&stored);
	if (r < 0)
		return line_fail(line, "%s", err.message);
	if (lost == 0)
		return 0;
	return line_fail(line,
		"%llu stretches of samples are damaged and left out; `tally store check` tells which",
		(unsigned long long)lost);
}

static int run_prune(const struct store_options *o, struct command_line *line, const char *path)
{
	char before[FORMAT_SIZE], after[FORMAT_SIZE], time[32];
	struct tally_error err;
	uint64_t blocks = 0, bytes = store_file_bytes(path);

	if (!options_given(line, "before"))
		return line_refuse(line, 0,
			"tell from when on samples are kept: tally store prune --before TIME");
	if (survey_prune(path, o->before_ns, &blocks, &err) < 0)
		return line_fail(line, "%s", err.message);
	printf("deleted %llu blocks that ended before %s; the store has %s now, and had %s\n",
		(unsigned long long)blocks, stored_time(time, o->before_ns, false),
		format_bytes(after, (int64_t)store_file_bytes(path)),
		format_bytes(before, (int64_t)bytes));
	return 0;
}

static const struct action actions[] = {
	{"info", NULL, run_info},
	{"check", NULL, run_check},
	{"export", "csv", run_export},
	{"prune", "before", run_prune},
};

/* An option that another action has would be passed over in silence. */
static int check(const struct action *action, const struct command_line *line)
{
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (actions[i].only && &actions[i] != action &&
			options_given(line, actions[i].only))
			return line_refuse(line, 0, "--%s is for `tally store %s`", actions[i].only,
				actions[i].name);
	return OPTIONS_GO;
}

static int act(const struct store_options *o, struct command_line *line)
{
	char path[4096];
	struct tally_error err;

	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		if (strcmp(line->arguments[0], actions[i].name) != 0)
			continue;
		int status = check(&actions[i], line);
		if (status != OPTIONS_GO)
			return status;
		if (stored_path(o->store, path, sizeof(path), &err) < 0)
			return line_fail(line, "%s", err.message);
		return actions[i].run(o, line, path);
	}
	return line_refuse(line, 0, "'%s' cannot be done with a store; it takes %s",
		line->arguments[0], line->command->arguments);
}

static int run_store(int argc, char **argv)
{
	struct store_options o = {0};
	struct command_line line;
	int status = options_parse(&command_store, argc, argv, &o, &line);

	if (status == OPTIONS_GO)
		status = act(&o, &line);
	options_done(&command_store, &o);
	return status;
}

const struct command command_store = {
	.name = "store",
	.arguments = "info|check|export|prune",
	.summary = "Look after the file that keeps the history",
	.description =
		"info tells what it has and how small that is, check whether all of it is sound,\n"
		"export writes all samples, prune deletes old ones while no observer writes it.",
	.options = options,
	.least = 1,
	.most = 1,
	.run = run_store,
};
