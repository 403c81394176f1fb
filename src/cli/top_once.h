/* SPDX-License-Identifier: Apache-2.0 */
/** `tally top --once`: a table for programs. */
#ifndef CLI_TOP_ONCE_H
#define CLI_TOP_ONCE_H

#include <stdio.h>
#include "cli/top_model.h"

/**
 * Write what a model shows: a line of titles, then a line for each task (and process, where they are
 * unfolded or flat). Cells are parted by blanks and hold none; the name comes last and may. Bytes,
 * cores and seconds stand without units, what is absent as '-'.
 */
void top_once_write(const struct top_model *model, FILE *out);

#endif
