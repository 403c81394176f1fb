/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/bpf/inside.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <sys/sysmacros.h>
#include "collect/bpf/held.h"
#include "collect/bpf/held.skel.h"

enum { RECORDS = 800 }; /* Of one read: 32 KiB, as the kernel's own buffer. */

struct held_program {
	struct held_bpf *skeleton;
};

struct held_program *held_close(struct held_program *program)
{
	if (!program)
		return NULL;
	held_bpf__destroy(program->skeleton);
	free(program);
	return NULL;
}

/* Without it /proc is read: that it cannot be loaded is no failure. */
struct held_program *held_open(uint32_t level)
{
	struct held_program *program = calloc(1, sizeof(*program));

	if (!program)
		return NULL;
	program->skeleton = held_bpf__open();
	if (!program->skeleton)
		return held_close(program);
	program->skeleton->rodata->level = level;
	if (held_bpf__load(program->skeleton) < 0 || held_bpf__attach(program->skeleton) < 0)
		return held_close(program);
	return program;
}

static int pass_on(
	const struct tally_held_file *records, size_t count, collect_held_fn *visit, void *context)
{
	int r = 0;

	for (size_t i = 0; i < count && r >= 0; i++) {
		struct collect_held held = {
			.pid = records[i].pid,
			.thread = records[i].thread,
			.fd = (int)records[i].fd,
			.device = makedev(records[i].device >> 20, records[i].device & 0xfffff),
			.inode = records[i].inode,
			.blocks = records[i].blocks,
			.size = records[i].size,
		};

		/* Not in our pid namespace. */
		if (held.pid > 0)
			r = visit(context, &held);
	}
	return r;
}

/* Nothing of the collector is touched but the link, which stays: any thread may be here. */
int held_list(const struct held_program *program, collect_held_fn *visit, void *context)
{
	struct tally_held_file records[RECORDS];

	if (!program)
		return -ENOTSUP;
	CLEANUP_CLOSE int fd = bpf_iter_create(bpf_link__fd(program->skeleton->links.tally_held));
	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t size = read(fd, records, sizeof(records));

		if (size == 0)
			return 0;
		if (size < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		int r = size > 0 ? pass_on(records, (size_t)size / sizeof(*records), visit, context)
				 : 0;
		if (r < 0)
			return r;
	}
}
