/* SPDX-License-Identifier: Apache-2.0 */
/** The methods there are; a new one is one line here and one in disk_methods[]. */
#ifndef DISK_REGISTRY_H
#define DISK_REGISTRY_H

#include "disk/method.h"

extern const struct disk_method_ops disk_method_mount, disk_method_quota, disk_method_track,
	disk_method_walk;

#endif
