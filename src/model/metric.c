/* SPDX-License-Identifier: Apache-2.0 */
#include <tally/metric.h>

#include <errno.h>
#include <string.h>
#include "base/attr.h"

_Static_assert(TALLY_METRIC_COUNT <= TALLY_METRIC_CAPACITY, "a sample has room for every metric");

TALLY_API
const struct tally_metric_info tally_metrics[TALLY_METRIC_COUNT] = {
#define X(id, key, unit, kind, aggregate, family, label, value, help)                              \
	{key, TALLY_UNIT_##unit, TALLY_KIND_##kind, TALLY_AGGREGATE_##aggregate, family, label,    \
		value, help},
	TALLY_METRICS(X)
#undef X
};

TALLY_API
int tally_metric_find(const char *key)
{
	for (int i = 0; i < TALLY_METRIC_COUNT; i++)
		if (strcmp(tally_metrics[i].key, key) == 0)
			return i;
	return -ENOENT;
}
