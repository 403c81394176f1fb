/* SPDX-License-Identifier: Apache-2.0 */
#include "source/cgroup_mounts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/fail.h"

static bool is_word(struct cursor word, const char *text)
{
	size_t length = (size_t)(word.end - word.at);

	return strlen(text) == length && memcmp(word.at, text, length) == 0;
}

static struct cursor next_word(struct cursor *c)
{
	cursor_skip_blank(c);
	struct cursor word = *c;

	if (!cursor_skip_words(c, 1))
		return (struct cursor){c->end, c->end};
	word.end = c->at;
	return word;
}

static bool is_octal(const char *at, const char *end)
{
	for (int i = 1; i <= 3; i++)
		if (at + i >= end || at[i] < '0' || at[i] > '7')
			return false;
	return at[1] <= '3';
}

/* Blanks and backslashes in it are written as "\040". */
static char *unescape(struct cursor word)
{
	char *text = malloc((size_t)(word.end - word.at) + 1), *to = text;

	if (!text)
		return NULL;
	for (const char *at = word.at; at < word.end; at++)
		if (*at == '\\' && is_octal(at, word.end)) {
			*to++ = (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
			at += 3;
		} else {
			*to++ = *at;
		}
	*to = 0;
	return text;
}

static int add(struct cgroup_mounts *mounts, const struct cgroup_mount *mount)
{
	struct cgroup_mount *grown =
		reallocarray(mounts->items, mounts->count + 1, sizeof(*mounts->items));

	if (grown)
		mounts->items = grown;
	if (!grown || !mount->dir || !mount->controllers) {
		free(mount->dir);
		free(mount->controllers);
		return -ENOMEM;
	}
	mounts->items[mounts->count++] = *mount;
	return 1;
}

/*
 * "30 24 0:26 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate":
 * id, parent, device, root, mount point, options, any number of fields, "-", type, source, options
 * of the file system.
 */
int cgroup_mounts_take(struct cgroup_mounts *mounts, const char *line, size_t length)
{
	struct cursor c = cursor_of(line, length), root, dir;

	if (!cursor_skip_words(&c, 3))
		return 0;
	root = next_word(&c);
	dir = next_word(&c);
	for (struct cursor word = next_word(&c); !is_word(word, "-"); word = next_word(&c))
		if (word.at == word.end)
			return 0;

	struct cursor type = next_word(&c);
	bool unified = is_word(type, "cgroup2");
	if ((!unified && !is_word(type, "cgroup")) || !cursor_skip_words(&c, 1) ||
		dir.at == dir.end || *dir.at != '/')
		return 0;
	return add(mounts, &(struct cgroup_mount){.dir = unescape(dir),
				   .controllers = unescape(next_word(&c)),
				   .unified = unified,
				   .whole = is_word(root, "/")});
}

int cgroup_mounts_read(const char *procfs, struct cgroup_mounts *ret, struct tally_error *err)
{
	CLEANUP_FREE char *path = NULL, *line = NULL;
	size_t room = 0;
	int r = 0;

	if (asprintf(&path, "%s/self/mountinfo", procfs) < 0)
		return tally_fail(err, -ENOMEM, "cannot look for cgroups");
	CLEANUP_FILE FILE *file = fopen(path, "re");
	if (!file)
		return tally_fail(err, -errno, "cannot read %s", path);
	*ret = (struct cgroup_mounts){0};
	for (ssize_t length; r >= 0 && (length = getline(&line, &room, file)) > 0;)
		r = cgroup_mounts_take(ret, line, (size_t)length - (line[length - 1] == '\n'));
	if (r < 0) {
		cgroup_mounts_done(ret);
		return tally_fail(err, r, "cannot look for cgroups");
	}
	return 0;
}

void cgroup_mounts_done(struct cgroup_mounts *mounts)
{
	for (size_t i = 0; i < mounts->count; i++) {
		free(mounts->items[i].dir);
		free(mounts->items[i].controllers);
	}
	free(mounts->items);
	*mounts = (struct cgroup_mounts){0};
}

/* Whether a word is in a list with commas between. */
static bool in_list(struct cursor list, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = list.at; at < list.end; at++) {
		const char *comma = memchr(at, ',', (size_t)(list.end - at));
		const char *end = comma ? comma : list.end;

		if ((size_t)(end - at) == length && memcmp(at, word, length) == 0)
			return true;
		at = end;
	}
	return false;
}

/* One that has all of the hierarchy is better than a piece of it. */
static const struct cgroup_mount *better(
	const struct cgroup_mount *one, const struct cgroup_mount *other)
{
	return !one || (!one->whole && other->whole) ? other : one;
}

const struct cgroup_mount *cgroup_mounts_unified(const struct cgroup_mounts *mounts)
{
	const struct cgroup_mount *found = NULL;

	for (size_t i = 0; i < mounts->count; i++)
		if (mounts->items[i].unified)
			found = better(found, &mounts->items[i]);
	return found;
}

const struct cgroup_mount *cgroup_mounts_controller(
	const struct cgroup_mounts *mounts, const char *controller)
{
	const struct cgroup_mount *found = NULL;

	for (size_t i = 0; i < mounts->count; i++) {
		const struct cgroup_mount *mount = &mounts->items[i];
		const char *list = mount->controllers;

		if (!mount->unified && in_list(cursor_of(list, strlen(list)), controller))
			found = better(found, mount);
	}
	return found;
}

static bool leaves(struct cursor path)
{
	for (const char *at = path.at; at < path.end; at++) {
		const char *slash = memchr(at, '/', (size_t)(path.end - at));
		const char *end = slash ? slash : path.end;

		if (end - at == 2 && at[0] == '.' && at[1] == '.')
			return true;
		at = end;
	}
	return false;
}

/* A controller has no colon in it, and a path may. */
bool cgroup_membership(const char *text, size_t length, const char *controller, struct cursor *ret)
{
	struct cursor c = cursor_of(text, length), line, list;
	uint64_t number;

	while (cursor_line(&c, &line)) {
		if (!cursor_u64(&line, &number) || !cursor_literal(&line, ":"))
			continue;
		list = line;
		list.end = memchr(line.at, ':', (size_t)(line.end - line.at));
		if (!list.end)
			continue;
		bool wanted =
			controller ? in_list(list, controller) : number == 0 && list.at == list.end;
		line.at = list.end + 1;
		if (!wanted)
			continue;
		if (line.at == line.end || *line.at != '/' || leaves(line))
			return false;
		*ret = line;
		return true;
	}
	return false;
}
