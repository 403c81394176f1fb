/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer of supervisord:
 *
 *     HTTP/1.0 200 OK
 *     …
 *
 *     <?xml version='1.0'?>
 *     <methodResponse> … <array><data>
 *     <value><struct>
 *     <member> <name>name</name> <value><string>web</string></value> </member>
 *     <member> <name>pid</name> <value><int>812</int></value> </member>
 *     …
 *     </struct></value>
 *
 * always in this shape, from Python's xmlrpc: one struct for each program, no struct in a struct, and
 * of all entities only those of & < >.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/fail.h"
#include "base/parse.h"
#include "source/supervisord.h"

#define NAME_SIZE 256

/* What is wanted of a program. */
struct program {
	char name[NAME_SIZE], group[NAME_SIZE];
	pid_t pid;
};

/* Move behind a text. False, nothing moved, when it does not come. */
static bool skip_past(struct cursor *cursor, const char *text)
{
	const char *found =
		memmem(cursor->at, (size_t)(cursor->end - cursor->at), text, strlen(text));

	if (!found)
		return false;
	cursor->at = found + strlen(text);
	return true;
}

/* Take what stands between two texts. */
static bool take_between(
	struct cursor *cursor, const char *before, const char *behind, struct cursor *ret)
{
	struct cursor c = *cursor;

	if (!skip_past(&c, before))
		return false;
	ret->at = c.at;
	if (!skip_past(&c, behind))
		return false;
	ret->end = c.at - strlen(behind);
	*cursor = c;
	return true;
}

static char unescape(struct cursor *cursor)
{
	if (cursor_literal(cursor, "&amp;"))
		return '&';
	if (cursor_literal(cursor, "&lt;"))
		return '<';
	if (cursor_literal(cursor, "&gt;"))
		return '>';
	return *cursor->at++;
}

/* A text that is too long, or holds a NUL, is cut there. */
static void copy_text(struct cursor text, char ret[NAME_SIZE])
{
	size_t length = 0;

	while (text.at < text.end && length < NAME_SIZE - 1)
		ret[length++] = unescape(&text);
	ret[length] = 0;
}

/* "<value><int>812</int></value>": what stands between the inner tags. */
static struct cursor inner_text(struct cursor value)
{
	struct cursor text = {value.end, value.end};
	const char *open = memchr(value.at, '>', (size_t)(value.end - value.at));

	if (!open)
		return text;
	text.at = open + 1;
	const char *close = memchr(text.at, '<', (size_t)(value.end - text.at));
	text.end = close ? close : value.end;
	return text;
}

static void take_member(struct cursor member, struct program *program)
{
	struct cursor name, value;
	uint64_t pid;

	if (!take_between(&member, "<name>", "</name>", &name) ||
		!take_between(&member, "<value>", "</value>", &value))
		return;

	struct cursor text = inner_text(value);
	if (cursor_literal(&name, "name") && name.at == name.end)
		copy_text(text, program->name);
	else if (cursor_literal(&name, "group") && name.at == name.end)
		copy_text(text, program->group);
	else if (cursor_literal(&name, "pid") && name.at == name.end && cursor_u64(&text, &pid) &&
		 pid <= INT32_MAX)
		program->pid = (pid_t)pid;
}

static void tell(const struct program *program, supervisord_program_fn *each, void *context)
{
	char name[2 * NAME_SIZE];

	if (!*program->name)
		return;
	if (!*program->group || strcmp(program->group, program->name) == 0)
		snprintf(name, sizeof(name), "%s", program->name);
	else
		snprintf(name, sizeof(name), "%s:%s", program->group, program->name);
	each(context, name, program->pid);
}

static int check_status(struct cursor *answer, struct tally_error *err)
{
	struct cursor line;
	uint64_t status;

	if (!cursor_line(answer, &line) || !cursor_literal(&line, "HTTP/1.") || line.at == line.end)
		return tally_refuse(err, -EPROTO, "it does not speak HTTP");
	line.at++;
	if (!cursor_u64(&line, &status))
		return tally_refuse(err, -EPROTO, "it does not speak HTTP");
	if (status == 401)
		return tally_refuse(err, -EACCES,
			"it asks for a password; give it a [unix_http_server] without one");
	if (status != 200)
		return tally_refuse(err, -EPROTO, "it answers with status %u", (unsigned)status);
	return 0;
}

int supervisord_parse(const char *text, size_t length, supervisord_program_fn *each, void *context,
	struct tally_error *err)
{
	struct cursor answer = cursor_of(text, length), structure, member;
	int r = check_status(&answer, err);

	if (r < 0)
		return r;
	if (!skip_past(&answer, "<methodResponse>") || !skip_past(&answer, "<array>"))
		return tally_refuse(err, -EPROTO, "it does not tell what it runs");
	while (take_between(&answer, "<struct>", "</struct>", &structure)) {
		struct program program = {0};

		while (take_between(&structure, "<member>", "</member>", &member))
			take_member(member, &program);
		tell(&program, each, context);
	}
	if (!skip_past(&answer, "</methodResponse>"))
		return tally_refuse(err, -EPROTO, "its answer is cut short");
	return 0;
}
