/* SPDX-License-Identifier: Apache-2.0 */
/** The small files: /proc/PID/io, schedstat, smaps_rollup, and pids of directories and cgroups. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include "collect/proc_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	int64_t one = -1, other = -1;

	if (proc_parse_io(text, size, &one, &other))
		assert(one >= 0 && other >= 0);
	else
		assert(one == -1 && other == -1);
	one = other = -1;
	if (proc_parse_schedstat(text, size, &one, &other))
		assert(one >= 0 && other >= 0);
	else
		assert(one == -1 && other == -1);
	one = -1;
	if (proc_parse_pss(text, size, &one))
		assert(one >= 0);
	else
		assert(one == -1);
	assert(proc_parse_pid(text, size) >= 0);
	return 0;
}
