/* SPDX-License-Identifier: Apache-2.0 */
#include "source/cgroup_runtime.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/attr.h"
#include "base/file.h"
#include "base/text.h"

/* All containers of Podman are in one file. */
#define JSON_MAX (16 << 20)

static const char bundles[] = "run/containerd/io.containerd.runtime.v2.task";
static const char bundles_k3s[] = "run/k3s/containerd/io.containerd.runtime.v2.task";
static const char storage[] = "var/lib/containers/storage";

struct search {
	const char *root;
	const struct cgroup_name *of;
	struct cgroup_known *known;
};

static char *PRINTF_LIKE(2, 3) path_of(const struct search *s, const char *format, ...)
{
	char *path = NULL, *below = NULL;
	va_list args;

	va_start(args, format);
	int r = vasprintf(&below, format, args);
	va_end(args);
	if (r < 0)
		return NULL;
	if (asprintf(&path, "%s/%s", s->root, below) < 0)
		path = NULL;
	free(below);
	return path;
}

static json_t *read_json(const char *path)
{
	struct stat st;
	CLEANUP_FREE char *text = NULL;
	CLEANUP_CLOSE int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > JSON_MAX)
		return NULL;
	text = malloc((size_t)st.st_size + 1);
	ssize_t length = text ? file_pread(fd, text, (size_t)st.st_size) : -ENOMEM;
	return length < 0 ? NULL : json_loadb(text, (size_t)length, 0, NULL);
}

static const char *text_at(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void set_layer(const struct search *s, char *path)
{
	struct stat st;

	if (!path || s->known->layer || stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
		free(path);
		return;
	}
	s->known->layer = path;
}

/* A slash in one of them would pretend to be of another pod. */
static void set_name(const struct search *s, const char *pod, const char *container)
{
	char text[CGROUP_NAME_SIZE], part[256];

	if (s->known->name[0] || !container || !*container)
		return;
	snprintf(part, sizeof(part), "%.250s", container);
	for (char *at = part; *at; at++)
		if (*at == '/')
			*at = '?';
	snprintf(text, sizeof(text), "%.250s%s%s", pod ? pod : "", pod ? "/" : "", part);
	text_show(s->known->name, sizeof(s->known->name), text);
}

/* "k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT": what kubelet calls containers of Docker. */
static bool take_kubelet_name(const struct search *s, const char *name)
{
	char container[256], pod[256];

	if (sscanf(name, "k8s_%255[^_]_%255[^_]_", container, pod) != 2)
		return false;
	set_name(s, pod, strcmp(container, "POD") == 0 ? "pause" : container);
	return true;
}

/* A name of one component, as in the names of directories. */
static bool is_component(const char *text)
{
	return *text && strlen(text) < 256 && !strchr(text, '/') && text[0] != '.';
}

static void ask_docker(const struct search *s)
{
	const char *id = s->of->container;
	CLEANUP_FREE char *path = path_of(s, "var/lib/docker/containers/%s/config.v2.json", id);
	json_t *object = read_json(path);
	const char *name = text_at(object, "Name");
	char mount[256];

	if (name && *name == '/')
		name++;
	if (name && !take_kubelet_name(s, name))
		set_name(s, NULL, name);
	json_decref(object);

	CLEANUP_FREE char *link =
		path_of(s, "var/lib/docker/image/overlay2/layerdb/mounts/%s/mount-id", id);
	ssize_t length = link ? file_read_at(AT_FDCWD, link, mount, sizeof(mount) - 1) : -1;
	if (length <= 0)
		return;
	mount[length] = 0;
	if (is_component(mount))
		set_layer(s, path_of(s, "var/lib/docker/overlay2/%s/diff", mount));
}

static const char *annotation(const json_t *spec, const char *key)
{
	return text_at(json_object_get(spec, "annotations"), key);
}

/* What runtimes write into the description they start a container from. */
static void take_annotations(const struct search *s, const json_t *spec)
{
	static const struct {
		const char *pod, *container, *type;
	} ways[] = {
		{"io.kubernetes.cri.sandbox-name", "io.kubernetes.cri.container-name",
			"io.kubernetes.cri.container-type"},
		{"io.kubernetes.pod.name", "io.kubernetes.container.name",
			"io.kubernetes.cri-o.ContainerType"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		const char *pod = annotation(spec, ways[i].pod);
		const char *type = annotation(spec, ways[i].type);

		if (pod && type && strcmp(type, "sandbox") == 0)
			set_name(s, pod, "pause");
		else if (pod)
			set_name(s, pod, annotation(spec, ways[i].container));
	}
	set_name(s, NULL, annotation(spec, "nerdctl/name"));
}

static void ask_bundle(const struct search *s, char *path)
{
	json_t *spec = read_json(path);

	take_annotations(s, spec);
	json_decref(spec);
	free(path);
}

/* [{"id": …, "names": ["web"], "layer": …}, …] */
static void ask_storage(const struct search *s)
{
	const char *id = s->of->container;
	CLEANUP_FREE char *path = path_of(s, "%s/overlay-containers/containers.json", storage);
	json_t *all = read_json(path), *one;
	size_t i;

	ask_bundle(s, path_of(s, "%s/overlay-containers/%s/userdata/config.json", storage, id));
	json_array_foreach(all, i, one)
	{
		const char *its = text_at(one, "id"), *layer = text_at(one, "layer");

		if (!its || strcmp(its, id) != 0)
			continue;
		set_name(s, NULL,
			json_string_value(json_array_get(json_object_get(one, "names"), 0)));
		if (layer && is_component(layer))
			set_layer(s, path_of(s, "%s/overlay/%s/diff", storage, layer));
	}
	json_decref(all);
}

static void ask_containerd(const struct search *s, const char *where)
{
	CLEANUP_FREE char *path = path_of(s, "%s", where);
	CLEANUP_DIR DIR *dir = path ? opendir(path) : NULL;

	for (struct dirent *entry; dir && (entry = readdir(dir));)
		if (entry->d_name[0] != '.')
			ask_bundle(s, path_of(s, "%s/%s/%s/config.json", where, entry->d_name,
					      s->of->container));
}

/* "POD_NAMESPACE_CONTAINER-ID.log"; none of the three can hold a '_'. */
static void ask_logs(const struct search *s)
{
	CLEANUP_FREE char *path = path_of(s, "var/log/containers");
	CLEANUP_DIR DIR *dir = path ? opendir(path) : NULL;
	char pod[256], container[256];

	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		char *id = strstr(entry->d_name, s->of->container);

		if (!id || id == entry->d_name || id[-1] != '-')
			continue;
		id[-1] = 0;
		if (sscanf(entry->d_name, "%255[^_]_%*[^_]_%255[^_]", pod, container) == 2)
			set_name(s, pod, container);
	}
}

static void cut(char *text, char at)
{
	char *end = strchr(text, at);

	if (end)
		*end = 0;
}

/*
 * "812 30 0:51 / /run/…/ID/rootfs rw shared:9 - overlay overlay rw,lowerdir=…,upperdir=/…,workdir=…",
 * in our own table of mounts, which containers cannot write to. What is escaped in it is left alone.
 */
static void ask_mounts(const struct search *s)
{
	CLEANUP_FREE char *path = path_of(s, "proc/self/mountinfo"), *line = NULL;
	CLEANUP_FILE FILE *file = path ? fopen(path, "re") : NULL;
	size_t room = 0;

	while (file && !s->known->layer && getline(&line, &room, file) > 0) {
		char *overlay = strstr(line, " - overlay ");
		char *upper = overlay ? strstr(overlay, ",upperdir=/") : NULL;

		if (!upper)
			continue;
		*overlay = 0;
		upper += strlen(",upperdir=/");
		cut(upper, ',');
		cut(upper, '\n');
		if (strstr(line, s->of->container) && !strchr(upper, '\\'))
			set_layer(s, path_of(s, "%s", upper));
	}
}

void cgroup_runtime_look(const char *root, const struct cgroup_name *name, struct cgroup_known *ret)
{
	const struct search s = {root, name, ret};

	*ret = (struct cgroup_known){0};
	if (!name->container[0])
		return;
	ask_docker(&s);
	ask_storage(&s);
	ask_containerd(&s, bundles);
	ask_containerd(&s, bundles_k3s);
	if (!ret->name[0])
		ask_logs(&s);
	if (!ret->layer)
		ask_mounts(&s);
}
