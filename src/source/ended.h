/* SPDX-License-Identifier: Apache-2.0 */
/** A source that took the place of one which is not wanted any more: it names no task. */
#ifndef SOURCE_ENDED_H
#define SOURCE_ENDED_H

#include "source/source.h"

/** Open one that bears the name of the source before. NULL without memory. */
struct source *source_ended_open(const struct source_ops *before);

/** Whether a source is one of these: whoever names its tasks may have them. */
bool source_has_ended(const struct source *source);

#endif
