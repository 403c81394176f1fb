/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/config_where.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>
#include "base/attr.h"
#include "base/fail.h"
#include "base/text.h"
#include "cli/nearest.h"

static int line_of(yaml_mark_t mark)
{
	return (int)mark.line + 1;
}

static int PRINTF_LIKE(4, 5) refuse(
	const struct where *where, struct tally_error *err, int line, const char *format, ...)
{
	char text[400], shown[400];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	text_show(shown, sizeof(shown), text);
	return tally_refuse(err, -EINVAL, "%s:%d: %s", where->path, line, shown);
}

static int open_parser(yaml_parser_t *parser, const struct where *where)
{
	if (!yaml_parser_initialize(parser))
		return -ENOMEM;
	yaml_parser_set_input_string(parser, (const unsigned char *)where->text, where->length);
	return 0;
}

/* ---- what no schema can tell ---- */

/* A byte that is no text has an offset, not a mark. */
static int line_at(const struct where *where, size_t offset)
{
	int line = 1;

	for (size_t i = 0; i < offset && i < where->length; i++)
		line += where->text[i] == '\n';
	return line;
}

static int refuse_yaml(
	const struct where *where, const yaml_parser_t *parser, struct tally_error *err)
{
	const char *tab = memchr(where->text, '\t', where->length);

	switch (parser->error) {
	case YAML_MEMORY_ERROR:
		return tally_fail(err, -ENOMEM, "cannot read %s", where->path);
	case YAML_READER_ERROR:
		return refuse(where, err, line_at(where, parser->problem_offset),
			"this is no UTF-8 text: %s", parser->problem);
	default:
		if (parser->problem && strstr(parser->problem, "cannot start any token") &&
			parser->problem_mark.index < where->length && tab &&
			where->text[parser->problem_mark.index] == '\t')
			return refuse(where, err, line_of(parser->problem_mark),
				"a tab cannot indent in YAML; use blanks");
		return refuse(where, err, line_of(parser->problem_mark), "this is no YAML: %s%s%s",
			parser->problem ? parser->problem : "it ends too early",
			parser->context ? ", " : "", parser->context ? parser->context : "");
	}
}

static bool has_anchor(const yaml_event_t *event)
{
	return event->type == YAML_ALIAS_EVENT ||
	       (event->type == YAML_SCALAR_EVENT && event->data.scalar.anchor) ||
	       (event->type == YAML_SEQUENCE_START_EVENT && event->data.sequence_start.anchor) ||
	       (event->type == YAML_MAPPING_START_EVENT && event->data.mapping_start.anchor);
}

static int check_event(const struct where *where, const yaml_event_t *event, int *documents,
	struct tally_error *err)
{
	int line = line_of(event->start_mark);

	if (has_anchor(event))
		return refuse(where, err, line,
			"anchors (&name) and aliases (*name) are not understood; write the value out");
	if (event->type == YAML_DOCUMENT_START_EVENT && ++*documents > 1)
		return refuse(where, err, line, "a second document begins here; a file holds one");
	return 0;
}

int where_check(const struct where *where, struct tally_error *err)
{
	yaml_parser_t parser;
	yaml_event_t event;
	int documents = 0, r = open_parser(&parser, where);
	bool more = r == 0;

	if (r < 0)
		return tally_fail(err, r, "cannot read %s", where->path);
	while (more && r == 0) {
		if (!yaml_parser_parse(&parser, &event)) {
			r = refuse_yaml(where, &parser, err);
			break;
		}
		more = event.type != YAML_STREAM_END_EVENT;
		r = check_event(where, &event, &documents, err);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return r;
}

/* ---- what does not fit a schema ---- */

/* The walk: where it is, and the key that led there. */
struct walk {
	const struct where *where;
	yaml_document_t *document;
	struct tally_error *err;
	char key[160];
	int depth; /* Of mappings. */
};

static const char *kind_of(const yaml_node_t *node)
{
	switch (node->type) {
	case YAML_SCALAR_NODE:
		return node->data.scalar.length ? "a single value" : "nothing";
	case YAML_SEQUENCE_NODE:
		return "a list";
	default:
		return "keys with values";
	}
}

static const char *scalar_of(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : "";
}

static int refuse_kind(struct walk *walk, const yaml_node_t *node, const char *expected)
{
	return refuse(walk->where, walk->err, line_of(node->start_mark),
		"%s%sexpected %s, and this is %s", walk->key, *walk->key ? ": " : "", expected,
		kind_of(node));
}

static const cyaml_schema_field_t *find_field(const cyaml_schema_value_t *schema, const char *key)
{
	for (const cyaml_schema_field_t *field = schema->mapping.fields; field->key; field++)
		if (strcmp(field->key, key) == 0)
			return field;
	return NULL;
}

static int refuse_key(struct walk *walk, const cyaml_schema_value_t *schema, const yaml_node_t *key)
{
	struct nearest nearest = {0};
	char all[200] = "";
	const char *name = scalar_of(key);

	for (const cyaml_schema_field_t *field = schema->mapping.fields; field->key; field++) {
		size_t used = strlen(all);

		nearest_consider(&nearest, name, field->key);
		snprintf(all + used, sizeof(all) - used, "%s%s", used ? ", " : "", field->key);
	}
	if (nearest.word)
		return refuse(walk->where, walk->err, line_of(key->start_mark),
			"%.60s: there is no such key; did you mean %s?", name, nearest.word);
	if (walk->depth > 0)
		return refuse(walk->where, walk->err, line_of(key->start_mark),
			"%.60s: there is no such key in %s; there are %s", name, walk->key, all);
	return refuse(walk->where, walk->err, line_of(key->start_mark),
		"%.60s: there is no such key; the keys are match, and the long options of "
		"`tally %s --help`",
		name, walk->where->command->name);
}

static int find_misfit(
	struct walk *walk, const cyaml_schema_value_t *schema, const yaml_node_t *node);

static int check_twice(struct walk *walk, const yaml_node_t *node, const yaml_node_pair_t *pair)
{
	const yaml_node_t *key = yaml_document_get_node(walk->document, pair->key);

	for (const yaml_node_pair_t *p = node->data.mapping.pairs.start; p < pair; p++) {
		const yaml_node_t *other = yaml_document_get_node(walk->document, p->key);

		if (strcmp(scalar_of(other), scalar_of(key)) == 0)
			return refuse(walk->where, walk->err, line_of(key->start_mark),
				"%.60s: it stands in line %d already; keep one of them",
				scalar_of(key), line_of(other->start_mark));
	}
	return 0;
}

static int check_pair(struct walk *walk, const cyaml_schema_value_t *schema,
	const yaml_node_t *node, const yaml_node_pair_t *pair)
{
	const yaml_node_t *key = yaml_document_get_node(walk->document, pair->key);
	const yaml_node_t *value = yaml_document_get_node(walk->document, pair->value);
	struct walk inner = *walk;

	if (key->type != YAML_SCALAR_NODE)
		return refuse_kind(walk, key, "a key");
	const cyaml_schema_field_t *field = find_field(schema, scalar_of(key));
	if (!field)
		return refuse_key(walk, schema, key);
	int r = check_twice(walk, node, pair);
	if (r < 0)
		return r;
	snprintf(inner.key, sizeof(inner.key), "%.80s%s%.60s", walk->key, *walk->key ? ": " : "",
		field->key);
	inner.depth++;
	return find_misfit(&inner, &field->value, value);
}

static int check_missing(
	struct walk *walk, const cyaml_schema_value_t *schema, const yaml_node_t *node)
{
	for (const cyaml_schema_field_t *field = schema->mapping.fields; field->key; field++) {
		bool there = field->value.flags & CYAML_FLAG_OPTIONAL;

		for (const yaml_node_pair_t *p = node->data.mapping.pairs.start;
			!there && p < node->data.mapping.pairs.top; p++)
			there = strcmp(scalar_of(yaml_document_get_node(walk->document, p->key)),
					field->key) == 0;
		if (!there)
			return refuse(walk->where, walk->err, line_of(node->start_mark),
				"%s%sthe key %s is missing", walk->key, *walk->key ? ": " : "",
				field->key);
	}
	return 0;
}

static int check_mapping(
	struct walk *walk, const cyaml_schema_value_t *schema, const yaml_node_t *node)
{
	int r = 0;

	for (const yaml_node_pair_t *p = node->data.mapping.pairs.start;
		r == 0 && p < node->data.mapping.pairs.top; p++)
		r = check_pair(walk, schema, node, p);
	return r < 0 ? r : check_missing(walk, schema, node);
}

static int check_sequence(
	struct walk *walk, const cyaml_schema_value_t *schema, const yaml_node_t *node)
{
	size_t count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = find_misfit(walk, schema->sequence.entry,
			yaml_document_get_node(walk->document, node->data.sequence.items.start[i]));
	if (r == 0 && count > schema->sequence.max)
		return refuse(walk->where, walk->err, line_of(node->start_mark),
			"%s: %zu entries; the limit is %u", walk->key, count,
			(unsigned)schema->sequence.max);
	return r;
}

static int find_misfit(
	struct walk *walk, const cyaml_schema_value_t *schema, const yaml_node_t *node)
{
	switch (schema->type) {
	case CYAML_MAPPING:
		return node->type == YAML_MAPPING_NODE
			       ? check_mapping(walk, schema, node)
			       : refuse_kind(walk, node, "KEY: VALUE lines");
	case CYAML_SEQUENCE:
		return node->type == YAML_SEQUENCE_NODE
			       ? check_sequence(walk, schema, node)
			       : refuse_kind(walk, node,
					 schema->sequence.entry->type == CYAML_MAPPING
						 ? "a list of rules, each beginning with '- task: NAME'"
						 : "a list, as [one, two]");
	default:
		return node->type == YAML_SCALAR_NODE ? 0
						      : refuse_kind(walk, node, "a single value");
	}
}

/* @return 0: the tree was loaded, and *ret_root is its root or NULL when it is empty. */
static int load(const struct where *where, yaml_document_t *document, const yaml_node_t **ret_root)
{
	yaml_parser_t parser;
	int r = open_parser(&parser, where);

	if (r < 0)
		return r;
	r = yaml_parser_load(&parser, document) ? 0 : -EINVAL;
	yaml_parser_delete(&parser);
	if (r == 0)
		*ret_root = yaml_document_get_root_node(document);
	return r;
}

bool where_is_empty(const struct where *where)
{
	yaml_document_t document;
	const yaml_node_t *root;

	if (load(where, &document, &root) < 0)
		return false;
	bool empty = !root || (root->type == YAML_SCALAR_NODE && !root->data.scalar.length);
	yaml_document_delete(&document);
	return empty;
}

int where_misfit(
	const struct where *where, const cyaml_schema_value_t *schema, struct tally_error *err)
{
	yaml_document_t document;
	const yaml_node_t *root;
	struct walk walk = {.where = where, .document = &document, .err = err};
	int r = load(where, &document, &root);

	if (r < 0)
		return tally_fail(err, -EINVAL, "cannot read %s", where->path);
	r = root ? find_misfit(&walk, schema, root) : 0;
	yaml_document_delete(&document);
	if (r < 0)
		return r;
	return tally_refuse(err, -EINVAL, "%s: it does not fit", where->path);
}

/* ---- where something is ---- */

static const yaml_node_t *step_into(
	yaml_document_t *document, const yaml_node_t *node, const struct where_step *step)
{
	if (!step->key) {
		if (node->type != YAML_SEQUENCE_NODE ||
			step->index >= (size_t)(node->data.sequence.items.top -
						node->data.sequence.items.start))
			return NULL;
		return yaml_document_get_node(
			document, node->data.sequence.items.start[step->index]);
	}
	if (node->type != YAML_MAPPING_NODE)
		return NULL;
	for (const yaml_node_pair_t *p = node->data.mapping.pairs.start;
		p < node->data.mapping.pairs.top; p++)
		if (strcmp(scalar_of(yaml_document_get_node(document, p->key)), step->key) == 0)
			return yaml_document_get_node(document, p->value);
	return NULL;
}

int where_line(const struct where *where, const struct where_step *steps, size_t count)
{
	yaml_document_t document;
	const yaml_node_t *node;
	int line = 1;

	if (load(where, &document, &node) < 0)
		return line;
	for (size_t i = 0; node && i < count; i++) {
		node = step_into(&document, node, &steps[i]);
		if (node)
			line = line_of(node->start_mark);
	}
	yaml_document_delete(&document);
	return line;
}
