/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/fail.h"
#include "base/holder.h"
#include "cli/daemon.h"

int daemon_pidfile(const char *path, int *ret_fd, struct tally_error *err)
{
	CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	char holder[128] = "another program";

	if (fd < 0)
		return tally_fail(err, -errno, "cannot write %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		holder_of_lock(fd, holder, sizeof(holder));
		return tally_refuse(err, -EEXIST, "%s holds the pid file %s", holder, path);
	}
	if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
		return tally_fail(err, -errno, "cannot write %s", path);
	*ret_fd = take_fd(&fd);
	return 0;
}
