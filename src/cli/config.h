/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The configuration file of a command: YAML whose keys are the command's long options, so that an
 * option and its key can never differ, and the rules of the source "match".
 *
 *     interval: 1s
 *     source: [auto]
 *     match:
 *       - task: web
 *         comm: [nginx]
 *
 * libcyaml reads it by a schema made from the table of options. What it says of a file that it refuses
 * has the line of what surrounds the mistake, and no word of what was expected; config_where.c finds
 * both in the tree of libyaml, on which libcyaml stands.
 */
#ifndef CLI_CONFIG_H
#define CLI_CONFIG_H

#include "cli/options.h"
#include "source/match.h"

/** Bytes of a file. */
#define CONFIG_BYTES_MAX ((size_t)1 << 20)

/** Where `tally config check` looks when it is not told, and where a package puts it. */
#define CONFIG_DEFAULT_PATH "/etc/tally/tally.yaml"

struct config;

/**
 * Take a text apart: its keys, their values, and the rules.
 *
 * @path     For messages: "PATH:LINE: KEY: what was expected".
 * @command  Whose options it may have, besides --config itself.
 * @return   0; -EINVAL (with such a message, of one line); -ENOMEM.
 */
int config_parse(const char *path, const char *text, size_t length, const struct command *command,
	struct config **ret, struct tally_error *err);

/** Read a file and take it apart. As config_parse(), and negative errno of reading. */
int config_read(const char *path, const struct command *command, struct config **ret,
	struct tally_error *err);

/**
 * Give a command the options that its command line does not have. The strings stay the
 * configuration's, which must outlive the values.
 *
 * @return  0 or -ENOMEM.
 */
int config_apply(const struct config *config, struct command_line *line, void *values,
	struct tally_error *err);

/** The rules of the source "match", in their order. They stay the configuration's. */
const struct match_rule *config_rules(const struct config *config, size_t *ret_count);

/** Takes NULL, returns NULL. */
struct config *config_free(struct config *config);

#endif
