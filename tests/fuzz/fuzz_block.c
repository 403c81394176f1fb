/* SPDX-License-Identifier: Apache-2.0 */
/** Blocks, times and logs come from a store that may be damaged or made by somebody else. */
#include <stddef.h>
#include <stdint.h>
#include "history/block.h"
#include "history/rows.h"
#include "history/ticks_pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void rebuild(const struct table *table)
{
	static const int64_t boot_ns[TABLE_ROWS];
	static struct tally_sample samples[TABLE_ROWS];
	struct row_set here;

	for (uint32_t i = 0; i < table->series_count && i < 8; i++)
		table_samples(
			table, table->series[i].code, boot_ns, 0, table->rows - 1, samples, &here);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct block_scratch *scratch;
	static struct table table;
	struct tick_chunk chunk;
	struct reader block;

	ticks_unpack(reader_of(data, size), &chunk);
	if (!scratch && !(scratch = block_scratch_new()))
		return 0;
	if (block_read(scratch, data, size, &table) == 0)
		rebuild(&table);
	if (size > 0 && rows_table(reader_of(data + 1, size - 1), 1 + data[0] % TALLY_METRIC_COUNT,
				0, 0, &table) == 0) {
		rebuild(&table);
		block_write(scratch, &table, &block);
	}
	return 0;
}
