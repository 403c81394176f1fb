/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/bpf/inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int take(void *context, const void *data, size_t size)
{
	struct member_dump *dump = context;
	size_t more = size / sizeof(struct tally_thread);

	if (dump->count + more > dump->room) {
		size_t room = (dump->count + more) * 2;
		struct tally_thread *threads = reallocarray(dump->threads, room, sizeof(*threads));

		if (!threads)
			return -ENOMEM;
		dump->threads = threads;
		dump->room = room;
	}
	memcpy(dump->threads + dump->count, data, more * sizeof(struct tally_thread));
	dump->count += more;
	return 0;
}

/* By process, its leader first. */
static int by_process(const void *a, const void *b)
{
	const struct tally_thread *one = a, *other = b;

	if (one->tgid != other->tgid)
		return one->tgid < other->tgid ? -1 : 1;
	return (other->pid == other->tgid) - (one->pid == one->tgid);
}

static int by_start(const void *a, const void *b)
{
	const struct tally_thread *one = a, *other = b;

	if (one->start_ns != other->start_ns)
		return one->start_ns < other->start_ns ? -1 : 1;
	return (one->pid > other->pid) - (one->pid < other->pid);
}

/* Threads become processes: the CPU time of the others is added to that of the leader. */
static void gather(struct member_dump *dump)
{
	size_t kept = 0;

	qsort(dump->threads, dump->count, sizeof(*dump->threads), by_process);
	for (size_t i = 0; i < dump->count; i++) {
		const struct tally_thread *thread = &dump->threads[i];

		if (thread->pid == thread->tgid)
			dump->threads[kept++] = *thread;
		else if (kept && dump->threads[kept - 1].tgid == thread->tgid)
			dump->threads[kept - 1].cpu_ns += thread->cpu_ns;
	}
	dump->count = kept;
	qsort(dump->threads, dump->count, sizeof(*dump->threads), by_start);
}

static bool belongs(struct bpf_collector *c, const struct tally_thread *thread, uint32_t group)
{
	return sets_have(&c->sets, thread->set[DIM_TREE], group) ||
	       sets_have(&c->sets, thread->set[DIM_CGROUP], group);
}

static bool is_root(struct bpf_collector *c, const struct tally_thread *thread, uint32_t group)
{
	const struct group_state *state = &c->groups[group];

	for (uint32_t i = 0; thread->root && i < state->root_count; i++)
		if (c->roots.slots[state->roots[i]].token == thread->root)
			return true;
	return false;
}

static const char *why(struct bpf_collector *c, const struct tally_thread *thread, uint32_t group)
{
	if (sets_have(&c->sets, thread->set[DIM_CGROUP], group))
		return "cgroup";
	if (is_root(c, thread, group))
		return "root";
	for (size_t i = 0; i < c->dump.count; i++)
		if (c->dump.threads[i].tgid == thread->parent)
			return belongs(c, &c->dump.threads[i], group) ? "child" : "reparented";
	return "reparented";
}

static void show(struct bpf_collector *c, const struct tally_thread *thread, uint32_t group,
	collect_member_fn *visit, void *context)
{
	char comm[sizeof(thread->comm) + 1] = {0};

	memcpy(comm, thread->comm, sizeof(thread->comm));
	visit(context, &(struct collect_member){
			       .pid = thread->tgid,
			       .parent = thread->parent,
			       .start_ns = (int64_t)thread->start_ns,
			       .comm = comm,
			       .why = why(c, thread, group),
			       .cpu_ns = (int64_t)thread->cpu_ns,
			       .rss_bytes = (int64_t)thread->rss_pages * sysconf(_SC_PAGESIZE),
		       });
}

/* Many groups are asked for after one pass: they share one dump. */
static bool read_dump(struct bpf_collector *c)
{
	if (c->dump.valid)
		return true;
	c->dump.count = 0;
	if (bpf_run_dump(c, take, &c->dump) < 0)
		return false;
	gather(&c->dump);
	c->dump.valid = true;
	return true;
}

void members_visit(struct bpf_collector *c, uint32_t group, collect_member_fn *visit, void *context)
{
	if (!read_dump(c))
		return;
	for (size_t i = 0; i < c->dump.count; i++)
		if (belongs(c, &c->dump.threads[i], group))
			show(c, &c->dump.threads[i], group, visit, context);
}
