/* SPDX-License-Identifier: Apache-2.0 */
#include "source/procfile.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/fail.h"
#include "base/parse.h"
#include "base/text.h"

/* What a walk over the lines of a file needs. */
struct walk {
	const char *path;
	unsigned line;
	struct procfile *ret;
	size_t limit;
	struct tally_error *err;
};

static int refuse(const struct walk *walk, const struct cursor *line, const char *expected)
{
	char raw[64], shown[64];
	size_t length = (size_t)(line->end - line->at);

	length = length < sizeof(raw) - 1 ? length : sizeof(raw) - 1;
	memcpy(raw, line->at, length);
	raw[length] = '\0';
	text_show(shown, sizeof(shown), raw);
	return tally_refuse(walk->err, -EINVAL, "%s:%u: '%s' is not %s", walk->path, walk->line,
		shown, expected);
}

static bool is_name(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-';
}

/* Cut blanks off both ends; a file from elsewhere may have carriage returns, too. */
static void trim(struct cursor *c)
{
	while (c->at < c->end && isspace((unsigned char)*c->at))
		c->at++;
	while (c->at < c->end && isspace((unsigned char)c->end[-1]))
		c->end--;
}

/* NAME, cut off the front of a line. Empty: there is none. */
static struct cursor take_name(struct cursor *line)
{
	struct cursor name = {line->at, line->at};

	while (line->at < line->end && is_name(*line->at))
		line->at++;
	name.end = line->at;
	return name;
}

static size_t length_of(const struct cursor *c)
{
	return (size_t)(c->end - c->at);
}

/* As much of a name as a message needs. */
static int shown_length(const struct cursor *name)
{
	return length_of(name) < 60 ? (int)length_of(name) : 60;
}

static struct procfile_entry *find(const struct procfile *in, const struct cursor *name)
{
	for (size_t i = 0; i < in->count; i++)
		if (strlen(in->entries[i].name) == length_of(name) &&
			memcmp(in->entries[i].name, name->at, length_of(name)) == 0)
			return &in->entries[i];
	return NULL;
}

/* Keep an entry; takes the text over, which may be NULL for want of memory. */
static int keep(struct walk *walk, const struct cursor *name, char *text)
{
	struct procfile *ret = walk->ret;
	struct procfile_entry *grown =
		reallocarray(ret->entries, ret->count + 1, sizeof(*ret->entries));

	if (grown)
		ret->entries = grown;
	char *copy = strndup(name->at, length_of(name));
	if (!grown || !copy || !text) {
		free(copy);
		free(text);
		return tally_fail(walk->err, -ENOMEM, "cannot read %s", walk->path);
	}
	grown[ret->count++] = (struct procfile_entry){copy, text};
	return 0;
}

typedef int take_fn(struct walk *walk, struct cursor *line);

/* Lines that are neither empty nor comments, in their order. */
static int walk_lines(struct walk *walk, const char *text, size_t length, take_fn *take)
{
	struct cursor c = cursor_of(text, length), line;
	int r = 0;

	*walk->ret = (struct procfile){0};
	if (length > PROCFILE_BYTES_MAX)
		return tally_refuse(walk->err, -EINVAL, "%s: it is larger than %zu bytes",
			walk->path, PROCFILE_BYTES_MAX);
	while (r == 0 && cursor_line(&c, &line)) {
		walk->line++;
		trim(&line);
		if (length_of(&line) == 0 || *line.at == '#')
			continue;
		if (memchr(line.at, '\0', length_of(&line)))
			r = tally_refuse(walk->err, -EINVAL,
				"%s:%u: it holds a NUL: it is no text file", walk->path,
				walk->line);
		else if (walk->ret->count >= walk->limit)
			r = tally_refuse(walk->err, -EINVAL, "%s:%u: more than %zu entries",
				walk->path, walk->line, walk->limit);
		else
			r = take(walk, &line);
	}
	if (r < 0)
		procfile_done(walk->ret);
	return r;
}

static int take_process(struct walk *walk, struct cursor *line)
{
	static const char expected[] = "NAME: COMMAND, as web: ./server --port $PORT";
	struct cursor all = *line, name = take_name(line);

	if (length_of(&name) == 0 || line->at == line->end || *line->at != ':')
		return refuse(walk, &all, expected);
	line->at++;
	trim(line);
	if (length_of(line) == 0)
		return refuse(walk, &all, expected);
	if (length_of(&name) > PROCFILE_NAME_MAX)
		return tally_refuse(walk->err, -EINVAL,
			"%s:%u: the name '%.*s…' is longer than %d characters", walk->path,
			walk->line, shown_length(&name), name.at, PROCFILE_NAME_MAX);
	if (find(walk->ret, &name))
		return tally_refuse(walk->err, -EINVAL,
			"%s:%u: there is a process '%.*s' already; give each a name of its own",
			walk->path, walk->line, shown_length(&name), name.at);
	return keep(walk, &name, strndup(line->at, length_of(line)));
}

int procfile_parse(const char *path, const char *text, size_t length, struct procfile *ret,
	struct tally_error *err)
{
	struct walk walk = {.path = path, .ret = ret, .limit = PROCFILE_PROCESSES_MAX, .err = err};
	int r = walk_lines(&walk, text, length, take_process);

	if (r == 0 && ret->count == 0)
		return tally_refuse(err, -EINVAL,
			"%s: it names no process; write lines of NAME: COMMAND", path);
	return r;
}

/* Behind a backslash, n is a newline and everything else itself. */
static char *unescape(const struct cursor *value)
{
	char *text = malloc(length_of(value) + 1), *to = text;

	for (const char *at = value->at; text && at < value->end; at++) {
		bool escaped = *at == '\\' && at + 1 < value->end;

		at += escaped;
		*to++ = escaped && *at == 'n' ? '\n' : *at;
	}
	if (text)
		*to = '\0';
	return text;
}

static bool is_quoted(const struct cursor *value, char quote)
{
	return length_of(value) >= 2 && *value->at == quote && value->end[-1] == quote;
}

static int take_variable(struct walk *walk, struct cursor *line)
{
	struct cursor all = *line;

	if (cursor_literal(line, "export "))
		trim(line);
	struct cursor name = take_name(line);
	if (length_of(&name) == 0 || line->at == line->end || *line->at != '=' ||
		isdigit((unsigned char)*name.at) || memchr(name.at, '-', length_of(&name)))
		return refuse(walk, &all, "NAME=VALUE");
	line->at++;

	struct cursor value = *line;
	bool escapes = is_quoted(&value, '"');
	if (escapes || is_quoted(&value, '\'')) {
		value.at++;
		value.end--;
	} else if (length_of(&value) > 0 && (*value.at == '"' || *value.at == '\'')) {
		return tally_refuse(walk->err, -EINVAL,
			"%s:%u: the quote that opens the value of %.*s is not closed in this line",
			walk->path, walk->line, shown_length(&name), name.at);
	}
	char *text = escapes ? unescape(&value) : strndup(value.at, length_of(&value));
	struct procfile_entry *known = find(walk->ret, &name);
	if (!known || !text)
		return keep(walk, &name, text);
	free(known->text);
	known->text = text;
	return 0;
}

int procfile_parse_environment(const char *path, const char *text, size_t length,
	struct procfile *ret, struct tally_error *err)
{
	struct walk walk = {.path = path, .ret = ret, .limit = PROCFILE_VARIABLES_MAX, .err = err};

	return walk_lines(&walk, text, length, take_variable);
}

const char *procfile_find(const struct procfile *environment, const char *name)
{
	const struct cursor wanted = cursor_of(name, strlen(name));
	const struct procfile_entry *entry = find(environment, &wanted);

	return entry ? entry->text : NULL;
}

void procfile_done(struct procfile *procfile)
{
	for (size_t i = 0; i < procfile->count; i++) {
		free(procfile->entries[i].name);
		free(procfile->entries[i].text);
	}
	free(procfile->entries);
	*procfile = (struct procfile){0};
}
