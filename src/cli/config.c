/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/config.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "base/fail.h"
#include "base/file.h"
#include "cli/config_where.h"

/* What libcyaml fills, by the schema. */
struct raw_list {
	char **items;
	unsigned count;
};

struct raw_rule {
	char *task, *process;
	struct raw_list keys[MATCH_KEY_COUNT];
};

struct raw {
	char *texts[OPTION_ROWS_MAX];
	struct raw_list lists[OPTION_ROWS_MAX];
	struct raw_rule *rules;
	unsigned rule_count;
};

/* The schema: static but for the keys of the first level, which are the options of a command. */
struct schema {
	cyaml_schema_value_t root;
	cyaml_schema_field_t fields[OPTION_ROWS_MAX + 2];
};

struct config {
	char *path;
	const struct command *command;
	struct schema schema;
	struct raw *raw;
	struct match_rule *rules;
	int lines[OPTION_ROWS_MAX];
};

#define LIST_MAX 1000

static const cyaml_schema_value_t text_value = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED)};

#define TEXT_FIELD(name, more, offset)                                                             \
	{                                                                                          \
		.key = name,                                                                       \
		.value = {.type = CYAML_STRING,                                                    \
			.flags = CYAML_FLAG_POINTER | (more),                                      \
			.data_size = sizeof(char),                                                 \
			.string = {.min = 0, .max = CYAML_UNLIMITED}},                             \
		.data_offset = (uint32_t)(offset)                                                  \
	}

#define LIST_FIELD(name, offset)                                                                   \
	{                                                                                          \
		.key = name,                                                                       \
		.value = {.type = CYAML_SEQUENCE,                                                  \
			.flags = CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,                         \
			.data_size = sizeof(char *),                                               \
			.sequence = {.entry = &text_value, .min = 0, .max = LIST_MAX}},            \
		.data_offset = (uint32_t)((offset) + offsetof(struct raw_list, items)),            \
		.count_offset = (uint32_t)((offset) + offsetof(struct raw_list, count)),           \
		.count_size = sizeof(unsigned)                                                     \
	}

#define RULE_KEY(name, key)                                                                        \
	LIST_FIELD(name, offsetof(struct raw_rule, keys) + (key) * sizeof(struct raw_list))

static const cyaml_schema_field_t rule_fields[] = {
	TEXT_FIELD("task", 0, offsetof(struct raw_rule, task)),
	TEXT_FIELD("process", CYAML_FLAG_OPTIONAL, offsetof(struct raw_rule, process)),
	RULE_KEY("comm", MATCH_COMM),
	RULE_KEY("exe", MATCH_EXE),
	RULE_KEY("cmdline", MATCH_CMDLINE),
	RULE_KEY("user", MATCH_USER),
	RULE_KEY("cgroup", MATCH_CGROUP),
	RULE_KEY("parent", MATCH_PARENT),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t rule_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_rule, rule_fields)};

static const cyaml_config_t cyaml = {
	.mem_fn = cyaml_mem,
	.flags = CYAML_CFG_NO_ALIAS,
};

/* The file cannot name another file. */
static bool is_own(const struct option_row *row)
{
	return strcmp(row->name, "config") == 0;
}

static void make_schema(struct schema *schema, const struct command *command)
{
	cyaml_schema_field_t *field = schema->fields;

	*field++ = (cyaml_schema_field_t){.key = "match",
		.value = {.type = CYAML_SEQUENCE,
			.flags = CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
			.data_size = sizeof(struct raw_rule),
			.sequence = {.entry = &rule_value, .min = 0, .max = MATCH_RULES_MAX}},
		.data_offset = offsetof(struct raw, rules),
		.count_offset = offsetof(struct raw, rule_count),
		.count_size = sizeof(unsigned)};
	for (size_t i = 0; command->options[i].name; i++) {
		const struct option_row *row = &command->options[i];
		uint32_t text = (uint32_t)(offsetof(struct raw, texts) + i * sizeof(char *));
		uint32_t list =
			(uint32_t)(offsetof(struct raw, lists) + i * sizeof(struct raw_list));

		if (is_own(row))
			continue;
		if (row->type == OPTION_LIST)
			*field++ = (cyaml_schema_field_t)LIST_FIELD(row->name, list);
		else
			*field++ = (cyaml_schema_field_t)TEXT_FIELD(
				row->name, CYAML_FLAG_OPTIONAL, text);
	}
	*field = (cyaml_schema_field_t)CYAML_FIELD_END;
	schema->root = (cyaml_schema_value_t){.type = CYAML_MAPPING,
		.flags = CYAML_FLAG_POINTER,
		.data_size = sizeof(struct raw),
		.mapping = {.fields = schema->fields}};
}

struct config *config_free(struct config *config)
{
	if (!config)
		return NULL;
	cyaml_free(&cyaml, &config->schema.root, config->raw, 0);
	free(config->rules);
	free(config->path);
	free(config);
	return NULL;
}

/* ---- values ---- */

static int refuse_at(const struct where *where, const struct where_step *steps, size_t count,
	const char *key, const struct tally_error *why, struct tally_error *err)
{
	return tally_refuse(err, -EINVAL, "%s:%d: %s: %s", where->path,
		where_line(where, steps, count), key, why->message);
}

static bool is_true(const char *text)
{
	return strcmp(text, "true") == 0 || strcmp(text, "yes") == 0 || strcmp(text, "on") == 0;
}

static bool is_false(const char *text)
{
	return strcmp(text, "false") == 0 || strcmp(text, "no") == 0 || strcmp(text, "off") == 0;
}

/* Room for the value of any option that is not a list. */
union scratch {
	bool flag;
	const char *text;
	int64_t time;
	uint64_t size;
};

/* A value is tried before it is taken, so that a file is refused as a whole. */
static int check_text(const struct option_row *row, const char *text, struct tally_error *err)
{
	union scratch scratch = {0};
	struct option_row alone = *row;

	if (!*text)
		return tally_refuse(
			err, -EINVAL, "it has no value; leave the key out for the default");
	if (row->type == OPTION_FLAG && !is_true(text) && !is_false(text))
		return tally_refuse(err, -EINVAL, "'%.60s' is neither true nor false", text);
	if (row->type == OPTION_FLAG)
		return 0;
	alone.offset = 0;
	return options_store(&alone, &scratch, text, err);
}

static int check_list(const struct where *where, const struct option_row *row,
	const struct raw_list *list, struct tally_error *err)
{
	struct tally_error why;

	for (unsigned i = 0; i < list->count; i++) {
		const struct where_step steps[] = {{.key = row->name}, {.index = i}};

		if (*list->items[i])
			continue;
		tally_refuse(&why, -EINVAL, "an entry is empty");
		return refuse_at(where, steps, ARRAY_SIZE(steps), row->name, &why, err);
	}
	return 0;
}

static int check_options(struct config *config, const struct where *where, struct tally_error *err)
{
	const struct raw *raw = config->raw;
	struct tally_error why;
	int r = 0;

	for (size_t i = 0; r == 0 && config->command->options[i].name; i++) {
		const struct option_row *row = &config->command->options[i];
		const struct where_step step = {.key = row->name};

		if (!raw->texts[i] && !raw->lists[i].items)
			continue;
		config->lines[i] = where_line(where, &step, 1);
		r = check_list(where, row, &raw->lists[i], err);
		if (raw->texts[i] && check_text(row, raw->texts[i], &why) < 0)
			r = refuse_at(where, &step, 1, row->name, &why, err);
	}
	return r;
}

static void take_rule(const struct raw_rule *raw, struct match_rule *ret)
{
	*ret = (struct match_rule){.task = raw->task, .process = raw->process};
	for (int key = 0; key < MATCH_KEY_COUNT; key++)
		ret->keys[key] = (struct match_patterns){
			(const char *const *)raw->keys[key].items, raw->keys[key].count};
}

static int refuse_rule(const struct where *where, size_t index, const struct match_fault *fault,
	const struct tally_error *why, struct tally_error *err)
{
	const struct where_step steps[] = {
		{.key = "match"}, {.index = index}, {.key = fault->key}, {.index = fault->index}};
	size_t count = fault->key ? ARRAY_SIZE(steps) : 2;
	char key[64];

	snprintf(key, sizeof(key), "match%s%s", fault->key ? ": " : "",
		fault->key ? fault->key : "");
	return refuse_at(where, steps, count, key, why, err);
}

static int check_rules(struct config *config, const struct where *where, struct tally_error *err)
{
	const struct raw *raw = config->raw;
	struct match_fault fault;
	struct tally_error why;

	config->rules = calloc(raw->rule_count + 1, sizeof(*config->rules));
	if (!config->rules)
		return tally_fail(err, -ENOMEM, "cannot read %s", where->path);
	for (unsigned i = 0; i < raw->rule_count; i++) {
		take_rule(&raw->rules[i], &config->rules[i]);
		if (match_rule_check(&config->rules[i], &fault, &why) < 0)
			return refuse_rule(where, i, &fault, &why, err);
	}
	return 0;
}

static int load(struct config *config, const struct where *where, struct tally_error *err)
{
	int r = where_check(where, err);

	if (r < 0)
		return r;
	if (where_is_empty(where))
		return 0; /* Nothing but comments: all is as it is by default. */
	cyaml_err_t code = cyaml_load_data((const uint8_t *)where->text, where->length, &cyaml,
		&config->schema.root, (cyaml_data_t **)&config->raw, NULL);
	if (code == CYAML_ERR_OOM)
		return tally_fail(err, -ENOMEM, "cannot read %s", where->path);
	if (code != CYAML_OK)
		return where_misfit(where, &config->schema.root, err);
	r = check_options(config, where, err);
	return r < 0 ? r : check_rules(config, where, err);
}

int config_parse(const char *path, const char *text, size_t length, const struct command *command,
	struct config **ret, struct tally_error *err)
{
	const struct where where = {path, text, length, command};
	struct config *config = calloc(1, sizeof(*config));

	if (config)
		config->path = strdup(path);
	if (!config || !config->path) {
		free(config);
		return tally_fail(err, -ENOMEM, "cannot read %s", path);
	}
	config->command = command;
	make_schema(&config->schema, command);
	int r = load(config, &where, err);
	if (r < 0)
		config_free(config);
	else
		*ret = config;
	return r;
}

int config_read(const char *path, const struct command *command, struct config **ret,
	struct tally_error *err)
{
	CLEANUP_FREE char *text = malloc(CONFIG_BYTES_MAX + 1);
	ssize_t length = text ? file_read_at(AT_FDCWD, path, text, CONFIG_BYTES_MAX + 1) : -ENOMEM;

	if (length < 0)
		return tally_fail(err, (int)length, "cannot read %s", path);
	if ((size_t)length > CONFIG_BYTES_MAX)
		return tally_refuse(
			err, -EINVAL, "%s: it is larger than %zu bytes", path, CONFIG_BYTES_MAX);
	return config_parse(path, text, (size_t)length, command, ret, err);
}

static int apply_list(const struct option_row *row, const struct raw_list *list, void *values,
	struct tally_error *err)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < list->count; i++)
		r = options_store(row, values, list->items[i], err);
	return r;
}

static int apply_text(
	const struct option_row *row, const char *text, void *values, struct tally_error *err)
{
	if (row->type == OPTION_FLAG && is_false(text))
		return 0;
	return options_store(row, values, text, err);
}

int config_apply(const struct config *config, struct command_line *line, void *values,
	struct tally_error *err)
{
	const struct raw *raw = config->raw;
	int r = 0;

	line->file = config->path;
	for (size_t i = 0; raw && r == 0 && config->command->options[i].name; i++) {
		const struct option_row *row = &config->command->options[i];

		if (line->where[i] > 0 || (!raw->texts[i] && !raw->lists[i].items))
			continue;
		line->lines[i] = config->lines[i];
		r = raw->texts[i] ? apply_text(row, raw->texts[i], values, err)
				  : apply_list(row, &raw->lists[i], values, err);
	}
	return r;
}

const struct match_rule *config_rules(const struct config *config, size_t *ret_count)
{
	*ret_count = config->raw ? config->raw->rule_count : 0;
	return config->rules;
}
