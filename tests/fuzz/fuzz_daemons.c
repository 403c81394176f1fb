/* SPDX-License-Identifier: Apache-2.0 */
/* Pidfiles, status files of supervisors, and what a server on supervisord's socket says. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "source/supervise.h"
#include "source/supervisord.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(void *context, const char *name, pid_t pid)
{
	if (strlen(name) > 511 || pid < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tally_error err;
	pid_t pid = 0;

	if (pidfile_parse((const char *)data, size, &pid) == 0 && pid <= 0)
		abort();
	if (supervise_parse(data, size, &pid) == 0 && pid < 0)
		abort();
	supervisord_parse((const char *)data, size, take, NULL, &err);
	return 0;
}
