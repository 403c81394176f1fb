/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/schedule.h"

void schedule_add(struct schedule *schedule, struct sandbox *sandbox, int64_t now_ns)
{
	sandbox->due_ns = now_ns;
	sandbox->tend_due_ns = INT64_MAX;
	sandbox->next = schedule->first;
	schedule->first = sandbox;
	schedule->count++;
}

static bool is_at_rest(const struct sandbox *sandbox)
{
	return !sandbox->stuck && !sandbox->held;
}

struct sandbox *schedule_gone(struct schedule *schedule)
{
	struct sandbox *sandbox = schedule->first;

	while (sandbox && !(atomic_load(&sandbox->gone) && is_at_rest(sandbox)))
		sandbox = sandbox->next;
	return sandbox;
}

void schedule_remove(struct schedule *schedule, struct sandbox *sandbox)
{
	struct sandbox **link = &schedule->first;

	while (*link != sandbox)
		link = &(*link)->next;
	*link = sandbox->next;
	schedule->count--;
}

/* Asked for during a look: what that one has read already may be too old. */
static void hasten_if_wanted(struct sandbox *sandbox, int64_t now_ns)
{
	if (!sandbox->looking && atomic_exchange(&sandbox->wanted, false) &&
		sandbox->due_ns > now_ns)
		sandbox->due_ns = now_ns;
}

static bool is_better(
	const struct schedule *schedule, const struct sandbox *a, const struct sandbox *b)
{
	if (!b)
		return true;
	return schedule->turn ? a->spent_ns < b->spent_ns : a->due_ns < b->due_ns;
}

struct sandbox *schedule_next(struct schedule *schedule, int64_t now_ns, int64_t *ret_due_ns)
{
	struct sandbox *best = NULL;
	int64_t due_ns = INT64_MAX;

	for (struct sandbox *s = schedule->first; s; s = s->next) {
		if (!is_at_rest(s))
			continue;
		hasten_if_wanted(s, now_ns);
		if (s->due_ns < due_ns)
			due_ns = s->due_ns;
		if (s->due_ns > now_ns)
			continue;
		if (!s->looking)
			s->spent_ns = 0;
		if (is_better(schedule, s, best))
			best = s;
	}
	schedule->turn = !schedule->turn;
	*ret_due_ns = due_ns;
	return best;
}

struct sandbox *schedule_next_tend(struct schedule *schedule, int64_t now_ns, int64_t *ret_due_ns)
{
	struct sandbox *first = NULL;

	for (struct sandbox *s = schedule->first; s; s = s->next)
		if (is_at_rest(s) && (!first || s->tend_due_ns < first->tend_due_ns))
			first = s;
	*ret_due_ns = first ? first->tend_due_ns : INT64_MAX;
	return *ret_due_ns <= now_ns ? first : NULL;
}

struct sandbox *schedule_next_outline(struct schedule *schedule)
{
	struct sandbox *sandbox = schedule->first;

	while (sandbox && !(is_at_rest(sandbox) && !sandbox->looking &&
				  atomic_exchange(&sandbox->outline_wanted, false)))
		sandbox = sandbox->next;
	return sandbox;
}

void schedule_tended(struct sandbox *sandbox, int64_t now_ns)
{
	bool never = sandbox->tend_wait_ns > INT64_MAX - now_ns;

	sandbox->tend_due_ns = never ? INT64_MAX : now_ns + sandbox->tend_wait_ns;
}

/* xorshift64: up to a tenth of the interval early, so that sandboxes do not line up. */
static int64_t jitter(struct schedule *schedule, int64_t interval_ns)
{
	uint64_t x = schedule->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	schedule->random = x;
	return (int64_t)(x % (uint64_t)(interval_ns / 10 + 1));
}

void schedule_again(struct schedule *schedule, struct sandbox *sandbox, int64_t now_ns)
{
	int64_t interval_ns = schedule->interval_ns;

	if (schedule->share < 1) {
		int64_t dear_ns = (int64_t)(2 * (double)sandbox->spent_ns / schedule->share);

		if (dear_ns > interval_ns)
			interval_ns = dear_ns;
	}
	sandbox->looking = false;
	sandbox->due_ns = now_ns + interval_ns - jitter(schedule, interval_ns);
}

void schedule_done(struct schedule *schedule)
{
	while (schedule->first) {
		struct sandbox *sandbox = schedule->first;

		schedule->first = sandbox->next;
		sandbox_release(sandbox);
	}
	schedule->count = 0;
}
