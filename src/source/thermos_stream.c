/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts a checkpoint stream into records. */
#include <errno.h>
#include "base/fail.h"
#include "source/thermos_record.h"

static uint32_t read_prefix(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       (uint32_t)bytes[3];
}

size_t thermos_stream_need(const uint8_t *bytes, size_t length)
{
	if (length < THERMOS_PREFIX)
		return THERMOS_PREFIX;

	uint32_t claimed = read_prefix(bytes);
	return claimed > THERMOS_RECORD_MAX ? THERMOS_PREFIX : THERMOS_PREFIX + (size_t)claimed;
}

static int take_record(const uint8_t *bytes, size_t length, thermos_record_fn *take, void *context,
	struct tally_error *err)
{
	int r = thermos_scan(bytes, length, err);

	return r < 0 ? r : thermos_decode(bytes, length, take, context, err);
}

int thermos_stream_read(const uint8_t *bytes, size_t length, thermos_record_fn *take, void *context,
	size_t *ret_used, struct tally_error *err)
{
	size_t used = 0;
	int r = 0;

	while (length - used >= THERMOS_PREFIX) {
		uint32_t claimed = read_prefix(bytes + used);

		if (claimed > THERMOS_RECORD_MAX) {
			r = tally_refuse(err, -EBADMSG,
				"a record claims %u bytes, more than the %zu there may be", claimed,
				THERMOS_RECORD_MAX);
			break;
		}
		if (length - used - THERMOS_PREFIX < claimed)
			break;
		r = take_record(bytes + used + THERMOS_PREFIX, claimed, take, context, err);
		if (r < 0)
			break;
		used += THERMOS_PREFIX + claimed;
	}
	*ret_used = used;
	return r;
}
