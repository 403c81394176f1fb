/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "disk/ring.h"

enum {
	BUFFER_SIZE = 32 << 10,
	RING_LEAST = 16, /* Names for which one call beats one each. */
};

int scan_stat(int dir, const char *name, struct statx *ret)
{
	int flags = SCAN_STAT_FLAGS | (*name ? 0 : AT_EMPTY_PATH);

	return statx(dir, name, flags, SCAN_STAT_MASK, ret) < 0 ? -errno : 0;
}

bool scan_is_elsewhere(const struct statx *stat, const struct statx *root)
{
	return (stat->stx_attributes & STATX_ATTR_MOUNT_ROOT) ||
	       stat->stx_dev_major != root->stx_dev_major ||
	       stat->stx_dev_minor != root->stx_dev_minor;
}

void scan_begin(struct scan *scan, int dir)
{
	scan->dir = dir;
	scan->at = scan->end = 0;
	scan->finished = false;
}

bool scan_is_even(const struct scan *scan)
{
	return scan->at == scan->end;
}

void scan_done(struct scan *scan)
{
	free(scan->buffer);
	scan->buffer = NULL;
}

static int refill(struct scan *scan)
{
	if (!scan->buffer)
		scan->buffer = malloc(BUFFER_SIZE);
	if (!scan->buffer)
		return -ENOMEM;

	ssize_t got = getdents64(scan->dir, scan->buffer, BUFFER_SIZE);
	/* ENOENT: the directory was removed while it was read. */
	if (got < 0 && errno != ENOENT)
		return -errno;
	scan->at = 0;
	scan->end = got > 0 ? (size_t)got : 0;
	scan->finished = got <= 0;
	return 0;
}

static bool is_dots(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static void take_names(struct scan *scan, struct scan_batch *batch)
{
	batch->count = 0;
	while (scan->at < scan->end && batch->count < SCAN_BATCH) {
		struct dirent64 *entry = (struct dirent64 *)(scan->buffer + scan->at);

		scan->at += entry->d_reclen;
		if (!is_dots(entry->d_name))
			batch->entries[batch->count++].name = entry->d_name;
	}
}

void scan_stat_batch(int dir, struct scan_batch *batch)
{
	if (batch->ring && batch->count >= RING_LEAST && ring_stat_batch(batch->ring, dir, batch))
		return;
	for (unsigned i = 0; i < batch->count; i++) {
		struct scan_entry *entry = &batch->entries[i];

		entry->code = scan_stat(dir, entry->name, &entry->stat);
	}
}

int scan_step(struct scan *scan, struct scan_batch *batch, scan_entry_fn *visit, void *context)
{
	int r = scan->at == scan->end ? refill(scan) : 0;

	if (r < 0)
		return r;
	take_names(scan, batch);
	scan_stat_batch(scan->dir, batch);
	for (unsigned i = 0; i < batch->count; i++) {
		if (batch->entries[i].code == -ENOENT)
			continue;
		r = visit(context, &batch->entries[i]);
		if (r < 0)
			return r;
	}
	return !scan->finished;
}

int scan_names_step(struct scan *scan, scan_name_fn *visit, void *context)
{
	int r = refill(scan);

	while (r == 0 && scan->at < scan->end) {
		struct dirent64 *entry = (struct dirent64 *)(scan->buffer + scan->at);

		scan->at += entry->d_reclen;
		if (!is_dots(entry->d_name))
			r = visit(context, entry->d_name, entry->d_ino);
	}
	return r < 0 ? r : !scan->finished;
}
