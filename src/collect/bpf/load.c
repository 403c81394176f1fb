/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/bpf/inside.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include "base/fail.h"
#include "base/parse.h"
#include "base/file.h"
#include "collect/bpf/tally.skel.h"

/* libbpf's print callback has no context: it is that of the thread that is inside libbpf. */
static _Thread_local const struct log *printing;

static int print(enum libbpf_print_level level, const char *format, va_list args)
{
	char line[1024];

	if (!printing || level == LIBBPF_DEBUG)
		return 0;
	int length = vsnprintf(line, sizeof(line), format, args);
	if (length > 0 && (size_t)length < sizeof(line) && line[length - 1] == '\n')
		line[length - 1] = '\0';
	log_say(printing, TALLY_LOG_DEBUG, "%s", line);
	return 0;
}

static void print_to(const struct log *log)
{
	printing = log;
	libbpf_set_print(print);
}

/* Depth of our pid namespace: /proc/self/status has one number per level in "NSpid:". */
static uint32_t namespace_level(const char *procfs)
{
	char path[PATH_MAX], text[8192];

	snprintf(path, sizeof(path), "%s/self/status", procfs);
	ssize_t length = file_read_at(AT_FDCWD, path, text, sizeof(text));
	struct cursor all = cursor_of(text, length > 0 ? (size_t)length : 0), line;
	uint32_t level = 0;
	uint64_t pid;

	while (cursor_line(&all, &line))
		if (cursor_literal(&line, "NSpid:"))
			while (cursor_u64(&line, &pid))
				level++;
	return level ? level - 1 : 0;
}

static int run(
	struct bpf_collector *c, const struct bpf_link *link, bpf_take_fn *take, void *context)
{
	CLEANUP_CLOSE int fd = bpf_iter_create(bpf_link__fd(link));

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t size = read(fd, c->buffer, sizeof(c->buffer));

		if (size == 0)
			return 0;
		if (size < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		int r = size > 0 && take ? take(context, c->buffer, (size_t)size) : 0;
		if (r < 0)
			return r;
	}
}

int bpf_run_pass(struct bpf_collector *c)
{
	return run(c, c->skeleton->links.tally_pass, NULL, NULL);
}

int bpf_run_dump(struct bpf_collector *c, bpf_take_fn *take, void *context)
{
	return run(c, c->skeleton->links.tally_dump, take, context);
}

/* Where each CPU's own data lie; without it memory counters are read as /proc did before 6.17. */
static void find_cpus(struct bpf_collector *c)
{
	struct tally_bpf *skeleton = c->skeleton;
	struct bpf_map_info info = {0};
	__u32 size = sizeof(info);

	if (!bpf_program__autoload(skeleton->progs.tally_cpus) ||
		bpf_obj_get_info_by_fd(bpf_map__fd(skeleton->maps.probe), &info, &size) < 0)
		return;
	skeleton->bss->probe_id = info.id;
	struct bpf_link *link = bpf_program__attach_iter(skeleton->progs.tally_cpus, NULL);
	if (link)
		run(c, link, NULL, NULL);
	bpf_link__destroy(link);
}

static void set_up(struct tally_bpf *skeleton, const struct bpf_limits *limits)
{
	int cpus = libbpf_num_possible_cpus();
	bool can_find = libbpf_probe_bpf_helper(
				BPF_PROG_TYPE_KPROBE, BPF_FUNC_map_lookup_percpu_elem, NULL) == 1;

	skeleton->rodata->cpu_count = can_find && cpus > 0 && cpus <= CPU_LIMIT ? (__u32)cpus : 0;
	skeleton->rodata->fail_every = limits->fail_every;
	bpf_program__set_autoload(skeleton->progs.tally_cpus, can_find);
	bpf_program__set_autoattach(skeleton->progs.tally_cpus, false);
	if (limits->strays)
		bpf_map__set_max_entries(skeleton->maps.strays, limits->strays);
}

static void remember(struct bpf_collector *c)
{
	struct tally_bpf *skeleton = c->skeleton;

	c->config = &skeleton->bss->config;
	c->news = &skeleton->bss->news;
	c->marks = bpf_map__fd(skeleton->maps.marks);
	c->requests = bpf_map__fd(skeleton->maps.requests);
	c->cgroup_map = bpf_map__fd(skeleton->maps.cgroups);
	c->unions = bpf_map__fd(skeleton->maps.unions);
}

static int refuse(struct tally_error *err, int code)
{
	int r = bpf_explain(err);

	return r < 0 ? r : tally_fail(err, code, "the kernel refuses the BPF programs");
}

static int load(struct bpf_collector *c, const struct bpf_limits *limits, struct tally_error *err)
{
	c->skeleton = tally_bpf__open();
	if (!c->skeleton)
		return tally_fail(err, -errno, "cannot open the BPF programs");
	set_up(c->skeleton, limits);
	int r = tally_bpf__load(c->skeleton);
	if (r < 0)
		return refuse(err, r);
	remember(c);
	find_cpus(c);
	c->config->level = namespace_level(c->procfs);
	r = tally_bpf__attach(c->skeleton);
	if (r < 0)
		return refuse(err, r);
	c->held = held_open(c->config->level);
	return 0;
}

int bpf_load(struct bpf_collector *c, const struct bpf_limits *limits, struct tally_error *err)
{
	print_to(c->log);
	int r = load(c, limits, err);
	print_to(NULL);
	malloc_trim(0); /* the kernel's type information was some megabytes */
	return r;
}

void bpf_unload(struct bpf_collector *c)
{
	if (c->shared)
		munmap(c->shared, c->mapped);
	if (c->roots.shared)
		munmap(c->roots.shared, c->roots.mapped);
	held_close(c->held);
	tally_bpf__destroy(c->skeleton);
}

/* Map a shared array up to an item; what is mapped already is left. The whole array would count
 * as ours, however little of it is in use. */
static int map_array(
	struct bpf_map *map, uint64_t items, size_t item_size, void **memory, size_t *mapped)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t whole = (bpf_map__max_entries(map) * item_size + page - 1) / page * page;
	size_t size = *mapped ? *mapped : page;

	while (size < items * item_size)
		size *= 2;
	size = size < whole ? size : whole;
	if (size == *mapped)
		return 0;
	void *more = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (more == MAP_FAILED)
		return -errno;
	if (*memory)
		munmap(*memory, *mapped);
	*memory = more;
	*mapped = size;
	return 0;
}

int bpf_map_sets(struct bpf_collector *c)
{
	return map_array(c->skeleton->maps.sets, c->sets.count, sizeof(struct tally_set),
		(void **)&c->shared, &c->mapped);
}

int bpf_map_roots(struct bpf_collector *c)
{
	return map_array(c->skeleton->maps.roots, c->roots.count, sizeof(struct tally_root),
		(void **)&c->roots.shared, &c->roots.mapped);
}
