/* SPDX-License-Identifier: Apache-2.0 */
/** /proc/PID/status: the name in it is anything, though the kernel escapes its newlines. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include "collect/proc_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proc_status status = {.parent = -2};

	if (!proc_parse_status((const char *)data, size, &status)) {
		assert(status.parent == -2);
		return 0;
	}
	assert(status.parent >= -1 && status.threads >= -1);
	assert(status.rss_bytes >= -1 && status.virtual_bytes >= -1);
	assert(status.swap_bytes >= -1 && status.shared_bytes >= -1);
	assert(status.voluntary >= -1 && status.involuntary >= -1);
	return 0;
}
