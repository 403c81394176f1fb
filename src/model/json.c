/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include "model/model.h"

double metric_shown(enum tally_metric metric, int64_t value)
{
	return tally_metrics[metric].unit == TALLY_UNIT_NS ? (double)value / 1e9 : (double)value;
}

json_t *sample_json_value(const struct tally_sample *sample, enum tally_metric metric)
{
	int64_t value = sample->value[metric];

	if (!tally_sample_has(sample, metric))
		return json_null();
	switch (tally_metrics[metric].unit) {
	case TALLY_UNIT_NS:
		return json_real(metric_shown(metric, value));
	case TALLY_UNIT_STATE:
		return json_string(tally_state_word(value));
	default:
		return json_integer(value);
	}
}

static bool shown(int metric, bool task)
{
	return task || tally_metrics[metric].aggregate != TALLY_AGGREGATE_TASK;
}

int sample_json_put(const struct tally_sample *sample, bool task, json_t *object)
{
	int64_t cpu_ns;
	int failed = 0;

	failed |= json_object_set_new(object, "cpu_seconds",
		tally_sample_cpu_ns(sample, &cpu_ns) < 0 ? json_null()
							 : json_real((double)cpu_ns / 1e9));
	for (int i = 0; i < TALLY_METRIC_COUNT; i++)
		if (shown(i, task))
			failed |= json_object_set_new(
				object, tally_metrics[i].key, sample_json_value(sample, i));
	return failed ? -ENOMEM : 0;
}

int reading_json_put(const struct tally_reading *reading, bool task, json_t *object)
{
	json_t *rate = reading->has_cpu_rate ? json_real(reading->cpu_rate) : json_null();

	if (json_object_set_new(object, "cpu_rate", rate) < 0)
		return -ENOMEM;
	return sample_json_put(&reading->sample, task, object);
}

json_t *sample_json_missing(const struct tally_sample *sample, bool task)
{
	json_t *missing = json_object();

	for (int i = 0; i < TALLY_METRIC_COUNT; i++)
		if (shown(i, task) && !tally_sample_has(sample, i))
			json_object_set_new(missing, tally_metrics[i].key,
				json_string(tally_reason_text(sample->reason[i])));
	return missing;
}
