/* SPDX-License-Identifier: Apache-2.0 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "source/match_rule.h"

#include <errno.h>
#include <fnmatch.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/fail.h"
#include "base/text.h"

/* A command line is written by whoever runs it: no expression may be made to run for long. */
#define STEPS_MAX 20000

/* Pieces of a name, as many as there are variables in it. */
#define PIECES_MAX 16

/* Longest expression, shell pattern or name. */
#define PATTERN_MAX 4096

const char *const match_key_names[MATCH_KEY_COUNT] = {
	[MATCH_COMM] = "comm",
	[MATCH_EXE] = "exe",
	[MATCH_CMDLINE] = "cmdline",
	[MATCH_USER] = "user",
	[MATCH_CGROUP] = "cgroup",
	[MATCH_PARENT] = "parent",
};

/* The variables that every process has; what precedes the dot is process-exporter's. */
static const struct {
	const char *name, *theirs;
	enum match_key key;
	bool base; /* Only what follows the last '/'. */
} variables[] = {
	{"comm", ".Comm", MATCH_COMM, false},
	{"exe", ".ExeFull", MATCH_EXE, false},
	{"exe_base", ".ExeBase", MATCH_EXE, true},
	{"user", ".Username", MATCH_USER, false},
	{"cgroup", ".Cgroups", MATCH_CGROUP, false},
	{"parent", NULL, MATCH_PARENT, false},
};

/* One piece of a name: a text, then a variable. */
struct piece {
	char *text;
	int variable;	 /* Index in variables[]; -1: a capture; -2: none. */
	char *capture;	 /* Its name. */
	size_t pattern;	 /* Which expression has it. */
	uint32_t number; /* Which group that is. */
};

struct name {
	struct piece pieces[PIECES_MAX];
	size_t count;
};

struct rule {
	char **patterns[MATCH_KEY_COUNT];
	size_t count[MATCH_KEY_COUNT];
	pcre2_code **codes; /* Of MATCH_CMDLINE. */
	pcre2_match_data **matches;
	struct name task, process;
};

struct match_rules {
	size_t count;
	struct rule *rules;
	bool needed[MATCH_KEY_COUNT];
	pcre2_match_context *context;
};

static void name_done(struct name *name)
{
	for (size_t i = 0; i < name->count; i++) {
		free(name->pieces[i].text);
		free(name->pieces[i].capture);
	}
}

static void rule_done(struct rule *rule)
{
	for (int key = 0; key < MATCH_KEY_COUNT; key++) {
		for (size_t i = 0; rule->patterns[key] && i < rule->count[key]; i++)
			free(rule->patterns[key][i]);
		free(rule->patterns[key]);
	}
	for (size_t i = 0; rule->codes && i < rule->count[MATCH_CMDLINE]; i++)
		pcre2_code_free(rule->codes[i]);
	for (size_t i = 0; rule->matches && i < rule->count[MATCH_CMDLINE]; i++)
		pcre2_match_data_free(rule->matches[i]);
	free(rule->codes);
	free(rule->matches);
	name_done(&rule->task);
	name_done(&rule->process);
}

struct match_rules *match_rules_free(struct match_rules *rules)
{
	if (!rules)
		return NULL;
	for (size_t i = 0; rules->rules && i < rules->count; i++)
		rule_done(&rules->rules[i]);
	pcre2_match_context_free(rules->context);
	free(rules->rules);
	free(rules);
	return NULL;
}

static int no_memory(struct tally_error *err)
{
	return tally_fail(err, -ENOMEM, "cannot keep the rule");
}

/* ---- patterns ---- */

static int compile(struct rule *rule, size_t i, struct tally_error *err)
{
	const char *pattern = rule->patterns[MATCH_CMDLINE][i];
	int code;
	PCRE2_SIZE at;
	PCRE2_UCHAR why[128];

	rule->codes[i] = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
		PCRE2_NEVER_UTF | PCRE2_DOTALL, &code, &at, NULL);
	if (!rule->codes[i]) {
		pcre2_get_error_message(code, why, sizeof(why));
		return tally_refuse(err, -EINVAL,
			"'%.80s' is no regular expression: %s at character %zu", pattern,
			(const char *)why, (size_t)at + 1);
	}
	rule->matches[i] = pcre2_match_data_create_from_pattern(rule->codes[i], NULL);
	return rule->matches[i] ? 0 : no_memory(err);
}

static int take_patterns(struct rule *rule, enum match_key key, const struct match_patterns *given,
	size_t *ret_index, struct tally_error *err)
{
	if (given->count > MATCH_PATTERNS_MAX)
		return tally_refuse(
			err, -EINVAL, "more than %d patterns of one key", MATCH_PATTERNS_MAX);
	rule->patterns[key] = calloc(given->count + 1, sizeof(char *));
	if (!rule->patterns[key])
		return no_memory(err);
	for (size_t i = 0; i < given->count; i++) {
		*ret_index = i;
		if (!*given->items[i])
			return tally_refuse(err, -EINVAL,
				"an empty pattern fits nothing; leave the key out to let all fit");
		if (strlen(given->items[i]) > PATTERN_MAX)
			return tally_refuse(
				err, -EINVAL, "the pattern is longer than %d bytes", PATTERN_MAX);
		rule->patterns[key][i] = strdup(given->items[i]);
		if (!rule->patterns[key][i])
			return no_memory(err);
		rule->count[key]++;
	}
	return 0;
}

static int take_expressions(struct rule *rule, size_t *ret_index, struct tally_error *err)
{
	size_t count = rule->count[MATCH_CMDLINE];
	int r = 0;

	rule->codes = calloc(count + 1, sizeof(pcre2_code *));
	rule->matches = calloc(count + 1, sizeof(pcre2_match_data *));
	if (!rule->codes || !rule->matches)
		return no_memory(err);
	for (size_t i = 0; r == 0 && i < count; i++) {
		*ret_index = i;
		r = compile(rule, i, err);
	}
	return r;
}

/* ---- names ---- */

static int find_variable(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
		if (strcmp(variables[i].name, name) == 0 ||
			(variables[i].theirs && strcmp(variables[i].theirs, name) == 0))
			return (int)i;
	return -1;
}

static bool find_capture(const struct rule *rule, struct piece *piece)
{
	for (size_t i = 0; i < rule->count[MATCH_CMDLINE]; i++) {
		int number = pcre2_substring_number_from_name(
			rule->codes[i], (PCRE2_SPTR)piece->capture);

		if (number > 0) {
			piece->pattern = i;
			piece->number = (uint32_t)number;
			return true;
		}
	}
	return false;
}

static int refuse_variable(const char *name, struct tally_error *err)
{
	if (strcmp(name, ".PID") == 0 || strcmp(name, ".StartTime") == 0)
		return tally_refuse(err, -EINVAL,
			"{{%s}} would make each process a task of its own; name what they have in common",
			name);
	return tally_refuse(err, -EINVAL,
		"there is no variable {{%.60s}}; there are comm, exe, exe_base, user, cgroup, parent and "
		"the groups (?<NAME>…) of cmdline",
		name);
}

/* The variable between braces. */
static int take_variable(const struct rule *rule, struct piece *piece, const char *from,
	size_t length, struct tally_error *err)
{
	static const char theirs[] = ".Matches.";
	char name[128];

	while (length > 0 && *from == ' ') {
		from++;
		length--;
	}
	while (length > 0 && from[length - 1] == ' ')
		length--;
	snprintf(name, sizeof(name), "%.*s", (int)(length < 127 ? length : 127), from);
	piece->variable = find_variable(name);
	if (piece->variable >= 0)
		return 0;
	bool marked = strncmp(name, theirs, strlen(theirs)) == 0;
	piece->capture = strdup(marked ? name + strlen(theirs) : name);
	if (!piece->capture)
		return no_memory(err);
	return find_capture(rule, piece) ? 0 : refuse_variable(name, err);
}

static int take_name(
	const struct rule *rule, struct name *name, const char *text, struct tally_error *err)
{
	if (!text || !*text)
		return tally_refuse(err, -EINVAL, "it needs a name, as {{comm}}");
	while (*text) {
		const char *open = strstr(text, "{{"), *close = open ? strstr(open, "}}") : NULL;
		struct piece *piece = &name->pieces[name->count];

		if (name->count == PIECES_MAX || strlen(text) > PATTERN_MAX)
			return tally_refuse(err, -EINVAL,
				"the name is longer than %d bytes, or has %d variables",
				PATTERN_MAX, PIECES_MAX);
		if (open && !close)
			return tally_refuse(err, -EINVAL, "'%.60s' has no }}", open);
		piece->variable = -2;
		piece->text = open ? strndup(text, (size_t)(open - text)) : strdup(text);
		name->count++;
		if (!piece->text)
			return no_memory(err);
		if (!open)
			return 0;
		int r = take_variable(rule, piece, open + 2, (size_t)(close - open) - 2, err);
		if (r < 0)
			return r;
		text = close + 2;
	}
	return 0;
}

static int take_rule(struct rule *rule, const struct match_rule *given, struct match_fault *fault,
	struct tally_error *err)
{
	size_t total = 0;

	for (int key = 0; key < MATCH_KEY_COUNT; key++) {
		fault->key = match_key_names[key];
		int r = take_patterns(
			rule, (enum match_key)key, &given->keys[key], &fault->index, err);
		if (r == 0 && key == MATCH_CMDLINE)
			r = take_expressions(rule, &fault->index, err);
		if (r < 0)
			return r;
		total += given->keys[key].count;
	}
	*fault = (struct match_fault){.key = "task"};
	int r = take_name(rule, &rule->task, given->task, err);
	if (r < 0)
		return r;
	fault->key = "process";
	r = take_name(rule, &rule->process, given->process ? given->process : "{{comm}}", err);
	if (r < 0)
		return r;
	fault->key = NULL;
	if (total == 0)
		return tally_refuse(err, -EINVAL,
			"the rule says nothing about processes: give one of comm, exe, cmdline, user, "
			"cgroup, parent (comm: ['*'] fits all)");
	return 0;
}

static void note_needs(struct match_rules *rules, const struct rule *rule)
{
	const struct name *names[] = {&rule->task, &rule->process};

	for (int key = 0; key < MATCH_KEY_COUNT; key++)
		rules->needed[key] |= rule->count[key] > 0;
	for (size_t n = 0; n < ARRAY_SIZE(names); n++)
		for (size_t i = 0; i < names[n]->count; i++)
			if (names[n]->pieces[i].variable >= 0)
				rules->needed[variables[names[n]->pieces[i].variable].key] = true;
}

int match_rules_new(const struct match_rule *given, size_t count, struct match_rules **ret,
	struct match_fault *ret_fault, size_t *ret_rule, struct tally_error *err)
{
	struct match_rules *rules = calloc(1, sizeof(*rules));
	int r = 0;

	*ret_fault = (struct match_fault){0};
	*ret_rule = 0;
	if (rules) {
		rules->rules = calloc(count + 1, sizeof(*rules->rules));
		rules->context = pcre2_match_context_create(NULL);
	}
	if (!rules || !rules->rules || !rules->context) {
		match_rules_free(rules);
		return no_memory(err);
	}
	pcre2_set_match_limit(rules->context, STEPS_MAX);
	if (count > MATCH_RULES_MAX)
		r = tally_refuse(err, -EINVAL, "more than %d rules", MATCH_RULES_MAX);
	for (size_t i = 0; r == 0 && i < count; i++) {
		rules->count++;
		*ret_rule = i;
		r = take_rule(&rules->rules[i], &given[i], ret_fault, err);
		if (r == 0)
			note_needs(rules, &rules->rules[i]);
	}
	if (r < 0)
		match_rules_free(rules);
	else
		*ret = rules;
	return r;
}

int match_rule_check(
	const struct match_rule *rule, struct match_fault *ret_fault, struct tally_error *err)
{
	struct match_rules *rules;
	struct match_fault fault;
	size_t number;
	int r = match_rules_new(rule, 1, &rules, &fault, &number, err);

	if (r == 0)
		match_rules_free(rules);
	else if (ret_fault)
		*ret_fault = fault;
	return r;
}

bool match_rules_need(const struct match_rules *rules, enum match_key key)
{
	return rules->needed[key];
}

/* ---- applying them ---- */

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool fits(enum match_key key, const char *pattern, const char *value)
{
	if (key == MATCH_EXE && !strchr(pattern, '/'))
		value = base_of(value);
	return fnmatch(pattern, value, 0) == 0;
}

static bool key_fits(const struct rule *rule, enum match_key key, const char *value)
{
	if (rule->count[key] == 0)
		return true;
	for (size_t i = 0; value && i < rule->count[key]; i++)
		if (fits(key, rule->patterns[key][i], value))
			return true;
	return false;
}

static bool cmdline_fits(struct match_rules *rules, struct rule *rule, const char *value)
{
	for (size_t i = 0; i < rule->count[MATCH_CMDLINE]; i++)
		if (!value || pcre2_match(rule->codes[i], (PCRE2_SPTR)value, strlen(value), 0, 0,
				      rule->matches[i], rules->context) < 0)
			return false;
	return true;
}

static bool rule_fits(struct match_rules *rules, struct rule *rule, const struct match_facts *facts)
{
	for (int key = 0; key < MATCH_KEY_COUNT; key++)
		if (key != MATCH_CMDLINE && !key_fits(rule, (enum match_key)key, facts->value[key]))
			return false;
	return cmdline_fits(rules, rule, facts->value[MATCH_CMDLINE]);
}

static void put(char out[MATCH_NAME_SIZE], const char *text, size_t length)
{
	size_t used = strlen(out);

	snprintf(out + used, MATCH_NAME_SIZE - used, "%.*s",
		(int)(length < MATCH_NAME_SIZE ? length : MATCH_NAME_SIZE), text);
}

static void put_capture(char out[MATCH_NAME_SIZE], const struct rule *rule,
	const struct piece *piece, const char *cmdline)
{
	const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(rule->matches[piece->pattern]);
	PCRE2_SIZE from = ends[2 * piece->number], to = ends[2 * piece->number + 1];

	if (from != PCRE2_UNSET && to > from)
		put(out, cmdline + from, to - from);
}

/* What others chose is shown, not obeyed; a name that comes out empty is "_". */
static void name_it(char ret[MATCH_NAME_SIZE], const struct rule *rule, const struct name *name,
	const struct match_facts *facts)
{
	char raw[MATCH_NAME_SIZE] = "";

	for (size_t i = 0; i < name->count; i++) {
		const struct piece *piece = &name->pieces[i];

		put(raw, piece->text, strlen(piece->text));
		if (piece->variable == -1) {
			put_capture(raw, rule, piece, facts->value[MATCH_CMDLINE]);
		} else if (piece->variable >= 0) {
			const char *value = facts->value[variables[piece->variable].key];

			if (value && variables[piece->variable].base)
				value = base_of(value);
			put(raw, value ? value : "", value ? strlen(value) : 0);
		}
	}
	text_show(ret, MATCH_NAME_SIZE, *raw ? raw : "_");
}

bool match_rules_apply(
	struct match_rules *rules, const struct match_facts *facts, struct match_result *ret)
{
	for (size_t i = 0; i < rules->count; i++) {
		struct rule *rule = &rules->rules[i];

		if (!rule_fits(rules, rule, facts))
			continue;
		name_it(ret->task, rule, &rule->task, facts);
		name_it(ret->process, rule, &rule->process, facts);
		return true;
	}
	return false;
}
