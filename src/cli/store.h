/* SPDX-License-Identifier: Apache-2.0 */
/** What the parts of `tally store` share. */
#ifndef CLI_STORE_H
#define CLI_STORE_H

#include <stdbool.h>
#include "cli/stored.h"

/**
 * Write every sample of every task and process to standard output, progress to a terminal on
 * standard error.
 *
 * @csv      CSV; else one JSON object on each line.
 * @ret_lost Stretches that are damaged and left out.
 * @return   0, -EIO (standard output takes no more), -ENOMEM, or the store's error.
 */
int store_export(struct stored *stored, bool csv, uint64_t *ret_lost, struct tally_error *err);

#endif
