/* SPDX-License-Identifier: Apache-2.0 */
#include "source/ended.h"

#include <stdlib.h>

struct source_ended {
	struct source source;
	struct source_ops ops;
};

static int refresh(struct source *source, struct tally_error *err)
{
	return 0;
}

static void list(struct source *source, source_task_fn *visit, void *context)
{
}

static void close_ended(struct source *source)
{
	free(source);
}

struct source *source_ended_open(const struct source_ops *before)
{
	struct source_ended *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->ops = (struct source_ops){
		.name = before->name,
		.summary = before->summary,
		.close = close_ended,
		.refresh = refresh,
		.list = list,
	};
	s->source.ops = &s->ops;
	return &s->source;
}

bool source_has_ended(const struct source *source)
{
	return source->ops->list == list;
}
