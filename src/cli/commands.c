/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"

#include <string.h>
#include "cli/nearest.h"

const struct command *const commands[] = {
	&command_run,
	&command_observe,
	&command_top,
	&command_show,
	&command_history,
	&command_disk,
	&command_report,
	&command_store,
	&command_status,
	&command_config,
	&command_doctor,
	&command_completion,
	&command_help,
	&command_version,
	NULL,
};

const struct command *command_find(const char *name)
{
	for (size_t i = 0; commands[i]; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

const char *command_nearest(const char *word)
{
	struct nearest nearest = {0};

	for (size_t i = 0; commands[i]; i++)
		nearest_consider(&nearest, word, commands[i]->name);
	return nearest.word;
}
