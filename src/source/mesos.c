/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Under Mesos every run of an executor has a checkpoint root of its own:
 *
 *     BASE/slaves/AGENT/frameworks/FRAMEWORK/executors/EXECUTOR/runs/RUN/checkpoints
 *
 * The tree is kept, and a directory is listed again only when it changed. Symbolic links ("latest",
 * and whatever a user puts below RUN, which is his) are not followed.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include "base/attr.h"
#include "source/thermos.h"

/* Directories below each other; NULL: any name. */
static const char *const levels[] = {
	"slaves", NULL, "frameworks", NULL, "executors", NULL, "runs", NULL, "checkpoints"};

#define LEVELS	  ARRAY_SIZE(levels)
#define RUN_LEVEL (LEVELS - 1)

/* Directories of any name that one may hold; the others are not looked into. */
#define CHILDREN_MAX (1 << 14)

/* A directory: so many levels down. */
struct mesos_node {
	size_t level;
	struct folder folder; /* Listed when what is below it has any name. */
	struct mesos_node *children, *prev, *next;
	size_t count;
	struct thermos_root *root; /* At the last level. */
	const char *name;	   /* In folder.path. */
	bool seen;
};

struct visit {
	struct thermos_source *source;
	struct thermos_place *place;
	struct mesos_node *node;
};

static struct mesos_node *node_new(const struct mesos_node *parent, const char *name)
{
	struct mesos_node *node = calloc(1, sizeof(*node));
	const char *above = parent ? parent->folder.path : "";
	char *path = NULL;

	if (!node || asprintf(&path, "%s%s%s", above, *above ? "/" : "", name) < 0) {
		free(node);
		return NULL;
	}
	folder_init(&node->folder, path);
	node->level = parent ? parent->level + 1 : 0;
	node->name = path + strlen(path) - strlen(name);
	node->folder.dirty = true;
	return node;
}

static void node_free(struct thermos_source *source, struct mesos_node *node)
{
	struct mesos_node *child, *next;

	DL_FOREACH_SAFE(node->children, child, next)
	node_free(source, child);
	if (node->root) {
		thermos_root_remove(source, node->root);
		source->changed = true;
	}
	folder_done(&node->folder, source->watch);
	free(node);
}

void mesos_done(struct thermos_source *source, struct thermos_place *place)
{
	if (place->tree)
		node_free(source, place->tree);
	place->tree = NULL;
}

static struct mesos_node *child_of(struct mesos_node *node, const char *name)
{
	struct mesos_node *child;

	DL_FOREACH(node->children, child)
	if (strcmp(child->name, name) == 0)
		return child;
	return NULL;
}

static struct mesos_node *child_add(struct mesos_node *node, const char *name)
{
	struct mesos_node *child = node_new(node, name);

	if (child) {
		DL_APPEND(node->children, child);
		node->count++;
	}
	return child;
}

static int take_entry(void *context, int dir, const char *name, unsigned char type)
{
	struct visit *visit = context;
	struct mesos_node *node = visit->node;

	if (name[0] == '.' || !entry_is(dir, name, type, DT_DIR))
		return 0;

	struct mesos_node *child = child_of(node, name);
	if (!child && node->count < CHILDREN_MAX) {
		child = child_add(node, name);
		if (!child)
			return -ENOMEM;
	}
	if (child)
		child->seen = true;
	return 0;
}

/* What cannot be listed now is taken to be as it was. */
static void list_children(struct visit *visit)
{
	struct mesos_node *node = visit->node, *child, *next;
	int dir, r = folder_look(&node->folder, visit->place->base.fd, visit->source->watch, &dir);

	if (r == 0)
		return;
	if (r == 1)
		r = folder_list(&node->folder, dir, take_entry, visit);
	else if (r == -ENOENT)
		r = 0;
	DL_FOREACH_SAFE(node->children, child, next)
	{
		if (r == 0 && !child->seen) {
			DL_DELETE(node->children, child);
			node->count--;
			node_free(visit->source, child);
			continue;
		}
		child->seen = false;
	}
}

static void add_root(struct visit *visit, const struct mesos_node *run)
{
	const char *real = visit->place->base.real;
	CLEANUP_FREE char *executor = NULL;

	if (!real || asprintf(&executor, "%s/%s", real, run->folder.path) < 0)
		return;
	visit->node->root = thermos_root_add(visit->place, visit->node->folder.path, executor);
	if (visit->node->root)
		visit->node->root->active.dirty = true;
}

static void look_at(struct visit *visit, struct mesos_node *node)
{
	struct visit below = *visit;
	struct mesos_node *child, *next;

	below.node = node;
	if (node->level + 1 == LEVELS)
		return;
	if (!levels[node->level + 1]) {
		if (visit->source->due || node->folder.dirty)
			list_children(&below);
	} else if (!node->children) {
		child_add(node, levels[node->level + 1]);
	}
	DL_FOREACH_SAFE(node->children, child, next)
	{
		below.node = child;
		if (child->level == RUN_LEVEL && !child->root)
			add_root(&below, node);
		look_at(&below, child);
	}
}

void mesos_look(struct thermos_source *source, struct thermos_place *place)
{
	struct visit visit = {source, place, NULL};

	if (!place->tree)
		place->tree = node_new(NULL, levels[0]);
	if (place->tree)
		look_at(&visit, place->tree);
}
