/* SPDX-License-Identifier: Apache-2.0 */
/** The sources there are; a new one is one line here and one in sources[]. */
#ifndef SOURCE_REGISTRY_H
#define SOURCE_REGISTRY_H

#include "source/source.h"

extern const struct source_ops source_pid;
extern const struct source_ops source_pidfile;
extern const struct source_ops source_supervise;
extern const struct source_ops source_supervisord;
extern const struct source_ops source_thermos;
extern const struct source_ops source_mesos;
extern const struct source_ops source_cgroup;
extern const struct source_ops source_auto;

/** Not in sources[]: made by code, see command.h, fixed.h and match.h. */
extern const struct source_ops source_command;
extern const struct source_ops source_fixed;
extern const struct source_ops source_match;

#endif
