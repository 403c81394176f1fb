/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/format.h"

#include <inttypes.h>
#include <stdio.h>
#include "base/attr.h"
#include "base/clock.h"

static const char *const byte_units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

/* Three significant digits; never "1e+03" and never "1000" before the next unit. */
static void scaled(char out[FORMAT_SIZE], double value, const char *suffix)
{
	size_t unit = 0;

	while (value >= 999.5 && unit + 1 < ARRAY_SIZE(byte_units)) {
		value /= 1024;
		unit++;
	}
	int places = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
	snprintf(out, FORMAT_SIZE, "%.*f %s%s", places, value, byte_units[unit], suffix);
}

const char *format_bytes(char out[FORMAT_SIZE], int64_t bytes)
{
	scaled(out, (double)bytes, "");
	return out;
}

const char *format_bytes_rate(char out[FORMAT_SIZE], double per_second)
{
	scaled(out, per_second, "/s");
	return out;
}

const char *format_duration(char out[FORMAT_SIZE], int64_t ns)
{
	double seconds = (double)ns / 1e9;
	int64_t whole = (ns + NS_PER_S / 2) / NS_PER_S,
		tenths = (ns + NS_PER_S / 20) / (NS_PER_S / 10);

	if (ns < NS_PER_S)
		snprintf(out, FORMAT_SIZE, "%.*f ms", ns < 10 * NS_PER_MS ? 1 : 0, seconds * 1e3);
	else if (tenths < 600)
		snprintf(out, FORMAT_SIZE, "%.*f s", ns < 9995 * NS_PER_MS ? 2 : 1, seconds);
	else if (tenths < 36000)
		snprintf(out, FORMAT_SIZE, "%" PRId64 "m %02" PRId64 ".%" PRId64 "s", tenths / 600,
			tenths / 10 % 60, tenths % 10);
	else if (whole < 86400)
		snprintf(out, FORMAT_SIZE, "%" PRId64 "h %02" PRId64 "m %02" PRId64 "s",
			whole / 3600, whole / 60 % 60, whole % 60);
	else
		snprintf(out, FORMAT_SIZE, "%" PRId64 "d %02" PRId64 "h %02" PRId64 "m",
			whole / 86400, whole / 3600 % 24, whole / 60 % 60);
	return out;
}

const char *format_count(char out[FORMAT_SIZE], int64_t count)
{
	char digits[24];
	size_t length = (size_t)snprintf(digits, sizeof(digits), "%" PRId64, count), used = 0;

	for (size_t i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0 && digits[i - 1] != '-')
			out[used++] = ',';
		out[used++] = digits[i];
	}
	out[used] = '\0';
	return out;
}

const char *format_cores(char out[FORMAT_SIZE], double cores)
{
	snprintf(out, FORMAT_SIZE, "%.2f", cores);
	return out;
}

const char *format_metric(char out[FORMAT_SIZE], enum tally_metric metric, int64_t value)
{
	switch (tally_metrics[metric].unit) {
	case TALLY_UNIT_BYTES:
		return format_bytes(out, value);
	case TALLY_UNIT_NS:
		return format_duration(out, value);
	case TALLY_UNIT_STATE:
		snprintf(out, FORMAT_SIZE, "%s", tally_state_word(value));
		return out;
	default:
		return format_count(out, value);
	}
}

static const char *const reasons[TALLY_REASON_COUNT] = {
	[TALLY_REASON_NOT_SAMPLED] = "not sampled yet",
	[TALLY_REASON_PERMISSION] = "not permitted",
	[TALLY_REASON_KERNEL] = "not in this kernel",
	[TALLY_REASON_NOT_ASKED] = "not asked for",
	[TALLY_REASON_BUDGET] = "budget spent",
	[TALLY_REASON_NO_SANDBOX] = "no sandbox",
	[TALLY_REASON_DISK_PENDING] = "first walk not ended",
	[TALLY_REASON_DISK_FAILED] = "sandbox cannot be read",
	[TALLY_REASON_ENDED] = "ended",
	[TALLY_REASON_COLLECTOR] = "collector cannot see it",
	[TALLY_REASON_TASK_ONLY] = "of the task only",
	[TALLY_REASON_LIMIT] = "limit reached",
	[TALLY_REASON_NOT_STORED] = "not in this history",
	[TALLY_REASON_NOT_SHARED] = "not shown to others",
	[TALLY_REASON_NO_CGROUP] = "no cgroup",
	[TALLY_REASON_NO_CONTROLLER] = "no controller",
	[TALLY_REASON_NO_LIMIT] = "no limit",
};

const char *format_reason(enum tally_reason reason)
{
	bool known = (unsigned)reason < TALLY_REASON_COUNT && reasons[reason];

	return known ? reasons[reason] : "unknown";
}
