/* SPDX-License-Identifier: Apache-2.0 */
#include "source/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/file.h"
#include "base/parse.h"

/*
 * "812 (a (b) c) S 1 812 …": the name may hold blanks, parentheses and newlines, so that fields are
 * counted from the last ')'. State is field 3, starttime field 22.
 */
int identity_parse(const char *stat, size_t length, int64_t *ret)
{
	const char *name_end = memrchr(stat, ')', length);
	uint64_t ticks;
	int64_t tick_ns = NS_PER_S / sysconf(_SC_CLK_TCK);

	if (!name_end)
		return -EINVAL;
	struct cursor c = cursor_of(name_end + 1, length - (size_t)(name_end + 1 - stat));
	if (!cursor_skip_words(&c, 22 - 3) || !cursor_u64(&c, &ticks) ||
		ticks > (uint64_t)(INT64_MAX / tick_ns))
		return -EINVAL;
	*ret = (int64_t)ticks * tick_ns;
	return 0;
}

int identity_start_ns(const char *procfs, pid_t pid, int64_t *ret)
{
	char path[4096], text[1024];

	if (snprintf(path, sizeof(path), "%s/%d/stat", procfs, (int)pid) >= (int)sizeof(path))
		return -ENAMETOOLONG;

	ssize_t length = file_read_at(AT_FDCWD, path, text, sizeof(text));
	if (length == -ENOENT)
		return -ESRCH;
	return length < 0 ? (int)length : identity_parse(text, (size_t)length, ret);
}

int64_t identity_wall_ns(int64_t boot_ns)
{
	return clock_wall_ns() - (clock_boot_ns() - boot_ns);
}
