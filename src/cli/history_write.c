/* SPDX-License-Identifier: Apache-2.0 */
/* `tally history` as JSON and as CSV. */
#include <errno.h>
#include <stdio.h>
#include "cli/history.h"

int history_write_json(const json_t *answer)
{
	int r = json_dumpf(answer, stdout, JSON_REAL_PRECISION(17));

	return r < 0 || fputc('\n', stdout) == EOF ? -EIO : 0;
}

static void put_cell(const json_t *column, size_t row)
{
	const json_t *cell = json_array_get(column, row);

	fputc(',', stdout);
	if (json_is_string(cell))
		fputs(json_string_value(cell), stdout);
	else if (json_is_integer(cell))
		printf("%" JSON_INTEGER_FORMAT, json_integer_value(cell));
	else if (json_is_real(cell))
		printf("%.9g", json_real_value(cell));
}

/* Jansson declares no iteration over what is const. */
static json_t *member(const json_t *answer, const char *key)
{
	return json_object_get(answer, key);
}

int history_write_csv(const json_t *answer)
{
	json_t *series = member(answer, "series"), *maxima = member(answer, "maxima"), *column;
	const json_t *times = member(answer, "times");
	const char *key;

	fputs("time", stdout);
	json_object_foreach(series, key, column) printf(",%s", key);
	json_object_foreach(maxima, key, column) printf(",%s_max", key);
	for (size_t row = 0; row < json_array_size(times); row++) {
		printf("\n%.6f", json_number_value(json_array_get(times, row)));
		json_object_foreach(series, key, column) put_cell(column, row);
		json_object_foreach(maxima, key, column) put_cell(column, row);
	}
	fputc('\n', stdout);
	return 0;
}
