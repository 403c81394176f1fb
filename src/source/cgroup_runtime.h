/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What the files of container runtimes tell of a container: the name people gave it, and the directory
 * of its writable layer.
 *
 *   Docker          /var/lib/docker/containers/ID/config.v2.json; image/overlay2/layerdb/mounts/ID
 *   Podman, CRI-O   /var/lib/containers/storage/overlay-containers/containers.json, and the
 *                   container's userdata/config.json beside it
 *   containerd      /run/containerd/io.containerd.runtime.v2.task/NAMESPACE/ID/config.json (k3s: below
 *                   /run/k3s)
 *   Kubernetes      /var/log/containers/POD_NAMESPACE_CONTAINER-ID.log
 *   any             an overlay mounted where the id is a part of the path
 *
 * They belong to root, and what users wrote into them is bounded and made fit to be shown.
 */
#ifndef SOURCE_CGROUP_RUNTIME_H
#define SOURCE_CGROUP_RUNTIME_H

#include <stddef.h>
#include "source/cgroup_name.h"

/** What is known of a container. */
struct cgroup_known {
	char name[CGROUP_NAME_SIZE]; /**< "web", or "pod/container"; "" where nothing tells. */
	char *layer;		     /**< Its writable layer, or NULL. */
};

/**
 * Look a container up.
 *
 * @root  What the paths above are below: "" but in tests.
 * @name  Of its cgroup; its container is set.
 * @ret   Release the layer with free().
 *
 * Reads a handful of small files; never blocks on a network.
 */
void cgroup_runtime_look(
	const char *root, const struct cgroup_name *name, struct cgroup_known *ret);

#endif
