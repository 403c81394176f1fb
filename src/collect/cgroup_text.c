/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/cgroup_text.h"

#include <errno.h>
#include <string.h>
#include "base/clock.h"
#include "base/parse.h"

static bool take_number(struct cursor *c, int64_t *ret)
{
	uint64_t value;

	if (!cursor_u64(c, &value) || value > INT64_MAX)
		return false;
	*ret = (int64_t)value;
	return true;
}

/* "throttled_usec 5021": the key is a whole word. */
bool cgroup_text_key(const char *text, size_t length, const char *key, int64_t *ret)
{
	struct cursor c = cursor_of(text, length), line;

	while (cursor_line(&c, &line))
		if (cursor_literal(&line, key) && line.at < line.end && *line.at == ' ')
			return take_number(&line, ret);
	return false;
}

int cgroup_text_number(const char *text, size_t length, int64_t *ret)
{
	struct cursor c = cursor_of(text, length);

	if (cursor_literal(&c, "max"))
		return 0;
	return take_number(&c, ret) ? 1 : -EINVAL;
}

int cgroup_text_quota(int64_t quota, int64_t period, int64_t *ret)
{
	if (quota < 0 || period <= 0 || quota > INT64_MAX / NS_PER_S)
		return -EINVAL;
	*ret = quota * NS_PER_S / period;
	return 0;
}

int cgroup_text_cpu_max(const char *text, size_t length, int64_t *ret)
{
	struct cursor c = cursor_of(text, length);
	int64_t quota, period;

	if (cursor_literal(&c, "max"))
		return 0;
	if (!take_number(&c, &quota) || !take_number(&c, &period) ||
		cgroup_text_quota(quota, period, ret) < 0)
		return -EINVAL;
	return 1;
}

/* Other words than today's may come between. */
static bool find_total(struct cursor line, int64_t *ret)
{
	int64_t us;

	while (line.at < line.end) {
		cursor_skip_blank(&line);
		if (cursor_literal(&line, "total=")) {
			if (!take_number(&line, &us) || us > INT64_MAX / NS_PER_US)
				return false;
			*ret = us * NS_PER_US;
			return true;
		}
		if (!cursor_skip_words(&line, 1))
			return false;
	}
	return false;
}

bool cgroup_text_pressure(const char *text, size_t length, const char *word, int64_t *ret)
{
	struct cursor c = cursor_of(text, length), line;

	while (cursor_line(&c, &line))
		if (cursor_literal(&line, word) && line.at < line.end && *line.at == ' ')
			return find_total(line, ret);
	return false;
}
