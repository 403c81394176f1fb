/* SPDX-License-Identifier: Apache-2.0 */
/** Everything derived from the metric table, for inside use: JSON and CSV of a sample. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <jansson.h>
#include <stdio.h>
#include <tally/sample.h>

/** Value of a metric as people see it: nanoseconds become seconds, others stay. */
double metric_shown(enum tally_metric metric, int64_t value);

/**
 * Value of a metric as JSON: an integer, a real number of seconds, or a word for a state; null when
 * absent. @return a new reference, or NULL without memory.
 */
json_t *sample_json_value(const struct tally_sample *sample, enum tally_metric metric);

/**
 * Put every metric of the table and the derived cpu_seconds into a JSON object.
 *
 * @task    False leaves the task-only metrics out.
 * @return  0 or -ENOMEM.
 */
int sample_json_put(const struct tally_sample *sample, bool task, json_t *object);

/** As sample_json_put(), with cpu_rate (null when there is none). */
int reading_json_put(const struct tally_reading *reading, bool task, json_t *object);

/** {KEY: REASON} of what is absent from a sample. @return new reference or NULL. */
json_t *sample_json_missing(const struct tally_sample *sample, bool task);

/** Write the header of CSV: first_columns, then time, cpu_seconds and the keys of the table. */
void sample_csv_header(FILE *out, const char *first_columns);

/** Write a sample as a line of CSV; absent values are empty. `first` is written as it is. */
void sample_csv_row(FILE *out, const char *first, const struct tally_sample *sample);

#endif
