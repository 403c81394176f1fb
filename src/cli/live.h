/* SPDX-License-Identifier: Apache-2.0 */
/**
 * One line at the foot of the terminal, below what the command writes.
 *
 * The last row is taken out of the region that scrolls, so that the command's own output never
 * runs through the line. It is not shown while the terminal belongs to somebody else (a job in the
 * background), and never again once somebody read it key by key (an editor, a shell).
 */
#ifndef CLI_LIVE_H
#define CLI_LIVE_H

#include <stdbool.h>

struct live {
	int fd;
	bool wanted; /**< May be shown. */
	int row;     /**< Where it is shown, counted from 1: the last; 0: it is not shown. */
};

/** Begin; nothing is shown yet. Not wanted where fd is no terminal. */
void live_begin(struct live *live, int fd);

/** Show a text, which holds nothing but printable characters; cut where the row ends. */
void live_show(struct live *live, const char *text);

/** Take it away, and give the terminal back as it was. */
void live_hide(struct live *live);

#endif
