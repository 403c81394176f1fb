/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_field(FILE *out, const char *text)
{
	if (!text[strcspn(text, ",\"\r\n")]) {
		fputs(text, out);
		return;
	}
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"')
			fputc('"', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

char *csv_names(const char *task, const char *process)
{
	char *names = NULL;
	size_t size;
	FILE *out = open_memstream(&names, &size);

	if (!out)
		return NULL;
	put_field(out, task);
	fputc(',', out);
	put_field(out, process);
	if (fclose(out) == 0)
		return names;
	free(names);
	return NULL;
}
