/* SPDX-License-Identifier: Apache-2.0 */
/** The collectors there are; a new one is one line here and one in collectors[]. */
#ifndef COLLECT_REGISTRY_H
#define COLLECT_REGISTRY_H

#include "collect/collector.h"

extern const struct collector_ops collector_bpf;
extern const struct collector_ops collector_procfs;

/** Not in collectors[]: driven by tests (fake.h). */
extern const struct collector_ops collector_fake;

#endif
