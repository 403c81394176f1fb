/* SPDX-License-Identifier: Apache-2.0 */
/** A range in steps: what there is between two instants, however fine it was kept. */
#include <errno.h>
#include "history/view.h"

#define METRICS TALLY_METRIC_COUNT

struct steps {
	struct view *view;
	int64_t since_ns, until_ns, step_ns;
	history_step_fn *visit;
	void *context;
	struct tally_sample maxima[TABLE_ROWS];
	bool go_on;

	/* The point under way. */
	struct history_step point;
	int64_t step;
	uint32_t known[METRICS];
	__int128 total[METRICS];

	/* The last sample of all. */
	struct tally_sample last;
	uint32_t last_era;
};

static int64_t floor_divide(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static void begin_point(struct steps *s, const struct tally_sample *sample, uint32_t era)
{
	s->point = (struct history_step){0};
	memset(s->known, 0, sizeof(s->known));
	memset(s->total, 0, sizeof(s->total));
	tally_sample_clear(&s->point.maximum, TALLY_REASON_NOT_SAMPLED);
	if (s->last.boot_ns && s->last_era == era)
		s->point.before = s->last;
	s->step = s->step_ns > 0 ? floor_divide(sample->wall_ns, s->step_ns) : 0;
}

static void end_point(struct steps *s)
{
	if (s->point.samples == 0)
		return;
	for (unsigned m = 0; m < METRICS; m++)
		if (tally_metrics[m].kind == TALLY_KIND_GAUGE && s->known[m] > 0)
			tally_sample_set(&s->point.sample, m, (int64_t)(s->total[m] / s->known[m]));
	s->go_on = s->visit(s->context, &s->point);
	s->point.samples = 0;
}

static void add(struct steps *s, const struct tally_sample *sample,
	const struct tally_sample *maximum, uint32_t era)
{
	bool same = s->step_ns > 0 && floor_divide(sample->wall_ns, s->step_ns) == s->step;

	if (s->point.samples == 0 || !same || era != s->last_era) {
		end_point(s);
		begin_point(s, sample, era);
	}
	s->point.sample = *sample;
	s->point.samples++;
	for (unsigned m = 0; m < METRICS; m++) {
		struct tally_sample *most = &s->point.maximum;
		int64_t value = maximum && tally_sample_has(maximum, m) ? maximum->value[m]
									: sample->value[m];

		if (tally_metrics[m].kind != TALLY_KIND_GAUGE || !tally_sample_has(sample, m))
			continue;
		s->known[m]++;
		s->total[m] += sample->value[m];
		if (!tally_sample_has(most, m) || value > most->value[m])
			tally_sample_set(most, m, value);
	}
	s->last = *sample;
	s->last_era = era;
}

static bool wanted(const struct steps *s, const struct tally_sample *sample)
{
	return sample->wall_ns >= s->since_ns && sample->wall_ns <= s->until_ns;
}

static void add_entry(struct steps *s, size_t entry)
{
	struct view *view = s->view;
	unsigned last = view->table.rows - 1;
	uint32_t era = view->entries[entry].span.first.era;

	if (view_samples(view, false, 0, last, view->samples) < 0)
		return;
	bool maxima = view_samples(view, true, 0, last, s->maxima) == 0;
	for (unsigned row = 0; row <= last && s->go_on; row++) {
		if (!row_set_has(&view->rows, row))
			continue;
		if (wanted(s, &view->samples[row])) {
			add(s, &view->samples[row], maxima ? &s->maxima[row] : NULL, era);
		} else {
			end_point(s);
			s->last = view->samples[row];
			s->last_era = era;
		}
	}
}

/* One entry more than overlaps, so that the first point has something to refer to. */
static size_t first_entry(const struct steps *s)
{
	const struct view *view = s->view;
	size_t i = 0;

	while (i < view->count && view->entries[i].span.wall_max < s->since_ns)
		i++;
	return i > 0 ? i - 1 : 0;
}

int history_steps(struct history *history, struct history_task *task, const char *process,
	int64_t since_ns, int64_t until_ns, int64_t step_ns, history_step_fn *visit, void *context)
{
	struct steps *s = calloc(1, sizeof(*s));
	int r = s ? view_open(history, task, process, &s->view) : -ENOMEM;

	if (r < 0) {
		free(s);
		return r;
	}
	s->since_ns = since_ns;
	s->until_ns = until_ns;
	s->step_ns = step_ns;
	s->visit = visit;
	s->context = context;
	s->go_on = true;
	for (size_t i = first_entry(s); i < s->view->count && s->go_on; i++)
		if (s->view->entries[i].span.wall_min <= until_ns && view_load(s->view, i))
			add_entry(s, i);
	if (s->go_on)
		end_point(s);
	view_close(s->view);
	free(s);
	return 0;
}
