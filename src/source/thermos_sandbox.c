/* SPDX-License-Identifier: Apache-2.0 */
#include "source/thermos_sandbox.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/attr.h"
#include "base/fail.h"
#include "base/text.h"

/* How much of a path is shown in a message. */
#define SHOWN_MAX 256

static bool has_dotdot(const char *path)
{
	for (const char *at = path; (at = strstr(at, "/..")); at += 3)
		if (at[3] == '/' || at[3] == 0)
			return true;
	return false;
}

static bool lies_below(const char *path, const char *folder)
{
	char real[PATH_MAX];

	if (!folder || !realpath(folder, real))
		return false;

	size_t length = strlen(real);
	return strncmp(path, real, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static bool belongs(const char *path, uid_t uid, const struct sandbox_owner *owner)
{
	return uid == owner->uids[0] || uid == owner->uids[1] || lies_below(path, owner->inside);
}

int sandbox_check(
	const char *path, const struct sandbox_owner *owner, char **ret, struct tally_error *err)
{
	char shown[SHOWN_MAX];
	struct stat st;

	text_show(shown, sizeof(shown), path);
	if (path[0] != '/' || has_dotdot(path))
		return tally_refuse(
			err, -EPERM, "sandbox %s is not an absolute path without '..'", shown);

	/* A slash at its end would have a symbolic link followed. */
	char trimmed[PATH_MAX];
	size_t length = strlen(path);
	while (length > 0 && path[length - 1] == '/')
		length--;
	if (length == 0)
		return tally_refuse(err, -EPERM, "sandbox / is the whole machine");
	if (length >= sizeof(trimmed))
		return tally_fail(err, -ENAMETOOLONG, "sandbox %s", shown);
	memcpy(trimmed, path, length);
	trimmed[length] = 0;

	if (lstat(trimmed, &st) < 0)
		return tally_fail(err, -errno, "sandbox %s", shown);
	if (!S_ISDIR(st.st_mode))
		return tally_refuse(err, -EPERM, "sandbox %s is not a directory", shown);

	CLEANUP_FREE char *real = realpath(trimmed, NULL);
	if (!real || lstat(real, &st) < 0)
		return tally_fail(err, -errno, "sandbox %s", shown);
	if (strcmp(real, "/") == 0)
		return tally_refuse(err, -EPERM, "sandbox %s is the whole machine", shown);
	if (!belongs(real, st.st_uid, owner))
		return tally_refuse(err, -EPERM,
			"sandbox %s belongs to uid %u, not to the task's %u, and is outside its "
			"executor's directory",
			shown, st.st_uid, owner->uids[0]);
	*ret = TAKE(real);
	return 0;
}
