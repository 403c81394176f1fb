/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/top_once.h"

#include <ctype.h>
#include <string.h>
#include "base/text.h"

/* A figure of bytes without a unit takes up to so many columns. */
#define CELL_WIDTH 12

static bool is_cell(const struct top_model *model, size_t index)
{
	enum top_kind kind = top_columns[index].kind;

	return model->columns & TOP_BIT(index) && kind != TOP_NAME && kind != TOP_COURSE;
}

static void put_titles(const struct top_model *model, FILE *out)
{
	for (size_t i = 0; i < top_column_count; i++) {
		char title[16] = "";

		for (size_t j = 0; top_columns[i].id[j] && j + 1 < sizeof(title); j++)
			title[j] = (char)toupper((unsigned char)top_columns[i].id[j]);
		if (is_cell(model, i))
			fprintf(out, "%*s  ", CELL_WIDTH, title);
	}
	fputs("NAME\n", out);
}

static void put_name(const struct top_row *row, FILE *out)
{
	char shown[1024];

	text_show(shown, sizeof(shown), row->task);
	fputs(shown, out);
	if (row->process) {
		text_show(shown, sizeof(shown), row->process);
		fprintf(out, "/%s", shown);
	}
	fputc('\n', out);
}

void top_once_write(const struct top_model *model, FILE *out)
{
	char text[FORMAT_SIZE];

	put_titles(model, out);
	for (size_t line = 0; line < model->line_count; line++) {
		const struct top_row *row = top_model_row(model, &model->lines[line]);

		for (size_t i = 0; i < top_column_count; i++)
			if (is_cell(model, i))
				fprintf(out, "%*s  ", CELL_WIDTH,
					top_column_plain(&top_columns[i], row, text));
		put_name(row, out);
	}
}
