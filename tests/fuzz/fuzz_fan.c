/* SPDX-License-Identifier: Apache-2.0 */
/** Events of fanotify: the kernel tells the truth, but its formats grow. */
#include <linux/magic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "disk/fan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void visit(void *context, const struct fan_event *event)
{
	size_t *length = context;

	*length += event->name ? strlen(event->name) : 0;
	if (!event->overflow && !event->handle && !event->ino)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned long types[] = {EXT4_SUPER_MAGIC, TMPFS_MAGIC, XFS_SUPER_MAGIC,
		BTRFS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC};

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		struct fan fan = {.fd = -1, .seed = 1, .type = types[i]};
		size_t length = 0;

		fan_parse(&fan, (const char *)data, size, visit, &length);
		if (length > size)
			abort();
	}
	return 0;
}
