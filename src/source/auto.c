/* SPDX-License-Identifier: Apache-2.0 */
#include "source/auto.h"

#include <errno.h>
#include <stdlib.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "source/auto_scan.h"
#include "source/cgroup_mounts.h"
#include "source/registry.h"

#define POLL_NS (5 * NS_PER_S)

struct source_auto {
	struct source source;
	struct source *cgroups; /* NULL: there is no hierarchy of version 2. */
	struct auto_scan *scan;
	int64_t poll_ns, next_poll_ns;
};

static struct source_auto *auto_of(struct source *source)
{
	return (struct source_auto *)source;
}

static void close_auto(struct source *source)
{
	struct source_auto *s = auto_of(source);

	source_close(s->cgroups);
	auto_scan_free(s->scan);
	free(s);
}

/* Version 1 alone cannot be followed by every collector, and processes can. */
static bool has_unified(const struct cgroup_options *options)
{
	struct cgroup_mounts mounts = {0};
	const char *procfs = options->procfs ? options->procfs : "/proc";
	bool has = options->unified || (cgroup_mounts_read(procfs, &mounts, NULL) == 0 &&
					       cgroup_mounts_unified(&mounts));

	cgroup_mounts_done(&mounts);
	return has;
}

int auto_source_open(
	const struct cgroup_options *options, struct source **ret, struct tally_error *err)
{
	struct source_auto *s = calloc(1, sizeof(*s));
	int r = 0;

	if (!s)
		return tally_fail(err, -ENOMEM, "cannot look for tasks");
	s->source.ops = &source_auto;
	s->poll_ns = options->poll_ns ? options->poll_ns : POLL_NS;
	s->scan = auto_scan_new(options->procfs ? options->procfs : "/proc", options->log);
	if (!s->scan)
		r = tally_fail(err, -ENOMEM, "cannot look for tasks");
	if (r == 0 && has_unified(options))
		r = cgroup_source_open("", options, &s->cgroups, err);
	if (r < 0)
		close_auto(&s->source);
	else
		*ret = &s->source;
	return r;
}

static bool is_covered(void *context, const char *text, size_t length)
{
	struct cursor path;

	return cgroup_membership(text, length, NULL, &path) &&
	       cgroup_source_covers(context, path.at, (size_t)(path.end - path.at));
}

/* Sessions and daemons after cgroups, so that none is taken for both. */
static int refresh(struct source *source, struct tally_error *err)
{
	struct source_auto *s = auto_of(source);
	int64_t now_ns = clock_boot_ns();
	int r = s->cgroups ? source_refresh(s->cgroups, err) : 0;

	if (r < 0 || (r == 0 && now_ns < s->next_poll_ns))
		return r;
	bool any = s->cgroups && cgroup_source_count(s->cgroups) > 0;
	int scanned = 0;
	if (now_ns >= s->next_poll_ns) {
		s->next_poll_ns = now_ns + s->poll_ns;
		scanned = auto_scan_look(s->scan, any ? is_covered : NULL, s->cgroups, err);
	}
	return scanned < 0 ? scanned : r || scanned;
}

static void list(struct source *source, source_task_fn *visit, void *context)
{
	struct source_auto *s = auto_of(source);

	if (s->cgroups)
		source_list(s->cgroups, visit, context);
	auto_scan_list(s->scan, visit, context);
}

static int fd_of(struct source *source)
{
	return auto_of(source)->cgroups ? source_fd(auto_of(source)->cgroups) : -1;
}

static int open_auto(
	const char *argument, const struct log *log, struct source **ret, struct tally_error *err)
{
	const struct cgroup_options options = {.log = log};

	if (*argument)
		return tally_refuse(
			err, -EINVAL, "auto takes no argument; leave ':%.100s' out", argument);
	return auto_source_open(&options, ret, err);
}

const struct source_ops source_auto = {
	.name = "auto",
	.summary =
		"services and containers where there are cgroups for them, else sessions and daemons",
	.usage = "auto",
	.open = open_auto,
	.close = close_auto,
	.refresh = refresh,
	.list = list,
	.fd = fd_of,
};
