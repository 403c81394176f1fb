/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/fail.h"
#include "base/parse.h"

/* "/a/r.json" becomes "/a/.r.json.tally-812": in the same folder, for rename(). */
static char *beside(const char *path)
{
	const char *slash = strrchr(path, '/');
	int folder = slash ? (int)(slash + 1 - path) : 0;
	char *temporary;

	if (asprintf(&temporary, "%.*s.%s.tally-%d", folder, path, path + folder, (int)getpid()) <
		0)
		return NULL;
	return temporary;
}

/* Take over a descriptor, or its errno. */
static int open_stream(struct output *output, int opened)
{
	CLEANUP_CLOSE int fd = opened;

	if (fd < 0)
		return -errno;
	output->stream = fdopen(fd, "w");
	if (!output->stream)
		return -errno;
	take_fd(&fd);
	return 0;
}

/* A file that is replaced keeps its mode, and a symbolic link to it stays one. */
static int open_regular(struct output *output, const char *path, const struct stat *before)
{
	output->path = before ? realpath(path, NULL) : strdup(path);
	char *temporary = output->path ? beside(output->path) : NULL;

	if (!temporary)
		return -errno;
	int r = open_stream(
		output, open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0666));
	if (r < 0) {
		free(temporary);
		return r;
	}
	output->temporary = temporary;
	if (before && fchmod(fileno(output->stream), before->st_mode & 07777) < 0)
		return -errno;
	return 0;
}

/* The number in "/dev/fd/3", "/dev/stdout" and the like, or -1. */
static int descriptor_of(const char *path)
{
	static const char prefix[] = "/dev/fd/";
	uint64_t number;

	if (strcmp(path, "/dev/stdout") == 0)
		return STDOUT_FILENO;
	if (strcmp(path, "/dev/stderr") == 0)
		return STDERR_FILENO;
	if (strncmp(path, prefix, strlen(prefix)) == 0 &&
		parse_u64(path + strlen(prefix), 0, INT_MAX, &number))
		return (int)number;
	return -1;
}

/* A descriptor is written to as it stands: opened anew, a file would be cut, a socket refused. */
static int open_descriptor(struct output *output, const char *path, int number)
{
	output->path = strdup(path);
	return output->path ? open_stream(output, fcntl(number, F_DUPFD_CLOEXEC, 3)) : -ENOMEM;
}

static int open_special(struct output *output, const char *path)
{
	output->path = strdup(path);
	return output->path ? open_stream(output, open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY))
			    : -ENOMEM;
}

int output_open(struct output *output, const char *path, struct tally_error *err)
{
	struct stat there;
	bool exists = stat(path, &there) == 0;
	int number = descriptor_of(path), r;

	*output = (struct output){0};
	if (number >= 0)
		r = open_descriptor(output, path, number);
	else if (exists && S_ISDIR(there.st_mode))
		r = -EISDIR;
	else if (exists && !S_ISREG(there.st_mode))
		r = open_special(output, path);
	else
		r = open_regular(output, path, exists ? &there : NULL);
	if (r < 0) {
		output_abort(output);
		return tally_fail(err, r, "cannot write %s", path);
	}
	return 0;
}

int output_commit(struct output *output, struct tally_error *err)
{
	int r = 0;

	if (!output->stream)
		return 0;
	if (ferror(output->stream))
		r = -EIO;
	errno = EIO;
	if (fclose(output->stream) != 0)
		r = -errno;
	output->stream = NULL;
	if (r == 0 && output->temporary && rename(output->temporary, output->path) < 0)
		r = -errno;
	if (r == 0) {
		free(output->temporary);
		output->temporary = NULL;
	} else {
		tally_fail(err, r, "cannot write %s", output->path);
	}
	output_abort(output);
	return r;
}

void output_abort(struct output *output)
{
	if (output->stream)
		fclose(output->stream);
	if (output->temporary)
		unlink(output->temporary);
	free(output->temporary);
	free(output->path);
	*output = (struct output){0};
}
