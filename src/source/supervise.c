/* SPDX-License-Identifier: Apache-2.0 */
#include "source/supervise.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/file.h"
#include "source/anchor.h"
#include "source/daemons.h"
#include "source/registry.h"

#define POLL_NS NS_PER_S

struct source_services {
	struct source source;
	const struct log *log;
	struct daemons *daemons;
	struct anchor *anchors;
	size_t count;
	int64_t poll_ns, next_poll_ns;
};

/*
 * The status files, told apart by their sizes. All begin with the time of the last change, which counts
 * from an epoch that depends on how each was built: the file's own mtime says the same.
 *
 *     daemontools  18: time 12, pid 4 (little-endian), paused, want
 *     runit        20: the same, then term, state (0 down, 1 run, 2 finish)
 *     s6           35: time 12, time 12, pid 8 (big-endian), wait status 2, flags 1
 *     s6 2.12      43: time 12, time 12, pid 8 (big-endian), group 8, wait status 2, flags 1
 *
 * While runit and s6 run a service's finish script, its pid is not the service's.
 */
enum {
	SIZE_DAEMONTOOLS = 18,
	SIZE_RUNIT = 20,
	SIZE_S6 = 35,
	SIZE_S6_GROUP = 43,
	S6_FINISHING = 2,
};

static uint64_t little_endian(const uint8_t *bytes)
{
	return (uint64_t)bytes[0] | (uint64_t)bytes[1] << 8 | (uint64_t)bytes[2] << 16 |
	       (uint64_t)bytes[3] << 24;
}

static uint64_t big_endian(const uint8_t *bytes)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value = value << 8 | bytes[i];
	return value;
}

int supervise_parse(const uint8_t *bytes, size_t length, pid_t *ret)
{
	uint64_t pid;
	bool finishing = false;

	if (length == SIZE_DAEMONTOOLS || length == SIZE_RUNIT) {
		pid = little_endian(bytes + 12);
		finishing = length == SIZE_RUNIT && bytes[19] == 2;
	} else if (length == SIZE_S6 || length == SIZE_S6_GROUP) {
		pid = big_endian(bytes + 24);
		finishing = bytes[length - 1] & S6_FINISHING;
	} else {
		return -EINVAL;
	}
	if (pid > INT32_MAX)
		return -EINVAL;
	*ret = finishing ? 0 : (pid_t)pid;
	return 0;
}

static struct source_services *services_of(struct source *source)
{
	return (struct source_services *)source;
}

static void close_source(struct source *source)
{
	struct source_services *s = services_of(source);

	for (size_t i = 0; i < s->count; i++)
		anchor_done(&s->anchors[i]);
	free(s->anchors);
	daemons_free(s->daemons);
	free(s);
}

static int add_anchor(struct source *source, const char *path, struct tally_error *err)
{
	struct source_services *s = services_of(source);
	struct anchor *grown = reallocarray(s->anchors, s->count + 1, sizeof(*grown));

	if (!grown)
		return tally_fail(err, -ENOMEM, "cannot watch %s", path);
	s->anchors = grown;
	int r = anchor_init(&s->anchors[s->count], path, err);
	if (r < 0)
		return r;
	s->count++;
	s->next_poll_ns = 0;
	return 0;
}

int supervise_open(const char *path, const struct daemon_options *options, struct source **ret,
	struct tally_error *err)
{
	struct source_services *s = calloc(1, sizeof(*s));

	if (!s)
		return tally_fail(err, -ENOMEM, "cannot watch %s", path);
	s->source.ops = &source_supervise;
	s->log = options->log;
	s->poll_ns = options->poll_ns ? options->poll_ns : POLL_NS;
	int r = daemons_new(
		"supervise", options->procfs ? options->procfs : "/proc", s->log, &s->daemons, err);
	if (r == 0)
		r = add_anchor(&s->source, path, err);
	if (r < 0) {
		close_source(&s->source);
		return r;
	}
	*ret = &s->source;
	return 0;
}

static bool read_status(int dir, const char *name, struct daemon_claim *claim)
{
	char path[NAME_MAX + 32];
	uint8_t bytes[64];
	struct stat st;

	snprintf(path, sizeof(path), "%s/supervise/status", name);
	CLEANUP_CLOSE int fd = openat(dir, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	ssize_t length = file_pread(fd, (char *)bytes, sizeof(bytes));
	if (length < 0 || supervise_parse(bytes, (size_t)length, &claim->pid) < 0)
		return false;
	claim->written_wall_ns = st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
	claim->writer = st.st_uid;
	return true;
}

/* @return false: what there is cannot be told now. */
static bool look_at(struct source_services *s, struct anchor *anchor)
{
	struct dirent *entry;

	anchor_look(anchor, "supervise", s->log);
	if (anchor->fd < 0)
		return true;

	int fd = openat(anchor->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir && fd >= 0)
		close(fd);
	while (dir && (entry = readdir(dir))) {
		struct daemon_claim claim = {.id = entry->d_name};

		if (entry->d_name[0] != '.' && read_status(fd, entry->d_name, &claim))
			daemons_claim(s->daemons, &claim);
	}
	return dir;
}

static int refresh(struct source *source, struct tally_error *err)
{
	struct source_services *s = services_of(source);
	int64_t now_ns = clock_boot_ns();
	bool all = true;

	if (now_ns < s->next_poll_ns)
		return 0;
	s->next_poll_ns = now_ns + s->poll_ns;
	daemons_begin(s->daemons);
	for (size_t i = 0; i < s->count; i++)
		all = look_at(s, &s->anchors[i]) && all;
	if (!all)
		daemons_claim_again(s->daemons);
	return daemons_end(s->daemons);
}

static void list(struct source *source, source_task_fn *visit, void *context)
{
	daemons_list(services_of(source)->daemons, visit, context);
}

static int open_supervise(
	const char *argument, const struct log *log, struct source **ret, struct tally_error *err)
{
	const struct daemon_options options = {.log = log};

	return supervise_open(*argument ? argument : "/etc/service", &options, ret, err);
}

const struct source_ops source_supervise = {
	.name = "supervise",
	.summary = "services of runit, s6 and daemontools",
	.usage = "supervise:DIR",
	.open = open_supervise,
	.add = add_anchor,
	.close = close_source,
	.refresh = refresh,
	.list = list,
};
