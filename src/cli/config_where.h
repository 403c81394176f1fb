/* SPDX-License-Identifier: Apache-2.0 */
/** Where in a YAML text something is, and what is wrong with it in words. */
#ifndef CLI_CONFIG_WHERE_H
#define CLI_CONFIG_WHERE_H

#include <cyaml/cyaml.h>
#include <stddef.h>
#include <tally/error.h>
#include "cli/options.h"

/** A text under examination. */
struct where {
	const char *path; /**< For messages. */
	const char *text;
	size_t length;
	const struct command *command; /**< Whose options the keys of the first level are. */
};

/**
 * Look for what no schema can tell: no YAML, a second document, anchors and aliases (a few lines with
 * them can stand for gigabytes).
 *
 * @return  0 or -EINVAL, with "PATH:LINE: …".
 */
int where_check(const struct where *where, struct tally_error *err);

/** Whether there is nothing in a text that passed where_check(). */
bool where_is_empty(const struct where *where);

/** Say why a text does not fit a schema. @return -EINVAL, always. */
int where_misfit(
	const struct where *where, const cyaml_schema_value_t *schema, struct tally_error *err);

/** One step to a value: a key of a mapping, or (key NULL) an entry of a sequence. */
struct where_step {
	const char *key;
	size_t index;
};

/** Line of a value, from 1, or of as much of the way as there is. */
int where_line(const struct where *where, const struct where_step *steps, size_t count);

#endif
