/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/registry.h"

#include <stddef.h>

const struct disk_method_ops *const disk_methods[] = {
	&disk_method_mount,
	&disk_method_quota,
	&disk_method_track,
	&disk_method_walk,
	NULL,
};
