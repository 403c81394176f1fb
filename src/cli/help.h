/* SPDX-License-Identifier: Apache-2.0 */
/** Help, written from the tables of commands and options. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include <stdio.h>
#include "cli/options.h"

/** What the program is, and its commands. @return 0 */
int help_program(FILE *out);

/** What a command is, and its options. @return 0 */
int help_command(const struct command *command, FILE *out);

/** Version of the program, on stdout. @return 0 */
int help_version(void);

#endif
