/* SPDX-License-Identifier: Apache-2.0 */
/** What `tally doctor` looks at. */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include <stdbool.h>

enum finding_status {
	FINDING_OK,
	FINDING_LIMITED, /**< Works, but some figures stay absent or cost more. */
	FINDING_MISSING, /**< Does not work. */
	FINDING_NOTE,	 /**< Nothing of ours depends on it. */
};

/** What a look found. The texts are sentences without a final stop. */
struct finding {
	enum finding_status status;
	char detail[600];    /**< What there is. */
	const char *meaning; /**< What that means, or NULL. Static. */
	const char *remedy;  /**< What would give more, or NULL. Static. */
};

/** One thing to look at. */
struct check {
	const char *name;
	void (*look)(struct finding *finding);
};

/** All but collectors and sources, which have a probe of their own. Ends with a NULL name. */
extern const struct check checks[];

/**
 * Ask the observer which processes are in two of its tasks. Blocks until it has told of each task.
 *
 * @socket  NULL: the default one; that none answers there is no fault.
 */
void doctor_overlap(const char *socket, struct finding *finding);

#endif
