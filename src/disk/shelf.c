/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/shelf.h"

#include <string.h>

void shelf_put(struct shelf *shelf, const struct disk_reading *reading)
{
	uint32_t turn = atomic_load_explicit(&shelf->turn, memory_order_relaxed) + 1;
	uint64_t words[SHELF_WORDS] = {0};

	memcpy(words, reading, sizeof(*reading));
	for (size_t i = 0; i < SHELF_WORDS; i++)
		atomic_store_explicit(
			&shelf->places[turn % SHELF_PLACES][i], words[i], memory_order_release);
	atomic_store_explicit(&shelf->turn, turn, memory_order_release);
}

/* A place is written again while turn is three ahead: what was taken till two ahead is whole. */
void shelf_take(struct shelf *shelf, struct disk_reading *ret)
{
	uint64_t words[SHELF_WORDS];
	uint32_t turn;

	do {
		turn = atomic_load_explicit(&shelf->turn, memory_order_acquire);
		for (size_t i = 0; i < SHELF_WORDS; i++)
			words[i] = atomic_load_explicit(
				&shelf->places[turn % SHELF_PLACES][i], memory_order_acquire);
	} while (atomic_load_explicit(&shelf->turn, memory_order_relaxed) - turn > 2);
	memcpy(ret, words, sizeof(*ret));
}
