/* SPDX-License-Identifier: Apache-2.0 */
#include "source/cgroup_name.h"

#include <stdio.h>
#include <string.h>
#include "base/attr.h"
#include "base/text.h"

#define ID_LENGTH 64

/* How much of an id people read and write. */
#define ID_SHOWN 12

bool cgroup_is_container_id(const char *text, size_t length)
{
	return length == ID_LENGTH && strspn(text, "0123456789abcdef") >= ID_LENGTH;
}

/* A piece of a path. */
struct piece {
	const char *at;
	size_t length;
};

static bool ends_with(struct piece piece, const char *suffix)
{
	size_t length = strlen(suffix);

	return piece.length > length &&
	       memcmp(piece.at + piece.length - length, suffix, length) == 0;
}

static bool begins_with(struct piece piece, const char *prefix)
{
	size_t length = strlen(prefix);

	return piece.length > length && memcmp(piece.at, prefix, length) == 0;
}

static struct piece last_piece(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *at = slash ? slash + 1 : path;

	return (struct piece){at, strlen(at)};
}

/* Take the next component of a path, its slash skipped. */
static bool next_piece(const char **path, struct piece *ret)
{
	while (**path == '/')
		++*path;
	*ret = (struct piece){*path, strcspn(*path, "/")};
	*path += ret->length;
	return ret->length > 0;
}

/* systemd puts a "_" before what would look like a file of the kernel. */
static struct piece unescaped(struct piece piece)
{
	if (piece.length > 1 && piece.at[0] == '_')
		return (struct piece){piece.at + 1, piece.length - 1};
	return piece;
}

static void copy(char *to, size_t size, struct piece piece)
{
	size_t length = piece.length < size ? piece.length : size - 1;

	memcpy(to, piece.at, length);
	to[length] = 0;
}

/* "docker-ID.scope", "libpod-ID", "PARENT:cri-containerd:ID", or the bare ID. */
static bool take_container(struct piece piece, struct cgroup_name *ret)
{
	if (ends_with(piece, ".scope"))
		piece.length -= strlen(".scope");
	if (piece.length < ID_LENGTH)
		return false;

	struct piece before = {piece.at, piece.length - ID_LENGTH};
	const char *id = piece.at + before.length;
	if (!cgroup_is_container_id(id, ID_LENGTH))
		return false;
	if (before.length > 0) {
		char joint = before.at[--before.length];
		const char *colon = memrchr(before.at, ':', before.length);

		if ((joint != '-' && joint != ':') || before.length == 0)
			return false;
		if (joint == ':' && colon)
			before = (struct piece){
				colon + 1, (size_t)(before.at + before.length - colon - 1)};
	}
	copy(ret->runtime, sizeof(ret->runtime), before);
	copy(ret->container, sizeof(ret->container), (struct piece){id, ID_LENGTH});
	return true;
}

/* "libpod-conmon-ID.scope" has who watches a container, not the container. */
static bool watches(const struct cgroup_name *name)
{
	size_t length = strlen(name->runtime), conmon = strlen("conmon");

	return length >= conmon && strcmp(name->runtime + length - conmon, "conmon") == 0;
}

/* "pod1234-…" of cgroupfs, "kubepods-burstable-pod1234_….slice" of systemd. */
static void take_pod(struct piece piece, struct cgroup_name *ret)
{
	if (ends_with(piece, ".slice")) {
		piece.length -= strlen(".slice");
		const char *dash = begins_with(piece, "kubepods")
					   ? memrchr(piece.at, '-', piece.length)
					   : NULL;
		if (!dash)
			return;
		piece = (struct piece){dash + 1, (size_t)(piece.at + piece.length - dash - 1)};
	}
	if (!begins_with(piece, "pod") || piece.length - 3 >= sizeof(ret->pod))
		return;
	copy(ret->pod, sizeof(ret->pod), (struct piece){piece.at + 3, piece.length - 3});
	for (char *at = ret->pod; *at; at++)
		if (*at == '_')
			*at = '-';
}

static bool is_unit(struct piece piece)
{
	static const char *const kinds[] = {".service", ".scope", ".socket", ".mount", ".swap"};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (ends_with(piece, kinds[i]))
			return true;
	return false;
}

/* The manager of a user's units, which are below it. */
static bool is_user_manager(struct piece piece)
{
	return begins_with(piece, "user@") && ends_with(piece, ".service");
}

/* What is above a cgroup: whose units they are, the pod, the runtime that nothing else tells. */
static void take_above(
	const char *path, const char *last, struct piece *ret_user, struct cgroup_name *ret)
{
	struct piece piece, above = {path, 0};

	while (next_piece(&path, &piece) && piece.at != last) {
		if (is_user_manager(piece))
			*ret_user = (struct piece){
				piece.at + strlen("user@"), piece.length - strlen("user@.service")};
		take_pod(piece, ret);
		above = piece;
	}
	if (ret->container[0] && !ret->runtime[0] && !ret->pod[0])
		copy(ret->runtime, sizeof(ret->runtime), above);
}

static void say_container(struct cgroup_name *ret)
{
	char text[CGROUP_NAME_SIZE];

	if (ret->pod[0])
		snprintf(text, sizeof(text), "pod-%.8s/%.*s", ret->pod, ID_SHOWN, ret->container);
	else
		snprintf(text, sizeof(text), "%.*s", ID_SHOWN, ret->container);
	text_show(ret->text, sizeof(ret->text), text);
}

static void say_watcher(struct cgroup_name *ret)
{
	char text[CGROUP_NAME_SIZE];

	snprintf(text, sizeof(text), "%s-%.*s", ret->runtime, ID_SHOWN, ret->container);
	text_show(ret->text, sizeof(ret->text), text);
}

static void say_unit(struct piece user, struct piece unit, struct cgroup_name *ret)
{
	char text[CGROUP_NAME_SIZE], name[256];

	copy(name, sizeof(name), unescaped(unit));
	if (user.length > 0)
		snprintf(text, sizeof(text), "user-%.*s/%s",
			(int)(user.length < 32 ? user.length : 32), user.at, name);
	else
		snprintf(text, sizeof(text), "%s", name);
	text_show(ret->text, sizeof(ret->text), text);
}

void cgroup_name_of(const char *path, struct cgroup_name *ret)
{
	struct piece last = last_piece(path), user = {0};

	*ret = (struct cgroup_name){0};
	bool container = take_container(last, ret);
	take_above(path, last.at, &user, ret);
	if (container && !watches(ret)) {
		ret->kind = CGROUP_CONTAINER;
		say_container(ret);
	} else if (container) {
		ret->kind = CGROUP_UNIT;
		say_watcher(ret);
		ret->container[0] = 0;
	} else if (begins_with(last, "lxc.payload.")) {
		ret->kind = CGROUP_NAMED;
		text_show(ret->text, sizeof(ret->text), last.at + strlen("lxc.payload."));
	} else if (is_unit(last) && !is_user_manager(last)) {
		ret->kind = CGROUP_UNIT;
		say_unit(user, last, ret);
	} else {
		text_show(ret->text, sizeof(ret->text), *path == '/' ? path + 1 : path);
	}
}
