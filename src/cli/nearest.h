/* SPDX-License-Identifier: Apache-2.0 */
/** "Did you mean": the known word that a mistyped one is most like. */
#ifndef CLI_NEAREST_H
#define CLI_NEAREST_H

/** The best so far; start from zero. */
struct nearest {
	const char *word; /**< NULL: nothing is near enough. */
	unsigned distance;
};

/** Consider one more known word. */
void nearest_consider(struct nearest *nearest, const char *mistyped, const char *known);

#endif
