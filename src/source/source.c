/* SPDX-License-Identifier: Apache-2.0 */
#include "source/source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/fail.h"
#include "source/registry.h"

const struct source_ops *const sources[] = {
	&source_pid,
	&source_thermos,
	&source_mesos,
	&source_cgroup,
	&source_auto,
	&source_pidfile,
	&source_supervise,
	&source_supervisord,
	NULL,
};

static int refuse_kind(const char *spec, struct tally_error *err)
{
	char kinds[256] = "";

	for (size_t i = 0; sources[i]; i++) {
		size_t used = strlen(kinds);

		snprintf(kinds + used, sizeof(kinds) - used, "%s%s", i ? ", " : "",
			sources[i]->usage);
	}
	return tally_refuse(err, -EINVAL, "'%.100s' is not a source; there are: %s", spec, kinds);
}

int source_find(const char *spec, const struct source_ops **ret, const char **ret_argument,
	struct tally_error *err)
{
	const char *colon = strchr(spec, ':');
	size_t length = colon ? (size_t)(colon - spec) : strlen(spec);

	for (size_t i = 0; sources[i]; i++)
		if (strlen(sources[i]->name) == length &&
			memcmp(sources[i]->name, spec, length) == 0) {
			*ret = sources[i];
			*ret_argument = colon ? colon + 1 : "";
			return 0;
		}
	return refuse_kind(spec, err);
}

struct source *source_close(struct source *source)
{
	if (source)
		source->ops->close(source);
	return NULL;
}

int source_refresh(struct source *source, struct tally_error *err)
{
	return source->ops->refresh(source, err);
}

void source_list(struct source *source, source_task_fn *visit, void *context)
{
	source->ops->list(source, visit, context);
}

void source_reaped(struct source *source, source_reaped_fn *visit, void *context)
{
	if (source->ops->reaped)
		source->ops->reaped(source, visit, context);
}

int source_fd(struct source *source)
{
	return source->ops->fd ? source->ops->fd(source) : -1;
}
