/* SPDX-License-Identifier: Apache-2.0 */
/* The table of processes, what rules made of them, and when they are looked at again. */
#include "source/match.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/hash.h"
#include "source/identity.h"
#include "source/match_proc.h"
#include "source/match_rule.h"
#include "source/registry.h"

/* A process is looked at again after so many looks at the machine: 1, 2, 4, … */
#define WAIT_MAX 64

/* A task without processes is kept for so long, in case that one comes. */
#define LINGER_NS (3600 * NS_PER_S)

/* A named process of a task. */
struct place {
	char *name;
	struct place *next;
	struct task *task;
	size_t living; /* Processes that are in it. */
	int64_t started_wall_ns, ended_wall_ns;
};

struct task {
	char *id;
	struct place *places;
	size_t living;
	int64_t empty_boot_ns; /* Since when it has been without a process. */
	UT_hash_handle hh;
};

/* A process of the machine. */
struct seen {
	pid_t pid;
	uint64_t inode;	    /* Of its folder in /proc: a cheap hint that it is the same. */
	uint32_t look;	    /* The look that had it last. */
	uint32_t wait, due; /* Looks between two judgements; the next one. */
	struct match_glance glance;
	uint64_t program;
	bool named;	     /* By a rule, not by descent. */
	bool root;	     /* The collector has to be told of it. */
	struct place *place; /* Or NULL: it is in no task. */
	UT_hash_handle hh;
};

struct source_match {
	struct source source;
	const struct log *log;
	struct match_proc *proc;
	struct match_rules *rules;
	uint32_t family;
	uint32_t look;
	struct seen *seen;
	struct task *tasks; /* In order of appearance. */
	bool changed, said_full;
	struct seen **newcomers;
	size_t newcomer_count, newcomer_room;
	struct source_process *listed;
	size_t listed_room;
};

static struct source_match *match_of(struct source *source)
{
	return (struct source_match *)source;
}

/* ---- tasks ---- */

static struct task *find_task(struct source_match *s, const char *id)
{
	struct task *task;

	HASH_FIND_STR(s->tasks, id, task);
	if (task)
		return task;
	if (HASH_COUNT(s->tasks) >= MATCH_TASKS_MAX) {
		if (!s->said_full)
			log_say(s->log, TALLY_LOG_WARN,
				"match: the rules make more than %d tasks: the others are not "
				"followed; a capture in a name may hold what is of one process",
				MATCH_TASKS_MAX);
		s->said_full = true;
		return NULL;
	}
	task = calloc(1, sizeof(*task));
	if (task)
		task->id = strdup(id);
	if (task && task->id)
		HASH_ADD_KEYPTR(hh, s->tasks, task->id, strlen(task->id), task);
	if (task && task->id && task->hh.tbl)
		return task;
	if (task)
		free(task->id);
	free(task);
	return NULL;
}

static struct place *find_place(struct source_match *s, const struct match_result *result)
{
	struct task *task = find_task(s, result->task);
	struct place **at = task ? &task->places : NULL;

	while (at && *at && strcmp((*at)->name, result->process) != 0)
		at = &(*at)->next;
	if (!at || *at)
		return at ? *at : NULL;
	struct place *place = calloc(1, sizeof(*place));
	if (place)
		place->name = strdup(result->process);
	if (!place || !place->name) {
		free(place);
		return NULL;
	}
	place->task = task;
	*at = place;
	return place;
}

static void leave(struct source_match *s, struct seen *seen)
{
	struct place *place = seen->place;

	if (!place)
		return;
	place->living--;
	place->task->living--;
	if (place->living == 0)
		place->ended_wall_ns = clock_wall_ns();
	if (place->task->living == 0)
		place->task->empty_boot_ns = clock_boot_ns();
	s->changed |= seen->root || place->living == 0;
	seen->place = NULL;
}

static void enter(struct source_match *s, struct seen *seen, struct place *place, bool root)
{
	seen->root = root;
	seen->place = place;
	if (place->living++ == 0) {
		place->started_wall_ns = identity_wall_ns(seen->glance.start_ns);
		place->ended_wall_ns = 0;
	}
	place->task->living++;
	s->changed = true;
}

static void free_task(struct source_match *s, struct task *task)
{
	HASH_DEL(s->tasks, task);
	while (task->places) {
		struct place *place = task->places;

		task->places = place->next;
		free(place->name);
		free(place);
	}
	free(task->id);
	free(task);
}

static void forget_empty(struct source_match *s)
{
	struct task *task, *next;
	int64_t now_ns = clock_boot_ns();

	HASH_ITER (hh, s->tasks, task, next)
		if (task->living == 0 && now_ns - task->empty_boot_ns > LINGER_NS) {
			free_task(s, task);
			s->changed = true;
		}
}

/* ---- processes ---- */

static struct seen *find_seen(struct source_match *s, pid_t pid)
{
	struct seen *seen;

	HASH_FIND(hh, s->seen, &pid, sizeof(pid), seen);
	return seen;
}

/*
 * Everything below a process that got its place by descent follows it to another. The collector
 * does that by itself for what is born from now on, but it does not move what is there.
 */
static void take_along(struct source_match *s, const struct place *from, const struct seen *moved)
{
	bool more = from != NULL;

	while (more) {
		struct seen *seen, *next;

		more = false;
		HASH_ITER (hh, s->seen, seen, next) {
			const struct seen *parent = find_seen(s, seen->glance.parent);

			if (seen->named || seen->place != from || !parent ||
				parent->place != moved->place || parent == seen)
				continue;
			leave(s, seen);
			enter(s, seen, moved->place, true);
			more = true;
		}
	}
}

/* A rule names a process; the collector needs to hear of it unless it is there by descent. */
static void assign(struct source_match *s, struct seen *seen, struct place *place)
{
	struct place *before = seen->place;

	seen->named = true;
	if (before == place)
		return;
	const struct seen *parent = find_seen(s, seen->glance.parent);
	bool inherits = !before && parent && parent->place == place;
	leave(s, seen);
	enter(s, seen, place, !inherits);
	take_along(s, before, seen);
}

static void inherit(struct source_match *s, struct seen *seen)
{
	const struct seen *parent = find_seen(s, seen->glance.parent);

	if (!seen->place && parent && parent->place)
		enter(s, seen, parent->place, false);
}

static void judge(struct source_match *s, struct seen *seen)
{
	const struct seen *parent = find_seen(s, seen->glance.parent);
	struct match_facts facts;
	struct match_result result;
	struct place *place = NULL;

	match_proc_read(s->proc, seen->pid, s->rules, seen->glance.comm,
		parent ? parent->glance.comm : NULL, &facts);
	if (match_rules_apply(s->rules, &facts, &result))
		place = find_place(s, &result);
	if (place)
		assign(s, seen, place);
	else
		inherit(s, seen);
}

static void forget(struct source_match *s, struct seen *seen)
{
	leave(s, seen);
	HASH_DEL(s->seen, seen);
	free(seen);
}

static void look_again_later(struct source_match *s, struct seen *seen)
{
	seen->due = s->look + seen->wait;
	seen->wait = seen->wait < WAIT_MAX ? seen->wait * 2 : WAIT_MAX;
}

/* Has it become another program? @return false: it is gone. */
static bool look_again(struct source_match *s, struct seen *seen)
{
	struct match_glance now;

	if (match_proc_glance(s->proc, seen->pid, &now) < 0 ||
		now.start_ns != seen->glance.start_ns)
		return false;
	uint64_t program = match_proc_program(s->proc, seen->pid);
	bool another = program != seen->program || strcmp(now.comm, seen->glance.comm) != 0;
	bool orphaned = now.parent != seen->glance.parent;
	seen->glance = now;
	seen->program = program;
	if (another) {
		seen->wait = 1;
		judge(s, seen);
	} else if (!orphaned) {
		inherit(s, seen);
	}
	look_again_later(s, seen);
	return true;
}

static bool make_room(struct source_match *s)
{
	if (s->newcomer_count < s->newcomer_room)
		return true;
	size_t room = s->newcomer_room ? s->newcomer_room * 2 : 256;
	struct seen **grown = reallocarray(s->newcomers, room, sizeof(struct seen *));
	if (!grown)
		return false;
	s->newcomers = grown;
	s->newcomer_room = room;
	return true;
}

static void add(struct source_match *s, pid_t pid, uint64_t inode)
{
	struct seen *seen = make_room(s) ? calloc(1, sizeof(*seen)) : NULL;

	if (!seen || match_proc_glance(s->proc, pid, &seen->glance) < 0) {
		free(seen);
		return;
	}
	seen->pid = pid;
	seen->inode = inode;
	seen->look = s->look;
	seen->wait = 1;
	seen->due = UINT32_MAX; /* Until it has been judged; a kernel thread never is. */
	seen->program = seen->glance.kernel ? 0 : match_proc_program(s->proc, pid);
	HASH_ADD(hh, s->seen, pid, sizeof(pid), seen);
	if (!seen->hh.tbl) {
		free(seen);
		return;
	}
	s->newcomers[s->newcomer_count++] = seen;
}

static void see(void *context, pid_t pid, uint64_t inode)
{
	struct source_match *s = context;
	struct seen *seen = find_seen(s, pid);

	/* An evicted inode has another number, too: its start tells. */
	if (seen && (seen->inode == inode || look_again(s, seen))) {
		seen->inode = inode;
		seen->look = s->look;
		return;
	}
	if (seen)
		forget(s, seen);
	add(s, pid, inode);
}

static int by_age(const void *a, const void *b)
{
	const struct seen *const *first = a, *const *second = b;
	int64_t difference = (*first)->glance.start_ns - (*second)->glance.start_ns;

	if (difference == 0)
		return (*first)->pid < (*second)->pid ? -1 : 1;
	return difference < 0 ? -1 : 1;
}

/* Parents first: what they are decides what their children are. */
static void judge_newcomers(struct source_match *s)
{
	if (s->newcomer_count > 0)
		qsort(s->newcomers, s->newcomer_count, sizeof(struct seen *), by_age);
	for (size_t i = 0; i < s->newcomer_count; i++) {
		if (!s->newcomers[i]->glance.kernel)
			judge(s, s->newcomers[i]);
	}
	for (size_t i = 0; i < s->newcomer_count; i++)
		if (!s->newcomers[i]->glance.kernel)
			look_again_later(s, s->newcomers[i]);
	s->newcomer_count = 0;
}

static void look_at_known(struct source_match *s)
{
	struct seen *seen, *next;

	HASH_ITER (hh, s->seen, seen, next) {
		if (seen->look != s->look ||
			(seen->due <= s->look && seen->due != UINT32_MAX && !look_again(s, seen)))
			forget(s, seen);
	}
}

static int refresh(struct source *source, struct tally_error *err)
{
	struct source_match *s = match_of(source);

	s->changed = false;
	s->look++;
	int r = match_proc_list(s->proc, see, s);
	if (r < 0)
		return tally_fail(err, r, "cannot list the processes of this machine");
	look_at_known(s);
	judge_newcomers(s);
	forget_empty(s);
	return s->changed;
}

/* ---- what is told ---- */

static bool list_room(struct source_match *s, size_t count)
{
	if (count <= s->listed_room)
		return true;
	struct source_process *grown = reallocarray(s->listed, count, sizeof(*s->listed));
	if (!grown)
		return false;
	s->listed = grown;
	s->listed_room = count;
	return true;
}

static struct source_process describe(const struct source_match *s, const struct place *place)
{
	return (struct source_process){
		.name = place->name,
		.life = place->living ? TALLY_LIFE_ACTIVE : TALLY_LIFE_WAITING,
		.family = s->family,
		.started_wall_ns = place->started_wall_ns,
		.ended_wall_ns = place->ended_wall_ns,
	};
}

/* A process is listed once per root, or without any when its roots are gone. */
static size_t list_places(struct source_match *s, const struct task *task)
{
	size_t count = 0;

	for (const struct place *place = task->places; place; place = place->next) {
		if (!list_room(s, count + 1))
			return count;
		s->listed[count++] = describe(s, place);
	}
	return count;
}

/* All roots, by place; one walk for all tasks. */
struct root {
	const struct place *place;
	pid_t pid;
	int64_t start_ns;
};

static int by_place(const void *a, const void *b)
{
	const struct root *first = a, *second = b;

	if (first->place != second->place)
		return (uintptr_t)first->place < (uintptr_t)second->place ? -1 : 1;
	if (first->start_ns != second->start_ns)
		return first->start_ns < second->start_ns ? -1 : 1;
	return first->pid < second->pid ? -1 : first->pid > second->pid;
}

static struct root *find_roots(const struct source_match *s, size_t *ret_count)
{
	struct root *roots = calloc(HASH_COUNT(s->seen) + 1, sizeof(*roots));
	struct seen *seen, *next;
	size_t count = 0;

	HASH_ITER (hh, s->seen, seen, next)
		if (roots && seen->place && seen->root)
			roots[count++] =
				(struct root){seen->place, seen->pid, seen->glance.start_ns};
	if (count > 0)
		qsort(roots, count, sizeof(*roots), by_place);
	*ret_count = count;
	return roots;
}

/* Index of the first root of a place, or of what follows. */
static size_t first_root(const struct place *place, const struct root *roots, size_t count)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if ((uintptr_t)roots[middle].place < (uintptr_t)place)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static size_t add_roots(struct source_match *s, const struct place *place, const struct root *roots,
	size_t root_count, size_t count)
{
	for (size_t i = first_root(place, roots, root_count);
		i < root_count && roots[i].place == place && list_room(s, count + 1); i++) {
		s->listed[count] = describe(s, place);
		s->listed[count].pid = roots[i].pid;
		s->listed[count].start_ns = roots[i].start_ns;
		count++;
	}
	return count;
}

static void list(struct source *source, source_task_fn *visit, void *context)
{
	struct source_match *s = match_of(source);
	size_t root_count;
	CLEANUP_FREE struct root *roots = find_roots(s, &root_count);
	struct task *task, *next;

	HASH_ITER (hh, s->tasks, task, next) {
		size_t count = list_places(s, task);
		struct source_task told = {.id = task->id,
			.life = task->living ? TALLY_LIFE_ACTIVE : TALLY_LIFE_WAITING};

		for (const struct place *place = task->places; place; place = place->next) {
			count = add_roots(s, place, roots, root_count, count);
			if (told.started_wall_ns == 0 ||
				place->started_wall_ns < told.started_wall_ns)
				told.started_wall_ns = place->started_wall_ns;
		}
		told.processes = s->listed;
		told.process_count = count;
		visit(context, &told);
	}
}

static void close_match(struct source *source)
{
	struct source_match *s = match_of(source);
	struct seen *seen, *next;
	struct task *task, *next_task;

	HASH_ITER (hh, s->seen, seen, next) {
		HASH_DEL(s->seen, seen);
		free(seen);
	}
	HASH_ITER (hh, s->tasks, task, next_task)
		free_task(s, task);
	match_proc_free(s->proc);
	match_rules_free(s->rules);
	free(s->newcomers);
	free(s->listed);
	free(s);
}

/* Families of groups are told apart by number; those of a source that is closed are not used again. */
static uint32_t next_family(void)
{
	static uint32_t last;

	return ++last;
}

int match_open(const struct match_rule *rules, size_t count, const struct match_options *options,
	struct source **ret, struct tally_error *err)
{
	struct source_match *s = calloc(1, sizeof(*s));
	struct match_fault fault;
	size_t number;

	if (!s)
		return tally_fail(err, -ENOMEM, "cannot keep the rules");
	s->source.ops = &source_match;
	s->log = options->log;
	s->family = next_family();
	int r = match_rules_new(rules, count, &s->rules, &fault, &number, err);
	if (r < 0)
		tally_prefix(err, r, "rule %zu%s%s", number + 1, fault.key ? ": " : "",
			fault.key ? fault.key : "");
	else
		r = match_proc_new(
			options->procfs ? options->procfs : "/proc", s->log, &s->proc, err);
	if (r < 0) {
		close_match(&s->source);
		return r;
	}
	*ret = &s->source;
	return 0;
}

const struct source_ops source_match = {
	.name = "match",
	.summary = "tasks that the rules of the configuration define",
	.close = close_match,
	.refresh = refresh,
	.list = list,
};
