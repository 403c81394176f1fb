/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/live.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/text.h"
#include "cli/terminal.h"

/* Smaller terminals are left alone. */
#define ROWS_LEAST    5
#define COLUMNS_LEAST 20

/* Longer texts are not shown. */
#define TEXT_SIZE 1024

void live_begin(struct live *live, int fd)
{
	*live = (struct live){.fd = fd, .wanted = terminal_can_move(fd)};
}

/* In one piece, so that the command's own output does not come in between. */
static void put(struct live *live, const char *text, size_t length)
{
	if (write(live->fd, text, length) < 0)
		live->wanted = false;
}

/*
 * ECMA-48 and DEC: ESC D scrolls where the cursor is in the last row and else moves it down, keeping
 * its column; ESC 7 and ESC 8 save and restore the cursor; CSI 1;n r lets only rows 1 to n scroll,
 * and moves the cursor to the top.
 */
static void take_last_row(struct live *live, int rows)
{
	char text[64];

	put(live, text,
		(size_t)snprintf(text, sizeof(text),
			"\x1b"
			"D\x1b[A\x1b"
			"7\x1b[1;%dr\x1b"
			"8",
			rows - 1));
	live->row = rows;
}

void live_hide(struct live *live)
{
	char text[64];

	if (!live->row)
		return;
	put(live, text,
		(size_t)snprintf(text, sizeof(text),
			"\x1b"
			"7\x1b[r\x1b[%d;1H\x1b[2K\x1b"
			"8",
			live->row));
	live->row = 0;
}

/* Length of what fits into so many columns; whole characters. */
static int fitting(const char *text, int columns)
{
	const char *at = text, *end = text + strlen(text);

	while (at < end) {
		const char *from = at;
		char one[8], shown[8];

		text_code_point(&at, end);
		snprintf(one, sizeof(one), "%.*s", (int)(at - from), from);
		columns -= (int)text_show(shown, sizeof(shown), one);
		if (columns < 0)
			return (int)(from - text);
	}
	return (int)(at - text);
}

/* Whether there is a place to show it; its row may have moved. */
static bool find_place(struct live *live, int *ret_columns)
{
	enum terminal_owner owner = terminal_owner(live->fd);
	int rows;

	if (owner == TERMINAL_RAW)
		live->wanted = false;
	if (owner != TERMINAL_OURS || terminal_size(live->fd, &rows, ret_columns) < 0 ||
		rows < ROWS_LEAST || *ret_columns < COLUMNS_LEAST) {
		live_hide(live);
		return false;
	}
	if (live->row != rows) {
		live_hide(live);
		take_last_row(live, rows);
	}
	return true;
}

void live_show(struct live *live, const char *text)
{
	char line[TEXT_SIZE + 64];
	int columns;

	if (!live->wanted || strlen(text) >= TEXT_SIZE || !find_place(live, &columns))
		return;
	int length = snprintf(line, sizeof(line),
		"\x1b"
		"7\x1b[%d;1H\x1b[2K%.*s\x1b"
		"8",
		live->row, fitting(text, columns - 1), text);
	put(live, line, (size_t)length);
}
