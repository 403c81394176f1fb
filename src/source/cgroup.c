/* SPDX-License-Identifier: Apache-2.0 */
#include "source/cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/text.h"
#include "source/cgroup_mounts.h"
#include "source/cgroup_name.h"
#include "source/cgroup_node.h"
#include "source/cgroup_runtime.h"
#include "source/cgroup_task.h"
#include "source/registry.h"

#define POLL_NS (5 * NS_PER_S)

struct source_cgroups {
	struct source source;
	const struct log *log;
	char *procfs, *root;
	char *told_unified; /* Where version 2 is mounted, when the mounts are not to tell. */
	struct cgroup_mounts mounts;
	struct watch *watch; /* NULL: nothing can be heard. */
	struct cgroup_field **fields;
	size_t field_count, node_count;
	struct cgroup_task *tasks; /* uthash by id; iterates in order of appearance. */
	bool changed, said_full;
	int64_t poll_ns, next_poll_ns;
};

static struct source_cgroups *cgroups_of(const struct source *source)
{
	return (struct source_cgroups *)source;
}

static void close_cgroups(struct source *source)
{
	struct source_cgroups *s = cgroups_of(source);
	struct cgroup_task *task, *next;

	HASH_ITER (hh, s->tasks, task, next) {
		HASH_DEL(s->tasks, task);
		cgroup_task_free(task);
	}
	for (size_t i = 0; i < s->field_count; i++) {
		cgroup_field_done(s->fields[i], s->watch);
		free(s->fields[i]);
	}
	free(s->fields);
	watch_close(s->watch);
	cgroup_mounts_done(&s->mounts);
	free(s->told_unified);
	free(s->procfs);
	free(s->root);
	free(s);
}

/* ---- which hierarchy ---- */

/* Version 1's, where there is no other: systemd's own, or one that every runtime uses. */
static const struct cgroup_mount *old_hierarchy(const struct cgroup_mounts *mounts)
{
	static const char *const names[] = {"name=systemd", "pids", "memory", "cpu"};
	const struct cgroup_mount *mount = NULL;

	for (size_t i = 0; !mount && i < ARRAY_SIZE(names); i++)
		mount = cgroup_mounts_controller(mounts, names[i]);
	return mount;
}

/* What is below a mount, or NULL. */
static const char *below(const char *path, const char *dir)
{
	size_t length = strlen(dir);

	if (strncmp(path, dir, length) != 0 || (path[length] != '/' && path[length] != 0))
		return NULL;
	return path + length;
}

/* A pattern may begin with where a hierarchy is mounted, which then is meant. */
static int choose(const struct source_cgroups *s, const char **pattern, const char **ret_dir,
	bool *ret_unified, struct tally_error *err)
{
	const struct cgroup_mount *mount = cgroup_mounts_unified(&s->mounts);
	const char *rest;

	for (size_t i = 0; i < s->mounts.count; i++) {
		rest = below(*pattern, s->mounts.items[i].dir);
		if (rest) {
			mount = &s->mounts.items[i];
			*pattern = rest;
			break;
		}
	}
	if (!mount)
		mount = old_hierarchy(&s->mounts);
	if (s->told_unified) {
		*ret_dir = s->told_unified;
		*ret_unified = true;
		return 0;
	}
	if (!mount)
		return tally_refuse(err, -ENOTSUP,
			"no hierarchy of cgroups is mounted here; mount -t cgroup2 none /sys/fs/cgroup");
	*ret_dir = mount->dir;
	*ret_unified = mount->unified;
	return 0;
}

static int add_pattern(struct source *source, const char *pattern, struct tally_error *err)
{
	struct source_cgroups *s = cgroups_of(source);
	struct cgroup_field **grown =
		reallocarray(s->fields, s->field_count + 1, sizeof(struct cgroup_field *));
	struct cgroup_field *field = malloc(sizeof(*field));
	const char *dir = NULL;
	bool unified = false;

	if (grown)
		s->fields = grown;
	if (!grown || !field) {
		free(field);
		return tally_fail(err, -ENOMEM, "cannot look for cgroups");
	}
	int r = choose(s, &pattern, &dir, &unified, err);
	if (r == 0)
		r = cgroup_field_init(field, dir, unified, pattern, err);
	if (r < 0) {
		free(field);
		return r;
	}
	s->fields[s->field_count++] = field;
	s->next_poll_ns = 0;
	return 0;
}

static int allocate(const struct cgroup_options *options, struct source_cgroups **ret)
{
	struct source_cgroups *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->source.ops = &source_cgroup;
	s->log = options->log;
	s->poll_ns = options->poll_ns ? options->poll_ns : POLL_NS;
	s->procfs = strdup(options->procfs ? options->procfs : "/proc");
	s->root = strdup(options->root ? options->root : "");
	s->told_unified = options->unified ? strdup(options->unified) : NULL;
	if (!s->procfs || !s->root || (options->unified && !s->told_unified)) {
		close_cgroups(&s->source);
		return -ENOMEM;
	}
	*ret = s;
	return 0;
}

int cgroup_source_open(const char *pattern, const struct cgroup_options *options,
	struct source **ret, struct tally_error *err)
{
	struct source_cgroups *s;
	struct tally_error deaf;

	if (allocate(options, &s) < 0)
		return tally_fail(err, -ENOMEM, "cannot look for cgroups");
	int r = cgroup_mounts_read(s->procfs, &s->mounts, err);
	if (r < 0 && s->told_unified)
		r = 0;
	if (r == 0)
		r = add_pattern(&s->source, pattern, err);
	if (r < 0) {
		close_cgroups(&s->source);
		return r;
	}
	if (watch_open(s->log, &s->watch, &deaf) < 0)
		log_say(s->log, TALLY_LOG_WARN, "cgroup: %s; changes are seen after 5 s",
			deaf.message);
	*ret = &s->source;
	return 0;
}

/* ---- tasks ---- */

static struct cgroup_task *find(const struct source_cgroups *s, const char *id)
{
	struct cgroup_task *task;

	HASH_FIND_STR(s->tasks, id, task);
	return task;
}

/* Two cgroups of one name are told apart by the path; one that two patterns match is one task. */
static bool make_id(const struct source_cgroups *s, const struct cgroup_node *node,
	const char *name, char id[CGROUP_NAME_SIZE])
{
	char text[CGROUP_NAME_SIZE];

	snprintf(id, CGROUP_NAME_SIZE, "%s", name);
	struct cgroup_task *taken = find(s, id);
	if (!taken)
		return true;
	if (strcmp(taken->path, node->path) == 0)
		return false;
	snprintf(text, sizeof(text), "%.510s", node->path + 1);
	text_show(id, CGROUP_NAME_SIZE, text);
	return !find(s, id);
}

static void say_full(struct source_cgroups *s)
{
	if (!s->said_full)
		log_say(s->log, TALLY_LOG_WARN,
			"cgroup: there are more than %d tasks: the others are not followed; "
			"name fewer of them in the pattern",
			CGROUP_TASKS_MAX);
	s->said_full = true;
}

static bool begin(void *context, struct cgroup_field *field, struct cgroup_node *node, int dir)
{
	struct source_cgroups *s = context;
	const struct cgroup_task_world world = {s->procfs, &s->mounts};
	struct cgroup_name name;
	struct cgroup_known known;
	char id[CGROUP_NAME_SIZE];

	if (HASH_COUNT(s->tasks) >= CGROUP_TASKS_MAX) {
		say_full(s);
		return false;
	}
	cgroup_name_of(node->path, &name);
	cgroup_runtime_look(s->root, &name, &known);
	bool fresh = make_id(s, node, known.name[0] ? known.name : name.text, id);
	struct cgroup_task *task = fresh ? cgroup_task_new(id, field, node) : NULL;
	if (task)
		HASH_ADD_KEYPTR(hh, s->tasks, task->id, strlen(task->id), task);
	if (!task || !task->hh.tbl) {
		cgroup_task_free(task);
		free(known.layer);
		return false;
	}
	task->sandbox = known.layer;
	node->task = task;
	cgroup_task_look(task, &world, dir);
	s->changed = true;
	return true;
}

static void look(void *context, struct cgroup_field *field, struct cgroup_node *node, int dir)
{
	struct source_cgroups *s = context;
	const struct cgroup_task_world world = {s->procfs, &s->mounts};
	bool full = node->task->full;

	if (cgroup_task_look(node->task, &world, dir))
		s->changed = true;
	if (node->task->full && !full)
		log_say(s->log, TALLY_LOG_WARN,
			"cgroup: task %s has more than %d cgroups: processes in the others are not "
			"counted; name it without a wildcard below it",
			node->task->id, CGROUP_PARTS_MAX);
}

static void end(void *context, struct cgroup_node *node)
{
	struct source_cgroups *s = context;

	HASH_DEL(s->tasks, node->task);
	cgroup_task_free(node->task);
	node->task = NULL;
	s->changed = true;
}

static const struct cgroup_field_ops field_ops = {begin, look, end};

static int refresh(struct source *source, struct tally_error *err)
{
	struct source_cgroups *s = cgroups_of(source);
	int64_t now_ns = clock_boot_ns();
	int heard = s->watch ? watch_drain(s->watch) : 0;
	bool all = now_ns >= s->next_poll_ns || heard == 2;

	if (all)
		s->next_poll_ns = now_ns + s->poll_ns;
	s->changed = false;
	for (size_t i = 0; i < s->field_count; i++)
		cgroup_field_look(s->fields[i], all, s->watch, &s->node_count, &field_ops, s);
	return s->changed;
}

static void show(const struct cgroup_task *task, source_task_fn *visit, void *context)
{
	struct source_process parts[CGROUP_PARTS_MAX];
	enum tally_life life = task->populated ? TALLY_LIFE_ACTIVE : TALLY_LIFE_WAITING;

	for (size_t i = 0; i < task->part_count; i++)
		parts[i] = (struct source_process){.name = task->parts[i].name,
			.life = life,
			.cgroup_id = task->parts[i].id,
			.cgroup = task->parts[i].dir,
			.started_wall_ns = task->started_wall_ns};
	struct source_task shown = {.id = task->id,
		.sandbox = task->sandbox,
		.life = life,
		.started_wall_ns = task->started_wall_ns,
		.processes = parts,
		.process_count = task->part_count,
		.cgroup = task->met ? &task->cgroup : NULL};

	visit(context, &shown);
}

static void list_cgroups(struct source *source, source_task_fn *visit, void *context)
{
	struct cgroup_task *task, *next;

	HASH_ITER (hh, cgroups_of(source)->tasks, task, next)
		show(task, visit, context);
}

static int fd_of(struct source *source)
{
	return cgroups_of(source)->watch ? watch_fd(cgroups_of(source)->watch) : -1;
}

bool cgroup_source_covers(const struct source *source, const char *path, size_t length)
{
	struct cgroup_task *task, *next;

	HASH_ITER (hh, cgroups_of(source)->tasks, task, next) {
		size_t own = strlen(task->path);

		if (own <= length && memcmp(path, task->path, own) == 0 &&
			(own == length || path[own] == '/'))
			return true;
	}
	return false;
}

size_t cgroup_source_count(const struct source *source)
{
	return HASH_COUNT(cgroups_of(source)->tasks);
}

static int probe(struct tally_error *err)
{
	struct cgroup_mounts mounts = {0};
	int r = cgroup_mounts_read("/proc", &mounts, err);

	if (r == 0 && mounts.count == 0)
		r = tally_refuse(err, -ENOTSUP,
			"no hierarchy of cgroups is mounted; mount -t cgroup2 none /sys/fs/cgroup");
	cgroup_mounts_done(&mounts);
	return r;
}

static int open_cgroups(
	const char *argument, const struct log *log, struct source **ret, struct tally_error *err)
{
	const struct cgroup_options options = {.log = log};

	return cgroup_source_open(argument, &options, ret, err);
}

const struct source_ops source_cgroup = {
	.name = "cgroup",
	.summary = "services, scopes, containers and pods: every cgroup that a pattern matches",
	.usage = "cgroup:PATH",
	.probe = probe,
	.open = open_cgroups,
	.add = add_pattern,
	.close = close_cgroups,
	.refresh = refresh,
	.list = list_cgroups,
	.fd = fd_of,
};
