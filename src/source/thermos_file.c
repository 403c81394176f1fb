/* SPDX-License-Identifier: Apache-2.0 */
#include "source/thermos_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "source/folder.h"

/* Read at a time, and kept as a buffer; larger ones, for large records, are given back. */
#define PIECE ((size_t)64 << 10)

/* A file is told from another by so many of its first bytes: a header's id and time of launch. */
#define HEAD_MAX 256

/* One reading of one file. */
struct reading {
	struct thermos_file *file;
	struct thermos_state *state;
	struct thermos_buffer *buffer;
	int fd;
	int64_t until_ns;
	bool changed;
	struct tally_error *err;
};

void thermos_buffer_done(struct thermos_buffer *buffer)
{
	free(buffer->bytes);
	*buffer = (struct thermos_buffer){0};
}

static int buffer_reserve(struct thermos_buffer *buffer, size_t size)
{
	if (size <= buffer->size)
		return 0;

	uint8_t *grown = realloc(buffer->bytes, size);
	if (!grown)
		return -ENOMEM;
	buffer->bytes = grown;
	buffer->size = size;
	return 0;
}

static void begin_again(struct reading *reading)
{
	thermos_state_clear(reading->state);
	reading->file->offset = 0;
	reading->file->head_length = 0;
	reading->file->broken = false;
	reading->file->fresh = true;
	reading->file->begun++;
	reading->changed = true;
}

static int64_t time_ns(const struct statx_timestamp *time)
{
	return time->tv_sec * NS_PER_S + time->tv_nsec;
}

static int64_t born_ns(const struct statx *st)
{
	return st->stx_mask & STATX_BTIME ? time_ns(&st->stx_btime) : 0;
}

static dev_t dev_of(const struct statx *st)
{
	return ((dev_t)st->stx_dev_major << 32) | st->stx_dev_minor;
}

static bool same_file(const struct thermos_file *file, const struct statx *st)
{
	return file->exists && file->dev == dev_of(st) && file->ino == st->stx_ino &&
	       file->born_ns == born_ns(st);
}

static bool nothing_new(const struct thermos_file *file, const struct statx *st)
{
	return same_file(file, st) && !file->more && file->size == (int64_t)st->stx_size &&
	       file->mtime_ns == time_ns(&st->stx_mtime);
}

static ssize_t read_at(int fd, uint8_t *bytes, size_t size, int64_t offset)
{
	size_t used = 0;

	while (used < size) {
		ssize_t got = pread(fd, bytes + used, size - used, offset + (int64_t)used);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		used += (size_t)got;
	}
	return (ssize_t)used;
}

/* FNV-1a */
static uint64_t hash(const uint8_t *bytes, size_t length)
{
	uint64_t value = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < length; i++)
		value = (value ^ bytes[i]) * UINT64_C(0x100000001b3);
	return value;
}

static bool begins_as_before(const struct reading *reading)
{
	uint8_t head[HEAD_MAX];
	size_t length = reading->file->head_length;

	return length == 0 || (read_at(reading->fd, head, length, 0) == (ssize_t)length &&
				      hash(head, length) == reading->file->head);
}

/* What was applied will not change. Nor will what is corrupt, unless somebody puts it right. */
static void remember_head(struct reading *reading)
{
	struct thermos_file *file = reading->file;
	int64_t known = file->broken ? file->size : file->offset;
	size_t length = known < HEAD_MAX ? (size_t)known : HEAD_MAX;
	uint8_t head[HEAD_MAX];

	if (length == file->head_length || read_at(reading->fd, head, length, 0) != (ssize_t)length)
		return;
	file->head = hash(head, length);
	file->head_length = (uint32_t)length;
}

/*
 * Read and apply one piece: as many whole records as it holds, one at least.
 * Returns 1 when there may be another, 0 when what is left is cut short.
 */
static int take_piece(struct reading *reading)
{
	struct thermos_file *file = reading->file;
	int64_t left = file->size - file->offset;
	size_t wanted = PIECE, used;

	if (left < THERMOS_PREFIX)
		return 0;
	for (;;) {
		if ((int64_t)wanted > left)
			wanted = (size_t)left;
		int r = buffer_reserve(reading->buffer, wanted);
		if (r < 0)
			return tally_fail(reading->err, r, "cannot read a record");
		ssize_t got = read_at(reading->fd, reading->buffer->bytes, wanted, file->offset);
		if (got < 0)
			return tally_fail(reading->err, (int)got, "cannot read it");

		size_t need = thermos_stream_need(reading->buffer->bytes, (size_t)got);
		if ((int64_t)need > left || (need > (size_t)got && (size_t)got < wanted))
			return 0; /* Cut short, or cut while we look. */
		if (need > (size_t)got) {
			wanted = need;
			continue;
		}
		r = thermos_stream_read(reading->buffer->bytes, (size_t)got, thermos_state_apply,
			reading->state, &used, reading->err);
		file->offset += (int64_t)used;
		reading->changed = reading->changed || used;
		return r < 0 ? r : 1;
	}
}

static bool is_corruption(int code)
{
	return code == -EBADMSG || code == -E2BIG;
}

static int take_pieces(struct reading *reading)
{
	struct thermos_file *file = reading->file;
	int r;

	file->more = false;
	do {
		r = take_piece(reading);
		if (is_corruption(r) && !file->fresh) {
			begin_again(reading);
			r = 1;
		}
		if (r == 1 && file->offset < file->size &&
			clock_thread_cpu_ns() >= reading->until_ns) {
			file->more = true;
			r = 0;
		}
	} while (r == 1);
	if (is_corruption(r)) {
		file->broken = true;
		return -EBADMSG;
	}
	if (r < 0)
		file->more = true; /* No memory, say: to be tried again. */
	else if (!file->more)
		file->fresh = false;
	return r;
}

static int read_open(struct reading *reading, const struct statx *st)
{
	struct thermos_file *file = reading->file;
	int r = 0;

	if (!same_file(file, st) || (int64_t)st->stx_size < file->offset ||
		!begins_as_before(reading))
		begin_again(reading);
	file->exists = true;
	file->dev = dev_of(st);
	file->ino = st->stx_ino;
	file->born_ns = born_ns(st);
	file->owner = st->stx_uid;
	file->size = (int64_t)st->stx_size;
	file->mtime_ns = time_ns(&st->stx_mtime);
	if (!file->broken)
		r = take_pieces(reading);
	remember_head(reading);
	if (reading->buffer->size > PIECE)
		thermos_buffer_done(reading->buffer);
	return r < 0 ? r : reading->changed;
}

static int stat_stream(int base, const char *path, int flags, struct statx *ret)
{
	if (statx(base, path, AT_SYMLINK_NOFOLLOW | flags, STATX_BASIC_STATS | STATX_BTIME, ret) <
		0)
		return -errno;
	return S_ISREG(ret->stx_mode) ? 0 : -EINVAL;
}

int thermos_file_read(struct thermos_file *file, int base, const char *path,
	struct thermos_state *state, struct thermos_buffer *buffer, int64_t until_ns,
	struct tally_error *err)
{
	struct statx st;
	int r = stat_stream(base, path, 0, &st);

	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r == -EINVAL)
		return tally_refuse(err, r, "it is no regular file");
	if (r == 0 && nothing_new(file, &st))
		return 0;

	/* O_NONBLOCK: a FIFO put in its place, or a lease on it, must not stop us. */
	CLEANUP_CLOSE int fd =
		r < 0 ? r : open_beneath(base, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0)
		r = stat_stream(fd, "", AT_EMPTY_PATH, &st);
	if (fd == -ENOENT || fd == -EAGAIN)
		return 0;
	if (fd < 0 || r < 0)
		return tally_fail(err, fd < 0 ? fd : r, "cannot open it");

	struct reading reading = {
		.file = file,
		.state = state,
		.buffer = buffer,
		.fd = fd,
		.until_ns = until_ns,
		.err = err,
	};
	return read_open(&reading, &st);
}
