/* SPDX-License-Identifier: Apache-2.0 */
/** Text in columns, as wide as their widest cell. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdbool.h>
#include <stdio.h>
#include "cli/terminal.h"

#define TABLE_COLUMNS_MAX 12

struct table_cell {
	char *text;
	size_t columns; /**< On the terminal. */
};

/** Rows are added cell by cell; the first is the header. Zero is an empty one. */
struct table {
	size_t columns;
	bool right[TABLE_COLUMNS_MAX]; /**< Which columns are figures. */
	bool last_may_go; /**< The last column is left out when there is nothing below its title. */
	struct table_cell *cells;
	size_t count, room;
	bool failed; /**< A cell was lost for want of memory. */
};

/** Add a cell; what is hostile in it becomes '?'. */
void table_add(struct table *table, const char *text);

/** Write all rows, and free them. @return 0 or -ENOMEM */
int table_print(struct table *table, FILE *out, const struct style *style);

#endif
