/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/remote/encode.h"

#include <errno.h>
#include <string.h>
#include "base/attr.h"
#include "base/fail.h"
#include "remote.pb-c.h"
#include "serve/remote/load.h"

/* value.StaleNaN of Prometheus. */
#define STALE_BITS UINT64_C(0x7ff0000000000002)

double remote_stale(void)
{
	uint64_t bits = STALE_BITS;
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* Insert where its name stands in the order; the first of a name stays. */
static size_t insert(struct remote_label *sorted, size_t count, struct remote_label label)
{
	size_t at = count;

	for (size_t i = 0; i < count; i++)
		if (strcmp(sorted[i].name, label.name) == 0)
			return count;
	while (at > 0 && strcmp(sorted[at - 1].name, label.name) > 0) {
		sorted[at] = sorted[at - 1];
		at--;
	}
	sorted[at] = label;
	return count + 1;
}

/*
 * Messages of protobuf that stand one behind the other are one message, in which repeated fields have
 * the elements of all. So each series is packed as a request of its own, and nothing has to be kept.
 */
static void pack(struct encoder *e, const struct remote_label *sorted, size_t count, double value,
	int64_t wall_ms)
{
	Remote__Label labels[REMOTE_LABELS_MAX], *label_places[REMOTE_LABELS_MAX];
	Remote__Sample sample = REMOTE__SAMPLE__INIT, *sample_place = &sample;
	Remote__TimeSeries series = REMOTE__TIME_SERIES__INIT, *series_place = &series;
	Remote__WriteRequest request = REMOTE__WRITE_REQUEST__INIT;

	for (size_t i = 0; i < count; i++) {
		remote__label__init(&labels[i]);
		labels[i].name = (char *)sorted[i].name;
		labels[i].value = (char *)sorted[i].value;
		label_places[i] = &labels[i];
	}
	sample.value = value;
	sample.timestamp = wall_ms;
	series.n_labels = count;
	series.labels = label_places;
	series.n_samples = 1;
	series.samples = &sample_place;
	request.n_timeseries = 1;
	request.timeseries = &series_place;

	char *at = buffer_more(&e->plain, remote__write_request__get_packed_size(&request));
	if (at)
		remote__write_request__pack(&request, (uint8_t *)at);
}

void encoder_add(struct encoder *e, const struct remote_label *labels, size_t count, double value,
	int64_t wall_ms)
{
	struct remote_label sorted[REMOTE_LABELS_MAX];
	size_t used = 0;

	for (size_t i = 0; i < count && used < ARRAY_SIZE(sorted); i++)
		used = insert(sorted, used, labels[i]);
	pack(e, sorted, used, value, wall_ms);
	e->samples++;
}

int encoder_finish(struct encoder *e, struct buffer *ret, struct tally_error *err)
{
	size_t length = remote_api.snappy_max_compressed_length(e->plain.used);
	int r = e->plain.code;

	buffer_done(ret);
	char *at = r == 0 ? buffer_more(ret, length) : NULL;
	if (at && remote_api.snappy_compress(e->plain.at, e->plain.used, at, &length) == SNAPPY_OK)
		ret->used = length;
	else
		r = -ENOMEM;
	e->plain.used = 0;
	e->plain.code = 0;
	e->samples = 0;
	return r < 0 ? tally_fail(err, r, "cannot encode samples for remote write") : 0;
}

void encoder_done(struct encoder *e)
{
	buffer_done(&e->plain);
	*e = (struct encoder){0};
}
