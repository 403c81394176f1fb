/* SPDX-License-Identifier: Apache-2.0 */
/* From the text of a Procfile to processes that are held, ready to be let go. */
#include "cli/procfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fail.h"
#include "base/file.h"
#include "base/parse.h"

/* As foreman has them. */
#define PORT_BASE   5000
#define PORT_STEP   100
#define ENVIRONMENT ".env"

/* Variables that a process gets from us besides: PS, PORT. */
#define OWN_VARIABLES 2

#define OUTPUT_PATIENCE_NS (2 * NS_PER_S)

static int read_text(const char *path, char **ret, size_t *ret_length, struct tally_error *err)
{
	char *text = malloc(PROCFILE_BYTES_MAX + 1);
	ssize_t length =
		text ? file_read_at(AT_FDCWD, path, text, PROCFILE_BYTES_MAX + 1) : -ENOMEM;

	if (length < 0) {
		free(text);
		return tally_fail(err, (int)length, "cannot read %s", path);
	}
	*ret = text;
	*ret_length = (size_t)length;
	return 0;
}

typedef int parse_fn(const char *path, const char *text, size_t length, struct procfile *ret,
	struct tally_error *err);

static int read_file(
	const char *path, parse_fn *parse, struct procfile *ret, struct tally_error *err)
{
	CLEANUP_FREE char *text = NULL;
	size_t length = 0;
	int r = read_text(path, &text, &length, err);

	return r < 0 ? r : parse(path, text, length, ret, err);
}

/* The one that was named must be there; the one that may lie beside the Procfile need not. */
static int read_environment(struct run *run, struct tally_error *err)
{
	struct procfile_run *many = run->many;
	const char *given = run->options.environment;
	char path[PATH_MAX];

	if (given)
		return read_file(given, procfile_parse_environment, &many->environment, err);
	snprintf(path, sizeof(path), "%s/%s", many->folder, ENVIRONMENT);
	int r = read_file(path, procfile_parse_environment, &many->environment, err);
	return r == -ENOENT ? 0 : r;
}

/* --port, or PORT of the environment file, or ours, or 5000. */
static int take_port(struct run *run, uint64_t *ret)
{
	const char *option = run->options.port;
	const char *text = option ? option : procfile_find(&run->many->environment, "PORT");

	if (!text)
		text = getenv("PORT");
	*ret = PORT_BASE;
	/* The last one must be a port, too. */
	if (!text || parse_u64(text, 1, UINT16_MAX - (run->many->count - 1) * PORT_STEP, ret))
		return OPTIONS_GO;
	if (option)
		return line_refuse_option(&run->line, "port",
			"%s is no port from 1 to %zu: each process gets one, %d apart", text,
			UINT16_MAX - (run->many->count - 1) * PORT_STEP, PORT_STEP);
	return line_refuse(&run->line, 0,
		"PORT=%s of the environment is no port from 1 to %zu; give another with --port",
		text, UINT16_MAX - (run->many->count - 1) * PORT_STEP);
}

static bool is_variable(const char *text, const char *name)
{
	size_t length = strlen(name);

	return strncmp(text, name, length) == 0 && text[length] == '=';
}

/* Whether a variable of our own environment is to be replaced. */
static bool is_replaced(const struct procfile *environment, const char *text)
{
	if (is_variable(text, "PS") || is_variable(text, "PORT"))
		return true;
	for (size_t i = 0; i < environment->count; i++)
		if (is_variable(text, environment->entries[i].name))
			return true;
	return false;
}

static char *join(const char *name, const char *value)
{
	char *text;

	return asprintf(&text, "%s=%s", name, value) < 0 ? NULL : text;
}

/*
 * Ours, but what the file says instead, and the port. The strings are copies, but for those of
 * `environ`, which come last.
 */
static bool lay_environment(struct part *part, const struct procfile *environment)
{
	size_t count = 0, at = 0;
	char port[24];

	while (environ[count])
		count++;
	part->environment = calloc(OWN_VARIABLES + environment->count + count + 1, sizeof(char *));
	if (!part->environment)
		return false;
	snprintf(port, sizeof(port), "%llu", (unsigned long long)part->port);
	part->environment[at++] = part->sign;
	part->environment[at++] = join("PORT", port);
	for (size_t i = 0; i < environment->count; i++) {
		const struct procfile_entry *entry = &environment->entries[i];

		if (strcmp(entry->name, "PORT") != 0 && strcmp(entry->name, "PS") != 0)
			part->environment[at++] = join(entry->name, entry->text);
	}
	bool complete = part->sign;
	for (size_t i = 1; i < at; i++)
		complete &= part->environment[i] != NULL;
	part->owned = at;
	for (size_t i = 0; i < count; i++)
		if (!is_replaced(environment, environ[i]))
			part->environment[at++] = environ[i];
	return complete;
}

static bool lay_part(struct procfile_run *many, size_t i, uint64_t port)
{
	static char shell[] = "/bin/sh", option[] = "-c";
	struct part *part = &many->parts[i];

	*part = (struct part){
		.words = {shell, option, many->file.entries[i].text, NULL},
		.port = port + i * PORT_STEP,
		.exit_code = -1,
	};
	many->names[i] = many->file.entries[i].name;
	if (asprintf(&part->sign, "PS=%s.1", many->names[i]) < 0)
		part->sign = NULL;
	return lay_environment(part, &many->environment);
}

static int lay_out(struct run *run)
{
	struct procfile_run *many = run->many;
	uint64_t port;
	int status = take_port(run, &port);

	if (status != OPTIONS_GO)
		return status;
	many->parts = calloc(many->count, sizeof(*many->parts));
	many->names = calloc(many->count, sizeof(*many->names));
	bool complete = many->parts && many->names;
	for (size_t i = 0; complete && i < many->count; i++)
		complete = lay_part(many, i, port);
	return complete ? OPTIONS_GO : line_fail(&run->line, "there is no memory");
}

static int find_folder(struct procfile_run *many, const char *path, struct tally_error *err)
{
	many->path = realpath(path, NULL);
	many->folder = many->path ? strdup(many->path) : NULL;
	if (!many->folder)
		return tally_fail(err, -errno, "cannot read %s", path);
	char *slash = strrchr(many->folder, '/');
	slash[slash == many->folder] = '\0';
	return 0;
}

int procfile_take(struct run *run)
{
	struct procfile_run *many = run->many = calloc(1, sizeof(*many));
	const char *path = run->options.procfile;
	struct tally_error err;

	if (!many)
		return line_fail(&run->line, "there is no memory");
	int r = find_folder(many, path, &err);
	if (r == 0)
		r = read_file(path, procfile_parse, &many->file, &err);
	many->count = many->first = many->file.count;
	if (r == 0)
		r = read_environment(run, &err);
	if (r < 0) {
		line_fail(&run->line, "%s", err.message);
		return r == -EINVAL ? EXIT_USAGE : EXIT_FAIL;
	}
	return lay_out(run);
}

int procfile_fork(struct run *run, struct tally_error *err)
{
	struct procfile_run *many = run->many;
	CLEANUP_FREE struct command_process *processes = calloc(many->count, sizeof(*processes));
	int r = processes ? prefix_new(many->names, many->count, &many->prefix, err)
			  : tally_fail(err, -ENOMEM, "cannot run %s", many->path);

	if (r < 0)
		return r;
	for (size_t i = 0; i < many->count; i++)
		processes[i] = (struct command_process){
			.name = many->names[i],
			.words = many->parts[i].words,
			.environment = many->parts[i].environment,
			.folder = many->folder,
			.apart = true,
			.output = prefix_output(many->prefix, i),
			.errors = prefix_errors(many->prefix, i),
			.sign = many->parts[i].sign,
		};
	const struct command_options options = {
		.task = run->task,
		.sandbox = run->sandbox,
		.processes = processes,
		.process_count = many->count,
		.mask = &run->mask_before,
	};
	r = source_command_open(&options, &run->source, err);
	return r < 0 ? r : prefix_start(many->prefix, err);
}

static void say_started(struct run *run, size_t i)
{
	char text[128];

	if (run->options.quiet)
		return;
	snprintf(text, sizeof(text), "started, pid %d, port %llu",
		(int)source_command_pid(run->source, i),
		(unsigned long long)run->many->parts[i].port);
	prefix_say(run->many->prefix, i, text);
}

int procfile_release(struct run *run, struct tally_error *err)
{
	for (size_t i = 0; i < run->many->count; i++) {
		say_started(run, i);
		int r = source_command_release(run->source, i, err);
		if (r < 0)
			return tally_prefix(err, r, "%s: /bin/sh in %s", run->many->names[i],
				run->many->folder);
	}
	return 0;
}

static void part_done(struct part *part)
{
	for (size_t i = 1; i < part->owned; i++)
		free(part->environment[i]);
	free(part->environment);
	free(part->sign);
}

void procfile_free(struct procfile_run *many)
{
	if (!many)
		return;
	prefix_free(many->prefix, OUTPUT_PATIENCE_NS);
	for (size_t i = 0; many->parts && i < many->count; i++)
		part_done(&many->parts[i]);
	procfile_done(&many->file);
	procfile_done(&many->environment);
	free(many->parts);
	free(many->names);
	free(many->path);
	free(many->folder);
	free(many);
}
