/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/shared.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/text.h"

void shared_log(void *context, enum tally_log_level level, const char *line)
{
	char shown[1024];

	if (level > TALLY_LOG_WARN)
		return;
	text_show(shown, sizeof(shown), line);
	fprintf(stderr, "tally: %s\n", shown);
}

void shared_default_store(char *path, size_t size)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	path[0] = '\0';
	if (geteuid() == 0)
		snprintf(path, size, "/var/lib/tally/history.db");
	else if (state && state[0] == '/')
		snprintf(path, size, "%s/tally/history.db", state);
	else if (home && home[0] == '/')
		snprintf(path, size, "%s/.local/state/tally/history.db", home);
}
