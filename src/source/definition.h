/* SPDX-License-Identifier: Apache-2.0 */
/** The JSON file that defines a task, as its source found it: hostile input. */
#ifndef SOURCE_DEFINITION_H
#define SOURCE_DEFINITION_H

#include <jansson.h>
#include <tally/error.h>

/** A longer definition is refused. */
#define DEFINITION_MAX (1 << 20)

/**
 * Read the definition of a task.
 *
 * @path    source_task.definition: absolute and without symbolic links, none of which is followed.
 * @ret     An object; the caller's reference.
 * @return  0; -ENOENT (gone: the task moved on); -EFBIG; -EINVAL (no regular file, or no JSON object:
 *          the message says where); -ENOMEM; others as reading has them. Does not block.
 */
int definition_read(const char *path, json_t **ret, struct tally_error *err);

/** As definition_read(), below a directory. */
int definition_read_at(int base, const char *path, json_t **ret, struct tally_error *err);

#endif
