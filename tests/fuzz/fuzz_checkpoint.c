/* SPDX-License-Identifier: Apache-2.0 */
/* A checkpoint stream is written by whoever runs the task. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include "source/thermos_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Read in two halves as if it grew, and once whole: the state must come out the same. */
static size_t read_from(const uint8_t *data, size_t size, struct thermos_state *state)
{
	struct tally_error err;
	size_t used;

	thermos_stream_read(data, size, thermos_state_apply, state, &used, &err);
	return used;
}

static size_t count_runs(const struct thermos_state *state)
{
	const struct thermos_runs *process, *next;
	size_t runs = 0;

	HASH_ITER (hh, state->processes, process, next)
		runs += process->count + process->forgotten;
	return runs;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct thermos_state whole = {0}, halves = {0};
	size_t used = read_from(data, size, &whole);
	size_t first = read_from(data, size / 2, &halves);

	first += read_from(data + first, size - first, &halves);
	if (first != used || count_runs(&whole) != count_runs(&halves))
		abort();
	thermos_state_clear(&whole);
	thermos_state_clear(&halves);
	return 0;
}
