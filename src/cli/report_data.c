/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/report_data.h"

#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/clock.h"

/* A chart is some 1200 points wide; twice as many samples are shown as they are. */
#define POINTS_WANTED 1200
#define POINTS_FEW    2400

int64_t report_step(int64_t span_ns, uint64_t samples)
{
	static const int64_t steps_ms[] = {100, 200, 500, 1000, 2000, 5000, 10000, 20000, 30000,
		60000, 120000, 300000, 600000, 1800000, 3600000, 21600000, 86400000};

	if (samples <= POINTS_FEW || span_ns <= 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(steps_ms); i++)
		if (span_ns / (steps_ms[i] * NS_PER_MS) <= POINTS_WANTED)
			return steps_ms[i] * NS_PER_MS;
	return span_ns / POINTS_WANTED;
}

struct report_part *report_data_add(struct report_data *data, const char *process)
{
	struct report_part *grown =
		reallocarray(data->parts, data->part_count + 1, sizeof(*data->parts));

	if (!grown)
		return NULL;
	data->parts = grown;

	struct report_part *part = &grown[data->part_count];
	*part = (struct report_part){.process = strdup(process)};
	if (!part->process)
		return NULL;
	data->part_count++;
	return part;
}

bool report_total(const struct report_data *data, const struct report_part *part,
	enum tally_metric metric, int64_t *ret)
{
	const struct report_rows *rows = &part->rows;
	bool known = false;

	if (rows->count == 0)
		return false;
	if (tally_metrics[metric].kind == TALLY_KIND_GAUGE) {
		for (size_t i = 0; i < rows->count; i++) {
			if (rows->rows[i].counts[metric] == 0)
				continue;
			if (!known || rows->rows[i].maxima[metric] > *ret)
				*ret = rows->rows[i].maxima[metric];
			known = true;
		}
		return known;
	}

	const struct tally_sample *last = &rows->rows[rows->count - 1].last;
	if (!tally_sample_has(last, metric))
		return false;
	*ret = last->value[metric];
	if (data->from_zero || tally_metrics[metric].kind != TALLY_KIND_COUNTER)
		return true;
	if (!tally_sample_has(&rows->before, metric))
		return false;
	*ret -= rows->before.value[metric];
	return *ret >= 0;
}

bool report_extent(const struct report_data *data, int64_t *ret_first_ns, int64_t *ret_last_ns)
{
	const struct report_rows *rows = &data->total.rows;

	if (rows->count == 0)
		return false;
	*ret_first_ns = rows->rows[0].last.wall_ns;
	*ret_last_ns = rows->rows[rows->count - 1].last.wall_ns;
	return true;
}

static int64_t cpu_of(const struct report_data *data, const struct report_part *part)
{
	int64_t user_ns = 0, system_ns = 0;

	if (!report_total(data, part, TALLY_CPU_USER, &user_ns))
		user_ns = 0;
	if (!report_total(data, part, TALLY_CPU_SYSTEM, &system_ns))
		system_ns = 0;
	return user_ns + system_ns;
}

static int by_cpu(const void *a, const void *b, void *data)
{
	int64_t first_ns = cpu_of(data, a), second_ns = cpu_of(data, b);

	if (first_ns != second_ns)
		return first_ns > second_ns ? -1 : 1;
	return strcmp(
		((const struct report_part *)a)->process, ((const struct report_part *)b)->process);
}

void report_data_sort(struct report_data *data)
{
	if (data->part_count > 1)
		qsort_r(data->parts, data->part_count, sizeof(*data->parts), by_cpu, data);
}

void report_data_done(struct report_data *data)
{
	report_rows_done(&data->total.rows);
	for (size_t i = 0; i < data->part_count; i++) {
		report_rows_done(&data->parts[i].rows);
		free(data->parts[i].process);
	}
	free(data->parts);
	*data = (struct report_data){0};
}
