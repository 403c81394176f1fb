/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What the path of a cgroup tells by itself: a unit of systemd, a container, a pod; and its name.
 *
 * Paths are the work of whoever may make cgroups: no part of them is trusted to be of a length, or to
 * be text.
 */
#ifndef SOURCE_CGROUP_NAME_H
#define SOURCE_CGROUP_NAME_H

#include <stdbool.h>
#include <stddef.h>

/** Longest name, its NUL included. */
#define CGROUP_NAME_SIZE 512

enum cgroup_kind {
	CGROUP_OTHER,	  /**< A slice, a pod, anything: others may be below it. */
	CGROUP_UNIT,	  /**< A service, scope, socket, mount or swap of systemd. */
	CGROUP_CONTAINER, /**< A container by its id. */
	CGROUP_NAMED,	  /**< A container that bears its name: LXC. */
};

struct cgroup_name {
	enum cgroup_kind kind;
	char runtime[32];   /**< "docker", "libpod", "cri-containerd", "crio"; "" where unknown. */
	char container[65]; /**< 64 hexadecimal digits, or "". */
	char pod[64];	    /**< Uid of its pod in Kubernetes, or "". */
	char text[CGROUP_NAME_SIZE]; /**< For people, as far as the path tells it. */
};

/**
 * Tell what a cgroup is.
 *
 * @path  In its hierarchy, as "/system.slice/nginx.service".
 */
void cgroup_name_of(const char *path, struct cgroup_name *ret);

/** Whether a text is the id of a container: 64 hexadecimal digits. */
bool cgroup_is_container_id(const char *text, size_t length);

#endif
