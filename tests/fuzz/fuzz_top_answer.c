/* SPDX-License-Identifier: Apache-2.0 */
/** What answers at a socket may be anything: `tally top` reads it, and shows its names. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "cli/top_column.h"
#include "cli/top_feed.h"
#include "cli/top_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct top_snapshot snapshot = {0};
	char text[FORMAT_SIZE], name[64];

	top_observer_parse((const char *)data, size, NULL, NULL, &snapshot);
	for (size_t i = 0; i < snapshot.count; i++) {
		const struct top_row *row = &snapshot.rows[i];

		assert(top_text_fit(name, sizeof(name), row->task, 12, TOP_LEFT, i & 1) <= 12);
		for (size_t c = 0; c < top_column_count; c++)
			assert(strlen(top_column_text(&top_columns[c], row, text)) < FORMAT_SIZE);
	}
	top_snapshot_done(&snapshot);
	return 0;
}
