/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/observed.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "cli/observe.h"
#include "serve/client.h"

#define NOT_FOUND 404

int observed_get(const char *socket, const char *target, json_t **ret, int *ret_status,
	struct tally_error *err)
{
	char path[108];

	observe_default_socket(path, sizeof(path));
	*ret_status = 0;
	if (!socket && !*path)
		return tally_refuse(err, -ENOENT, "this user has no place for an observer");
	return target ? client_get(socket ? socket : path, target, ret, ret_status, err)
		      : tally_fail(err, -ENOMEM, "cannot ask the observer");
}

bool observed_absent(int code)
{
	return code == -ENOENT || code == -ECONNREFUSED || code == -EACCES;
}

char *observed_target(const char *format, ...)
{
	char *target = NULL;
	va_list args;

	va_start(args, format);
	int r = vasprintf(&target, format, args);
	va_end(args);
	return r < 0 ? NULL : target;
}

static int get_task(const char *socket, const char *task, const char *tail, const char *process,
	json_t **ret, int *ret_status, struct tally_error *err)
{
	CLEANUP_FREE char *id = client_escape(task);
	CLEANUP_FREE char *name = client_escape(process ? process : "");
	CLEANUP_FREE char *target = id && name ? observed_target("/api/v1/tasks/%s%s%s%s", id, tail,
							 process ? "&process=" : "", name)
					       : NULL;

	return observed_get(socket, target, ret, ret_status, err);
}

int observed_get_task(const char *socket, char *word, const char *tail, bool by_process,
	const char **ret_process, json_t **ret, struct tally_error *err)
{
	char *slash = strrchr(word, '/');
	int status, r = get_task(socket, word, tail, NULL, ret, &status, err);

	*ret_process = NULL;
	if (r != -EREMOTE || status != NOT_FOUND || !slash)
		return r;
	*slash = '\0';
	*ret_process = slash + 1;
	return get_task(socket, word, tail, by_process ? slash + 1 : NULL, ret, &status, err);
}

const char *observed_time(char out[32], int64_t wall_ns)
{
	bool before_1970 = wall_ns < 0;
	uint64_t size_ns = before_1970 ? -(uint64_t)wall_ns : (uint64_t)wall_ns;

	snprintf(out, 32, "%s%" PRIu64 ".%09" PRIu64, before_1970 ? "-" : "", size_ns / NS_PER_S,
		size_ns % NS_PER_S);
	return out;
}
