/* SPDX-License-Identifier: Apache-2.0 */
/** What the writer and the reader of rows.h share. */
#ifndef HISTORY_ROWS_ITEM_H
#define HISTORY_ROWS_ITEM_H

#include "history/rows.h"

enum item {
	ITEM_REPEAT,
	ITEM_SKIP,
	ITEM_ROW,
};

#define ROW_LAYOUT 1u

/** A bit for each of the first metrics; there is room for all of them. */
static inline uint64_t metrics_mask(uint32_t metrics)
{
	return (UINT64_C(1) << metrics) - 1;
}

#endif
