/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The source for those who name none: what systemd and container runtimes made a cgroup of, and beside
 * it the login sessions and daemons that lie in no such cgroup.
 */
#ifndef SOURCE_AUTO_H
#define SOURCE_AUTO_H

#include "source/cgroup.h"

/** Open; the options are those of the cgroups. */
int auto_source_open(
	const struct cgroup_options *options, struct source **ret, struct tally_error *err);

#endif
