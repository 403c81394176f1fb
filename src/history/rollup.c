/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Samples become those of a coarser resolution.
 *
 * Nothing is added up as ticks go by: when a block is sealed, the steps that have ended since are
 * made from the blocks that hold their samples. That takes no memory per process, and no time in
 * the ticks between.
 */
#include "history/internal.h"

#include <errno.h>

#define METRICS TALLY_METRIC_COUNT

/** The most steps that are made in one go. */
#define STEPS_MAX 16

/** Series that memory is kept for. */
#define CODES_KEPT 64

/* What one series did in one step. */
struct sum {
	uint32_t rows;
	uint32_t known[METRICS]; /* rows in which the metric was present */
	__int128 total[METRICS];
	int64_t most[METRICS], last[METRICS];
	uint8_t reason[METRICS];
};

struct rollup {
	struct table table;
	struct tick steps[STEPS_MAX];	      /* ends of the steps */
	unsigned rows_in_step[STEPS_MAX + 1]; /* of the block being added */
	unsigned count;
	int64_t begin_ns; /* the first step begins after it */
	uint32_t *codes;
	struct sum *sums; /* [code][step] */
	size_t code_count, code_capacity;
	int64_t boot_ns[TABLE_ROWS];
	struct tally_sample *made; /* average and maximum of each code */
	struct rows_part *parts;
};

struct rollup *rollup_free(struct rollup *rollup)
{
	if (!rollup)
		return NULL;
	table_done(&rollup->table);
	free(rollup->codes);
	free(rollup->sums);
	free(rollup->made);
	free(rollup->parts);
	free(rollup);
	return NULL;
}

static bool grow(struct rollup *r)
{
	size_t capacity = r->code_capacity ? r->code_capacity * 2 : 4;
	void *codes = reallocarray(r->codes, capacity, sizeof(*r->codes));

	if (codes)
		r->codes = codes;
	void *sums = reallocarray(r->sums, capacity * STEPS_MAX, sizeof(*r->sums));
	if (sums)
		r->sums = sums;
	void *made = reallocarray(r->made, capacity * 2, sizeof(*r->made));
	if (made)
		r->made = made;
	void *parts = reallocarray(r->parts, capacity * 2, sizeof(*r->parts));
	if (parts)
		r->parts = parts;
	if (!codes || !sums || !made || !parts)
		return false;
	r->code_capacity = capacity;
	return true;
}

/* The sums of a series over all steps; NULL without memory. */
static struct sum *sums_of(struct rollup *r, uint32_t code, size_t hint)
{
	size_t i = hint < r->code_count && r->codes[hint] == code ? hint : 0;

	while (i < r->code_count && r->codes[i] != code)
		i++;
	if (i == r->code_count) {
		if (r->code_count == r->code_capacity && !grow(r))
			return NULL;
		r->codes[r->code_count++] = code;
		memset(&r->sums[i * STEPS_MAX], 0, r->count * sizeof(*r->sums));
	}
	return &r->sums[i * STEPS_MAX];
}

/* Step that an instant is in; count when in none. */
static unsigned step_of(const struct rollup *r, int64_t boot_ns)
{
	unsigned step = 0;

	if (boot_ns <= r->begin_ns)
		return r->count;
	while (step < r->count && boot_ns > r->steps[step].boot_ns)
		step++;
	return step;
}

static void add_rows(struct sum *sum, unsigned metric, int64_t value, unsigned rows)
{
	if (sum->known[metric] == 0 || value > sum->most[metric])
		sum->most[metric] = value;
	sum->known[metric] += rows;
	sum->total[metric] += (__int128)value * rows;
	sum->last[metric] = value;
}

/* One metric of a series whose presence changes, or that is not there all the time. */
static void add_unsteady(struct rollup *r, uint32_t index, unsigned m, const unsigned *steps,
	const struct table_values *values, struct sum *sums)
{
	for (unsigned row = 0; row < r->table.rows; row++) {
		const struct table_presence *p = table_presence_at(&r->table, index, row);
		struct sum *sum = &sums[steps[row]];
		int64_t value = values->values[values->steady ? 0 : row];

		if (steps[row] == r->count || !row_set_has(&r->table.series[index].here, row) || !p)
			continue;
		if (!(p->present & TALLY_BIT(m)))
			sum->reason[m] = p->reason[m];
		else
			add_rows(sum, m, metric_is_age(m) ? r->boot_ns[row] - value : value, 1);
	}
}

/* One metric that is the same in all rows, of a series that is always there. */
static void add_steady(
	struct rollup *r, uint32_t index, unsigned m, int64_t value, struct sum *sums)
{
	const struct table_presence *p = table_presence_at(&r->table, index, 0);

	for (unsigned step = 0; step < r->count; step++)
		if (r->rows_in_step[step] == 0)
			continue;
		else if (p->present & TALLY_BIT(m))
			add_rows(&sums[step], m, value, r->rows_in_step[step]);
		else
			sums[step].reason[m] = p->reason[m];
}

static int add_series(struct rollup *r, uint32_t index, const unsigned *steps)
{
	const struct table_series *series = &r->table.series[index];
	struct sum *sums = sums_of(r, series->code, index);
	struct table_values values;
	uint32_t here = 0;

	if (!sums)
		return -ENOMEM;
	for (unsigned row = 0; row < r->table.rows; row++)
		if (row_set_has(&series->here, row)) {
			here++;
			if (steps[row] < r->count)
				sums[steps[row]].rows++;
		}
	for (unsigned m = 0; m < r->table.metrics; m++) {
		table_read(&r->table, index, m, 0, r->table.rows - 1, &values);
		if (values.steady && here == r->table.rows && series->presence_count == 1 &&
			!metric_is_age(m))
			add_steady(r, index, m, values.values[0], sums);
		else
			add_unsteady(r, index, m, steps, &values, sums);
	}
	return 0;
}

static int add_block(struct history *history, struct rollup *r, const struct sealed *sealed)
{
	const struct ticks *ticks = &sealed->tier->ticks;
	unsigned steps[TABLE_ROWS];
	int error = block_read(history->scratch, sealed->bytes, sealed->length, &r->table);

	memset(r->rows_in_step, 0, sizeof(r->rows_in_step));
	for (unsigned row = 0; error == 0 && row < r->table.rows; row++) {
		struct tick tick;

		if (!ticks_copy(ticks, sealed->span.first_tick + r->table.tick[row], 1, &tick))
			return -ENODATA;
		r->boot_ns[row] = tick.boot_ns;
		steps[row] = step_of(r, tick.boot_ns);
		r->rows_in_step[steps[row]]++;
	}
	for (uint32_t i = 0; error == 0 && i < r->table.series_count; i++)
		error = add_series(r, i, steps);
	return error;
}

/* All blocks that have samples of the steps, oldest first. */
static int add_blocks(struct history *history, struct rollup *r, const struct lane *finest)
{
	struct moment begin = {history->era, r->begin_ns};
	const struct sealed *sealed = finest->newest;
	int error = 0;

	while (sealed && sealed->older_of_lane &&
		moment_before(begin, sealed->older_of_lane->span.last))
		sealed = sealed->older_of_lane;
	for (; sealed && error == 0; sealed = sealed->newer_of_lane)
		if (moment_before(begin, sealed->span.last))
			error = add_block(history, r, sealed);
	return error;
}

static int64_t average_of(const struct sum *sum, unsigned metric)
{
	int64_t total = (int64_t)sum->total[metric];

	if (total == sum->total[metric])
		return total / sum->known[metric];
	return (int64_t)(sum->total[metric] / sum->known[metric]);
}

/* Gauges give their average and their maximum, the others what they were last. */
static void make(const struct sum *sum, struct tally_sample *average, struct tally_sample *maximum)
{
	tally_sample_clear(average, TALLY_REASON_NOT_SAMPLED);
	tally_sample_clear(maximum, TALLY_REASON_NOT_STORED);
	for (unsigned m = 0; m < METRICS; m++) {
		bool gauge = tally_metrics[m].kind == TALLY_KIND_GAUGE;

		if (sum->known[m] == 0) {
			tally_sample_unset(average, m, sum->reason[m]);
			continue;
		}
		tally_sample_set(average, m, gauge ? average_of(sum, m) : sum->last[m]);
		if (gauge)
			tally_sample_set(maximum, m, sum->most[m]);
	}
}

static int append_step(struct history *history, struct rollup *r, struct lane *lane, unsigned step)
{
	size_t count = 0;

	for (size_t i = 0; i < r->code_count; i++) {
		const struct sum *sum = &r->sums[i * STEPS_MAX + step];

		if (sum->rows == 0)
			continue;
		make(sum, &r->made[count], &r->made[count + 1]);
		r->parts[count] = (struct rows_part){r->codes[i], &r->made[count]};
		r->parts[count + 1] =
			(struct rows_part){SERIES_MAXIMA_OF(r->codes[i]), &r->made[count + 1]};
		count += 2;
	}
	if (count == 0)
		return 0;
	lane->grown = true;
	return lane_append(history, lane, lane->rolled + step, r->steps[step], r->parts, count);
}

/* The steps from lane->rolled on that have ended. */
static bool find_steps(struct history *history, struct rollup *r, const struct lane *lane)
{
	const struct ticks *ticks = &history->tiers[lane->tier].ticks;
	const struct tick_chunk *chunk = ticks_chunk(ticks, lane->rolled);
	const struct tick_chunk *before =
		lane->rolled ? ticks_chunk(ticks, lane->rolled - 1) : NULL;

	r->count = 0;
	r->code_count = 0;
	if (!chunk || chunk->era != history->era)
		return false;
	r->begin_ns = before && before->era == history->era
			      ? before->at[(lane->rolled - 1) % CHUNK_TICKS].boot_ns
			      : INT64_MIN;
	while (r->count < STEPS_MAX && lane->rolled + r->count < ticks->next &&
		ticks_copy(ticks, lane->rolled + r->count, 1, &r->steps[r->count]))
		r->count++;
	return r->count > 0;
}

static void roll_lane(struct history *history, struct lane *finest, struct lane *lane)
{
	struct rollup *r = history->rollup;

	while (find_steps(history, r, lane)) {
		struct moment begin = {history->era, r->begin_ns};
		int error;

		if (!finest->newest || !moment_before(begin, finest->newest->span.last))
			break;
		error = add_blocks(history, r, finest);

		for (unsigned step = 0; error == 0 && step < r->count; step++)
			error = append_step(history, r, lane, step);
		lane->rolled += r->count;
	}
	lane->rolled = history->tiers[lane->tier].ticks.next;
	history->open_bytes -= rows_bytes(&lane->open);
	rows_rest(&lane->open, &history->spare);
	history->open_bytes += rows_bytes(&lane->open);
}

void history_roll(struct history *history, struct history_task *task)
{
	if (!history->rollup)
		history->rollup = calloc(1, sizeof(*history->rollup));
	if (!history->rollup)
		return;
	for (unsigned i = 1; i < history->tier_count; i++)
		roll_lane(history, &task->lanes[0], &task->lanes[i]);
	if (history->rollup->code_capacity > CODES_KEPT)
		history->rollup = rollup_free(history->rollup);
}
