/* SPDX-License-Identifier: Apache-2.0 */
/** What the terminal behind a descriptor can do. */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>

/** Sequences that change how text looks; all empty where they would not be wanted. Static. */
struct style {
	const char *bold, *dim, *good, *warn, *bad, *off;
};

/** Whether it is a terminal that knows how to move its cursor. */
bool terminal_can_move(int fd);

/** The style for a descriptor: plain unless it is such a terminal and NO_COLOR is not set. */
const struct style *terminal_style(int fd);

/** Its size. @return 0 or negative errno. */
int terminal_size(int fd, int *ret_rows, int *ret_columns);

/** Who has a terminal. */
enum terminal_owner {
	TERMINAL_OURS,	 /**< We are in its foreground. */
	TERMINAL_OTHERS, /**< We are in the background, or it is gone. */
	TERMINAL_RAW, /**< In our foreground, somebody reads it key by key: an editor, a shell. */
};

enum terminal_owner terminal_owner(int fd);

#endif
