/* SPDX-License-Identifier: Apache-2.0 */
/** The screen of `tally top`: draws the model, and takes keys. ncurses has been started. */
#ifndef CLI_TOP_SCREEN_H
#define CLI_TOP_SCREEN_H

#include <stdbool.h>
#include "cli/top_model.h"

/** What lies over the table. */
enum top_over {
	TOP_TABLE,   /**< Nothing. */
	TOP_HELP,    /**< The keys. */
	TOP_COLUMNS, /**< Which columns to show. */
	TOP_DETAILS, /**< All figures of what is selected, and why some are absent. */
};

/** What is being typed in the last line. */
enum top_prompt { TOP_NO_PROMPT, TOP_PROMPT_FILTER, TOP_PROMPT_TIME };

struct top_screen {
	struct top_model *model;
	bool ascii, colours;
	enum top_over over;
	size_t over_line; /**< First line shown of help or details; the column chosen. */
	enum top_prompt prompt;
	char typed[128];
	char message[TALLY_ERROR_SIZE]; /**< Until the next key. */
	size_t first;			/**< Line of the model that is at the top. */
	bool quit;
	/* Filled by drawing: */
	int body_rows;
	bool courses_missing; /**< Of rows on the screen. */
};

/** Begin. @ascii Nothing else may be shown. */
void top_screen_begin(struct top_screen *screen, struct top_model *model, bool ascii);

/** Draw everything; writes what has changed. */
void top_screen_draw(struct top_screen *screen);

/** Ask for the courses of some rows that are on the screen and have none. */
void top_screen_load_courses(struct top_screen *screen);

/** Take all keys that were typed. */
void top_screen_take_keys(struct top_screen *screen);

/* ---- between top_screen.c, top_overlay.c and top_keys.c ---- */

enum top_colour { TOP_PLAIN, TOP_GOOD, TOP_WARN, TOP_BAD, TOP_ACCENT, TOP_TITLE, TOP_PAST };

/** Attributes of a colour; without colours, those that tell the same. */
unsigned top_attributes(const struct top_screen *screen, enum top_colour colour);

/** Put a text into a field of the screen. @return column behind it. */
int top_put(const struct top_screen *screen, int row, int column, int columns, int fill,
	unsigned attributes, const char *text);

/** Draw help, columns or details over rows [from … to - 1]. */
void top_overlay_draw(struct top_screen *screen, int from, int to);

/** How many lines the overlay has. */
size_t top_overlay_lines(const struct top_screen *screen);

/** Columns that fit into a screen so wide, the least important left out. @ret_name width of the name. */
uint32_t top_screen_columns(const struct top_model *model, int width, int *ret_name);

#endif
