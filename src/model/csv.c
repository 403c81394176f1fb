/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include "model/model.h"

/* Seconds with all nine places, exactly: a double would lose the last ones. */
static void write_seconds(FILE *out, int64_t ns)
{
	uint64_t magnitude = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;

	fprintf(out, "%s%" PRIu64 ".%09" PRIu64, ns < 0 ? "-" : "", magnitude / 1000000000,
		magnitude % 1000000000);
}

void sample_csv_header(FILE *out, const char *first_columns)
{
	fprintf(out, "%s,time,cpu_seconds", first_columns);
	for (int i = 0; i < TALLY_METRIC_COUNT; i++)
		fprintf(out, ",%s", tally_metrics[i].key);
	fputc('\n', out);
}

static void write_value(FILE *out, const struct tally_sample *sample, int metric)
{
	if (!tally_sample_has(sample, metric))
		return;
	switch (tally_metrics[metric].unit) {
	case TALLY_UNIT_NS:
		write_seconds(out, sample->value[metric]);
		break;
	case TALLY_UNIT_STATE:
		fputs(tally_state_word(sample->value[metric]), out);
		break;
	default:
		fprintf(out, "%" PRId64, sample->value[metric]);
	}
}

void sample_csv_row(FILE *out, const char *first, const struct tally_sample *sample)
{
	int64_t cpu_ns;

	fprintf(out, "%s,", first);
	write_seconds(out, sample->wall_ns);
	fputc(',', out);
	if (tally_sample_cpu_ns(sample, &cpu_ns) == 0)
		write_seconds(out, cpu_ns);
	for (int i = 0; i < TALLY_METRIC_COUNT; i++) {
		fputc(',', out);
		write_value(out, sample, i);
	}
	fputc('\n', out);
}
