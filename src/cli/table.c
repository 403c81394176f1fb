/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"

/* Longer cells are cut. */
#define CELL_SIZE 256

void table_add(struct table *table, const char *text)
{
	char shown[CELL_SIZE];
	size_t columns = text_show(shown, sizeof(shown), text);

	if (table->count == table->room) {
		size_t room = table->room ? table->room * 2 : 64;
		struct table_cell *grown = reallocarray(table->cells, room, sizeof(*grown));

		if (!grown) {
			table->failed = true;
			return;
		}
		table->cells = grown;
		table->room = room;
	}

	char *copy = strdup(shown);
	if (copy)
		table->cells[table->count++] = (struct table_cell){copy, columns};
	else
		table->failed = true;
}

static void find_widths(const struct table *table, size_t widths[TABLE_COLUMNS_MAX])
{
	memset(widths, 0, TABLE_COLUMNS_MAX * sizeof(*widths));
	for (size_t i = 0; i < table->count; i++)
		if (table->cells[i].columns > widths[i % table->columns])
			widths[i % table->columns] = table->cells[i].columns;
}

/* How many columns are shown. */
static size_t count_shown(const struct table *table)
{
	bool any = !table->last_may_go;

	assert(table->columns > 0);
	for (size_t i = 2 * table->columns; i <= table->count && !any; i += table->columns)
		any = table->cells[i - 1].columns > 0;
	return table->columns - !any;
}

static void put_cell(const struct table *table, size_t index, size_t shown, size_t width, FILE *out)
{
	const struct table_cell *cell = &table->cells[index];
	size_t column = index % table->columns;
	int padding = (int)(width - cell->columns);
	bool last = column + 1 == shown;

	if (column >= shown)
		return;
	fprintf(out, "%s%*s%s", column ? "  " : "", table->right[column] ? padding : 0, "",
		cell->text);
	if (!table->right[column] && !last)
		fprintf(out, "%*s", padding, "");
}

int table_print(struct table *table, FILE *out, const struct style *style)
{
	size_t widths[TABLE_COLUMNS_MAX], shown = count_shown(table);
	int r = table->failed ? -ENOMEM : 0;

	find_widths(table, widths);
	for (size_t i = 0; i < table->count && r == 0; i++) {
		bool begins = i % table->columns == 0, ends = (i + 1) % table->columns == 0;

		if (begins && i == 0)
			fputs(style->bold, out);
		put_cell(table, i, shown, widths[i % table->columns], out);
		if (ends)
			fprintf(out, "%s\n", i < table->columns ? style->off : "");
	}
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i].text);
	free(table->cells);
	table->cells = NULL;
	table->count = table->room = 0;
	return r;
}
