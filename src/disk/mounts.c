/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/parse.h"

enum {
	FIRST_SIZE = 16 << 10,
	LARGEST_SIZE = 16 << 20,
};

static bool take_word(struct cursor *line, const char **ret, size_t *ret_length)
{
	cursor_skip_blank(line);
	*ret = line->at;
	while (line->at < line->end && *line->at != ' ' && *line->at != '\t')
		line->at++;
	*ret_length = (size_t)(line->at - *ret);
	return *ret_length > 0;
}

/*
 * 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
 * (1)(2)(3)   (4)   (5)      (6)      (7)   (8) (9)   (10)         (11)
 *
 * id, parent, device, root, mount point, options, any number of tags, "-", type, source, options.
 */
static bool parse_line(struct cursor line, struct mount *ret)
{
	const char *word;
	size_t length;

	if (!cursor_u64(&line, &ret->id) || !cursor_skip_words(&line, 1) ||
		!take_word(&line, &ret->device, &ret->device_length) ||
		!take_word(&line, &ret->root, &ret->root_length) ||
		!take_word(&line, &ret->point, &ret->point_length) || !cursor_skip_words(&line, 1))
		return false;
	do
		if (!take_word(&line, &word, &length))
			return false;
	while (length != 1 || *word != '-');
	return take_word(&line, &ret->type, &ret->type_length);
}

void mounts_parse(const char *text, size_t length, mount_fn *visit, void *context)
{
	struct cursor cursor = cursor_of(text, length);
	struct cursor line;
	struct mount mount;

	while (cursor_line(&cursor, &line))
		if (parse_line(line, &mount) && !visit(context, &mount))
			return;
}

/* It grows while it is read: what does not fit is read again, whole. */
ssize_t mounts_read(const char *path, char **ret)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	for (size_t size = FIRST_SIZE; size <= LARGEST_SIZE; size *= 2) {
		CLEANUP_FREE char *text = malloc(size);
		ssize_t got, used = 0;

		if (!text || lseek(fd, 0, SEEK_SET) < 0)
			return text ? -errno : -ENOMEM;
		while ((got = read(fd, text + used, size - (size_t)used)) > 0)
			used += got;
		if (got < 0)
			return -errno;
		if ((size_t)used < size) {
			*ret = TAKE(text);
			return used;
		}
	}
	return -EFBIG;
}

/* The character at the front of an escaped text, and how many bytes stand for it. */
static char unescape(const char *text, size_t length, size_t *ret_used)
{
	*ret_used = 1;
	if (text[0] != '\\' || length < 4)
		return text[0];
	for (int i = 1; i < 4; i++)
		if (text[i] < '0' || text[i] > '7')
			return text[0];
	*ret_used = 4;
	return (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
}

/* How much of the path a mount point takes; 0: the path does not lie below it. */
static size_t match_point(const struct mount *mount, const char *path)
{
	size_t at = 0, used;
	const char *point = mount->point;
	size_t left = mount->point_length;

	for (; left; point += used, left -= used, at++)
		if (unescape(point, left, &used) != path[at] || !path[at])
			return 0;
	if (at == 1)
		return 1;
	return path[at] == '/' || !path[at] ? at : 0;
}

struct search {
	const char *path;
	size_t longest;
	uint64_t id;
};

/* Of mounts on the same point the last hides the others. */
static bool search_mount(void *context, const struct mount *mount)
{
	struct search *search = context;
	size_t matched = match_point(mount, search->path);

	if (matched && matched >= search->longest) {
		search->longest = matched;
		search->id = mount->id;
	}
	return true;
}

uint64_t mounts_find(const char *text, size_t length, const char *path)
{
	struct search search = {.path = path};

	mounts_parse(text, length, search_mount, &search);
	return search.id;
}
