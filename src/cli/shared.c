/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/shared.h"

#include <stdio.h>
#include "base/text.h"

void shared_log(void *context, enum tally_log_level level, const char *line)
{
	char shown[1024];

	if (level > TALLY_LOG_WARN)
		return;
	text_show(shown, sizeof(shown), line);
	fprintf(stderr, "tally: %s\n", shown);
}
