/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/parse.h"
#include "cli/daemon.h"

#define LISTEN_FDS_MAX 16

void daemon_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = path ? strlen(path) : 0;

	if (length < 2 || length >= sizeof(address.sun_path) || !strchr("/@", path[0]))
		return;
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0';

	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
			      size) < 0)
		return; /* A supervisor that does not listen is no fault of ours. */
}

/* Variables of the kind are meant for the process whose pid they name. */
static bool meant_for_us(const char *pid_variable)
{
	const char *text = getenv(pid_variable);
	uint64_t pid;

	return text && parse_u64(text, 1, INT32_MAX, &pid) && (pid_t)pid == getpid();
}

int64_t daemon_watchdog_ns(void)
{
	const char *text = getenv("WATCHDOG_USEC");
	uint64_t usec;

	if (getenv("WATCHDOG_PID") && !meant_for_us("WATCHDOG_PID"))
		return 0;
	if (!text || !parse_u64(text, 1, INT64_MAX / NS_PER_US, &usec))
		return 0;
	return (int64_t)usec * NS_PER_US;
}

int daemon_listen_fds(void)
{
	const char *text = getenv("LISTEN_FDS");
	uint64_t count = 0;

	if (!text || !meant_for_us("LISTEN_PID") || !parse_u64(text, 1, LISTEN_FDS_MAX, &count))
		count = 0;
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
	return (int)count;
}
