/* SPDX-License-Identifier: Apache-2.0 */
#include "base/holder.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include "base/attr.h"
#include "base/file.h"
#include "base/text.h"

#define STATE_LISTEN 0x0a

static bool describe_pid(int pid, char *text, size_t size)
{
	char path[64], comm[64], shown[128];

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	ssize_t length = file_read_at(AT_FDCWD, path, comm, sizeof(comm) - 1);
	if (length <= 0)
		return false;
	comm[length] = '\0';
	comm[strcspn(comm, "\n")] = '\0';
	text_show(shown, sizeof(shown), comm);
	snprintf(text, size, "%s (pid %d)", shown, pid);
	return true;
}

/* Inode of the socket that listens on a port; 0: none. The line is quoted in peer.c. */
static unsigned long listening_inode(const char *table, uint16_t port)
{
	CLEANUP_FILE FILE *file = fopen(table, "re");
	char line[512];
	unsigned at, state;
	unsigned long inode;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, " %*[0-9]: %*[0-9A-F]:%x %*s %x %*s %*s %*s %*u %*s %lu", &at,
			    &state, &inode) == 3 &&
			at == port && state == STATE_LISTEN)
			return inode;
	return 0;
}

static bool holds_inode(int pid, unsigned long inode)
{
	char path[64], link[64], wanted[64];

	snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	CLEANUP_DIR DIR *dir = opendir(path);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		ssize_t length = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);

		if (length <= 0)
			continue;
		link[length] = '\0';
		if (strcmp(link, wanted) == 0)
			return true;
	}
	return false;
}

bool holder_of_port(uint16_t port, char *text, size_t size)
{
	unsigned long inode = listening_inode("/proc/net/tcp", port);

	if (!inode)
		inode = listening_inode("/proc/net/tcp6", port);
	CLEANUP_DIR DIR *proc = inode ? opendir("/proc") : NULL;
	for (struct dirent *entry; proc && (entry = readdir(proc));) {
		int pid = atoi(entry->d_name);

		if (pid > 0 && holds_inode(pid, inode))
			return describe_pid(pid, text, size);
	}
	return false;
}

/* "1: FLOCK  ADVISORY  WRITE 812 08:01:131 0 EOF"; waiting ones have "->" before FLOCK. */
bool holder_of_lock(int fd, char *text, size_t size)
{
	CLEANUP_FILE FILE *locks = fopen("/proc/locks", "re");
	char line[256];
	struct stat st;
	unsigned major_number, minor_number;
	unsigned long inode;
	int pid;

	if (!locks || fstat(fd, &st) < 0)
		return false;
	while (fgets(line, sizeof(line), locks))
		if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%lu", &pid, &major_number,
			    &minor_number, &inode) == 4 &&
			inode == st.st_ino && makedev(major_number, minor_number) == st.st_dev)
			return describe_pid(pid, text, size);
	return false;
}
