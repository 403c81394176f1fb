/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/parse.h"
#include "monitor/internal.h"

/*
 * The first line of /proc/stat, in ticks of USER_HZ (fs/proc/stat.c):
 *
 *     cpu  user nice system idle iowait irq softirq steal guest guest_nice
 *
 * guest is part of user and guest_nice of nice; idle and iowait are no work.
 */
int64_t machine_parse_busy(const char *text, size_t length, long ticks_per_second)
{
	struct cursor c = cursor_of(text, length);
	uint64_t field[8];

	if (!cursor_literal(&c, "cpu "))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(field); i++)
		if (!cursor_u64(&c, &field[i]))
			return -1;

	uint64_t ticks = field[0] + field[1] + field[2] + field[5] + field[6] + field[7];
	if (ticks > (uint64_t)(INT64_MAX / NS_PER_S) * (uint64_t)ticks_per_second / 2)
		return -1;
	return (int64_t)(ticks * (uint64_t)(NS_PER_S / ticks_per_second));
}

int64_t machine_read_busy(const char *procfs)
{
	char path[4096], text[512];

	snprintf(path, sizeof(path), "%s/stat", procfs);
	ssize_t length = file_read_at(AT_FDCWD, path, text, sizeof(text));
	return length < 0 ? -1 : machine_parse_busy(text, (size_t)length, sysconf(_SC_CLK_TCK));
}
