/* SPDX-License-Identifier: Apache-2.0 */
/** Times, durations and sizes as people and web clients write them. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW INT64_C(1795490700000000000)

/* A refusal is one line that can be shown, and leaves the result alone. */
static void check_refusal(const struct tally_error *err)
{
	assert(err->code < 0);
	assert(memchr(err->message, '\0', sizeof(err->message)));
	assert(!strchr(err->message, '\n'));
}

static void check_cursor(const char *text, size_t size)
{
	struct cursor c = cursor_of(text, size), line;
	uint64_t u;
	int64_t i;

	while (cursor_line(&c, &line)) {
		assert(line.at >= text && line.end <= text + size && line.at <= line.end);
		cursor_u64(&line, &u);
		cursor_i64(&line, &i);
		cursor_literal(&line, "Pss:");
		cursor_skip_words(&line, 3);
		assert(line.at <= line.end);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tally_error err = {0};
	char *text = malloc(size + 1);
	uint64_t bytes = 7;
	int64_t ns = -7;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	check_cursor((const char *)data, size);
	if (parse_duration(text, &ns, &err) == 0) {
		assert(ns > 0);
	} else {
		assert(ns == -7);
		check_refusal(&err);
	}
	if (parse_time(text, NOW, &ns, &err) < 0)
		check_refusal(&err);
	if (parse_size(text, &bytes, &err) < 0) {
		assert(bytes == 7);
		check_refusal(&err);
	}
	parse_u64(text, 0, UINT64_MAX, &bytes);
	free(text);
	return 0;
}
