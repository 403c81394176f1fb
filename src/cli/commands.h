/* SPDX-License-Identifier: Apache-2.0 */
/** The commands there are; a new one is one line here and one in commands[]. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/options.h"

extern const struct command command_run;
extern const struct command command_observe;
extern const struct command command_top;
extern const struct command command_show;
extern const struct command command_history;
extern const struct command command_disk;
extern const struct command command_report;
extern const struct command command_store;
extern const struct command command_status;
extern const struct command command_config;
extern const struct command command_doctor;
extern const struct command command_completion;
extern const struct command command_help;
extern const struct command command_version;

#endif
