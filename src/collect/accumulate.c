/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/accumulate.h"

#include <string.h>

static int64_t at_least(int64_t value, int64_t least)
{
	return value > least ? value : least;
}

static int64_t at_most(int64_t value, int64_t most)
{
	return value < most ? value : most;
}

/* value * part / whole, with 0 <= part <= whole. */
static int64_t share_of(int64_t value, int64_t part, int64_t whole)
{
	return whole <= 0 ? value : (int64_t)((__int128)value * part / whole);
}

void cpu_split(int64_t exact_ns, const int64_t ticks_ns[COUNT_MODES], int64_t ret[COUNT_MODES])
{
	int64_t ticks = ticks_ns[COUNT_USER] + ticks_ns[COUNT_SYSTEM];
	int64_t sum = at_least(exact_ns, ticks);
	int64_t user = share_of(sum, ticks_ns[COUNT_USER], ticks);

	user = at_least(user, ticks_ns[COUNT_USER]);
	user = at_most(user, sum - ticks_ns[COUNT_SYSTEM]);
	ret[COUNT_USER] = user;
	ret[COUNT_SYSTEM] = sum - user;
}

void cpu_raise(const int64_t now[COUNT_MODES], int64_t told[COUNT_MODES])
{
	int64_t sum = at_least(
		told[COUNT_USER] + told[COUNT_SYSTEM], now[COUNT_USER] + now[COUNT_SYSTEM]);
	int64_t user = at_least(now[COUNT_USER], told[COUNT_USER]);

	told[COUNT_USER] = at_most(user, sum - told[COUNT_SYSTEM]);
	told[COUNT_SYSTEM] = sum - told[COUNT_USER];
}

void account_adopt(struct account *account, const struct usage *usage)
{
	*account = (struct account){0};
	for (int i = 0; i < COUNT_READ; i++)
		account->base[i] = usage->reaped[i];
}

void account_join(struct account *account, const struct usage *usage)
{
	*account = (struct account){0};
	memcpy(account->base, usage->total, sizeof(account->base));
}

static void cohort_add(struct cohort *cohort, const struct cohort *more)
{
	if (!more->any)
		return;
	cohort->any = true;
	for (int i = 0; i < COUNT_REAPED; i++)
		cohort->total[i] += more->total[i];
	for (int i = 0; i < COUNT_MODES; i++)
		cohort->shown[i] += more->shown[i];
}

static void cohort_add_usage(struct cohort *cohort, const struct usage *usage)
{
	struct cohort one = {.any = true};

	memcpy(one.total, usage->total, sizeof(one.total));
	memcpy(one.shown, usage->shown, sizeof(one.shown));
	cohort_add(cohort, &one);
}

/* Nobody will ever reap it within the group. */
static void lose(const struct account *account, const struct usage *usage, int64_t *lost)
{
	for (int i = 0; i < COUNT_ALL; i++)
		lost[i] += usage->total[i] - account->base[i];
	for (int i = 0; i < COUNT_REAPED; i++)
		lost[i] += account->fresh.total[i] + account->old.total[i];
}

static void take(int64_t *rest, int64_t *growth)
{
	int64_t taken = at_most(*rest, *growth);

	*rest -= taken;
	*growth -= taken;
}

/*
 * CPU time of one mode. In ticks at least (shown - growth) has not arrived, and exactly at most
 * (total - growth); between the two the witness decides.
 */
static void absorb_mode(
	struct cohort *cohort, int mode, int64_t *growth, int64_t missing, int64_t of)
{
	int64_t total = cohort->total[mode], shown = cohort->shown[mode];
	int64_t rest = at_least(shown - *growth, 0) + share_of(total - shown, missing, of);

	rest = at_most(rest, at_least(total - *growth, 0));
	cohort->shown[mode] = at_most(at_least(shown - *growth, 0), rest);
	cohort->total[mode] = rest;
	*growth -= at_most(*growth, total - rest);
}

/* Take what has arrived off a cohort, and off the growth. */
static void absorb(struct cohort *cohort, int64_t growth[COUNT_REAPED])
{
	int64_t faults = cohort->total[COUNT_MINOR];

	take(&cohort->total[COUNT_MINOR], &growth[COUNT_MINOR]);
	take(&cohort->total[COUNT_MAJOR], &growth[COUNT_MAJOR]);
	int64_t missing = cohort->total[COUNT_MINOR];
	for (int mode = 0; mode < COUNT_MODES; mode++)
		absorb_mode(cohort, mode, &growth[mode], missing, faults);
	for (int i = COUNT_READ; i <= COUNT_WRITE; i++)
		cohort->total[i] = share_of(cohort->total[i], missing, faults);
}

static void absorb_all(struct account *account, const int64_t growth[COUNT_REAPED])
{
	int64_t left[COUNT_REAPED];

	memcpy(left, growth, sizeof(left));
	if (account->old.any)
		absorb(&account->old, left);
	if (account->fresh.any)
		absorb(&account->fresh, left);
}

void account_vanish(struct account *account, const struct usage *usage,
	const int64_t growth[COUNT_REAPED], struct account *parent, int64_t lost[COUNT_ALL])
{
	absorb_all(account, growth);
	if (!parent) {
		lose(account, usage, lost);
		return;
	}
	/* All it had arrives at the parent, its base too: the parent must not count that either. */
	cohort_add_usage(&parent->fresh, usage);
	cohort_add(&parent->fresh, &account->fresh);
	cohort_add(&parent->fresh, &account->old);
	for (int i = 0; i < COUNT_REAPED; i++)
		parent->base[i] += account->base[i];
	for (int i = COUNT_REAPED; i < COUNT_ALL; i++) {
		lost[i] += usage->total[i] - account->base[i];
		parent->below[i - COUNT_REAPED] +=
			usage->total[i] + account->below[i - COUNT_REAPED];
	}
}

static void limit_due(struct account *account, enum count count, int64_t most)
{
	account->due[count] = at_most(account->due[count], at_least(most, 0));
}

void account_settle(
	struct account *account, const int64_t growth[COUNT_REAPED], int64_t lost[COUNT_ALL])
{
	int64_t read_bytes = account->fresh.total[COUNT_READ];
	int64_t write_bytes = account->fresh.total[COUNT_WRITE];

	absorb_all(account, growth);
	for (int i = 0; i < COUNT_REAPED; i++)
		lost[i] += account->old.total[i];
	memcpy(account->due, account->fresh.total, sizeof(account->due));
	/* The parent's I/O may hold that of a child which its faults do not hold yet. */
	limit_due(account, COUNT_READ, read_bytes - growth[COUNT_READ]);
	limit_due(account, COUNT_WRITE, write_bytes - growth[COUNT_WRITE]);
	account->old = account->fresh;
	account->fresh = (struct cohort){0};
}

/*
 * wait4() and a pass split the same CPU time into modes each in its way, so that one mode can
 * seem to have grown by less than those who arrived showed, and the other by more. The sum is right.
 */
static void even_out(const struct account *account, int64_t growth[COUNT_REAPED])
{
	for (int to = 0; to < COUNT_MODES; to++) {
		int from = to == COUNT_USER ? COUNT_SYSTEM : COUNT_USER;
		int64_t lacks = account->fresh.shown[to] + account->old.shown[to] - growth[to];
		int64_t spare =
			growth[from] - account->fresh.shown[from] - account->old.shown[from];
		int64_t moved = at_least(at_most(lacks, spare), 0);

		growth[to] += moved;
		growth[from] -= moved;
	}
}

void account_reap(struct account *account, const struct usage *usage,
	const int64_t totals[COUNT_ALL], const int64_t growth[COUNT_REAPED],
	int64_t lost[COUNT_ALL])
{
	int64_t share[COUNT_ALL], target[COUNT_ALL], evened[COUNT_REAPED];

	memcpy(evened, growth, sizeof(evened));
	even_out(account, evened);
	account_settle(account, evened, lost);
	for (int i = 0; i < COUNT_REAPED; i++)
		lost[i] += account->old.total[i];
	for (int i = 0; i < COUNT_ALL; i++) {
		share[i] = usage->total[i] - account->base[i];
		target[i] = totals[i] - account->base[i];
		if (i >= COUNT_REAPED)
			target[i] -= account->below[i - COUNT_REAPED];
	}
	cpu_raise(target, share);
	for (int i = 0; i < COUNT_ALL; i++)
		lost[i] += i < COUNT_MODES ? share[i] : at_least(share[i], target[i]);
	account_join(account, usage);
}

void account_leave(struct account *account, const struct usage *usage, int64_t lost[COUNT_ALL])
{
	lose(account, usage, lost);
	account_join(account, usage);
}

int64_t account_share(const struct account *account, const struct usage *usage, enum count count)
{
	int64_t share = usage->total[count] - account->base[count];

	return count < COUNT_REAPED ? share + account->due[count] : share;
}

void account_stay_out(struct account *account, const struct usage *usage)
{
	const struct account before = *account;

	account_join(account, usage);
	account->fresh = before.fresh;
	account->old = before.old;
	for (int i = 0; i < COUNT_REAPED; i++)
		account->base[i] += before.fresh.total[i] + before.old.total[i];
}
