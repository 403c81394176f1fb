/* SPDX-License-Identifier: Apache-2.0 */
#include "source/facts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "base/attr.h"
#include "base/file.h"
#include "base/parse.h"
#include "source/identity.h"

/* include/linux/sched.h */
#define PF_KTHREAD 0x00200000

/* "812 (name) S 1 812 812 0 -1 4194560 …": flags are field 9, six behind the state. */
static bool is_kernel_thread(const char *stat, size_t length)
{
	const char *name_end = memrchr(stat, ')', length);
	uint64_t flags;

	if (!name_end)
		return false;
	struct cursor c = cursor_of(name_end + 1, length - (size_t)(name_end + 1 - stat));
	return cursor_skip_words(&c, 6) && cursor_u64(&c, &flags) && flags & PF_KTHREAD;
}

/* "Uid:\t1000\t1000\t1000\t1000": real, effective, saved, file system. */
static void parse_uids(struct cursor line, struct process_facts *facts)
{
	uint64_t uid, euid;

	if (cursor_u64(&line, &uid) && cursor_u64(&line, &euid)) {
		facts->uid = (uid_t)uid;
		facts->euid = (uid_t)euid;
	}
}

/* "NSpid:\t29061\t7": as seen from the mount's namespace, inwards. */
static void parse_nspid(struct cursor line, struct process_facts *facts)
{
	uint64_t pid;

	while (cursor_u64(&line, &pid)) {
		facts->inner = (pid_t)pid;
		facts->levels++;
	}
}

int process_facts_parse_status(const char *text, size_t length, struct process_facts *facts)
{
	struct cursor c = cursor_of(text, length), line;
	bool has_uid = false;

	facts->levels = 0;
	while (cursor_line(&c, &line)) {
		if (cursor_literal(&line, "Uid:")) {
			parse_uids(line, facts);
			has_uid = true;
		} else if (cursor_literal(&line, "NSpid:")) {
			parse_nspid(line, facts);
			return has_uid ? 0 : -EINVAL;
		}
	}
	return has_uid ? 0 : -EINVAL; /* Before 4.1 there is no NSpid. */
}

int process_facts_read(int procfs, const char *pid, struct process_facts *ret)
{
	char text[8192]; /* A user may be in hundreds of groups, which come before NSpid. */
	CLEANUP_CLOSE int dir = openat(procfs, pid, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return errno == ENOENT ? -ESRCH : -errno;

	ssize_t length = file_read_at(dir, "stat", text, sizeof(text));
	if (length < 0)
		return length == -ENOENT ? -ESRCH : (int)length;
	int r = identity_parse(text, (size_t)length, &ret->start_ns);
	if (r < 0)
		return r;
	ret->kernel = is_kernel_thread(text, (size_t)length);

	length = file_read_at(dir, "status", text, sizeof(text));
	if (length < 0)
		return length == -ENOENT ? -ESRCH : (int)length;
	return process_facts_parse_status(text, (size_t)length, ret);
}
