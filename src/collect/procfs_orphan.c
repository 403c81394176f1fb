/* SPDX-License-Identifier: Apache-2.0 */
/* Groups that share pids with nobody, or a subreaper with others. */
#include <string.h>
#include "base/attr.h"
#include "collect/procfs.h"

struct membership *procfs_in_family(
	const struct procfs *procfs, const struct member *member, uint32_t family, uint32_t but)
{
	for (struct membership *m = member->groups; family && m; m = m->next)
		if (m->group != but && !m->left && procfs->groups[m->group].family == family)
			return m;
	return NULL;
}

/*
 * "PS=web.1\0PATH=/bin\0…". It may be larger than the buffer, and a variable may lie across the end
 * of a piece: what the pieces have in common is longer than any sign.
 */
bool procfs_has_variable(struct procfs *procfs, pid_t pid, const char *variable)
{
	CLEANUP_CLOSE int fd = proc_open(&procfs->root, pid, 0, "environ");
	size_t length = strlen(variable) + 1, kept = 0;
	char text[4096];
	ssize_t more;

	if (fd < 0 || length + 1 > sizeof(text) / 2)
		return false;
	text[kept++] = '\0'; /* What precedes the first one, too. */
	while ((more = read(fd, text + kept, sizeof(text) - kept)) > 0) {
		size_t have = kept + (size_t)more;

		for (const char *at = text; (at = memchr(at, '\0', have - (size_t)(at - text)));) {
			at++;
			if ((size_t)(text + have - at) < length)
				break;
			if (memcmp(at, variable, length) == 0)
				return true;
		}
		kept = have > length ? length : have;
		memmove(text, text + have - kept, kept);
	}
	return false;
}

uint32_t procfs_group_of_orphan(struct procfs *procfs, pid_t pid, pid_t subreaper, bool *ret_told)
{
	uint32_t first = GROUP_NONE;

	*ret_told = false;
	for (uint32_t group = 0; group < procfs->collector.group_count; group++) {
		const struct group *g = &procfs->groups[group];

		if (!procfs->collector.used[group] || g->subreaper != subreaper)
			continue;
		*ret_told = g->sign && procfs_has_variable(procfs, pid, g->sign);
		if (*ret_told)
			return group;
		if (first == GROUP_NONE)
			first = group;
	}
	return first;
}
