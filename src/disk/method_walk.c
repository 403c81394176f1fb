/* SPDX-License-Identifier: Apache-2.0 */
/** Walk all of the sandbox, each time: works everywhere, costs as much as there are files. */
#include "disk/registry.h"

#include <errno.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/fail.h"
#include "disk/walk.h"

struct walker {
	struct disk_job job;
	const char *path;
	struct walk *walk; /* NULL between two looks. */
	int64_t begun_ns;
	struct outline next, last; /* Of the walk under way, and of the last one. */
};

static int walker_probe(struct tally_error *err)
{
	return 0;
}

static int walker_open(const struct disk_site *site, struct disk_job **ret, struct tally_error *err)
{
	struct walker *walker = calloc(1, sizeof(*walker));

	if (!walker)
		return tally_fail(err, -ENOMEM, "cannot walk sandbox %s", site->path);
	walker->path = site->path;
	*ret = &walker->job;
	return 0;
}

static int walker_step(struct disk_job *job, struct disk_tools *tools, struct disk_figure *ret,
	struct tally_error *err)
{
	struct walker *walker = (struct walker *)job;
	int r;

	if (!walker->walk) {
		walker->begun_ns = clock_boot_ns();
		r = walk_open(walker->path, &walker->walk, err);
		if (r == 0)
			walk_outline(walker->walk, &walker->next);
		return r < 0 ? r : 1;
	}
	r = walk_step(walker->walk, &tools->batch);
	if (r > 0)
		return r;
	if (r == 0) {
		const struct walk_sum *sum = walk_sum(walker->walk);

		*ret = (struct disk_figure){.bytes = sum->bytes,
			.files = sum->files,
			.partial = sum->partial,
			.boot_ns = walker->begun_ns};
		outline_done(&walker->last);
		walker->last = walker->next;
		walker->next = (struct outline){0};
	} else {
		outline_done(&walker->next);
		tally_fail(err, r, "cannot walk sandbox %s", walker->path);
	}
	walker->walk = walk_close(walker->walk);
	return r;
}

static int walker_outline(struct disk_job *job, struct outline *ret)
{
	return outline_copy(&((const struct walker *)job)->last, ret);
}

static void walker_close(struct disk_job *job)
{
	struct walker *walker = (struct walker *)job;

	walk_close(walker->walk);
	outline_done(&walker->next);
	outline_done(&walker->last);
	free(walker);
}

const struct disk_method_ops disk_method_walk = {
	.name = "walk",
	.summary = "reads every entry, each time",
	.probe = walker_probe,
	.open = walker_open,
	.step = walker_step,
	.outline = walker_outline,
	.close = walker_close,
};
