/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/fan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/fanotify.h>
#include <unistd.h>
#include "base/fail.h"

/* Since Linux 6.5: a handle that need not be opened again, which more file systems can give. */
#ifndef AT_HANDLE_FID
#define AT_HANDLE_FID 0x200
#endif

/*
 * Whatever changes blocks or entries. FAN_CLOSE_WRITE is for writes through a mapping, which are
 * heard of when it is gone.
 */
#define WANTED                                                                                     \
	(FAN_MODIFY | FAN_ATTRIB | FAN_CLOSE_WRITE | FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM |    \
		FAN_MOVED_TO | FAN_EVENT_ON_CHILD | FAN_ONDIR)

int fan_open(struct fan *fan, uint64_t seed, struct tally_error *err)
{
	unsigned flags = FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_CLOEXEC | FAN_NONBLOCK;

	fan->seed = seed;
	fan->fd = fanotify_init(flags, O_RDONLY | O_CLOEXEC);
	if (fan->fd >= 0)
		return 0;

	int r = -errno;
	if (r == -EMFILE)
		return tally_refuse(
			err, r, "no more trees can be tracked: raise fs.fanotify.max_user_groups");
	return tally_fail(err, r, "fanotify is not to be had (Linux 5.13 lets everyone use it)");
}

void fan_close(struct fan *fan)
{
	if (fan->fd >= 0)
		close(fan->fd);
	fan->fd = -1;
}

int fan_mark(const struct fan *fan, int dir)
{
	return fanotify_mark(fan->fd, FAN_MARK_ADD, WANTED, dir, NULL) < 0 ? -errno : 0;
}

/* FNV-1a, seeded and mixed: handles are a few words, and mostly counters. */
static uint64_t hash_handle(uint64_t seed, int type, const unsigned char *bytes, size_t length)
{
	uint64_t hash = seed ^ (uint64_t)(unsigned)type;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	hash ^= hash >> 32;
	hash *= UINT64_C(0xd6e8feb86659fd93);
	hash ^= hash >> 32;
	return hash ? hash : 1;
}

int fan_handle(const struct fan *fan, int dir, const char *name, uint64_t *ret)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u;
	int flags = *name ? 0 : AT_EMPTY_PATH;
	int mount;

	u.handle.handle_bytes = MAX_HANDLE_SZ;
	int r = name_to_handle_at(dir, name, &u.handle, &mount, flags | AT_HANDLE_FID);
	if (r < 0 && errno == EINVAL) {
		u.handle.handle_bytes = MAX_HANDLE_SZ;
		r = name_to_handle_at(dir, name, &u.handle, &mount, flags);
	}
	if (r < 0)
		return -errno;
	*ret = hash_handle(
		fan->seed, u.handle.handle_type, u.handle.f_handle, u.handle.handle_bytes);
	return 0;
}

/*
 * struct fanotify_event_info_fid, then struct file_handle, then the handle, then for
 * FAN_EVENT_INFO_TYPE_DFID_NAME the name with its NUL, then padding; "." stands for the directory.
 */
static bool parse_record(uint64_t seed, const char *record, size_t length, struct fan_event *ret)
{
	struct fanotify_event_info_header header;
	struct file_handle handle;
	size_t at = sizeof(struct fanotify_event_info_fid);

	memcpy(&header, record, sizeof(header));
	if (header.info_type != FAN_EVENT_INFO_TYPE_DFID_NAME &&
		header.info_type != FAN_EVENT_INFO_TYPE_DFID)
		return false;
	if (length < at + sizeof(handle))
		return false;
	memcpy(&handle, record + at, sizeof(handle));
	at += sizeof(handle);
	if (handle.handle_bytes > length - at)
		return false;
	ret->handle = hash_handle(
		seed, handle.handle_type, (const unsigned char *)record + at, handle.handle_bytes);
	at += handle.handle_bytes;
	ret->name = NULL;
	if (header.info_type == FAN_EVENT_INFO_TYPE_DFID)
		return true;
	if (!memchr(record + at, '\0', length - at))
		return false;
	if (strcmp(record + at, ".") != 0)
		ret->name = record + at;
	return true;
}

static bool parse_event(uint64_t seed, const char *event,
	const struct fanotify_event_metadata *data, struct fan_event *ret)
{
	struct fanotify_event_info_header header;

	*ret = (struct fan_event){.overflow = data->mask & FAN_Q_OVERFLOW};
	if (ret->overflow)
		return true;
	for (size_t at = data->metadata_len; at + sizeof(header) <= data->event_len;
		at += header.len) {
		memcpy(&header, event + at, sizeof(header));
		if (header.len < sizeof(header) || header.len > data->event_len - at)
			return false;
		if (parse_record(seed, event + at, header.len, ret))
			return true;
	}
	return false;
}

int fan_parse(uint64_t seed, const char *buffer, size_t length, fan_event_fn *visit, void *context)
{
	struct fanotify_event_metadata data;
	struct fan_event event;
	int count = 0;

	for (size_t at = 0; length - at >= sizeof(data); at += data.event_len) {
		memcpy(&data, buffer + at, sizeof(data));
		if (data.vers != FANOTIFY_METADATA_VERSION || data.event_len < sizeof(data) ||
			data.event_len > length - at || data.metadata_len < sizeof(data))
			break;
		if (!parse_event(seed, buffer + at, &data, &event))
			continue;
		visit(context, &event);
		count++;
	}
	return count;
}

int fan_drain(const struct fan *fan, char *buffer, fan_event_fn *visit, void *context)
{
	ssize_t got = read(fan->fd, buffer, FAN_BUFFER);

	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return fan_parse(fan->seed, buffer, (size_t)got, visit, context);
}
