/* SPDX-License-Identifier: Apache-2.0 */
/** The text of /proc/PID/stat holds a name of any bytes. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "source/identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(
		size ? size : 1); /* Of just that length, so that a byte too many is noticed. */
	int64_t start_ns = -1;

	if (!text)
		return 0;
	memcpy(text, data, size);
	if (identity_parse(text, size, &start_ns) == 0)
		assert(start_ns >= 0);
	else
		assert(start_ns == -1);
	free(text);
	return 0;
}
