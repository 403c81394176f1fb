/* SPDX-License-Identifier: Apache-2.0 */
/** /proc/PID/stat: the name in it is anything that a process calls itself. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "collect/proc_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proc_stat stat = {.pid = -1};

	if (!proc_parse_stat((const char *)data, size, &stat)) {
		assert(stat.pid == -1);
		return 0;
	}
	assert(stat.pid >= 0 && stat.parent >= 0);
	assert(memchr(stat.comm, '\0', sizeof(stat.comm)));
	assert(stat.user_ticks >= 0 && stat.system_ticks >= 0 && stat.start_ticks >= 0);
	assert(stat.children_user_ticks >= 0 && stat.children_system_ticks >= 0);
	assert(stat.minor_faults >= 0 && stat.threads >= 0 && stat.rss_pages >= 0);
	return 0;
}
