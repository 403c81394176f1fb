/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/fan.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/fanotify.h>
#include <unistd.h>
#include "base/fail.h"

/* Since Linux 6.5: a handle that need not be opened again, which more file systems can give. */
#ifndef AT_HANDLE_FID
#define AT_HANDLE_FID 0x200
#endif

/* Since Linux 5.17: events of entries tell the inode too. */
#ifndef FAN_REPORT_TARGET_FID
#define FAN_REPORT_TARGET_FID 0x1000
#endif

/*
 * Whatever changes blocks or entries. FAN_CLOSE_WRITE is for writes through a mapping, which are
 * heard of when it is gone.
 */
#define WANTED_OF_FILES (FAN_MODIFY | FAN_ATTRIB | FAN_CLOSE_WRITE)
#define WANTED                                                                                     \
	(WANTED_OF_FILES | FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO |               \
		FAN_EVENT_ON_CHILD | FAN_ONDIR)

static int init(void)
{
	unsigned flags = FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_CLOEXEC | FAN_NONBLOCK;
	int fd =
		fanotify_init(flags | FAN_REPORT_FID | FAN_REPORT_TARGET_FID, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && errno == EINVAL)
		fd = fanotify_init(flags, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int fan_open(struct fan *fan, uint64_t seed, unsigned long type, struct tally_error *err)
{
	int fd = init();

	if (fd == -EMFILE)
		return tally_refuse(err, -EUSERS,
			"no more trees can be tracked: raise fs.fanotify.max_user_groups");
	if (fd < 0)
		return tally_fail(
			err, fd, "fanotify is not to be had (Linux 5.13 lets everyone use it)");
	*fan = (struct fan){.fd = fd, .seed = seed, .type = type};
	return 0;
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

int fan_mark_file(const struct fan *fan, int dir, const char *name)
{
	unsigned flags = FAN_MARK_ADD | FAN_MARK_DONT_FOLLOW;

	return fanotify_mark(fan->fd, flags, WANTED_OF_FILES, dir, name) < 0 ? -errno : 0;
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
 * What handles of the file systems are that trackers know (fs/libfs.c and fs/exportfs/expfs.c,
 * mm/shmem.c, fs/xfs/xfs_export.h, fs/btrfs/export.h):
 *
 *   ext4, f2fs  u32 ino, u32 generation
 *   tmpfs       u32 generation, u32 ino, u32 ino's upper half
 *   XFS         as ext4, or with 0x80 in the type u64 ino, u32 generation
 *   btrfs       u64 object, u64 root, u32 generation
 */
static uint64_t ino_of_handle(
	unsigned long type, int handle_type, const unsigned char *bytes, size_t length)
{
	uint32_t words[3];
	uint64_t wide;

	if (length < sizeof(words[0]) * 2)
		return 0;
	memcpy(&wide, bytes, sizeof(wide));
	memcpy(words, bytes, length < sizeof(words) ? sizeof(words[0]) * 2 : sizeof(words));
	switch (type) {
	case EXT4_SUPER_MAGIC:
	case F2FS_SUPER_MAGIC:
		return words[0];
	case TMPFS_MAGIC:
		return length < sizeof(words) ? 0 : words[1] | (uint64_t)words[2] << 32;
	case XFS_SUPER_MAGIC:
		return handle_type & 0x80 ? wide : words[0];
	case BTRFS_SUPER_MAGIC:
		return wide;
	default:
		return 0;
	}
}

/* The handle in a record: where its bytes are, and where what follows them. */
static bool find_handle(
	const char *record, size_t length, struct file_handle *ret, const char **ret_bytes)
{
	size_t at = sizeof(struct fanotify_event_info_fid);

	if (length < at + sizeof(*ret))
		return false;
	memcpy(ret, record + at, sizeof(*ret));
	*ret_bytes = record + at + sizeof(*ret);
	return ret->handle_bytes <= length - at - sizeof(*ret);
}

/*
 * A record is struct fanotify_event_info_fid, struct file_handle, the bytes of the handle, for
 * FAN_EVENT_INFO_TYPE_DFID_NAME the name with its NUL, and padding; "." is the directory itself.
 */
static bool parse_record(
	const struct fan *fan, int type, const char *record, size_t length, struct fan_event *ret)
{
	struct file_handle handle;
	const char *bytes;

	if (!find_handle(record, length, &handle, &bytes))
		return false;
	if (type == FAN_EVENT_INFO_TYPE_FID) {
		ret->ino = ino_of_handle(fan->type, handle.handle_type,
			(const unsigned char *)bytes, handle.handle_bytes);
		return true;
	}
	ret->handle = hash_handle(
		fan->seed, handle.handle_type, (const unsigned char *)bytes, handle.handle_bytes);
	if (type == FAN_EVENT_INFO_TYPE_DFID)
		return true;

	const char *name = bytes + handle.handle_bytes;
	if (!memchr(name, '\0', length - (size_t)(name - record)))
		return false;
	if (strcmp(name, ".") != 0)
		ret->name = name;
	return true;
}

static bool is_known_record(int type)
{
	return type == FAN_EVENT_INFO_TYPE_FID || type == FAN_EVENT_INFO_TYPE_DFID ||
	       type == FAN_EVENT_INFO_TYPE_DFID_NAME;
}

static bool parse_event(const struct fan *fan, const char *event,
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
		if (is_known_record(header.info_type) &&
			!parse_record(fan, header.info_type, event + at, header.len, ret))
			return false;
	}
	/* The inode of a directory is no news: directories have handles. */
	if (data->mask & FAN_ONDIR)
		ret->ino = 0;
	return ret->handle || ret->ino;
}

int fan_parse(const struct fan *fan, const char *buffer, size_t length, fan_event_fn *visit,
	void *context)
{
	struct fanotify_event_metadata data;
	struct fan_event event;
	int count = 0;

	for (size_t at = 0; length - at >= sizeof(data); at += data.event_len) {
		memcpy(&data, buffer + at, sizeof(data));
		if (data.vers != FANOTIFY_METADATA_VERSION || data.event_len < sizeof(data) ||
			data.event_len > length - at || data.metadata_len < sizeof(data))
			break;
		count++;
		if (parse_event(fan, buffer + at, &data, &event))
			visit(context, &event);
	}
	return count;
}

int fan_drain(const struct fan *fan, char *buffer, fan_event_fn *visit, void *context)
{
	ssize_t got = read(fan->fd, buffer, FAN_BUFFER);

	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return fan_parse(fan, buffer, (size_t)got, visit, context);
}
