/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Where the worker lays a reading for others to take, without a lock: the worker runs at idle
 * priority, so a lock it holds could keep a tick waiting for as long as the machine is busy.
 *
 * One writer, any number of readers. Each reading is laid beside the three before it; a reader
 * takes the newest, and again in the unlikely case that three more arrived while it did.
 */
#ifndef DISK_SHELF_H
#define DISK_SHELF_H

#include <stdatomic.h>
#include "disk/disk.h"

enum {
	SHELF_PLACES = 4,
	SHELF_WORDS = (sizeof(struct disk_reading) + 7) / 8,
};

struct shelf {
	_Atomic uint32_t turn; /**< The newest lies at turn % SHELF_PLACES. */
	_Atomic uint64_t places[SHELF_PLACES][SHELF_WORDS];
};

void shelf_put(struct shelf *shelf, const struct disk_reading *reading);

void shelf_take(struct shelf *shelf, struct disk_reading *ret);

#endif
