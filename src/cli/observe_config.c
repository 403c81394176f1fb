/* SPDX-License-Identifier: Apache-2.0 */
/* `tally observe --config`: the file at the start, and again on SIGHUP. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/fail.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/observe.h"
#include "monitor/monitor.h"

/* Kinds of sources that a reload may change at once. */
#define KINDS_MAX 32

/* A source that is ready to take the place of another. */
struct change {
	const char *name;      /* Of its kind. */
	struct source *source; /* NULL: the kind is not wanted any more. */
};

struct changes {
	struct change at[KINDS_MAX];
	size_t count;
};

void observe_done_config(struct observer *o)
{
	options_done(&command_observe, &o->options);
	free(o->hosts);
	free(o->share);
	config_free(o->config);
}

/* Told of no source and no rule, it looks around by itself; "none" is no source. */
static int settle_sources(struct observer *o)
{
	struct option_list *list = &o->options.sources;
	size_t rules = 0, kept = 0;

	if (o->config)
		config_rules(o->config, &rules);
	if (list->count == 0 && rules == 0 && option_list_add(list, "auto") < 0)
		return line_fail(&o->line, "there is no memory");
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i], "none") != 0)
			list->items[kept++] = list->items[i];
	list->count = kept;
	return OPTIONS_GO;
}

static int check_sources(struct observer *o)
{
	const struct option_list *list = &o->options.sources;
	const struct source_ops *ops;
	struct tally_error err;
	const char *argument;
	int status = settle_sources(o);

	if (status != OPTIONS_GO)
		return status;
	for (size_t i = 0; i < list->count; i++)
		if (source_find(list->items[i], &ops, &argument, &err) < 0)
			return line_refuse_option(&o->line, "source", "%s", err.message);
	return OPTIONS_GO;
}

int observe_check_config(struct observer *o)
{
	int status = check_sources(o);

	return status == OPTIONS_GO ? observe_check(o) : status;
}

int observe_take_config(struct observer *o)
{
	struct tally_error err;
	int r;

	if (!o->options.config)
		return settle_sources(o);
	r = config_read(o->options.config, &command_observe, &o->config, &err);
	if (r == 0)
		r = config_apply(o->config, &o->line, &o->options, &err);
	if (r < 0) {
		line_fail(&o->line, "%s", err.message);
		return r == -EINVAL ? EXIT_USAGE : EXIT_FAIL;
	}
	return check_sources(o);
}

static int open_rules(struct observer *o, const struct config *config, struct source **ret,
	struct tally_error *err)
{
	const struct match_options match = {.log = &o->log};
	size_t count;
	const struct match_rule *rules = config_rules(config, &count);

	return match_open(rules, count, &match, ret, err);
}

int observe_add_rules(struct observer *o, struct tally_error *err)
{
	struct source *source;
	size_t count = 0;

	if (o->config)
		config_rules(o->config, &count);
	if (count == 0)
		return 0;
	int r = open_rules(o, o->config, &source, err);
	return r < 0 ? r : monitor_add_source(o->monitor, source, err);
}

/* ---- what has changed ---- */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_patterns(const struct match_patterns *a, const struct match_patterns *b)
{
	bool same = a->count == b->count;

	for (size_t i = 0; same && i < a->count; i++)
		same = strcmp(a->items[i], b->items[i]) == 0;
	return same;
}

static bool same_rules(const struct config *before, const struct config *after)
{
	size_t count, other;
	const struct match_rule *a = config_rules(before, &count);
	const struct match_rule *b = config_rules(after, &other);
	bool same = count == other;

	for (size_t i = 0; same && i < count; i++) {
		same = same_text(a[i].task, b[i].task) && same_text(a[i].process, b[i].process);
		for (int key = 0; same && key < MATCH_KEY_COUNT; key++)
			same = same_patterns(&a[i].keys[key], &b[i].keys[key]);
	}
	return same;
}

static bool same_list(const struct option_list *a, const struct option_list *b)
{
	bool same = a->count == b->count;

	for (size_t i = 0; same && i < a->count; i++)
		same = strcmp(a->items[i], b->items[i]) == 0;
	return same;
}

static bool same_value(const struct option_row *row, const struct observe_options *a,
	const struct observe_options *b)
{
	const void *first = (const char *)a + row->offset, *second = (const char *)b + row->offset;

	switch (row->type) {
	case OPTION_FLAG:
		return *(const bool *)first == *(const bool *)second;
	case OPTION_DURATION:
	case OPTION_SIZE:
	case OPTION_TIME:
		return *(const int64_t *)first == *(const int64_t *)second;
	case OPTION_LIST:
		return same_list(first, second);
	default:
		return same_text(*(const char *const *)first, *(const char *const *)second);
	}
}

/* The options that count from the next start on: "interval, listen", or "". */
static void list_late(
	const struct observer *o, const struct observer *fresh, char *out, size_t size)
{
	out[0] = '\0';
	for (size_t i = 0; command_observe.options[i].name; i++) {
		const struct option_row *row = &command_observe.options[i];
		size_t used = strlen(out);

		if (strcmp(row->name, "source") != 0 &&
			!same_value(row, &o->options, &fresh->options))
			snprintf(out + used, size - used, "%s%s", used ? ", " : "", row->name);
	}
}

/* ---- sources ---- */

static bool is_kind(const char *spec, const struct source_ops *ops, const char **ret_argument)
{
	const struct source_ops *found;

	return source_find(spec, &found, ret_argument, NULL) == 0 && found == ops;
}

/* Whether the specifications of a kind are the same, in the same order. */
static bool same_specs(
	const struct option_list *a, const struct option_list *b, const struct source_ops *ops)
{
	const char *ignored;
	size_t i = 0, j = 0;

	for (;;) {
		while (i < a->count && !is_kind(a->items[i], ops, &ignored))
			i++;
		while (j < b->count && !is_kind(b->items[j], ops, &ignored))
			j++;
		if (i == a->count || j == b->count)
			return i == a->count && j == b->count;
		if (strcmp(a->items[i++], b->items[j++]) != 0)
			return false;
	}
}

/* One source of a kind for all its specifications; *ret stays NULL when there is none. */
static int open_kind(struct observer *o, const struct option_list *specs,
	const struct source_ops *ops, struct source **ret, struct tally_error *err)
{
	const char *argument;
	int r = 0;

	for (size_t i = 0; r == 0 && i < specs->count; i++) {
		if (!is_kind(specs->items[i], ops, &argument))
			continue;
		if (!*ret && ops->probe)
			r = ops->probe(err);
		if (r < 0)
			break;
		if (!*ret)
			r = ops->open(argument, &o->log, ret, err);
		else if (ops->add)
			r = ops->add(*ret, argument, err);
		else
			r = tally_refuse(err, -EINVAL,
				"two of them cannot be added while the observer runs; restart it");
		if (r < 0)
			tally_prefix(err, r, "source %s", specs->items[i]);
	}
	return r;
}

static int open_changes(struct observer *o, const struct observer *before,
	const struct observer *after, struct changes *changes, struct tally_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && sources[i] && changes->count < KINDS_MAX - 1; i++) {
		struct change *change = &changes->at[changes->count];

		if (same_specs(&before->options.sources, &after->options.sources, sources[i]))
			continue;
		*change = (struct change){.name = sources[i]->name};
		changes->count++;
		r = open_kind(o, &after->options.sources, sources[i], &change->source, err);
	}
	if (r == 0 && !same_rules(before->config, after->config)) {
		struct change *change = &changes->at[changes->count++];

		*change = (struct change){.name = "match"};
		r = open_rules(o, after->config, &change->source, err);
	}
	for (size_t i = 0; r < 0 && i < changes->count; i++)
		source_close(changes->at[i].source);
	return r;
}

static void replace(struct observer *o, const struct change *change)
{
	struct tally_error err;

	if (monitor_replace_source(o->monitor, change->name, change->source, &err) < 0)
		log_say(&o->log, TALLY_LOG_ERROR, "%s", err.message);
}

/* What is not wanted any more goes first: tasks that it claimed are taken over by those that come. */
static void commit(struct observer *o, struct changes *changes)
{
	for (size_t i = 0; i < changes->count; i++)
		if (!changes->at[i].source)
			replace(o, &changes->at[i]);
	for (size_t i = 0; i < changes->count; i++)
		if (changes->at[i].source)
			replace(o, &changes->at[i]);
}

/* ---- the reload ---- */

static int read_again(struct observer *o, struct observer *fresh, struct tally_error *err)
{
	int r = options_parse(
		&command_observe, o->line.argc, o->line.argv, &fresh->options, &fresh->line);

	if (r != OPTIONS_GO)
		return tally_refuse(err, -EINVAL, "the command line cannot be taken again");
	fresh->line.silent = err;
	r = config_read(o->options.config, &command_observe, &fresh->config, err);
	if (r == 0)
		r = config_apply(fresh->config, &fresh->line, &fresh->options, err);
	if (r == 0 && observe_check_config(fresh) != OPTIONS_GO)
		r = -EINVAL; /* The message is there. */
	return r;
}

static void say_reloaded(struct observer *o, const struct observer *fresh)
{
	char late[400];
	size_t rules;

	config_rules(fresh->config, &rules);
	list_late(o, fresh, late, sizeof(late));
	log_say(&o->log, TALLY_LOG_INFO, "%s was read again: %zu rule%s, %zu source%s%s%s",
		o->options.config, rules, rules == 1 ? "" : "s", fresh->options.sources.count,
		fresh->options.sources.count == 1 ? "" : "s",
		*late ? "; these count from the next start on: " : "", late);
}

int observe_reload(struct observer *o, struct tally_error *err)
{
	struct observer *fresh, *before = o->reloaded ? o->reloaded : o;
	struct changes changes = {0};
	int r;

	if (!o->config)
		return 0;
	fresh = calloc(1, sizeof(*fresh));
	if (!fresh)
		return tally_fail(err, -ENOMEM, "cannot read %s", o->options.config);
	r = read_again(o, fresh, err);
	if (r == 0)
		r = open_changes(o, before, fresh, &changes, err);
	if (r < 0) {
		observe_done_config(fresh);
		free(fresh);
		return r;
	}
	commit(o, &changes);
	say_reloaded(o, fresh);
	observe_forget_reload(o);
	o->reloaded = fresh;
	return 0;
}

void observe_forget_reload(struct observer *o)
{
	if (o->reloaded)
		observe_done_config(o->reloaded);
	free(o->reloaded);
	o->reloaded = NULL;
}
