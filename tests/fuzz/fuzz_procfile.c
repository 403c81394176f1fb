/* SPDX-License-Identifier: Apache-2.0 */
/** Procfiles and the files of environments beside them. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "source/procfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef int parse_fn(const char *path, const char *text, size_t length, struct procfile *ret,
	struct tally_error *err);

static void check(parse_fn *parse, const char *text, size_t size, size_t limit)
{
	struct procfile parsed = {0};
	struct tally_error err = {0};
	int r = parse("file", text, size, &parsed, &err);

	if (r < 0) {
		assert(err.code == r && !strchr(err.message, '\n') && !parsed.entries);
		return;
	}
	assert(parsed.count <= limit);
	for (size_t i = 0; i < parsed.count; i++) {
		assert(*parsed.entries[i].name && parsed.entries[i].text);
		assert(procfile_find(&parsed, parsed.entries[i].name) == parsed.entries[i].text);
	}
	procfile_done(&parsed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check(procfile_parse, (const char *)data, size, PROCFILE_PROCESSES_MAX);
	check(procfile_parse_environment, (const char *)data, size, PROCFILE_VARIABLES_MAX);
	return 0;
}
