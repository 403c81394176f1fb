/* SPDX-License-Identifier: Apache-2.0 */
#include <tally/sample.h>

#include <errno.h>
#include <string.h>
#include "base/attr.h"

TALLY_API
void tally_sample_clear(struct tally_sample *sample, enum tally_reason reason)
{
	*sample = (struct tally_sample){0};
	memset(sample->reason, (int)reason, sizeof(sample->reason));
}

TALLY_API
void tally_sample_start(struct tally_sample *sum, int64_t wall_ns, int64_t boot_ns)
{
	tally_sample_clear(sum, TALLY_REASON_NOT_SAMPLED);
	sum->wall_ns = wall_ns;
	sum->boot_ns = boot_ns;
	for (int i = 0; i < TALLY_METRIC_COUNT; i++)
		if (tally_metrics[i].aggregate == TALLY_AGGREGATE_TASK)
			sum->reason[i] = i <= TALLY_DISK_AGE ? TALLY_REASON_NO_SANDBOX
							     : TALLY_REASON_NO_CGROUP;
}

/* Absent because there is nothing to know, rather than because it could not be read. */
static bool nothing_to_give(uint8_t reason)
{
	return reason == TALLY_REASON_NOT_SAMPLED || reason == TALLY_REASON_ENDED;
}

/* A metric that the sum, the part or both of them lack. */
static void add_lacking(struct tally_sample *sum, const struct tally_sample *part, int metric)
{
	if (tally_sample_has(part, metric)) {
		if (nothing_to_give(sum->reason[metric]))
			tally_sample_set(sum, metric, part->value[metric]);
	} else if (tally_sample_has(sum, metric)) {
		if (!nothing_to_give(part->reason[metric]) &&
			tally_metrics[metric].aggregate == TALLY_AGGREGATE_SUM)
			tally_sample_unset(sum, metric, part->reason[metric]);
	} else if (nothing_to_give(sum->reason[metric]) &&
		   part->reason[metric] != TALLY_REASON_NOT_SAMPLED) {
		sum->reason[metric] = part->reason[metric];
	}
}

/* The metrics of one aggregate, as bits. */
#define X(id, key, unit, kind, how, ...)                                                           \
	| (TALLY_AGGREGATE_##how == AGGREGATE ? TALLY_BIT(TALLY_##id) : 0)
#define AGGREGATE TALLY_AGGREGATE_TASK
static const uint64_t task_bits = 0 TALLY_METRICS(X);
#undef AGGREGATE
#define AGGREGATE TALLY_AGGREGATE_SUM
static const uint64_t sum_bits = 0 TALLY_METRICS(X);
#undef AGGREGATE
#undef X

/* Nearly always a value meets a value: those are added without a look at reasons. */
TALLY_API
void tally_sample_add(struct tally_sample *sum, const struct tally_sample *part)
{
	uint64_t both = sum->present & part->present;
	uint64_t every = TALLY_BIT(TALLY_METRIC_COUNT) - 1;

	for (uint64_t bits = both & sum_bits; bits; bits &= bits - 1)
		sum->value[__builtin_ctzll(bits)] += part->value[__builtin_ctzll(bits)];
	for (uint64_t bits = every & ~task_bits & ~both; bits; bits &= bits - 1)
		add_lacking(sum, part, __builtin_ctzll(bits));
}

TALLY_API
int tally_sample_cpu_ns(const struct tally_sample *sample, int64_t *ret)
{
	if (!tally_sample_has(sample, TALLY_CPU_USER) ||
		!tally_sample_has(sample, TALLY_CPU_SYSTEM))
		return -ENODATA;
	*ret = sample->value[TALLY_CPU_USER] + sample->value[TALLY_CPU_SYSTEM];
	return 0;
}

/* Scale of a unit as it is shown: nanoseconds become seconds. */
static double rate_between(const struct tally_sample *earlier, const struct tally_sample *later,
	int64_t rise, enum tally_unit unit)
{
	double per_second = (double)rise * 1e9 / (double)(later->boot_ns - earlier->boot_ns);

	return unit == TALLY_UNIT_NS ? per_second / 1e9 : per_second;
}

TALLY_API
int tally_sample_rate(const struct tally_sample *earlier, const struct tally_sample *later,
	enum tally_metric metric, double *ret)
{
	if (tally_metrics[metric].kind != TALLY_KIND_COUNTER ||
		!tally_sample_has(earlier, metric) || !tally_sample_has(later, metric) ||
		later->boot_ns <= earlier->boot_ns)
		return -ENODATA;

	int64_t rise = later->value[metric] - earlier->value[metric];
	if (rise < 0)
		return -ENODATA;
	*ret = rate_between(earlier, later, rise, tally_metrics[metric].unit);
	return 0;
}

TALLY_API
int tally_sample_cpu_rate(
	const struct tally_sample *earlier, const struct tally_sample *later, double *ret)
{
	double user, system;

	if (tally_sample_rate(earlier, later, TALLY_CPU_USER, &user) < 0 ||
		tally_sample_rate(earlier, later, TALLY_CPU_SYSTEM, &system) < 0)
		return -ENODATA;
	*ret = user + system;
	return 0;
}
