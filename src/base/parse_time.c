/* SPDX-License-Identifier: Apache-2.0 */
/* Durations, instants and sizes, as people write them. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include <errno.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/fail.h"
#include "base/parse.h"

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit duration_units[] = {
	{"ms", 1000000},
	{"s", 1000000000},
	{"m", UINT64_C(60) * 1000000000},
	{"h", UINT64_C(3600) * 1000000000},
	{"d", UINT64_C(86400) * 1000000000},
	{"", 1000000000},
	{NULL, 0},
};

static const struct unit size_units[] = {
	{"", 1},
	{"B", 1},
	{"K", UINT64_C(1) << 10},
	{"KB", UINT64_C(1) << 10},
	{"kB", UINT64_C(1) << 10},
	{"k", UINT64_C(1) << 10},
	{"KiB", UINT64_C(1) << 10},
	{"M", UINT64_C(1) << 20},
	{"MB", UINT64_C(1) << 20},
	{"MiB", UINT64_C(1) << 20},
	{"G", UINT64_C(1) << 30},
	{"GB", UINT64_C(1) << 30},
	{"GiB", UINT64_C(1) << 30},
	{"T", UINT64_C(1) << 40},
	{"TB", UINT64_C(1) << 40},
	{"TiB", UINT64_C(1) << 40},
	{NULL, 0},
};

static uint64_t find_factor(const struct unit *units, const char *name, size_t length)
{
	for (; units->name; units++)
		if (strlen(units->name) == length && memcmp(units->name, name, length) == 0)
			return units->factor;
	return 0;
}

/* Digits with an optional fraction (at most nine places count), then a unit of the table. */
static bool quantity(struct cursor c, const struct unit *units, int64_t *ret)
{
	uint64_t whole, fraction = 0, scale = 1;

	if (c.at >= c.end || *c.at < '0' || *c.at > '9' || !cursor_u64(&c, &whole))
		return false;
	if (cursor_literal(&c, ".")) {
		const char *first = c.at;

		for (; c.at < c.end && *c.at >= '0' && *c.at <= '9'; c.at++)
			if (scale < 1000000000) {
				fraction = fraction * 10 + (uint64_t)(*c.at - '0');
				scale *= 10;
			}
		if (c.at == first)
			return false;
	}

	uint64_t factor = find_factor(units, c.at, (size_t)(c.end - c.at));
	unsigned __int128 total =
		(unsigned __int128)whole * factor + (unsigned __int128)fraction * factor / scale;
	if (factor == 0 || total > INT64_MAX)
		return false;
	*ret = (int64_t)total;
	return true;
}

int parse_duration(const char *text, int64_t *ret, struct tally_error *err)
{
	int64_t value;

	if (!quantity(cursor_of(text, strlen(text)), duration_units, &value))
		return tally_refuse(err, -EINVAL,
			"'%.80s' is not a duration; write a number and ms, s, m, h or d, as 250ms or 1h",
			text);
	if (value == 0)
		return tally_refuse(
			err, -EINVAL, "'%.80s' is no time at all; a duration must be longer", text);
	*ret = value;
	return 0;
}

int parse_size(const char *text, uint64_t *ret, struct tally_error *err)
{
	int64_t value;

	if (!quantity(cursor_of(text, strlen(text)), size_units, &value))
		return tally_refuse(err, -EINVAL,
			"'%.80s' is not a size; write a number and K, M, G or T, as 64M", text);
	*ret = (uint64_t)value;
	return 0;
}

static int refuse_time(const char *text, struct tally_error *err)
{
	return tally_refuse(err, -EINVAL,
		"'%.80s' is not a time; write 2026-11-24T03:25:00Z, 14:05, -5m, now or seconds since the epoch",
		text);
}

/* Exactly `digits` digits in a range. */
static bool fixed(struct cursor *c, int digits, int least, int most, int *ret)
{
	int value = 0;

	if (c->end - c->at < digits)
		return false;
	for (int i = 0; i < digits; i++, c->at++) {
		if (*c->at < '0' || *c->at > '9')
			return false;
		value = value * 10 + (*c->at - '0');
	}
	*ret = value;
	return value >= least && value <= most;
}

/* A fraction of a second behind a point, if there is one. */
static bool fraction_ns(struct cursor *c, int64_t *ret)
{
	int64_t scale = NS_PER_S / 10, value = 0;

	if (!cursor_literal(c, "."))
		return true;
	if (c->at >= c->end || *c->at < '0' || *c->at > '9')
		return false;
	for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++, scale /= 10)
		value += (*c->at - '0') * scale;
	*ret = value;
	return true;
}

/* HH:MM[:SS[.fraction]] */
static bool clock_time(struct cursor *c, struct tm *tm, int64_t *ret_ns)
{
	tm->tm_sec = 0;
	*ret_ns = 0;
	if (!fixed(c, 2, 0, 23, &tm->tm_hour) || !cursor_literal(c, ":") ||
		!fixed(c, 2, 0, 59, &tm->tm_min))
		return false;
	if (!cursor_literal(c, ":"))
		return true;
	return fixed(c, 2, 0, 60, &tm->tm_sec) && fraction_ns(c, ret_ns);
}

/* Z, +HH:MM or -HH:MM; *ret_local when there is none. */
static bool zone(struct cursor *c, int *ret_seconds, bool *ret_local)
{
	int hours, minutes;

	*ret_seconds = 0;
	*ret_local = c->at == c->end;
	if (*ret_local || cursor_literal(c, "Z") || cursor_literal(c, "z"))
		return true;

	int sign = cursor_literal(c, "+") ? 1 : cursor_literal(c, "-") ? -1 : 0;
	if (!sign || !fixed(c, 2, 0, 23, &hours) || !cursor_literal(c, ":") ||
		!fixed(c, 2, 0, 59, &minutes))
		return false;
	*ret_seconds = sign * (hours * 3600 + minutes * 60);
	return true;
}

static bool days_fit(const struct tm *asked, time_t made)
{
	struct tm check;

	return gmtime_r(&made, &check) && check.tm_mday == asked->tm_mday &&
	       check.tm_mon == asked->tm_mon;
}

static bool rfc3339(struct cursor c, int64_t *ret)
{
	struct tm tm = {.tm_isdst = -1}, plain;
	int64_t ns;
	int offset;
	bool local;

	if (!fixed(&c, 4, 1970, 2261, &tm.tm_year) || !cursor_literal(&c, "-") ||
		!fixed(&c, 2, 1, 12, &tm.tm_mon) || !cursor_literal(&c, "-") ||
		!fixed(&c, 2, 1, 31, &tm.tm_mday))
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	if (!cursor_literal(&c, "T") && !cursor_literal(&c, "t") && !cursor_literal(&c, " "))
		return false;
	if (!clock_time(&c, &tm, &ns) || !zone(&c, &offset, &local) || c.at != c.end)
		return false;

	plain = tm;
	plain.tm_hour = 12;
	if (!days_fit(&tm, timegm(&plain)))
		return false;
	time_t seconds = local ? mktime(&tm) : timegm(&tm) - offset;
	*ret = (int64_t)seconds * NS_PER_S + ns;
	return true;
}

/* The last time that the local clock showed HH:MM[:SS]. */
static bool last_clock_time(struct cursor c, int64_t now_ns, int64_t *ret)
{
	time_t now = (time_t)(now_ns / NS_PER_S);
	struct tm tm;
	int64_t ns;

	if (!localtime_r(&now, &tm) || !clock_time(&c, &tm, &ns) || c.at != c.end)
		return false;
	tm.tm_isdst = -1;
	struct tm yesterday = tm;
	int64_t at = (int64_t)mktime(&tm) * NS_PER_S + ns;
	if (at > now_ns) {
		yesterday.tm_mday--;
		at = (int64_t)mktime(&yesterday) * NS_PER_S + ns;
	}
	*ret = at;
	return true;
}

/* Seconds since the epoch, with an optional fraction. */
static bool epoch(struct cursor c, int64_t *ret)
{
	uint64_t seconds;
	int64_t ns = 0;

	if (c.at >= c.end || *c.at < '0' || *c.at > '9' || !cursor_u64(&c, &seconds) ||
		!fraction_ns(&c, &ns) || c.at != c.end || seconds > INT64_MAX / NS_PER_S - 1)
		return false;
	*ret = (int64_t)seconds * NS_PER_S + ns;
	return true;
}

int parse_time(const char *text, int64_t now_ns, int64_t *ret, struct tally_error *err)
{
	struct cursor c = cursor_of(text, strlen(text));
	int64_t ago;

	if (strcmp(text, "now") == 0) {
		*ret = now_ns;
		return 0;
	}
	if (text[0] == '-') {
		if (parse_duration(text + 1, &ago, err) < 0)
			return refuse_time(text, err);
		*ret = now_ns - ago;
		return 0;
	}
	if (rfc3339(c, ret) || last_clock_time(c, now_ns, ret) || epoch(c, ret))
		return 0;
	return refuse_time(text, err);
}
