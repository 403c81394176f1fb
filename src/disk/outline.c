/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/outline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A heap whose first is the lightest: of equal ones the deeper. */
static bool is_lighter(const struct outline_dir *a, const struct outline_dir *b)
{
	return a->bytes < b->bytes || (a->bytes == b->bytes && a->depth > b->depth);
}

static void swap(struct outline_dir *a, struct outline_dir *b)
{
	struct outline_dir c = *a;

	*a = *b;
	*b = c;
}

static void sift_up(struct outline *outline, unsigned at)
{
	struct outline_dir *dirs = outline->dirs;

	for (; at && is_lighter(&dirs[at], &dirs[(at - 1) / 2]); at = (at - 1) / 2)
		swap(&dirs[at], &dirs[(at - 1) / 2]);
}

static void sift_down(struct outline *outline)
{
	struct outline_dir *dirs = outline->dirs;
	unsigned at = 0, below;

	while ((below = 2 * at + 1) < outline->count) {
		if (below + 1 < outline->count && is_lighter(&dirs[below + 1], &dirs[below]))
			below++;
		if (!is_lighter(&dirs[below], &dirs[at]))
			return;
		swap(&dirs[below], &dirs[at]);
		at = below;
	}
}

bool outline_wants(struct outline *outline, int64_t bytes, unsigned depth)
{
	struct outline_dir dir = {.bytes = bytes, .depth = depth};
	bool wanted = depth <= OUTLINE_DEPTH_MOST &&
		      (outline->count < OUTLINE_DIRS || is_lighter(&outline->dirs[0], &dir));

	outline->left_out += !wanted;
	return wanted;
}

int outline_add(struct outline *outline, const char *path, const struct outline_dir *dir)
{
	char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	if (outline->count < OUTLINE_DIRS) {
		outline->dirs[outline->count] = *dir;
		outline->dirs[outline->count++].path = copy;
		sift_up(outline, outline->count - 1);
		return 0;
	}
	free(outline->dirs[0].path);
	outline->left_out++;
	outline->dirs[0] = *dir;
	outline->dirs[0].path = copy;
	sift_down(outline);
	return 0;
}

static int heaviest_first(const void *a, const void *b)
{
	const struct outline_dir *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	if (x->depth != y->depth)
		return x->depth < y->depth ? -1 : 1;
	return strcmp(x->path, y->path);
}

void outline_sort(struct outline *outline)
{
	qsort(outline->dirs, outline->count, sizeof(*outline->dirs), heaviest_first);
}

int outline_copy(const struct outline *outline, struct outline *ret)
{
	*ret = *outline;
	for (unsigned i = 0; i < outline->count; i++) {
		ret->dirs[i].path = strdup(outline->dirs[i].path);
		if (!ret->dirs[i].path) {
			ret->count = i;
			outline_done(ret);
			return -ENOMEM;
		}
	}
	return 0;
}

void outline_done(struct outline *outline)
{
	for (unsigned i = 0; i < outline->count; i++)
		free(outline->dirs[i].path);
	*outline = (struct outline){0};
}
