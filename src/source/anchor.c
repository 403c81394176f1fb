/* SPDX-License-Identifier: Apache-2.0 */
#include "source/anchor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/attr.h"
#include "base/fail.h"

int anchor_init(struct anchor *anchor, const char *path, struct tally_error *err)
{
	struct stat st;

	*anchor = (struct anchor){.fd = -1};
	if (strlen(path) >= PATH_MAX)
		return tally_refuse(
			err, -ENAMETOOLONG, "a path of %zu bytes is too long", strlen(path));
	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
		return tally_refuse(err, -ENOTDIR, "%s is not a directory", path);
	anchor->path = strdup(path);
	return anchor->path ? 0 : tally_fail(err, -ENOMEM, "cannot watch %s", path);
}

void anchor_done(struct anchor *anchor)
{
	cleanup_close(&anchor->fd);
	free(anchor->path);
	free(anchor->real);
	*anchor = (struct anchor){.fd = -1};
}

static void lose(struct anchor *anchor, int code, const char *source, const struct log *log)
{
	if (anchor->fd >= 0 || !anchor->said)
		log_say(log, TALLY_LOG_WARN, "%s: %s: %s; it is looked for every few seconds",
			source, anchor->path, strerror(code));
	anchor->said = true;
	cleanup_close(&anchor->fd);
	anchor->fd = -1;
	free(TAKE(anchor->real));
}

bool anchor_look(struct anchor *anchor, const char *source, const struct log *log)
{
	struct stat st;

	if (anchor->fd >= 0 && stat(anchor->path, &st) == 0 && st.st_dev == anchor->dev &&
		st.st_ino == anchor->ino)
		return false;

	bool had = anchor->fd >= 0;
	CLEANUP_CLOSE int fd = open(anchor->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		lose(anchor, errno, source, log);
		return had;
	}
	cleanup_close(&anchor->fd);
	free(anchor->real);
	anchor->real = realpath(anchor->path, NULL);
	anchor->fd = take_fd(&fd);
	anchor->dev = st.st_dev;
	anchor->ino = st.st_ino;
	anchor->said = false;
	return true;
}
